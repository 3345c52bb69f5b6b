// The contract of events, kept by their handler.
#include "openapi_judge.hpp"

namespace taskd::test {

void try_events(Judge& judge) {
    const std::string path = "/v1/events";
    for (const char* bad :
         {"topic=nonsense", "topic=task:1", "since=x", "since=99999999", "limit=0"})
        judge.ask("GET", path, path + "?" + bad, "", 422, "invalid_field");
    judge.ask("GET", path, path + "?since=oldest", "", 422, "invalid_field",
              {{"Last-Event-ID", "nothing"}});
    const std::string oldest =
        judge.ask("GET", path, path + "?since=oldest&topic=task&topic=queue:echo&limit=3", "", 200);
    CHECK_THAT(oldest, Catch::Matchers::Contains("\nevent: task."));
    CHECK_THAT(oldest, Catch::Matchers::Contains("\ndata: {\"event\":\"task."));
    // By now much has happened; here segments go when the view covers them and they are a second
    // old.
    judge.cluster.run_for(3s);
    judge.ask("GET", path, path + "?since=1.0", "", 410, "events_gone");
}

}  // namespace taskd::test

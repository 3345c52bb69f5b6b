// What records tell, which topics take it, and the stream's bytes there and back.
#include <fstream>
#include <set>
#include <sstream>

#include "catch.hpp"
#include "random_model.hpp"
#include "taskd/protocol/event.hpp"
#include "taskd/protocol/json.hpp"

using namespace taskd;
using namespace taskd::protocol;

namespace {

const TaskId id = *TaskId::parse("018bcfe5-687b-7000-8000-0000000000ab");
const GroupId group = *TaskId::parse("018bcfe5-687b-7000-8000-0000000000cd");
const WallTime at{std::chrono::microseconds{1'700'000'000'000'000}};
const std::string id_text = R"("id":"018bcfe5-687b-7000-8000-0000000000ab","type":"sum")";
const std::string at_text = R"("at":"2023-11-14T22:13:20.000000Z"})";

std::vector<Event> told(const Record& record) {
    return events_of(Sequence{7}, record, {"sum", std::nullopt});
}

// "EVENT DATA" of each, DATA without what stands in all.
std::string text(const std::vector<Event>& events) {
    std::string out;
    for (const Event& event : events)
        out.append(event.name).append(" ").append(event.data).append("\n");
    return out;
}

std::string data(std::string_view name, unsigned index, std::string_view rest) {
    std::string out{name};
    out.append(" {\"event\":\"").append(name).append("\",\"event_id\":\"7.");
    return out.append(std::to_string(index)).append("\",").append(rest).append("\n");
}

bool takes(std::string_view topics, const Event& event) {
    TopicFilter filter;
    REQUIRE(filter.add(topics));
    return filter.takes(event);
}

}  // namespace

TEST_CASE("a submit tells what is asked for, and not its payload") {
    TaskSubmitted record{.spec = {.id = id, .type = "sum", .payload = Blob{"[1]"}}, .at = at};
    record.spec.labels = {{"team", "red"}};
    record.spec.key = "k";
    CHECK(text(told(record)) ==
          data("task.submitted", 0,
               id_text + R"(,"priority":5,"key":"k","labels":{"team":"red"},)" + at_text));
}

TEST_CASE("an attempt that does not succeed tells that, and what becomes of the task") {
    AttemptFailed failed{.id = id, .epoch = {3}, .error = {"x", "a\nb", false}, .at = at};
    const std::string error =
        R"(,"epoch":3,"error":{"code":"x","message":"a\nb","permanent":false},)";
    CHECK(text(told(failed)) == data("task.failed", 0, id_text + error + at_text) +
                                    data("task.dead", 1, id_text + "," + at_text));
    failed.due_at = EngineTime{};
    failed.due_shown = at;
    CHECK(text(told(failed)) ==
          data("task.failed", 0, id_text + error + at_text) +
              data("task.scheduled", 1,
                   id_text + R"(,"due_at":"2023-11-14T22:13:20.000000Z",)" + at_text));
    CHECK(told(AttemptCrashed{.id = id, .epoch = {1}, .at = at}).size() == 2);
    CHECK(text(told(TimedOutLeaseEnded{.id = id, .epoch = {1}, .at = at})) ==
          data("task.dead", 0, id_text + "," + at_text));
}

TEST_CASE("an event says what it is about") {
    const TaskLeased leased{.id = id, .epoch = {2}, .worker = "w1", .at = at};
    const auto event = events_of(Sequence{7}, leased, {"sum", group}).front();
    CHECK(event.subjects == std::vector<std::string>{"task:" + id.to_string(), "queue:sum",
                                                     "group:" + group.to_string(), "worker:w1"});
    CHECK(event.data.find(R"("group":"018bcfe5-687b-7000-8000-0000000000cd")") !=
          std::string::npos);
    const auto unknown = events_of(Sequence{7}, leased, {}).front();
    CHECK(unknown.subjects == std::vector<std::string>{"task:" + id.to_string(), "worker:w1"});
    CHECK(told(RevokedLeaseEnded{.id = id}).empty());
}

TEST_CASE("a fire tells what was missed before it, and what came of it") {
    ScheduleFired fired{.name = "nightly",
                        .fire = Fire{.planned = at,
                                     .at = at,
                                     .outcome = FireOutcome::submitted,
                                     .task = id,
                                     .reason = {}},
                        .settled = at,
                        .missed = 3};
    const auto events = told(fired);
    REQUIRE(events.size() == 2);
    CHECK(events[0].name == "schedule.missed");
    CHECK(events[1].subjects == std::vector<std::string>{"schedule:nightly"});
    CHECK(events[1].data.find(R"("outcome":"submitted")") != std::string::npos);
    fired.fire.reset();
    fired.missed = 0;
    CHECK(told(fired).empty());
}

TEST_CASE("whatever a record holds, its events are known names and one line of JSON each") {
    Random random{11};
    std::set<std::string_view> seen;
    const auto names = event_names();
    for (int round = 0; round < 200; ++round)
        for (std::size_t kind = 0; kind < support::record_kinds; ++kind) {
            const Record record = support::random_record(random, kind);
            std::uint32_t index = 0;
            for (const Event& event : events_of(Sequence{9}, record, {"t", {}})) {
                CHECK(event.id == EventId{Sequence{9}, index++});
                CHECK(std::ranges::find(names, event.name) != names.end());
                CHECK(event.data.find('\n') == std::string::npos);
                if (is_utf8(event.data)) CHECK(check_json(event.data));
                seen.insert(event.name);
            }
        }
    for (const std::string_view name : names) {
        INFO(name);
        CHECK(seen.contains(name));
    }
}

TEST_CASE("of a record's events those that are wanted are made alone, in their places") {
    Random random{12};
    for (int round = 0; round < 40; ++round)
        for (std::size_t kind = 0; kind < support::record_kinds; ++kind) {
            const Record record = support::random_record(random, kind);
            const auto all = events_of(Sequence{9}, record, {"t", {}});
            REQUIRE_FALSE(tells_any(record, {}));
            for (const std::string_view name : event_names()) {
                const EventNames wanted{name};
                auto expected = all;
                std::erase_if(expected, [&](const Event& each) { return each.name != name; });
                const auto some = events_of(Sequence{9}, record, {"t", {}}, &wanted);
                REQUIRE(some.size() == expected.size());
                for (std::size_t i = 0; i < some.size(); ++i) {
                    REQUIRE(some[i].id == expected[i].id);
                    REQUIRE(some[i].subjects == expected[i].subjects);
                    REQUIRE(some[i].data == expected[i].data);
                }
                REQUIRE(tells_any(record, wanted) == !expected.empty());
            }
        }
}

TEST_CASE("the contract names every event") {
    std::ifstream file{TASKD_SOURCE_DIR "/config/openapi.yaml"};
    std::ostringstream contract;
    contract << file.rdbuf();
    for (const std::string_view name : event_names()) {
        INFO(name);
        CHECK(contract.str().find("`" + std::string{name} + "`") != std::string::npos);
    }
}

TEST_CASE("topics are names, kinds and subjects, and any of them counts") {
    const Event event =
        events_of(Sequence{7}, TaskLeased{.id = id, .worker = "w1"}, {"sum", group}).front();
    CHECK(TopicFilter{}.takes(event));
    for (const char* topics : {"*", "task", "task.*", "task.leased", "queue:sum", "worker:w1",
                               "task.dead,task.leased", "task:018BCFE5-687b-7000-8000-0000000000ab",
                               "group:018bcfe5-687b-7000-8000-0000000000cd", "schedule,queue:sum"})
        CHECK(takes(topics, event));
    for (const char* topics : {"task.dead", "queue", "queue:su", "queue:summ", "worker:w",
                               "task:018bcfe5-687b-7000-8000-0000000000aa", "schedule:sum"})
        CHECK_FALSE(takes(topics, event));
}

TEST_CASE("topics that nothing can be of are refused") {
    for (const char* topic : {"", "tasks", "task.", "task.done", "task:1", "topic:a",
                              "queue:", "task.dead,", "ask", "task.dead.*", ".*"}) {
        INFO(topic);
        TopicFilter filter;
        const auto added = filter.add(topic);
        REQUIRE(!added);
        CHECK(added.error().code == ErrorCode::invalid_field);
    }
    TopicFilter filter;
    for (std::size_t i = 0; i < limits::event_topics_max; ++i)
        REQUIRE(filter.add("task.dead"));
    CHECK(!filter.add("task.dead"));
    CHECK(!TopicFilter{}.add("queue:" + std::string(300, 'q')));
}

TEST_CASE("ids are in the order of events, and the end of a record is behind all of its") {
    CHECK(EventId{{7}, 0} < EventId{{7}, 1});
    CHECK(EventId{{7}, 9} < EventId{{7}});
    CHECK(EventId{{7}} < EventId{{8}, 0});
    for (const char* text : {"7.0", "7.12", "7", "0", "18446744073709551615.4294967294"})
        CHECK(to_text(*parse_event_id(text)) == text);
    for (const char* text :
         {"", ".", "7.", ".7", "7.x", "x", "-1", "7.0.0", " 7", "18446744073709551616"})
        CHECK(!parse_event_id(text));
}

TEST_CASE("what is written is read again, however the bytes are cut") {
    std::string stream = ": taskd\nretry: 1000\nid: 5\n\n";
    write_event(stream, told(TaskDeleted{id}).front());
    write_heartbeat(stream, {{9}, 2});
    write_event(stream, told(GroupClosed{group}).front());
    for (std::size_t step = 1; step < stream.size(); ++step) {
        EventStreamParser parser;
        std::vector<EventStreamParser::Read> events;
        for (std::size_t from = 0; from < stream.size(); from += step)
            for (auto& event : parser.feed(std::string_view{stream}.substr(from, step)))
                events.push_back(std::move(event));
        REQUIRE(events.size() == 2);
        CHECK(events[0].name == "task.deleted");
        CHECK(events[0].id == "7.0");
        CHECK(events[0].data == told(TaskDeleted{id}).front().data);
        CHECK(events[1].name == "group.closed");
        CHECK(parser.last_id() == "7.0");
    }
}

TEST_CASE("a stream of others is read too: blanks, CR LF, several lines of data, no event") {
    EventStreamParser parser;
    const auto events =
        parser.feed("id:1\r\ndata:a\r\ndata: b\r\nother\r\n\r\nevent: empty\nid: 2\n\ndata: c\n\n");
    REQUIRE(events.size() == 2);
    CHECK(events[0].data == "a\nb");
    CHECK(events[0].name.empty());
    CHECK(events[1].name.empty());
    CHECK(events[1].id == "2");
}

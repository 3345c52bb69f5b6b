// The contract of backups, kept by their handlers.
#include "openapi_judge.hpp"

namespace taskd::test {

void try_backups(Judge& judge) {
    const std::string all = "/v1/backups";
    const auto refused = [&](const std::string& body, int status, const std::string& error) {
        judge.ask("POST", all, all, body, status, error);
    };
    const std::string made =
        judge.ask("POST", all, all, "{\"name\":\"first\",\"store_id\":\"0000000000000007\"}", 201);
    CHECK(field(made, "name") == "\"first\"");
    CHECK(field(made, "file") == "\"data/backups/first\"");
    CHECK(field(made, "store_id") == "\"0000000000000007\"");
    CHECK(field(made, "log_bytes") != "0");
    CHECK(field(judge.ask("POST", all, all, "{\"logs\":false}", 201), "log_bytes") == "0");
    refused("{\"name\":\"first\"}", 409, "backup_exists");
    refused("{", 400, "bad_json");
    refused("[]", 422, "invalid_field");
    refused("{\"to\":\"/etc\"}", 422, "unknown_field");
    refused("{\"logs\":\"no\"}", 422, "invalid_field");
    refused("{\"store_id\":\"0000000000000008\"}", 500, "store_mismatch");
    for (const char* name : {"", "../up", ".hidden", "a/b", "x.part"})
        refused("{\"name\":\"" + std::string{name} + "\"}", 422, "invalid_field");
    judge.ask("POST", all, all, "{}", 415, "unsupported_media_type",
              {{"Content-Type", "text/plain"}});
    const std::string listed = judge.ask("GET", all, all, "", 200);
    CHECK(split_array(field(listed, "backups"))->size() == 2);
    for (std::size_t i = 2; i < limits::backups_max; ++i)
        judge.ask("POST", all, all, "{\"name\":\"more-" + std::to_string(i) + "\"}", 201);
    refused("{\"name\":\"one-more\"}", 409, "too_many_backups");
    judge.ask("GET", all, all + "?limit=1", "", 422, "unknown_field");
}

}  // namespace taskd::test

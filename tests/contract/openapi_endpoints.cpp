// Endpoints: every answer that the contract lists, but for those of a disk that fails.
#include "openapi_judge.hpp"

using namespace taskd;
using namespace taskd::test;

void taskd::test::try_endpoints(Judge& judge) {
    const std::string all = "/v1/endpoints", one = "/v1/endpoints/{name}", at = "/v1/endpoints/";
    const auto refused = [&](const std::string& body, int status, const std::string& error) {
        judge.ask("PUT", one, at + "e", body, status, error);
    };
    refused("{", 400, "bad_json");
    refused("{}", 422, "missing_field");
    refused(R"({"path":"/a"})", 422, "missing_field");
    refused(R"({"path":"/a","type":"echo","more":1})", 422, "unknown_field");
    for (const char* wrong :
         {R"("path":"a")", R"("path":"/")", R"("path":"/v1/a")", R"("path":"/healthz")",
          R"("path":"/a//b")", R"("path":"/a?b=1")", R"("path":"/{a}/{a}")", R"("path":"/a{b")",
          R"("path":"/a","method":"HEAD")", R"("path":"/a","payload":"all")",
          R"("path":"/a","wait_ms":600001)", R"("path":"/a","errors":[])",
          R"("path":"/a","errors":{"x":200})", R"("path":"/a","priority":10)",
          R"("path":"/a","timeout_ms":0)", R"("path":7)"})
        refused(R"({"type":"echo",)" + std::string{wrong} + "}", 422, "invalid_field");
    const std::string to_host = R"("host":"http://h:1")", f = R"({"path":"/a","function":"a:f")";
    refused(f + "}", 422, "missing_field");
    for (const std::string& wrong :
         {f + "," + to_host + R"(,"type":"echo"})", f + "," + to_host + R"(,"priority":1})",
          f + "," + to_host + R"(,"wait_ms":0})", f + R"(,"host":"h:1"})",
          f + R"(,"host":"http://h/x"})", f + R"(,"host":7})",
          std::string{R"({"path":"/a","function":"","host":"http://h"})"},
          R"({"path":"/a","type":"echo",)" + to_host + "}"})
        refused(wrong, 422, "invalid_field");
    refused(R"({"path":"/a","type":"no type"})", 422, "invalid_field");
    judge.ask("PUT", one, at + "a%20b", R"({"path":"/a","type":"echo"})", 422, "invalid_field");
    const std::string set = judge.ask("PUT", one, at + "e",
                                      R"({"path":"/shop/{what}","type":"echo","priority":7})", 200);
    CHECK(set == R"({"name":"e","method":"POST","path":"/shop/{what}","type":"echo",)"
                 R"("payload":"body","wait_ms":30000,"priority":7})");
    CHECK(judge.ask("GET", one, at + "e", "", 200) == set);
    judge.ask("PUT", one, at + "other", R"({"path":"/shop/x","type":"echo"})", 422,
              "invalid_field");
    CHECK(judge.ask("GET", all, all, "", 200) == "{\"endpoints\":[" + set + "]}");
    judge.ask("GET", one, at + "none", "", 404, "not_found");
    judge.ask("DELETE", one, at + "none", "", 404, "not_found");
    judge.ask("DELETE", one, at + "e", "", 204);
    CHECK(judge.ask("PUT", one, at + "f", f + "," + to_host + R"(,"errors":{"*":418}})", 200) ==
          R"({"name":"f","method":"POST","path":"/a","function":"a:f","host":"http://h:1",)"
          R"("payload":"body","wait_ms":30000,"errors":{"*":418}})");
    judge.ask("DELETE", one, at + "f", "", 204);
}

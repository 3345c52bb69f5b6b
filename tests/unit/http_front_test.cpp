// Whom a role without a key answers: whoever reaches it, but no web page of somebody else.
#include "taskd/service/http_front.hpp"

#include "catch.hpp"
#include "taskd/protocol/json_view.hpp"

using namespace taskd;

namespace {

struct Role {
    explicit Role(service::FrontWatch watch = {}, std::string secret = {})
        : front{protocol::ClusterKey{std::move(secret)}, "dispatcher", [] { return std::nullopt; },
                watch} {
        front.add({"POST", "/v1/tasks", {}, [](service::Call&& call) { call.answer(200, "{}"); }});
    }
    // "200", or the status and name of the error.
    std::string post(port::HttpHeaders headers, std::string path = "/v1/tasks") {
        const std::string method = path == "/v1/tasks" ? "POST" : "GET";
        std::string told;
        front.handle({method, std::move(path), std::move(headers), {}},
                     [&](const port::HttpResponse& got) {
                         told = std::to_string(got.status);
                         const std::string name = protocol::JsonView{got.body}["error"].text();
                         if (!name.empty()) told += " " + name;
                     });
        return told;
    }
    service::HttpFront front;
};

const std::string foreign = "403 foreign_origin";

}  // namespace

TEST_CASE("without a key a page of another origin is refused", "[front]") {
    Role role;
    CHECK(role.post({{"Host", "127.0.0.1:4000"}}) == "200");
    CHECK(role.post({{"Host", "127.0.0.1:4000"}, {"Origin", "http://127.0.0.1:4000"}}) == "200");
    CHECK(role.post({{"Host", "LocalHost:4000"}, {"Origin", "http://localhost:4000"}}) == "200");
    CHECK(role.post({{"Host", "[::1]:4000"}, {"Origin", "http://[::1]:4000"}}) == "200");
    for (const char* origin : {"http://127.0.0.1:4001", "https://evil.example", "null",
                               "http://localhost:4000", "http://127.0.0.1:4000.evil.example"})
        CHECK(role.post({{"Host", "127.0.0.1:4000"}, {"Origin", origin}}) == foreign);
    CHECK(role.post({{"Host", "127.0.0.1:4000"}, {"Origin", "null"}}, "/healthz") == "200");
    // What a page shows is asked for without an origin.
    const auto site = [&](const char* of, const char* mode) {
        return role.post(
            {{"Host", "127.0.0.1:4000"}, {"Sec-Fetch-Site", of}, {"Sec-Fetch-Mode", mode}});
    };
    CHECK(site("cross-site", "no-cors") == foreign);
    CHECK(site("same-site", "no-cors") == foreign);
    CHECK(site("cross-site", "navigate") == "200");
    CHECK(site("same-origin", "cors") == "200");
    CHECK(site("none", "navigate") == "200");
}

TEST_CASE("without a key a name that others may give away is refused on loopback", "[front]") {
    Role role;
    for (const char* host : {"", "localhost", "localhost:4000", "127.0.0.1", "10.0.0.7:80", "[::1]",
                             "nameservice:5001"})
        CHECK(role.post({{"Host", host}}) == "200");
    for (const char* host : {"evil.example", "evil.example:4000", "127.0.0.1.evil.example",
                             "localhost.evil.example:80"})
        CHECK(role.post({{"Host", host}, {"Origin", "http://" + std::string{host}}}) == foreign);
    // Beyond loopback nobody has said under which names it is reached.
    Role reached{service::FrontWatch{.is_public = true}};
    CHECK(reached.post({{"Host", "tasks.shop.example:4000"}}) == "200");
    CHECK(reached.post({{"Host", "tasks.shop.example"}, {"Origin", "http://evil.example"}}) ==
          foreign);
}

TEST_CASE("who has the key may come from anywhere", "[front]") {
    Role role{{}, "a-cluster-key-of-these-tests"};
    CHECK(role.post({{"Host", "evil.example"},
                     {"Origin", "http://evil.example"},
                     {"Authorization", "Bearer a-cluster-key-of-these-tests"}}) == "200");
    CHECK(role.post({{"Host", "evil.example"}}) == "401 missing_key");
}

TEST_CASE("the scheme of the key is told without case", "[front]") {
    Role role{{}, "a-cluster-key-of-these-tests"};
    for (const char* scheme : {"Bearer ", "bearer ", "BEARER "})
        CHECK(role.post({{"Authorization",
                          scheme + std::string{"a-cluster-key-of-these-tests"}}}) == "200");
    CHECK(role.post({{"Authorization", "bearer another"}}) == "403 wrong_key");
    for (const char* given : {"Basic a-cluster-key-of-these-tests", "Bearer", "bear"})
        CHECK(role.post({{"Authorization", given}}) == "401 missing_key");
}

TEST_CASE("a media type of no quality is not accepted", "[front]") {
    const auto accepts = [](std::string asked) {
        service::Call call;
        call.request.headers = {{"Accept", std::move(asked)}};
        return call.accepts("application/x-ndjson");
    };
    for (const char* asked :
         {"application/x-ndjson", "text/html, Application/X-NDJSON;q=0.5",
          "application/x-ndjson ; charset=utf-8; q=1", "application/x-ndjson;q=0.001"})
        CHECK(accepts(asked));
    for (const char* asked :
         {"", "text/html", "application/x-ndjson;q=0", "application/x-ndjson; q=0.000, text/html",
          "application/x-ndjson;charset=utf-8;Q=0.0"})
        CHECK_FALSE(accepts(asked));
}

TEST_CASE("a body that was read is let go while its call waits", "[front]") {
    service::Call call;
    call.request.body = std::string(limits::mebibyte, 'x');
    call.drop_body();
    CHECK(call.request.body.capacity() < 100);
}

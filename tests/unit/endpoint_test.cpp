// Endpoints at work: a request becomes a task, and its result the answer.
#include "taskd/service/endpoint_api.hpp"

#include "catch.hpp"
#include "dispatcher_world.hpp"

using namespace taskd;
using namespace taskd::test;
using namespace std::chrono_literals;
using protocol::JsonView;

namespace {

using Answer = std::shared_ptr<std::optional<port::HttpResponse>>;

struct World : DispatcherWorld {
    using DispatcherWorld::DispatcherWorld;

    void set(const std::string& name, const std::string& body) {
        const auto answer = ask("PUT", "/v1/endpoints/" + name, body);
        REQUIRE(answer);
        INFO(answer->body);
        REQUIRE(answer->status == 200);
    }
    Answer begin(std::string method, std::string target, std::string body = {},
                 port::HttpHeaders headers = {}) {
        auto got = std::make_shared<std::optional<port::HttpResponse>>();
        world.host("client").http().send(
            "http://dispatcher:4000",
            {std::move(method), std::move(target), std::move(headers), std::move(body)}, 60s,
            [got](Result<port::HttpResponse> answer) {
                if (answer) *got = std::move(*answer);
            });
        world.run_for(100ms);
        return got;
    }
    // Does the one task of the type; answers its payload.
    std::string work(const std::string& end, const std::string& body, const std::string& type) {
        const auto leased = ask("POST", "/v1/leases", R"({"types":[")" + type + "\"]}");
        REQUIRE(leased);
        const auto leases = JsonView{leased->body}["tasks"].items();
        INFO(leased->body);
        REQUIRE(leases.size() == 1);
        const std::string payload{leases.front()["payload"].raw()};
        const auto done =
            ask("POST", "/v1/leases/" + leases.front()["lease"].text() + "/" + end, body);
        REQUIRE(done);
        INFO(done->body);
        REQUIRE(done->status == 200);
        world.run_for(100ms);
        return payload;
    }
};

std::string shown(const Answer& answer) {
    if (!answer->has_value()) return "none";
    return std::to_string((*answer)->status) + " " + (*answer)->body;
}

}  // namespace

TEST_CASE("a request at an endpoint is answered with the result of its task") {
    World world;
    world.set("order", R"({"path":"/orders","type":"order"})");
    world.set("read", R"({"path":"/orders/{id}","method":"GET","type":"read"})");
    auto answer = world.begin("POST", "/orders", R"({"pizza": 1.50})");
    CHECK(shown(answer) == "none");
    CHECK(world.work("complete", R"({"result":{"order":7}})", "order") == R"({"pizza": 1.50})");
    CHECK(shown(answer) == R"(200 {"order":7})");
    answer = world.begin("GET", "/orders/a%20b?full=yes");
    CHECK(world.work("complete", R"({"result":null})", "read") ==
          R"({"path":{"id":"a b"},"query":{"full":"yes"},"body":null})");
    CHECK(shown(answer) == "200 null");
    answer = world.begin("POST", "/orders");
    CHECK(world.work("complete", R"({"result":1})", "order") == "null");
    CHECK(problem(world.ask("GET", "/orders")) == "404 not_found");
    CHECK(problem(world.ask("POST", "/orders?x=1", "1")) == "422 unknown_field");
    CHECK(problem(world.ask("POST", "/orders", "{")) == "400 bad_json");
}

TEST_CASE("a function of a host may stand behind an endpoint") {
    struct Host final : port::HttpHandler {
        void handle(port::HttpRequest&& request, port::HttpResponder respond) override {
            asked.push_back(request);
            if (!silent) respond(answer);
            kept.push_back(std::move(respond));
        }
        std::vector<port::HttpRequest> asked;
        std::vector<port::HttpResponder> kept;
        port::HttpResponse answer{200, {}, R"({"price":7})"};
        bool silent = false;
    } host;
    World world;
    REQUIRE(world.world.host("programs").serve(6500, host));
    const std::string set = R"({"path":"/price/{size}","function":"shop:price",)"
                            R"("host":"http://programs:6500","payload":"request","wait_ms":5000,)"
                            R"("errors":{"invalid_field":400,"timed_out":503}})";
    world.set("price", set);
    auto answer = world.begin("POST", "/price/30?for=ann", R"({"a":1})",
                              {{"traceparent",
                                "00-00000000000000000000000000000001-"
                                "0000000000000002-01"}});
    CHECK(shown(answer) == R"(200 {"price":7})");
    REQUIRE(host.asked.size() == 1);
    CHECK(host.asked[0].target == "/v1/functions/shop%3Aprice?timeout=5s");
    CHECK(host.asked[0].body == R"({"path":{"size":"30"},"query":{"for":"ann"},"body":{"a":1}})");
    CHECK(port::find_header(host.asked[0].headers, "traceparent").starts_with("00-"));
    // Errors of the function are those of the request, under the status that was said for them.
    const auto refused = [&](ErrorCode code) {
        host.answer = service::problem_response({code, "so"});
        const auto got = world.begin("POST", "/price/1", "1");
        REQUIRE(got->has_value());
        return problem(**got) + " " + JsonView{(*got)->body}["detail"].text();
    };
    CHECK(refused(ErrorCode::invalid_field) == "400 invalid_field so");
    CHECK(refused(ErrorCode::program_failed) == "500 program_failed so");
    CHECK(refused(ErrorCode::function_not_found) == "404 function_not_found so");
    host.answer = {200, {}, "null"};
    CHECK(shown(world.begin("POST", "/price/1", "1")) == "200 null");
    CHECK(problem(**world.begin("POST", "/price/1", "{")) == "400 bad_json");
    host.silent = true;
    const auto late = world.begin("POST", "/price/1", "1");
    world.world.run_for(8s);
    CHECK(problem(**late) == "503 timed_out");
    world.world.host("programs").stop_serving(6500);
    const auto away = world.begin("POST", "/price/1", "1");
    world.world.run_for(8s);
    CHECK(problem(**away) == "502 unreachable");
}

TEST_CASE("what a task fails with is an answer with the status that was said for it") {
    World world;
    world.set("order", R"({"path":"/o","type":"order","attempts_max":1,
                           "errors":{"sold_out":409,"bad_payload":418}})");
    const auto answer_to = [&](const std::string& code) {
        auto answer = world.begin("POST", "/o", "1");
        world.work("fail",
                   R"({"error":{"code":")" + code + R"(","message":"why","permanent":true}})",
                   "order");
        REQUIRE(answer->has_value());
        const JsonView body{(*answer)->body};
        CHECK(body["status"].number() == static_cast<std::uint64_t>((*answer)->status));
        return problem(**answer) + " " + body["detail"].text();
    };
    CHECK(answer_to("sold_out") == "409 worker_failed sold_out: why");
    CHECK(answer_to("bad_payload") == "418 bad_payload why");
    CHECK(answer_to("out_of_range") == "422 out_of_range why");
    CHECK(answer_to("odd") == "500 worker_failed odd: why");
    world.set("order", R"({"path":"/o","type":"order","errors":{"*":503}})");
    CHECK(answer_to("odd") == "503 worker_failed odd: why");
    // A task that is not taken is such an error too, when it is named.
    REQUIRE(world.ask("PUT", "/v1/queues/order/schema", R"({"type":"object"})"));
    CHECK(problem(**world.begin("POST", "/o", "1")) == "422 schema_mismatch");
    world.set("order", R"({"path":"/o","type":"order","errors":{"schema_mismatch":400}})");
    CHECK(problem(**world.begin("POST", "/o", "1")) == "400 schema_mismatch");
}

TEST_CASE("a task that takes longer than its endpoint waits goes on, and is named") {
    World world;
    world.set("order", R"({"path":"/o","type":"order","wait_ms":1000})");
    const auto answer = world.begin("POST", "/o", "1");
    world.world.run_for(2s);
    REQUIRE(answer->has_value());
    CHECK((*answer)->status == 202);
    const std::string id = JsonView{(*answer)->body}["id"].text();
    CHECK(port::find_header((*answer)->headers, "Location") == "/v1/tasks/" + id + "/result");
    world.set("later", R"({"path":"/later","type":"order","wait_ms":0})");
    CHECK(world.ask("POST", "/later", "1")->status == 202);
}

TEST_CASE("an endpoint passes on what makes a request the same, and asks for the key") {
    service::DispatcherSettings settings;
    settings.workers.key = protocol::ClusterKey{"0123456789abcdef"};
    World world{limits::frame_bytes_max, settings};
    const port::HttpHeaders key{{"Authorization", "Bearer 0123456789abcdef"}};
    auto set =
        world.begin("PUT", "/v1/endpoints/o", R"({"path":"/o","type":"t","wait_ms":0})", key);
    REQUIRE(shown(set).starts_with("200"));
    CHECK(problem(**world.begin("POST", "/o", "1")) == "401 missing_key");
    CHECK(problem(**world.begin("POST", "/o", "1", {{"Authorization", "Bearer x"}})) ==
          "403 wrong_key");
    CHECK(problem(**world.begin("POST", "/none", "1")) == "404 not_found");
    const port::HttpHeaders once{key.front(), {"Idempotency-Key", "k"}};
    const auto first = world.begin("POST", "/o", "1", once);
    const auto again = world.begin("POST", "/o", "1", once);
    CHECK(shown(first).starts_with("202"));
    CHECK(shown(first) == shown(again));
    CHECK(problem(**world.begin("POST", "/o", "2", once)) == "409 key_conflict");
    CHECK(
        problem(**world.begin("POST", "/o", "<a/>", {key.front(), {"Content-Type", "text/xml"}})) ==
        "415 unsupported_media_type");
}

TEST_CASE("endpoints are there again after a restart, and a disk that fails is told") {
    support::SimFiles disk{1};
    REQUIRE(disk.make_dir("data"));
    SimWorld world{1};
    HeldLane lane{world.host("a")};
    service::HttpFront front{{}, "dispatcher", [] { return std::nullopt; }};
    service::EndpointApi api{
        "data/endpoints.json", {&disk, lane, world.host("a").http()}, front, {}};
    REQUIRE(api.start());
    const auto ask = [&](service::HttpFront& at, const std::string& method, const std::string& path,
                         const std::string& body) {
        std::string answer;
        at.handle({method, path, {}, body}, [&](const port::HttpResponse& got) {
            answer = std::to_string(got.status) + " " + got.body;
        });
        world.run_for(1s);
        return answer;
    };
    const std::string set =
        ask(front, "PUT", "/v1/endpoints/a", R"({"path":"/a/{b}","type":"t","errors":{"x":404}})");
    REQUIRE(set.starts_with("200"));
    disk.cut_power();
    disk.power_on();
    service::HttpFront later{{}, "dispatcher", [] { return std::nullopt; }};
    service::EndpointApi again{
        "data/endpoints.json", {&disk, lane, world.host("a").http()}, later, {}};
    REQUIRE(again.start());
    CHECK(ask(later, "GET", "/v1/endpoints/a", "") == set);
    disk.faults.sync_fails_at = disk.syncs() + 1;
    CHECK(ask(later, "PUT", "/v1/endpoints/b", R"({"path":"/b","type":"t"})").starts_with("500"));
    CHECK(ask(later, "GET", "/v1/endpoints/b", "").starts_with("404"));
    disk.faults.sync_fails_at = 0;
    disk.faults.capacity_bytes = 1;
    CHECK(ask(later, "PUT", "/v1/endpoints/a", R"({"path":"/b","type":"t"})").starts_with("507"));
    CHECK(ask(later, "GET", "/v1/endpoints/a", "") == set);
    disk.faults.capacity_bytes = 0;
    CHECK(ask(later, "DELETE", "/v1/endpoints/a", "") == "204 ");
    disk.set_content("data/endpoints.json", "[{}]");
    service::HttpFront damaged{{}, "dispatcher", [] { return std::nullopt; }};
    service::EndpointApi none{
        "data/endpoints.json", {&disk, lane, world.host("a").http()}, damaged, {}};
    CHECK(none.start().error().code == ErrorCode::store_damaged);
}

TEST_CASE("changes of endpoints are written one after the other") {
    World world;
    world.set("a", R"({"path":"/a","type":"t"})");
    world.space_lane.hold();
    const auto kept = world.begin("PUT", "/v1/endpoints/a", R"({"path":"/b","type":"t"})");
    const auto failed = world.begin("PUT", "/v1/endpoints/a", R"({"path":"/c","type":"t"})");
    const auto same = world.begin("PUT", "/v1/endpoints/d", R"({"path":"/b","type":"t"})");
    const auto last = world.begin("PUT", "/v1/endpoints/e", R"({"path":"/c","type":"t"})");
    const auto gone = world.begin("DELETE", "/v1/endpoints/e");
    // The second write fails, and takes back what it brought alone.
    world.disk.faults.sync_fails_at = world.disk.syncs() + 3;
    world.space_lane.release();
    world.world.run_for(1s);
    CHECK(shown(kept).starts_with("200"));
    CHECK(problem(**failed) == "500 io_failed");
    CHECK(problem(**same) == "422 invalid_field");
    CHECK(shown(last).starts_with("200"));
    CHECK(shown(gone) == "204 ");
    const std::string all = world.ask("GET", "/v1/endpoints")->body;
    CHECK(all == "{\"endpoints\":" + *world.disk.content("data/endpoints.json") + "}");
    CHECK_THAT(all, Catch::Matchers::Contains(R"("path":"/b")") &&
                        !Catch::Matchers::Contains(R"("path":"/c")"));
}

TEST_CASE("endpoints that no start could read are refused") {
    World world;
    const auto put = [&](const std::string& name) {
        return problem(world.ask("PUT", "/v1/endpoints/" + name,
                                 R"({"path":"/)" + name + R"(","type":"t","labels":{)" +
                                     std::string(limits::mebibyte - 1'000, ' ') + R"("a":"b"}})"));
    };
    std::size_t taken = 0;
    while (taken < 20 && put("e" + std::to_string(taken)).starts_with("200"))
        ++taken;
    CHECK(taken == 16);
    CHECK(put("e16") == "413 body_too_large");
    CHECK(world.ask("GET", "/v1/endpoints/e16")->status == 404);
    CHECK(world.disk.content("data/endpoints.json")->size() < limits::body_bytes_max);
    world.set("e16", R"({"path":"/e16","type":"t"})");
    service::HttpFront later{{}, "dispatcher", [] { return std::nullopt; }};
    service::EndpointApi again{
        "data/endpoints.json", {&world.disk, world.space_lane, world.host.http()}, later, {}};
    CHECK(again.start());
}

TEST_CASE("there may be so many endpoints") {
    World world;
    for (std::size_t i = 0; i < limits::endpoints_max; ++i)
        world.set("e" + std::to_string(i),
                  R"({"path":"/e/)" + std::to_string(i) + R"(","type":"t"})");
    CHECK(problem(world.ask("PUT", "/v1/endpoints/more", R"({"path":"/more","type":"t"})")) ==
          "422 invalid_field");
    world.set("e0", R"({"path":"/f","type":"t"})");
}

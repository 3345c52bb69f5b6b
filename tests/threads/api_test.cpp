// What programs ask over HTTP: how much of it is under way at a time, and who waits for whom.
#include <map>

#include "catch.hpp"
#include "taskd/lua/modules.hpp"
#include "taskd/protocol/value_json.hpp"
#include "thread_loop.hpp"

using namespace taskd;
using namespace std::chrono_literals;

namespace {

// Services that answer when the test says so.
class SlowServices final : public port::HttpExchange {
  public:
    struct Asked {
        std::string target;
        Duration timeout;
        std::function<void(Result<port::HttpResponse>)> then;
    };

    void send(const std::string&, port::HttpRequest request, Duration timeout,
              std::function<void(Result<port::HttpResponse>)> then) override {
        asked.push_back({std::move(request.target), timeout, std::move(then)});
    }
    void answer(std::size_t which) {
        asked[which].then(port::HttpResponse{200, {}, asked[which].target});
    }
    std::vector<std::string> targets() const {
        std::vector<std::string> all;
        for (const Asked& each : asked)
            all.push_back(each.target);
        return all;
    }

    std::vector<Asked> asked;
};

// A node with processes 1 to 9; what has another number is a function. Of each kind two requests
// are under way at a time.
class ApiBench {
  public:
    ApiBench() {
        formats_.add(
            {"json", protocol::read_json_value, [](const Value& value) -> Result<std::string> {
                 return protocol::write_json_value(value);
             }});
        for (runtime::ProcessNumber process = 1; process < 10; ++process)
            REQUIRE(topology_.begin(process, 0, "asks"));
        api_.emplace(
            lua::ApiPorts{.http = services,
                          .timers = loop_,
                          .clock = clock_,
                          .topology = topology_,
                          .post = [this](std::function<void()> job) { loop_.post(std::move(job)); },
                          .formats = formats_,
                          .dispatcher_url = "http://dispatcher",
                          .bearer = {},
                          .exchanges_max = 2});
        REQUIRE(api_->add_commands(commands_));
        commands_.freeze();
    }
    // http.request for a path that tells who asks.
    void ask(runtime::ProcessNumber who, const std::string& path, const char* timeout = "30s") {
        Value options;
        options.kind = ValueKind::map;
        options.fields.push_back({"timeout", Value::of_text(timeout)});
        commands_.dispatch(100, {.process = who,
                                 .arguments = {Value::of_text("http://slow" + path), options},
                                 .answer =
                                     [this, path](const Result<Value>& value) {
                                         told[path] = value ? "ok" : value.error().to_string();
                                     },
                                 .when_gone =
                                     [this, path](std::function<void()> let_go) {
                                         stop[path] = std::move(let_go);
                                     }});
    }
    void ask_for_a_task(runtime::ProcessNumber who) {
        commands_.dispatch(61, {.process = who,
                                .arguments = {Value::of_text("t")},
                                .answer = [](const Result<Value>&) {}});
    }
    void turn() {
        bool over = false;
        loop_.post([&over] { over = true; });
        CHECK(until([&over] { return over; }));
    }
    bool until(const std::function<bool()>& done) { return loop_.run_until(done, 20s); }
    void let_go() { api_.reset(); }

    SlowServices services;
    std::map<std::string, std::string> told;
    std::map<std::string, std::function<void()>> stop;  // who asked

  private:
    test::ThreadLoop loop_;
    test::RealClock clock_;
    runtime::Transcoder formats_;
    runtime::Topology topology_{"here", "lua", nullptr};
    runtime::Commands commands_;
    std::optional<lua::Api> api_;
};

using Texts = std::vector<std::string>;

}  // namespace

TEST_CASE("functions do not wait for processes that wait for services") {
    ApiBench bench;
    for (const char* path : {"/1", "/2", "/3"})
        bench.ask(1, path);
    bench.ask(20, "/function");
    bench.ask_for_a_task(20);
    bench.ask(21, "/another");
    bench.turn();
    REQUIRE(bench.services.targets() == Texts{"/1", "/2", "/function", "/v1/tasks/t"});
    bench.services.answer(0);
    CHECK(bench.services.targets().back() == "/3");
    CHECK(bench.services.asked.back().timeout <= 30s);
    bench.services.answer(3);
    REQUIRE(bench.services.targets().back() == "/another");
    for (const std::size_t which : {1, 2, 4, 5})
        bench.services.answer(which);
    CHECK(bench.told ==
          std::map<std::string, std::string>{
              {"/1", "ok"}, {"/2", "ok"}, {"/3", "ok"}, {"/function", "ok"}, {"/another", "ok"}});
}

TEST_CASE("who waits too long for its turn to ask is told what holds it up") {
    ApiBench bench;
    bench.ask(1, "/1");
    bench.ask(2, "/2");
    bench.ask(3, "/late", "50ms");
    bench.ask(4, "/next");
    CHECK(bench.until([&] { return bench.told.contains("/late"); }));
    CHECK(bench.told.at("/late").starts_with("overloaded"));
    CHECK(bench.told.at("/late").find("2 requests of processes") != std::string::npos);
    bench.services.answer(0);
    CHECK(bench.services.targets() == Texts{"/1", "/2", "/next"});
}

TEST_CASE("what was asked by who is stopped meanwhile is not sent") {
    ApiBench bench;
    for (const char* path : {"/1", "/2", "/3", "/4"})
        bench.ask(1, path);
    bench.turn();
    for (const char* path : {"/1", "/3"})
        bench.stop.at(path)();
    bench.turn();
    bench.services.answer(1);
    CHECK(bench.services.targets() == Texts{"/1", "/2", "/4"});
    bench.services.answer(0);
    bench.services.answer(2);
    bench.turn();
    CHECK(bench.services.targets() == Texts{"/1", "/2", "/4"});
}

TEST_CASE("no more wait for their turn to ask than there is room for") {
    ApiBench bench;
    for (std::size_t count = 0; count < 2 + limits::exchange_waiting_max; ++count)
        bench.ask_for_a_task(20);
    bench.ask(20, "/many");
    bench.turn();
    CHECK(bench.told.at("/many").starts_with("overloaded"));
}

TEST_CASE("who asks when the node has let go of its services is not heard any more") {
    ApiBench bench;
    for (const char* path : {"/1", "/2", "/3"})
        bench.ask(1, path);
    bench.turn();
    bench.ask(2, "/later");
    bench.let_go();
    bench.ask(3, "/last");
    bench.turn();
    bench.services.answer(0);
    CHECK(bench.services.targets() == Texts{"/1", "/2"});
    CHECK(bench.told.empty());
}

// Holds a host's HTTP side to config/openapi.yaml: the same routes on both sides, and every answer
// that an operation lists met once, except those that every role gives.
#include <condition_variable>
#include <mutex>

#include "host_api.hpp"
#include "lua_node.hpp"
#include "openapi_judge.hpp"
#include "taskd/lua/node_watches.hpp"
#include "taskd/protocol/json_schema.hpp"
#include "taskd/protocol/value_json.hpp"
#include "thread_loop.hpp"

using namespace taskd;
using namespace taskd::test;

namespace {

const std::string key = "a key of sixteen bytes";

// Timers whose time has come at once: what has a bound is over before it ends by itself.
class HastyTimers final : public port::Timers {
  public:
    explicit HastyTimers(std::function<void(std::function<void()>)> poster)
        : post_{std::move(poster)} {}
    std::unique_ptr<port::Timer> make() override { return std::make_unique<One>(post_); }
    void post(std::function<void()> job) override { post_(std::move(job)); }

  private:
    struct One final : port::Timer {
        explicit One(std::function<void(std::function<void()>)> poster) : post{std::move(poster)} {}
        void set(SteadyTime, std::function<void()> job) override {
            fire = std::make_shared<std::function<void()>>(std::move(job));
            post([weak = std::weak_ptr{fire}] {
                if (const auto mine = weak.lock()) (*mine)();
            });
        }
        void clear() override { fire.reset(); }
        std::function<void(std::function<void()>)> post;
        std::shared_ptr<std::function<void()>> fire;
    };
    std::function<void(std::function<void()>)> post_;
};

class NoOtherNodes final : public port::HttpExchange {
  public:
    void send(const std::string& base_url, port::HttpRequest, Duration,
              std::function<void(Result<port::HttpResponse>)> then) override {
        then(fail(ErrorCode::unreachable, base_url));
    }
};

// The loop's place is this thread: what is posted runs while an answer is waited for.
class HostJudge {
  public:
    HostJudge() {
        formats_.add(
            {"json", protocol::read_json_value, [](const Value& value) -> Result<std::string> {
                 return protocol::write_json_value(value);
             }});
        REQUIRE(node_.relay().node() == "here");
        node_.program("waits",
                      "return function(name) process.register(name) process.receive() end");
        node_.program("deaf",
                      "return function() process.register('deaf')\n"
                      "process.receive{topic = 'never'} end");
        set("echo", "return function(value) return value end");
        set("fails", "return function() error('as told') end");
        set("endless", "return function() while true do end end", {.instructions = 100'000});
        set("hungry", "return function() local s = 'x' while true do s = s .. s end end",
            {.memory_bytes = 2'000'000});
        set("odd", "return function() return print end");
        set("fresh", "return function() end", {}, {.kind = lua::PoolKind::fresh});
        set("holds", "return function() while true do end end", {},
            {.machines_max = 1, .waiting_max = 0});
        const auto schema = protocol::JsonSchema::compile(R"({"type":"integer"})");
        const auto program = lua::Program::compile("half", "return function(n) return n / 2 end");
        REQUIRE(schema);
        REQUIRE(program);
        const auto check = [schema](ErrorCode code, const Value& value) -> Result<void> {
            if (schema->check(protocol::write_json_value(value))) return {};
            return fail(code, {});
        };
        REQUIRE(node_.functions().set(
            "half", {*program, "", {}}, {},
            {.arguments =
                 [check](const auto& all) {
                     return check(ErrorCode::schema_mismatch, all.empty() ? Value{} : all.front());
                 },
             .result =
                 [check](const auto& value) { return check(ErrorCode::result_mismatch, value); }}));
        api_.add_routes(front_);
    }

    std::string ask(const std::string& method, const std::string& path, const std::string& target,
                    const std::string& body, int status, const std::string& error = {},
                    port::HttpHeaders headers = {{"Authorization", "Bearer " + key}}) {
        ApiOperation& operation = contract.find(method, path);
        std::optional<port::HttpResponse> answer;
        if (!body.empty() && port::find_header(headers, "Content-Type").empty())
            headers.emplace_back("Content-Type", "application/json");
        front_.handle({method, target, std::move(headers), body},
                      [&](port::HttpResponse response) { answer = std::move(response); });
        while (!answer)
            run_one();
        INFO(method << " " << target << " " << body << ": " << answer->body);
        CHECK(answer->status == status);
        CHECK(operation.statuses.contains(std::to_string(answer->status)));
        operation.seen_statuses.insert(std::to_string(answer->status));
        if (answer->status >= 400) {
            const auto name = protocol::read_string(field(answer->body, "error"), "error");
            REQUIRE(name);
            CHECK(*name == error);
            CHECK(operation.errors.contains(*name));
            operation.seen_errors.insert(*name);
        }
        return answer->body;
    }
    void post(std::function<void()> job) {
        const std::lock_guard lock{mutex_};
        jobs_.push_back(std::move(job));
        changed_.notify_all();
    }
    support::LuaNode& node() { return node_; }
    lua::Functions& functions() { return node_.functions(); }
    const service::HttpFront& front() const { return front_; }

    Contract contract;
    Result<roles::HeldPrograms> held = roles::HeldPrograms{2, 1, 7};
    std::vector<Entry> checked;

  private:
    void set(const std::string& name, const std::string& source, lua::MachineLimits limits = {},
             lua::PoolSettings pool = {}) {
        const auto program = lua::Program::compile(name, source);
        REQUIRE(program);
        REQUIRE(node_.functions().set(name, {*program, "", limits}, pool));
    }
    void run_one() {
        std::unique_lock lock{mutex_};
        REQUIRE(
            changed_.wait_for(lock, std::chrono::seconds{60}, [this] { return !jobs_.empty(); }));
        const auto job = std::move(jobs_.front());
        jobs_.pop_front();
        lock.unlock();
        job();
    }

    std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<std::function<void()>> jobs_;
    runtime::Transcoder formats_;
    support::LuaNode node_{
        2, {.processes_max = 3, .inbox_max = 1}, {.memory_max = 12 * limits::mebibyte}};
    ThreadLoop timers_;
    NoOtherNodes no_others_;
    support::SteadyNow clock_;
    const lua::Post post_ = [this](std::function<void()> job) { post(std::move(job)); };
    HastyTimers hasty_{post_};
    lua::WatchDesk desk_{{.session = SessionId{5}, .bearer = {}},
                         {node_.host(), node_.relay(), node_.topology(), no_others_, timers_,
                          clock_, node_.log, post_}};
    roles::HostApi api_{{node_.host(), node_.functions(), node_.relay(), node_.topology(), post_,
                         formats_, clock_, hasty_, desk_},
                        {.check =
                             [this](const std::vector<Entry>& entries) {
                                 checked = entries;
                                 return held;
                             },
                         .reload = [this] { return held; },
                         .functions = [] { return std::vector<std::string>{"echo"}; }}};
    service::HttpFront front_{protocol::ClusterKey{key}, "host", [] { return std::nullopt; }};
};

void try_processes(HostJudge& judge) {
    const std::string all = "/v1/processes", end = "/v1/processes/{process}/end";
    judge.ask("GET", all, all, "", 200);
    judge.ask("GET", all, all + "?limit=0", "", 422, "invalid_field");
    judge.ask("GET", all, all + "?after=x", "", 422, "invalid_field");
    judge.ask("POST", all, all, "{", 400, "bad_json");
    judge.ask("POST", all, all, "{}", 422, "missing_field");
    judge.ask("POST", all, all, R"({"program":1})", 422, "invalid_field");
    judge.ask("POST", all, all, R"({"program":"waits","arguments":1})", 422, "invalid_field");
    judge.ask("POST", all, all, R"({"program":"none"})", 404, "function_not_found");
    judge.ask("POST", all, all, R"({"program":"deaf"})", 201);
    judge.ask("POST", all, all, R"({"program":"waits","arguments":["a"]})", 201);
    judge.ask("POST", all, all, R"({"program":"waits","arguments":["b"]})", 201);
    judge.ask("POST", all, all, R"({"program":"waits"})", 429, "too_many_processes");
    while (judge.node().topology().find_name("b") == 0 ||
           judge.node().topology().find_name("deaf") == 0)
        std::this_thread::yield();
    judge.ask("POST", end, all + "/b/end", "{", 400, "bad_json");
    judge.ask("POST", end, all + "/b/end", R"({"grace_ms":"x"})", 422, "invalid_field");
    judge.ask("POST", end, all + "/b/end", R"({"grace_ms":1})", 200);
    judge.ask("POST", end, all + "/999/end", "", 404, "process_not_found");
}

void try_messages(HostJudge& judge) {
    const std::string at = "/v1/messages";
    judge.ask("POST", at, at, "{", 400, "bad_json");
    judge.ask("POST", at, at, R"({"to":"deaf"})", 422, "missing_field");
    judge.ask("POST", at, at, R"({"to":"{x","topic":"t"})", 422, "invalid_field");
    judge.ask("POST", at, at, R"({"to":"none","topic":"t"})", 404, "process_not_found");
    judge.ask("POST", at, at, R"({"to":"{there@lua|1}","topic":"t"})", 404, "node_unknown");
    judge.ask("POST", at, at, R"({"to":"deaf","topic":"t","payload":[1]})", 200);
    judge.ask("POST", at, at, R"({"to":"deaf","topic":"t"})", 429, "mailbox_full");
    const std::string large(limits::message_bytes_max, 'x');
    judge.ask("POST", at, at, R"({"to":"deaf","topic":"t","payload":")" + large + R"("})", 413,
              "message_too_large");
}

void try_watches(HostJudge& judge) {
    const std::string at = "/v1/watches";
    const std::string head = R"({"node":"a","session":"0000000000000007","number":1)";
    judge.ask("POST", at, at, "{", 400, "bad_json");
    judge.ask("POST", at, at, "{}", 422, "missing_field");
    judge.ask("POST", at, at, head + R"(,"links":1})", 422, "invalid_field");
    std::string many = head + R"(,"watch":[1)";
    for (std::size_t count = 0; count < limits::node_watches_max; ++count)
        many += ",1";
    judge.ask("POST", at, at, many + "]}", 429, "too_many_watches");
    CHECK(judge.ask("POST", at, at, head + R"(,"watch":[987]})", 200) ==
          R"({"session":"0000000000000005","ended":[{"number":987,"ok":false,)"
          R"("kind":"process_not_found","message":"nobody knows how it ended"}]})");
}

// Where programs hold all that they may.
void try_without_memory(HostJudge& judge) {
    for (const char* name : {"a", "deaf"})
        judge.ask("POST", "/v1/processes/{process}/end",
                  std::string{"/v1/processes/"} + name + "/end", "", 200);
    CHECK(judge.node().wait_until_alone());
    CHECK(judge.node().fill_memory(8'000));
    judge.ask("POST", "/v1/processes", "/v1/processes", R"({"program":"deaf"})", 503,
              "host_memory_full");
    judge.ask("POST", "/v1/functions/{name}", "/v1/functions/fresh", "", 503, "host_memory_full");
    judge.node().empty_memory();
    judge.ask("POST", "/v1/processes", "/v1/processes", R"({"program":"deaf"})", 201);
    while (judge.node().topology().find_name("deaf") == 0)
        std::this_thread::yield();
    CHECK(judge.node().fill_memory(1'000));
    judge.ask("POST", "/v1/messages", "/v1/messages",
              R"({"to":"deaf","topic":"t","payload":")" + std::string(5'000, 'x') + R"("})", 503,
              "host_memory_full");
    judge.node().empty_memory();
}

void try_functions(HostJudge& judge) {
    const std::string one = "/v1/functions/{name}", at = "/v1/functions/";
    judge.ask("GET", "/v1/functions", "/v1/functions", "", 200);
    CHECK(judge.ask("POST", one, at + "echo", R"({"a":[1,null]})", 200) == R"({"a":[1,null]})");
    judge.ask("POST", one, at + "echo", "{", 400, "bad_json");
    judge.ask("POST", one, at + "echo", "1e400", 422, "not_convertible");
    judge.ask("POST", one, at + "odd", "", 422, "not_convertible");
    judge.ask("POST", one, at + "none", "", 404, "function_not_found");
    judge.ask("POST", one, at + "fails", "", 500, "program_failed");
    judge.ask("POST", one, at + "endless", "", 500, "instruction_limit");
    judge.ask("POST", one, at + "hungry", "", 500, "memory_limit");
    judge.ask("POST", one, at + "holds?timeout=1ms", "", 504, "timed_out");
    judge.ask("POST", one, at + "echo?timeout=soon", "", 422, "invalid_field");
    judge.ask("POST", one, at + "echo?timeout=11m", "", 422, "invalid_field");
    CHECK(judge.ask("POST", one, at + "half", "4", 200) == "2");
    judge.ask("POST", one, at + "half", "\"4\"", 422, "schema_mismatch");
    judge.ask("POST", one, at + "half", "3", 500, "result_mismatch");
    const auto holding = judge.functions().call("holds", {}, [](const Result<Value>&) {});
    judge.ask("POST", one, at + "holds", "", 429, "pool_full");
    judge.functions().stop(holding, {ErrorCode::cancelled, {}});
}

void try_entries(HostJudge& judge) {
    const std::string check = "/v1/entries/check", reload = "/v1/entries/reload";
    const std::string held = R"({"functions":2,"processes":1,"version":7})";
    const std::string entries = R"({"entries":[{"id":"a:f","kind":"function.lua","source":"x"},
                                               {"id":"a:q","kind":"queue"}]})";
    CHECK(judge.ask("POST", check, check, entries, 200) == held);
    REQUIRE(judge.checked.size() == 1);
    CHECK(judge.checked.front().id == "a:f");
    CHECK(judge.ask("POST", reload, reload, "", 200) == held);
    judge.ask("POST", check, check, "{", 400, "bad_json");
    judge.ask("POST", check, check, "{}", 422, "missing_field");
    judge.ask("POST", check, check, R"({"more":1})", 422, "unknown_field");
    judge.ask("POST", check, check, R"({"restore":1})", 422, "invalid_field");
    for (const ErrorCode code :
         {ErrorCode::config_invalid, ErrorCode::bad_program, ErrorCode::module_not_allowed,
          ErrorCode::dependency_missing, ErrorCode::dependency_cycle, ErrorCode::memory_limit,
          ErrorCode::file_missing, ErrorCode::io_failed, ErrorCode::view_corrupt}) {
        judge.held = fail(code, "as told");
        const ErrorRow& row = row_of(code);
        judge.ask("POST", reload, reload, "", row.http_status, std::string{row.name});
        if (judge.contract.find("POST", check).errors.contains(std::string{row.name}))
            judge.ask("POST", check, check, entries, row.http_status, std::string{row.name});
    }
}

}  // namespace

TEST_CASE("a host answers as the contract says") {
    HostJudge judge;
    std::set<std::string> routed;
    for (const auto& route : judge.front().routes())
        if (route.pattern.starts_with("/v1/"))
            routed.insert(std::string{route.method} + " " + std::string{route.pattern});
    std::set<std::string> written;
    for (ApiOperation& each : judge.contract.operations) {
        if (!each.roles.contains("host") || !each.path.starts_with("/v1/")) continue;
        written.insert(each.name());
        const std::string& path = each.path;
        judge.ask(each.method, path, path, "", 401, "missing_key", {});
        judge.ask(each.method, path, path, "", 403, "wrong_key",
                  {{"Authorization", "Bearer nobody"}});
        judge.ask(each.method, path, path + "?nonsense=1", "", 422, "unknown_field");
        if (each.errors.contains("unsupported_media_type"))
            judge.ask(each.method, path, path, "<a/>", 415, "unsupported_media_type",
                      {{"Authorization", "Bearer " + key}, {"Content-Type", "text/xml"}});
    }
    CHECK(routed == written);
    try_processes(judge);
    try_messages(judge);
    try_functions(judge);
    try_entries(judge);
    try_watches(judge);
    try_without_memory(judge);
    for (const ApiOperation& each : judge.contract.operations) {
        if (!each.roles.contains("host") || !each.path.starts_with("/v1/")) continue;
        INFO(each.name());
        for (const std::string& error : each.errors) {
            INFO(error);  // not ready: a host is that only while it starts or ends
            CHECK((error == "not_ready" || each.seen_errors.contains(error)));
        }
    }
}

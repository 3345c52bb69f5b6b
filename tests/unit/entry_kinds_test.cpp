// The kinds of entries: the examples are valid, the table names them all, and faults have places.
#include "entry_kinds.hpp"

#include <fstream>
#include <set>
#include <sstream>

#include "catch.hpp"
#include "disk_worlds.hpp"
#include "program_entries.hpp"
#include "taskd/io/private_files.hpp"

using namespace taskd;
using namespace taskd::roles;
using Catch::Matchers::Contains;

namespace {

const std::string source = TASKD_SOURCE_DIR;

std::string head(const std::string& entries) {
    return "version: \"1.0\"\nnamespace: shop\nentries:\n" + entries;
}

struct World {
    Result<std::vector<Entry>> read(const std::string& entries) {
        REQUIRE(io::write_private_file(dir.path() + "/a.yaml", head(entries)));
        return read_entries({dir.path()}, {});
    }
    std::string fault(const std::string& entries) {
        const auto done = read(entries);
        REQUIRE_FALSE(done);
        CHECK(done.error().code == ErrorCode::config_invalid);
        const std::string& detail = done.error().detail;
        REQUIRE(detail.starts_with(dir.path() + "/a.yaml:"));
        return detail.substr(dir.path().size() + 1);
    }
    support::TempDir dir;
};

}  // namespace

TEST_CASE("the examples of entries are valid, and show every kind but workers", "[entries]") {
    const auto entries = read_entries({source + "/config/entries"}, {});
    INFO((entries ? "" : entries.error().to_string()));
    REQUIRE(entries);
    std::set<std::string> shown;
    for (const Entry& entry : *entries)
        shown.insert(entry.kind);
    for (const runtime::EntryKind& kind : entry_kinds()) {
        INFO(kind.name);
        CHECK((kind.name.starts_with("worker.") || shown.contains(std::string{kind.name})));
    }
    // What comes to a registry by another way is looked at again, and is the same.
    std::vector<Entry> bare;
    for (const Entry& entry : *entries)
        bare.push_back({entry.id, entry.kind, entry.body});
    CHECK(check_entries(bare).value() == *entries);
}

TEST_CASE("the table of kinds names those there are", "[entries]") {
    std::ifstream file{source + "/src/runtime/entries.md"};
    REQUIRE(file);
    std::set<std::string> named;
    bool in_table = false;
    for (std::string line; std::getline(file, line);) {
        if (line.starts_with("| kind |")) in_table = true;
        if (line.empty()) in_table = false;
        if (!in_table) continue;
        const std::string cell = line.substr(0, line.find('|', 1));
        for (std::size_t at = cell.find('`'); at != std::string::npos;) {
            const std::size_t end = cell.find('`', at + 1);
            named.insert(cell.substr(at + 1, end - at - 1));
            at = cell.find('`', end + 1);
        }
    }
    std::set<std::string> known;
    for (const runtime::EntryKind& kind : entry_kinds())
        known.insert(std::string{kind.name});
    CHECK(named == known);
}

TEST_CASE("what a kind does not take is told with its place", "[entries]") {
    World world;
    CHECK_THAT(world.fault("  - {name: a, kind: queu}\n"),
               Contains("a.yaml:4:") && Contains("'queu' is no kind"));
    CHECK_THAT(world.fault("  - {name: a, kind: topic, keep_for: 1}\n"),
               Contains("'keep_for' is no field of topic"));
    CHECK_THAT(world.fault("  - {name: a, kind: topic, keep_ms: 1}\n"), Contains("keep_ms"));
    CHECK_THAT(world.fault("  - {name: a, kind: topic, topic: 'a b'}\n"), Contains("'a b'"));
    CHECK_THAT(world.fault("  - {name: a, kind: subscription}\n"), Contains("pattern is missing"));
    CHECK_THAT(world.fault("  - {name: a, kind: subscription, pattern: '(('}\n"),
               Contains("shop:a"));
    CHECK_THAT(world.fault("  - {name: a, kind: store, bytes_max: 0}\n"), Contains("bytes_max"));
    CHECK_THAT(world.fault("  - {name: a, kind: store, ttl_ms: 1.5}\n"), Contains("ttl_ms"));
    CHECK_THAT(world.fault("  - {name: a, kind: http.endpoint, path: /v1/x, type: t}\n"),
               Contains("the dispatcher's own"));
    CHECK_THAT(world.fault("  - {name: a, kind: http.endpoint, path: /x, type: t, priority: 99}\n"),
               Contains("priority"));
    CHECK_THAT(world.fault("  - {name: a, kind: workflow}\n"), Contains("document or a file"));
    CHECK_THAT(world.fault("  - {name: a, kind: workflow, file: none.yaml}\n"),
               Contains("file_missing"));
    CHECK_THAT(world.fault("  - {name: a, kind: workflow, document: {steps: 1}}\n"),
               Contains("bad_workflow"));
    CHECK_THAT(world.fault("  - {name: a, kind: topic, topic: t}\n"
                           "  - {name: b, kind: topic, topic: t}\n"),
               Contains("are both the topic t"));
}

TEST_CASE("a worker needs the workers that stand behind what it needs", "[entries]") {
    World world;
    const auto entries = world.read(
        "  - {name: a, kind: worker.exec, command: [x], auto_start: true, needs: [q, b]}\n"
        "  - {name: b, kind: worker.exec, command: [x], auto_start: true, type: bee}\n"
        "  - {name: c, kind: worker.exec, command: [x], auto_start: true, needs: [b]}\n"
        "  - {name: q, kind: queue, needs: [c, idle]}\n"
        "  - {name: idle, kind: worker.exec, command: [x]}\n");
    REQUIRE(entries);
    const auto workers = workers_of(*entries);
    REQUIRE(workers.size() == 3);
    CHECK(workers[0].type == "a");
    CHECK(workers[0].needs == std::vector<std::string>{"c-1", "bee-1"});
    CHECK(workers[1].needs.empty());
    CHECK(workers[2].needs == std::vector<std::string>{"bee-1"});
}

TEST_CASE("a workflow and a store are what their entries say", "[entries]") {
    World world;
    REQUIRE(io::write_private_file(world.dir.path() + "/w.txt",
                                   "name: w\nsteps:\n  - {name: s, type: sum, payload: [1]}\n"));
    const auto entries = world.read(
        "  - {name: a, kind: workflow, file: w.txt}\n"
        "  - {name: b, kind: workflow, document: {name: v, steps: [{name: s, type: sum}]}}\n"
        "  - {name: c, kind: store, bytes_max: 1000, value_bytes_max: 10, ttl_ms: 5}\n");
    INFO((entries ? "" : entries.error().to_string()));
    REQUIRE(entries);
    CHECK(workflow_of(entries->at(0))->file == "w.txt");
    CHECK(workflow_of(entries->at(0))->text.starts_with("name: w\n"));
    CHECK(workflow_of(entries->at(1))->file == "shop:b");
    CHECK(workflow_of(entries->at(1))->text ==
          R"({"name":"v","steps":[{"name":"s","type":"sum"}]})");
    CHECK(store_settings(entries->at(2)).value() ==
          io::KeyStoreSettings{1'000, 10, Duration{5'000}});
}

TEST_CASE("an endpoint has a task or a function behind it, which is there", "[entries]") {
    World world;
    const std::string head = "  - {name: a, kind: http.endpoint, path: /x";
    const std::string function = "  - {name: f, kind: function.lua, source: 'return print'}\n";
    CHECK_THAT(world.fault(head + "}\n"), Contains("type"));
    CHECK_THAT(world.fault(head + ", type: t, function: f}\n" + function),
               Contains("either a type or a function"));
    CHECK_THAT(world.fault(head + ", function: g}\n" + function),
               Contains("a.yaml:4:") && Contains("there is no function shop:g"));
    CHECK_THAT(world.fault(head + ", function: f, attempts_max: 2}\n" + function),
               Contains("attempts_max"));
    CHECK_THAT(world.fault(head + ", function: f, host: 'http://h'}\n" + function),
               Contains("'host' is no field"));
    CHECK(world.read(head + ", function: f}\n" + function));
    CHECK(world.read(head + ", function: 'shop:f', wait_ms: 100}\n" + function));
}

TEST_CASE("a function stands for each method of the contract that it implements", "[entries]") {
    World world;
    const std::string contract =
        "  - {name: pay, kind: contract, methods: {charge: {payload: {type: integer}, "
        "result: {type: boolean}}, refund: {}}}\n";
    const auto till = [&](const std::string& more) {
        return contract + "  - {name: till, kind: function.lua, source: 'return {}', " + more +
               "}\n";
    };
    const std::string whole = till("implements: pay, methods: [refund, charge]");
    const auto entries = world.read(whole);
    INFO((entries ? "" : entries.error().to_string()));
    REQUIRE(entries);
    const auto made = compile_entries(*entries);
    REQUIRE(made);
    REQUIRE(made->functions.size() == 2);
    const FunctionEntry& charge = made->functions[0];
    CHECK(charge.id == "shop:till.charge");
    CHECK(charge.spec.method == "charge");
    CHECK(made->functions[1].id == "shop:till.refund");
    CHECK(charge.checks.arguments({Value::of_number("1")}));
    CHECK(charge.checks.arguments({}).error().code == ErrorCode::schema_mismatch);
    CHECK(charge.checks.result(Value::of_boolean(true)));
    CHECK(charge.checks.result(Value{}).error().code == ErrorCode::result_mismatch);
    CHECK_FALSE(same(charge, made->functions[1]));
    CHECK(same(charge, compile_entries(*entries)->functions[0]));
    const auto other = world.read(till("implements: pay, methods: [refund, charge]")
                                      .replace(whole.find("boolean"), 7, "string"));
    CHECK_FALSE(same(charge, compile_entries(*other)->functions[0]));
    CHECK_THAT(world.fault(till("implements: pay, methods: [charge]")), Contains("refund"));
    CHECK_THAT(world.fault(till("implements: pay, methods: [refund, charge], method: x")),
               Contains("those of shop:pay"));
    CHECK_THAT(world.fault(till("implements: none, methods: [charge]")), Contains("no contract"));
    const auto twice =
        world.read(whole + "  - {name: till.charge, kind: function.lua, source: 'return print'}\n");
    REQUIRE_FALSE(twice);
    CHECK_THAT(twice.error().detail, Contains("two functions are called shop:till.charge"));
}

TEST_CASE("a process needs those processes that begin by themselves", "[entries]") {
    World world;
    const auto entries = world.read(
        "  - {name: a, kind: process.lua, source: 'return print', auto_start: true, "
        "needs: [q, f, b]}\n"
        "  - {name: b, kind: process.lua, source: 'return print', needs: [c]}\n"
        "  - {name: c, kind: process.lua, source: 'return print', auto_start: true}\n"
        "  - {name: f, kind: function.lua, source: 'return print'}\n"
        "  - {name: q, kind: queue}\n");
    REQUIRE(entries);
    const auto made = compile_entries(*entries);
    REQUIRE(made);
    CHECK(made->processes[0].service.needs == std::vector<std::string>{"shop:c"});
    CHECK(entries_of_host(*entries).size() == 4);
}

TEST_CASE("how a process is looked after is said with the supervisor's words", "[entries]") {
    World world;
    const auto process = [](const std::string& restart) {
        return "  - {name: a, kind: process.lua, source: 'return print', restart: {" + restart +
               "}}\n";
    };
    const auto entries = world.read(process(
        "initial_delay: 2s, max_delay: 1m, backoff_factor: 1.5, jitter: 0, max_attempts: 3, "
        "stable_threshold: 7s, start_timeout: 8s, stop_timeout: 9s"));
    REQUIRE(entries);
    const port::ServiceSpec made = compile_entries(*entries)->processes[0].service;
    CHECK(made.restart ==
          port::RestartPolicy{std::chrono::seconds{2}, std::chrono::minutes{1}, 1.5, 0, 3});
    CHECK(made.stable_after == std::chrono::seconds{7});
    CHECK(made.start_timeout == std::chrono::seconds{8});
    CHECK(made.stop_timeout == std::chrono::seconds{9});
    const auto plain = world.read(process(""));
    const port::ServiceSpec usual = compile_entries(*plain)->processes[0].service;
    CHECK(usual.restart == port::RestartPolicy{});
    CHECK(usual.startup == port::Startup::optional);
    for (const char* wrong : {"jitter: 2", "jitter: x", "backoff_factor: 0.5", "max_attempts: -1",
                              "stable_threshold: soon", "soon: 1"})
        CHECK_THAT(world.fault(process(wrong)), Contains("restart"));
}

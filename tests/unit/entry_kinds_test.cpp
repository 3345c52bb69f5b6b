// The kinds of entries: the examples are valid, the table names them all, and faults have places.
#include "entry_kinds.hpp"

#include <fstream>
#include <set>
#include <sstream>

#include "catch.hpp"
#include "disk_worlds.hpp"
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

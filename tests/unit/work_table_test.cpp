// The table of built-in types: it agrees with config/workers.json and takes a further type.
#include <fstream>
#include <iterator>
#include <set>
#include <vector>

#include <simdjson.h>

#include "catch.hpp"
#include "taskd/base/error.hpp"
#include "taskd/base/ids.hpp"
#include "taskd/work/work.hpp"

using namespace taskd;
using namespace taskd::work;

TEST_CASE("each built-in type has a name of its own that is a type name") {
    std::set<std::string_view> names;
    for (const WorkType& type : work_table()) {
        CAPTURE(type.name);
        CHECK(is_type_name(type.name));
        CHECK(names.insert(type.name).second);
        CHECK_FALSE(type.description.empty());
        CHECK(find_work(work_table(), type.name) == &type);
    }
    CHECK(names == std::set<std::string_view>{"reverse", "hash", "sum", "upper", "wait"});
    CHECK(find_work(work_table(), "") == nullptr);
    CHECK(find_work(work_table(), "Sum") == nullptr);
}

TEST_CASE("config/workers.json lists the built-in types as the table does") {
    simdjson::dom::parser parser;
    simdjson::dom::array workers;
    const std::string path = std::string{TASKD_SOURCE_DIR} + "/config/workers.json";
    REQUIRE(parser.load(path)["workers"].get(workers) == simdjson::SUCCESS);
    REQUIRE(workers.size() == work_table().size());
    std::size_t i = 0;
    for (const simdjson::dom::element entry : workers) {
        const WorkType& type = work_table()[i++];
        CAPTURE(type.name);
        CHECK(std::string_view{entry["type"]} == type.name);
        CHECK(std::string_view{entry["description"]} == type.description);
        CHECK(std::uint64_t{entry["concurrency"]} == (type.name == "wait" ? 256 : 64));
        CHECK(bool{entry["enabled"]});
    }
}

TEST_CASE("a further type is a row more") {
    std::vector<WorkType> table{work_table().begin(), work_table().end()};
    table.push_back({"length", "counts bytes", [](std::string_view payload) {
                         return std::expected<Outcome, TaskError>{
                             Outcome{std::to_string(payload.size())}};
                     }});
    const WorkType* type = find_work(table, "length");
    REQUIRE(type != nullptr);
    CHECK(run_work(*type, "12345")->result_json == "5");
    CHECK(find_work(table, "sum") != nullptr);
}

TEST_CASE("every built-in type runs without a payload and says what it lacks") {
    for (const WorkType& type : work_table()) {
        CAPTURE(type.name);
        const auto outcome = run_work(type, {});
        REQUIRE_FALSE(outcome);
        CHECK(find_error(outcome.error().code) != nullptr);
        CHECK(outcome.error().permanent);
    }
}

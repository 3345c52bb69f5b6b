// The list of workers: what is taken, and how each slip is told.
#include "taskd/service/worker_list.hpp"

#include "catch.hpp"
#include "taskd/work/work.hpp"

using namespace taskd;
using namespace taskd::service;

namespace {

std::string fault(const std::string& text) {
    const auto list = parse_worker_list(text);
    REQUIRE_FALSE(list);
    CHECK(list.error().code == ErrorCode::config_invalid);
    return list.error().detail;
}

}  // namespace

TEST_CASE("an entry has a type, and defaults for the rest") {
    const auto list = parse_worker_list(
        R"({"workers": [{"type": "sum"},
            {"type": "wait", "description": "sleeps", "concurrency": 7, "enabled": false}]})");
    REQUIRE(list);
    CHECK(*list == std::vector<WorkerEntry>{{"sum", "", 1, true}, {"wait", "sleeps", 7, false}});
    CHECK(parse_worker_list(R"({"workers": []})")->empty());
    CHECK(list->front().required);
    CHECK_FALSE(parse_worker_list(R"({"workers": [{"type": "sum", "startup": "optional"}]})")
                    ->front()
                    .required);
}

TEST_CASE("an entry may have a schema of its payloads") {
    const auto list =
        parse_worker_list(R"({"workers": [{"type": "sum", "schema": {"type": "array"}}]})");
    REQUIRE(list);
    CHECK(list->front().schema == R"({"type": "array"})");
    CHECK_THAT(fault(R"({"workers": [{"type": "sum", "schema": {"type": "arr"}}]})"),
               Catch::Matchers::Contains("/type: no type is called 'arr'"));
}

TEST_CASE("an entry may be a program or a service, with options of its own") {
    const auto list = parse_worker_list(
        R"({"workers": [
            {"type": "resize", "kind": "exec", "command": ["./resize.sh", "--small"],
             "options": {"timeout": "30s", "memory-max": "1GiB"}},
            {"type": "bill", "kind": "http", "url": "http://billing:8080/charge"},
            {"type": "sum", "kind": "builtin"}]})");
    REQUIRE(list);
    const auto words = [&](std::size_t number) {
        const WorkerArguments made = arguments_of(list->at(number));
        std::string text;
        for (const auto* part : {&made.front, &made.back})
            for (const std::string& word : *part)
                text += word + " ";
        return text;
    };
    CHECK(words(0) == "exec --type=resize --timeout=30s --memory-max=1GiB -- ./resize.sh --small ");
    CHECK(words(1) == "http --type=bill --url=http://billing:8080/charge ");
    CHECK(words(2) == "sum ");
}

TEST_CASE("what does not suit an entry's kind is a slip") {
    using Catch::Matchers::Contains;
    const auto told = [](const std::string& entry) {
        return fault(R"({"workers": [{"type": "x", )" + entry + "}]}");
    };
    CHECK_THAT(told(R"("kind": "magic")"), Contains("kind"));
    CHECK_THAT(told(R"("kind": "exec")"), Contains("command"));
    CHECK_THAT(told(R"("kind": "http")"), Contains("url"));
    CHECK_THAT(told(R"("kind": "http", "url": "http://a", "command": ["b"])"), Contains("command"));
    CHECK_THAT(told(R"("kind": "exec", "command": ["b"], "url": "http://a")"), Contains("url"));
    CHECK_THAT(told(R"("kind": "exec", "command": [])"), Contains("command"));
    CHECK_THAT(told(R"("kind": "exec", "command": [1])"), Contains("command"));
    CHECK_THAT(told(R"("kind": "exec", "command": ["b"], "options": {"--x": "1"})"),
               Contains("options"));
    CHECK_THAT(told(R"("kind": "exec", "command": ["b"], "options": {"timeout": 1})"),
               Contains("options.timeout"));
}

TEST_CASE("each slip names the entry and what is wrong") {
    using Catch::Matchers::Contains;
    CHECK_THAT(fault("{"), Contains("bad_json"));
    CHECK(fault(R"({"workers": [{"type": "sum"},]})").starts_with("bad_json: line 1, column 30: "));
    CHECK_THAT(fault("[]"), Contains("workers alone"));
    CHECK_THAT(fault(R"({"workers": [], "more": 1})"), Contains("workers alone"));
    CHECK_THAT(fault(R"({"workers": {}})"), Contains("no array"));
    CHECK_THAT(fault(R"({"workers": [{"type": "sum"}, 5]})"), Contains("worker 2: "));
    CHECK_THAT(fault(R"({"workers": [{}]})"), Contains("worker 1: ") && Contains("type"));
    CHECK_THAT(fault(R"({"workers": [{"type": "fly"}]})"), Contains("unknown_type"));
    CHECK_THAT(fault(R"({"workers": [{"type": "sum", "speed": 1}]})"), Contains("speed"));
    CHECK_THAT(fault(R"({"workers": [{"type": "sum", "concurrency": 0}]})"),
               Contains("concurrency"));
    CHECK_THAT(fault(R"({"workers": [{"type": "sum", "concurrency": 10001}]})"),
               Contains("concurrency"));
    CHECK_THAT(fault(R"({"workers": [{"type": "sum", "enabled": "yes"}]})"), Contains("enabled"));
    CHECK_THAT(fault(R"({"workers": [{"type": "sum", "startup": "no"}]})"), Contains("startup"));
    CHECK_THAT(fault(R"({"workers": [{"type": "sum"}, {"type": "sum"}]})"),
               Contains("worker 2 (sum): ") && Contains("twice"));
    CHECK_THAT(fault(R"({"workers": [{"type": "sum"}, {"speed": 1, "type": "hash"}]})"),
               Contains("worker 2 (hash): ") && Contains("speed"));
}

TEST_CASE("a type that is no name is told apart from those that read the same") {
    CHECK(worker_name("sum.v2") == "sum.v2");
    const std::string longest(instance_head_bytes_max, 'a');
    CHECK(worker_name(longest) == longest);
    CHECK(worker_name("img/resize").starts_with("img-resize-"));
    CHECK(worker_name("img/resize") != worker_name("img-resize"));
    CHECK(worker_name("a/b/c") != worker_name("a/b-c"));
    for (const std::string& type : {longest + "a", std::string(128, 'a'), "x/" + longest}) {
        const std::string name = worker_name(type);
        CHECK(name.size() == instance_head_bytes_max);
        CHECK(is_instance_name(name + "-12345678"));
    }
    CHECK(worker_name(longest + "a") != worker_name(longest + "b"));
}

// What taskd workflow reads from files and shows of workflows.
#include "workflow_text.hpp"

#include <catch.hpp>
#include <filesystem>
#include <fstream>

#include "taskd/protocol/json.hpp"
#include "workflow_file.hpp"

using namespace taskd;
using namespace taskd::roles;
using Catch::Matchers::Contains;
using Catch::Matchers::StartsWith;
namespace fs = std::filesystem;

namespace {

constexpr std::string_view running =
    R"({"id":"w1","name":"nightly","state":"running","made_at":"2026-01-02T03:04:05Z",)"
    R"("inputs":{"n":3},"steps_total":5,"succeeded":1,"failed":1,"skipped":0,"cancelled":0,)"
    R"("active":2,"steps":[)"
    R"({"name":"load","kind":"task","state":"succeeded","task":"t1"},)"
    R"({"name":"each","kind":"task","state":"active","items":10,"items_ended":4,"items_failed":1},)"
    R"({"name":"ask\u001b[2J","kind":"approval","state":"active","until":"2026-01-03T00:00:00Z"},)"
    R"({"name":"bad","kind":"task","state":"failed","error":{"code":"exit_3","message":"no"}},)"
    R"({"name":"end","kind":"join","state":"pending"}]})";

class Folder {
  public:
    Folder() : path_{fs::temp_directory_path() / "taskd_workflow_text_XXXXXX"} {
        std::string name = path_.string();
        REQUIRE(mkdtemp(name.data()) != nullptr);
        path_ = name;
    }
    ~Folder() { fs::remove_all(path_); }
    Folder(const Folder&) = delete;
    Folder& operator=(const Folder&) = delete;

    std::string write(const std::string& name, const std::string& text) const {
        std::ofstream{path_ / name} << text;
        return (path_ / name).string();
    }
    std::string path() const { return path_.string(); }

  private:
    fs::path path_;
};

Result<std::string> inputs_of(std::vector<std::string> arguments) {
    const Page page{.name = "x",
                    .options = {{.name = "set", .from_environment = false},
                                {.name = "set-json", .from_environment = false}},
                    .positional_max = 1};
    const auto options = Options::parse(page, arguments, {});
    REQUIRE(options);
    return read_inputs(*options);
}

}  // namespace

TEST_CASE("a workflow is shown with how far its steps are", "[workflow]") {
    const std::string text = write_workflow(JsonView{running}, true);
    for (const char* part : {"nightly", "running", "2/5", R"({"n":3})", "4/10 items, 1 failed",
                             "until 2026-01-03T00:00:00Z", "exit_3: no", "t1"})
        CHECK_THAT(text, Contains(part));
    CHECK(text.find('\x1b') == std::string::npos);
    CHECK_THAT(write_workflow(JsonView{running}, false), !Contains("load"));
    CHECK_FALSE(has_ended(JsonView{running}));
    CHECK(has_ended(JsonView{R"({"state":"cancelled"})"}));
    CHECK_THAT(write_workflows({JsonView{running}}), Contains("w1  running  2/5"));
}

TEST_CASE("what a workflow waits for is shown, all of it or of a step", "[workflow]") {
    const std::string_view explanation =
        R"({"state":"running","waits_for":[)"
        R"({"step":"boss","rule":"approval","text":"Pay 3?",)"
        R"("release":"approve or reject","until":"2026-01-03T00:00:00Z"},)"
        R"({"step":"go","rule":"signal","text":"the signal go","release":"the signal"}]})";
    CHECK_THAT(write_waits(JsonView{explanation}, ""), Contains("Pay 3?") && Contains("go"));
    CHECK_THAT(write_waits(JsonView{explanation}, "boss"), Contains("Pay 3?") && !Contains("go "));
    CHECK(write_waits(JsonView{explanation}, "other") == "other waits for nothing\n");
    CHECK(write_waits(JsonView{R"({"state":"succeeded","waits_for":[]})"}, "") ==
          "the workflow is succeeded and waits for nothing\n");
}

TEST_CASE("off a terminal a watch tells each change once", "[workflow]") {
    WorkflowWatch watch{false};
    const std::string first = watch.next(JsonView{running});
    CHECK(first ==
          "load is succeeded\neach is active\nask [2J is active\nbad is failed: exit_3: no\n");
    CHECK(watch.next(JsonView{running}).empty());
    CHECK(watch.next(JsonView{R"({"steps":[{"name":"end","state":"succeeded"}]})"}) ==
          "end is succeeded\n");
}

TEST_CASE("on a terminal a watch draws over what it drew", "[workflow]") {
    WorkflowWatch watch{true};
    const std::string first = watch.next(JsonView{running});
    CHECK_THAT(first, StartsWith("w1  running  2/5\x1b[K\n"));
    CHECK_THAT(watch.next(JsonView{running}), StartsWith("\x1b[7A"));  // as many as were drawn
    std::string many = R"({"id":"w","state":"running","steps":[)";
    for (int i = 0; i < 100; ++i)
        many += std::string{i == 0 ? "" : ","} + R"({"name":"s)" + std::to_string(i) +
                R"(","state":")" + (i == 77 ? "failed" : "pending") + "\"}";
    const std::string drawn = watch.next(JsonView{many + "]}"});
    CHECK_THAT(drawn, Contains("and 70 more") && Contains("s77"));
}

TEST_CASE("inputs are said as text or as JSON", "[workflow]") {
    CHECK(inputs_of({}).value() == "{}");
    CHECK(inputs_of({"--set", "a=5", "--set", "b=x=\"y\"", "--set-json", "c=[1, 2]"}).value() ==
          R"({"a":"5","b":"x=\"y\"","c":[1, 2]})");
    CHECK_THAT(inputs_of({"--set", "a"}).error().detail, Contains("--set takes NAME=VALUE"));
    CHECK_THAT(inputs_of({"--set", "=a"}).error().detail, Contains("--set takes NAME=VALUE"));
    CHECK_THAT(inputs_of({"--set-json", "a=x"}).error().detail, Contains("--set-json a: "));
    CHECK_THAT(inputs_of({"--set", "a=1", "--set-json", "a=1"}).error().detail,
               Contains("'a' is set twice"));
}

TEST_CASE("a file is read as it is sent", "[workflow]") {
    const Folder folder;
    const std::string text = "inputs: [n]\nsteps: [{type: sum, payload: [\"${inputs.n}\"]}]\n";
    const std::string path = folder.write("a.yaml", text);
    const auto file = read_workflow_file(path, "");
    REQUIRE(file);
    std::string json;
    protocol::append_json_string(json, text);
    CHECK(file->json == json);
    CHECK(read_workflow_file(path, R"({"n":1})"));
    CHECK(read_workflow_file(path, "{}").error().code == ErrorCode::missing_field);
    CHECK(read_workflow_file(folder.path() + "/none.yaml", "").error().code ==
          ErrorCode::file_missing);
    const auto faulty = read_workflow_file(folder.write("b.yaml", "steps: [{typ: sum}]"), "");
    CHECK(faulty.error().code == ErrorCode::bad_workflow);
    CHECK_THAT(faulty.error().detail, Contains("/b.yaml:1:10: a step has no field 'typ'"));
    const auto broken = read_workflow_file(folder.write("c.yaml", "steps: [{"), "");
    CHECK_THAT(broken.error().detail, Contains("/c.yaml:1:9: "));
}

TEST_CASE("a batch is made of the files that are there", "[workflow]") {
    const Folder folder;
    for (const char* name : {"b.txt", "a.txt", ".hidden.txt", "c.md"})
        folder.write(name, "x");
    fs::create_directory(folder.path() + "/dir.txt");
    CHECK(matching_files(folder.path(), "*.txt").value() ==
          std::vector{folder.path() + "/a.txt", folder.path() + "/b.txt"});
    CHECK(matching_files(folder.path() + "/none", "*").error().code == ErrorCode::file_missing);
    const auto batch = [&](const std::string& pattern) {
        return read_workflow_file(
            folder.write("batch.yaml", "type: batch\nbatch: {directory: " + folder.path() +
                                           ", pattern: '" + pattern +
                                           "'}\ntemplate: {method: llm/chat}\n"),
            "");
    };
    const auto file = batch("*.txt");
    REQUIRE(file);
    CHECK(file->document.plan->steps.size() == 2);
    CHECK(file->document.plan->steps[1].name == "process-b-txt-1");
    CHECK_THAT(file->json, StartsWith(R"({"tasks":[{"id":"process-a-txt-0","method":)"));
    CHECK_THAT(batch("*.pdf").error().detail, Contains("/batch.yaml:2:8: no file in '"));
}

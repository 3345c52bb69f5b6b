// Entries from files to what is valid, stage by stage, and the faults of each with their places.
#include "taskd/runtime/entries.hpp"

#include "catch.hpp"
#include "taskd/io/yaml.hpp"
#include "taskd/protocol/value_json.hpp"

using namespace taskd;
using namespace taskd::runtime;
using Catch::Matchers::Contains;

namespace {

const std::vector<EntryKind>& kinds() {
    static const std::vector<EntryKind> made{
        {"worker",
         {{"command", FieldType::texts, true},
          {"concurrency", FieldType::number},
          {"options", FieldType::map},
          {"auto_start", FieldType::boolean}}},
        {"note",
         {{"text", FieldType::text}, {"any", FieldType::any}},
         [](const Entry& entry) -> Result<void> {
             if (entry.find("text") != nullptr && entry.find("text")->text == "bad")
                 return fail(ErrorCode::invalid_field, "a bad text");
             return {};
         }}};
    return made;
}

std::vector<Entry> parsed(const std::string& entries, const std::string& ns = "shop") {
    const auto document =
        io::parse_yaml("version: \"1.0\"\nnamespace: " + ns + "\nentries:\n" + entries, "a.yaml");
    REQUIRE(document);
    auto made = parse_entries(*document);
    REQUIRE(made);
    return std::move(*made);
}

std::string fault_of(const std::string& text) {
    const auto document = io::parse_yaml(text, "a.yaml");
    REQUIRE(document);
    const auto made = parse_entries(*document);
    REQUIRE_FALSE(made);
    CHECK(made.error().code == ErrorCode::config_invalid);
    return made.error().detail;
}

Error stage_fault(const std::string& entries, const StageSettings& settings = {}) {
    const auto made = run_stages(parsed(entries), settings, kinds());
    REQUIRE_FALSE(made);
    return made.error();
}

Override change(const std::string& text) {
    const auto made = parse_override(text);
    REQUIRE(made);
    return *made;
}

}  // namespace

TEST_CASE("a file of entries gives each an id, a kind and a body", "[entries]") {
    const auto entries = parsed(
        "  - name: resize\n    kind: worker\n    command: [./resize.sh]\n    concurrency: 2\n"
        "  - {name: hello, kind: note, text: \"1\"}\n");
    REQUIRE(entries.size() == 2);
    CHECK(entries[0].id == "shop:resize");
    CHECK(entries[0].ns() == "shop");
    CHECK(entries[0].name() == "resize");
    CHECK(entries[0].kind == "worker");
    CHECK(protocol::write_json_value(entries[0].body) ==
          R"({"command":["./resize.sh"],"concurrency":2})");
    CHECK(entries[0].field_places.at("concurrency") == "a.yaml:7:5");
    CHECK(entries[1].find("text")->kind == ValueKind::text);
    CHECK(run_stages(entries, {}, kinds()));
    CHECK(parsed("").empty());
}

TEST_CASE("what is no file of entries is refused with its place", "[entries]") {
    const std::string head = "version: \"1.0\"\nnamespace: shop\n";
    CHECK_THAT(fault_of(""), Contains("version is missing"));
    CHECK_THAT(fault_of("version: 2\nnamespace: a\n"), Contains("a.yaml:1:10: version '2'"));
    CHECK_THAT(fault_of("version: \"1.0\"\n"), Contains("namespace is missing"));
    CHECK_THAT(fault_of("version: \"1.0\"\nnamespace: a b\n"), Contains("a.yaml:2:12"));
    CHECK_THAT(fault_of(head + "entrys: []\n"), Contains("a.yaml:3:1: 'entrys'"));
    CHECK_THAT(fault_of(head + "entries: 5\n"), Contains("a.yaml:3:10: entries must be a list"));
    CHECK_THAT(fault_of(head + "entries: [5]\n"), Contains("must be a map"));
    CHECK_THAT(fault_of(head + "entries: [{kind: a}]\n"), Contains("name is missing"));
    CHECK_THAT(fault_of(head + "entries: [{name: a}]\n"), Contains("kind is missing"));
    CHECK_THAT(fault_of(head + "entries: [{name: \"a:b\", kind: a}]\n"), Contains("no name"));
    CHECK_THAT(fault_of(head + "entries:\n  - {name: a, kind: b}\n  - {name: a, kind: b}\n"),
               Contains("a.yaml:5:5: shop:a stands there twice, first at a.yaml:4:5"));
    CHECK_THAT(fault_of(head + "entries: [{name: a, kind: b, c: .inf}]\n"), Contains("finite"));
}

TEST_CASE("validation names kind, field, type and place", "[entries]") {
    CHECK_THAT(stage_fault("  - {name: a, kind: other}\n").detail,
               Contains("a.yaml:4:15: shop:a: 'other' is no kind; there are worker, note"));
    CHECK_THAT(stage_fault("  - name: a\n    kind: note\n    txt: x\n").detail,
               Contains("a.yaml:6:5: shop:a: 'txt' is no field of note"));
    CHECK_THAT(stage_fault("  - {name: a, kind: worker}\n").detail, Contains("command is missing"));
    CHECK_THAT(stage_fault("  - {name: a, kind: worker, command: [1]}\n").detail,
               Contains("command must be a list of texts"));
    CHECK_THAT(stage_fault("  - {name: a, kind: note, text: 5}\n").detail,
               Contains("text must be a text"));
    CHECK_THAT(stage_fault("  - {name: a, kind: note, text: bad}\n").detail,
               Contains("a bad text"));
    CHECK_THAT(stage_fault("  - {name: a, kind: note, meta: 5}\n").detail,
               Contains("meta must be a map"));
    CHECK(run_stages(parsed("  - {name: a, kind: note, meta: {x: [1]}, any: {b: 1}}\n"), {},
                     kinds()));
    std::vector<Entry> many;
    for (std::size_t i = 0; i <= entries_max; ++i)
        many.push_back({"a:" + std::to_string(i), "note", {}});
    const auto too_many = run_stages(many, {}, kinds());
    REQUIRE_FALSE(too_many);
    CHECK(too_many.error().code == ErrorCode::config_invalid);
    many.pop_back();
    CHECK(run_stages(many, {}, kinds()));
    auto twice = parsed("  - {name: a, kind: note}\n");
    twice.push_back(twice.front());
    CHECK_FALSE(run_stages(twice, {}, kinds()));
}

TEST_CASE("overrides set fields, deep ones too, and are checked as what they make", "[entries]") {
    const std::string text = "  - {name: a, kind: worker, command: [x], options: {timeout: 1s}}\n";
    const auto made = run_stages(
        parsed(text),
        {.overrides = {change("shop:a:concurrency=3"), change("shop:a:options.timeout=30s"),
                       change("shop:a:options.deep.er=true"), change("shop:a:concurrency=4")}},
        kinds());
    REQUIRE(made);
    CHECK(protocol::write_json_value(made->front().body) ==
          R"({"command":["x"],"options":{"timeout":"30s","deep":{"er":true}},"concurrency":4})");
    CHECK_THAT(stage_fault(text, {.overrides = {change("shop:b:x=1")}}).detail,
               Contains("shop:b, which is not there"));
    CHECK_THAT(stage_fault(text, {.overrides = {change("shop:a:command.x=1")}}).detail,
               Contains("no map"));
    CHECK_THAT(stage_fault(text, {.overrides = {change("shop:a:concurrency=x")}}).detail,
               Contains("concurrency must be a number"));
    for (const char* bad : {"", "a", "a:b", "a:b=c", "a:b:=c", "a:b:c", "a:b:c..d=1", "a:b:name=x",
                            "a:b:kind=x", "a:b:c=.inf"}) {
        INFO(bad);
        const auto refused = parse_override(bad);
        REQUIRE_FALSE(refused);
        CHECK(refused.error().code == ErrorCode::bad_usage);
    }
    CHECK(change("a:b:c=x=y").value.text == "x=y");
}

TEST_CASE("entries are disabled by pattern and by themselves", "[entries]") {
    const std::string text =
        "  - {name: a, kind: note}\n  - {name: b, kind: note, meta: {disabled: true}}\n"
        "  - {name: c, kind: note, meta: {disabled: false}}\n  - {name: old.x, kind: nonsense}\n";
    const auto made = run_stages(parsed(text), {.disabled = {"shop:old.*", "nothing"}}, kinds());
    REQUIRE(made);
    REQUIRE(made->size() == 2);
    CHECK(made->at(0).id == "shop:a");
    CHECK(made->at(1).id == "shop:c");
    // One that others need may not go.
    const std::string linked = "  - {name: a, kind: note, needs: [b]}\n  - {name: b, kind: note}\n";
    CHECK(stage_fault(linked, {.disabled = {"*:b"}}).code == ErrorCode::dependency_missing);
}

TEST_CASE("needs are made whole, and circles and gaps are named", "[entries]") {
    const auto made = run_stages(
        parsed("  - {name: a, kind: note, needs: [b, \"shop:b\"]}\n  - {name: b, kind: note}\n"),
        {}, kinds());
    REQUIRE(made);
    CHECK(protocol::write_json_value(made->front().body) == R"({"needs":["shop:b","shop:b"]})");
    const auto circle = stage_fault(
        "  - {name: a, kind: note, needs: [b]}\n  - {name: b, kind: note, needs: [a]}\n");
    CHECK(circle.code == ErrorCode::dependency_cycle);
    CHECK(circle.detail == "shop:a > shop:b > shop:a");
    CHECK(stage_fault("  - {name: a, kind: note, needs: [\"x:y\"]}\n").detail ==
          "shop:a needs x:y, which is not there");
    CHECK_THAT(stage_fault("  - {name: a, kind: note, needs: [5]}\n").detail, Contains("texts"));
}

TEST_CASE("a glob takes any characters for its stars", "[entries]") {
    CHECK(matches_glob("*", ""));
    CHECK(matches_glob("a*c", "abbc"));
    CHECK(matches_glob("*b*b*", "abcb"));
    CHECK(matches_glob("abc", "abc"));
    CHECK_FALSE(matches_glob("abc", "abcd"));
    CHECK_FALSE(matches_glob("a*c", "abcd"));
    CHECK_FALSE(matches_glob("", "a"));
}

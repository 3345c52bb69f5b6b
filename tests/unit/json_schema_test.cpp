// Schemas of payloads, judged by the suite that Debian packages, and by what a server must stand.
#include "taskd/protocol/json_schema.hpp"

#include <catch.hpp>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include "taskd/base/limits.hpp"
#include "taskd/protocol/json.hpp"

using namespace taskd;
using Catch::Matchers::Contains;
using Catch::Matchers::StartsWith;
using protocol::JsonSchema;
namespace fs = std::filesystem;

namespace {

const fs::path suite = "/usr/share/json-schema-test-suite/tests";

std::string fault(std::string_view schema, std::string_view payload) {
    const auto compiled = JsonSchema::compile(schema);
    if (!compiled) return compiled.error().to_string();
    const auto checked = compiled->check(payload);
    return checked ? "" : checked.error().detail;
}

std::string open_fault(std::string_view schema, std::string_view payload) {
    const auto checked = JsonSchema::compile(schema).value().check_template(payload);
    return checked ? "" : checked.error().detail;
}

std::string field(const protocol::JsonFields& fields, std::string_view name) {
    for (const auto& [key, raw] : fields)
        if (key == name) return std::string{raw};
    return {};
}

// Schemas of the suite that cannot be used here: they refer to other documents, or to parts of
// themselves by addresses.
const std::set<std::string> not_read = {
    "definitions: valid definition",
    "definitions: invalid definition",
    "ref: Recursive references between schemas",
    "ref: remote ref, containing refs itself",
    "refRemote: base URI change",
    "refRemote: base URI change - change folder",
    "refRemote: base URI change - change folder in subschema",
    "refRemote: fragment within remote ref",
    "refRemote: ref within remote ref",
    "refRemote: remote ref",
    "refRemote: root ref in remote ref",
};

struct Judged {
    std::size_t cases = 0;
    std::set<std::string> wrong;
};

void judge(const fs::path& path, const std::string& name, Judged& judged) {
    std::ifstream in{path};
    std::stringstream text;
    text << in.rdbuf();
    const std::string all = text.str();
    const auto groups = protocol::split_array(all);
    REQUIRE(groups);
    for (const std::string_view group : *groups) {
        const auto fields = protocol::split_object(group).value();
        const std::string title =
            name + ": " + protocol::read_string(field(fields, "description"), "").value();
        const auto schema = JsonSchema::compile(field(fields, "schema"));
        const std::string tests = field(fields, "tests");
        const auto elements = protocol::split_array(tests).value();
        for (const std::string_view test : elements) {
            const auto parts = protocol::split_object(test).value();
            ++judged.cases;
            const bool valid = field(parts, "valid") == "true";
            if (!schema || schema->check(field(parts, "data")).has_value() != valid)
                judged.wrong.insert(title);
        }
    }
}

}  // namespace

TEST_CASE("the packaged suite of drafts 4, 6 and 7 holds but for what is named", "[schema]") {
    REQUIRE(fs::exists(suite));
    Judged judged;
    for (const char* draft : {"draft4", "draft6", "draft7"})
        for (const auto& entry : fs::directory_iterator{suite / draft})
            if (entry.is_regular_file()) judge(entry.path(), entry.path().stem().string(), judged);
    CHECK(judged.cases > 1'000);
    for (const std::string& title : judged.wrong) {
        INFO(title);
        CHECK(not_read.contains(title));
    }
    for (const std::string& title : not_read) {
        INFO(title);
        CHECK(judged.wrong.contains(title));
    }
}

TEST_CASE("a fault says where and what", "[schema]") {
    CHECK(fault(R"({"type":"integer"})", R"("a")") == "/: must be an integer");
    CHECK(fault(R"({"properties":{"numbers":{"items":{"type":"integer"}}}})",
                R"({"numbers":[1,"x",2.5]})") ==
          "/numbers/1: must be an integer; /numbers/2: must be an integer");
    CHECK(fault(R"({"required":["a","b"],"additionalProperties":false,"properties":{"a":{}}})",
                R"({"a":1,"c~/d":2})") == "/: 'b' is missing; /c~0~1d: is not known here");
    CHECK(fault(R"({"enum":["red","green"]})", R"("blue")") ==
          R"(/: must be one of "red", "green")");
    CHECK(fault(R"({"const":{"a":1}})", "2") == R"(/: must be {"a":1})");
    CHECK(fault(R"({"minimum":3})", "2.5") == "/: must be at least 3");
    CHECK(fault(R"({"type":["string","null"]})", "1") == "/: must be null or a text");
    CHECK(fault(R"({"pattern":"^a+$"})", R"("ab")") == "/: must match ^a+$");
    CHECK(fault(R"({"maxLength":2})", R"("üüü")") == "/: must have at most 2 characters");
    CHECK(fault(R"({"uniqueItems":true})", "[1,2,1.0]") == "/: element 2 stands there twice");
    CHECK(fault(R"({"anyOf":[{"type":"string"},{"minimum":5}]})", "4") ==
          "/: matches none of the forms it may have");
    CHECK(fault(R"({"maximum":5,"exclusiveMaximum":true})", "5") == "/: must be below 5");
    std::string many = "[";
    for (int i = 0; i < 50; ++i)
        many += i == 0 ? "1" : ",1";
    const std::string shown = fault(R"({"items":{"type":"string"}})", many + "]");
    CHECK(std::ranges::count(shown, ';') == limits::schema_faults_shown_max - 1);
}

TEST_CASE("a schema that cannot be used is refused with its place", "[schema]") {
    const std::pair<const char*, const char*> cases[] = {
        {"{", "bad_json: "},
        {"3", "a schema is an object"},
        {R"({"type":"integr"})", "/type: no type is called 'integr'"},
        {R"({"properties":{"a":{"items":{"type":7}}}})", "/properties/a/items/type"},
        {R"({"properties":[]})", "/properties: must be an object"},
        {R"({"required":"a"})", "/required: must be a list of names"},
        {R"({"minLength":-1})", "/minLength: must be a whole number"},
        {R"({"multipleOf":0})", "/multipleOf: must be a number"},
        {R"({"pattern":"("})", "/pattern: '(' is no regular expression"},
        {R"({"anyOf":[]})", "/anyOf: must be a list of schemas"},
        {R"({"$ref":"#/definitions/a"})", "/$ref: there is nothing at '#/definitions/a'"},
        {R"({"$ref":"http://localhost/x.json"})", "refers to itself alone"},
        {R"({"$schema":"https://json-schema.org/draft/2020-12/schema"})", "drafts 4, 6 and 7"},
        {R"({"$ref":"#"})", "refer to each other without end"},
        {R"({"allOf":[{"$ref":"#"}]})", "refer to each other without end"},
        {R"({"not":{"anyOf":[true,{"$ref":"#"}]}})", "refer to each other without end"},
    };
    for (const auto& [schema, what] : cases) {
        INFO(schema);
        CHECK_THAT(fault(schema, "1"), Contains(what));
    }
    CHECK_THAT(fault(std::string(limits::schema_bytes_max + 1, ' '), "1"), Contains("larger than"));
    std::string deep = "{}";
    for (int i = 0; i < 40; ++i)
        deep = R"({"allOf":[)" + deep + "]}";
    CHECK_THAT(fault(deep, "1"), Contains("deeper than 16"));
}

TEST_CASE("a hostile payload or schema costs little", "[schema]") {
    // A tree of any depth.
    const std::string tree = R"({"type":"array","items":{"$ref":"#"}})";
    CHECK(fault(tree, std::string(120, '[') + std::string(120, ']')).empty());
    CHECK_THAT(fault(tree, std::string(50, '[') + "1" + std::string(50, ']')),
               Contains("must be a list"));
    // As deep as both may be.
    std::string same = R"({"items":{"$ref":"#"}})";
    for (int i = 0; i < 14; ++i)
        same = R"({"allOf":[)" + same + "]}";
    CHECK(fault(same, std::string(127, '[') + std::string(127, ']')).empty());
    std::string chain = R"({"definitions":{"d0":{"type":"object"})";
    for (int i = 1; i < 3'000; ++i)
        chain += ",\"d" + std::to_string(i) + R"(":{"properties":{"a":{"$ref":"#/definitions/d)" +
                 std::to_string(i - 1) + "\"}}}";
    CHECK_THAT(fault(chain + R"(},"$ref":"#/definitions/d2999"})", "1"),
               Contains("in too long a chain"));
    CHECK(fault(chain + R"(},"$ref":"#/definitions/d200"})", R"({"a":{"a":{}}})").empty());
    // Expressions that go back and forth.
    const std::string long_text = '"' + std::string(900'000, 'a') + "!\"";
    CHECK_THAT(fault(R"({"pattern":"^(a|b)*$"})", long_text), StartsWith("/: "));
    CHECK_THAT(fault(R"({"pattern":"^(a+)+$"})", '"' + std::string(60, 'a') + "!\""),
               StartsWith("/: takes too long to hold against"));
    // A schema that does eight times the work at each level.
    std::string growing = R"({"definitions":{"d0":{"type":"number"})";
    for (int i = 1; i < 8; ++i) {
        growing += ",\"d" + std::to_string(i) + "\":{\"allOf\":[";
        for (int j = 0; j < 8; ++j)
            growing += std::string{j == 0 ? "" : ","} + R"({"$ref":"#/definitions/d)" +
                       std::to_string(i - 1) + "\"}";
        growing += "]}";
    }
    growing += R"(},"items":{"$ref":"#/definitions/d7"}})";
    CHECK_THAT(fault(growing, "[1]"), Contains("the schema takes too long to ask"));
    // Many elements, all different, all compared.
    std::string many = "[0";
    for (int i = 1; i < 100'000; ++i)
        many += "," + std::to_string(i);
    CHECK(fault(R"({"uniqueItems":true})", many + "]").empty());
}

TEST_CASE("what a reference may become is not judged before it has", "[schema]") {
    const std::string schema =
        R"({"type":"object","required":["n"],"additionalProperties":false,)"
        R"("properties":{"n":{"type":"integer","maximum":5},"word":{"enum":["a","b"]},)"
        R"("list":{"items":{"type":"number"},"uniqueItems":true},"x":{"not":{"type":"string"}},)"
        R"("one":{"oneOf":[{"type":"string"},{"type":"integer"}]}}})";
    CHECK(open_fault(schema, R"({"n":"${a.n}"})").empty());
    CHECK(
        open_fault(schema, R"({"n":1,"word":"${a}","list":[1,"${b}","${b}"],"x":"${c}"})").empty());
    CHECK(open_fault(schema, R"({"n":1,"one":"${a}"})").empty());
    CHECK(open_fault(schema, R"("${all}")").empty());
    CHECK(open_fault(schema, R"({"m":"${a}"})") == "/: 'n' is missing; /m: is not known here");
    CHECK(open_fault(schema, R"({"n":7,"list":["${b}","x"]})") ==
          "/n: must be at most 5; /list/1: must be a number");
    CHECK(fault(schema, R"({"n":"${a.n}"})") == "/n: must be an integer");
}

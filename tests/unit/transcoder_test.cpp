// Values between formats: round trips whatever they hold, and names for what has no form.
#include "taskd/runtime/transcoder.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <optional>

#include "catch.hpp"
#include "taskd/base/limits.hpp"
#include "taskd/base/random.hpp"
#include "taskd/io/yaml_value.hpp"
#include "taskd/lua/table_text.hpp"
#include "taskd/protocol/value_json.hpp"

using namespace taskd;
using Catch::Matchers::Contains;

namespace {

runtime::Transcoder transcoder() {
    runtime::Transcoder made;
    made.add({"json", protocol::read_json_value, [](const Value& value) -> Result<std::string> {
                  return protocol::write_json_value(value);
              }});
    made.add({"yaml", io::read_yaml_value, io::write_yaml_value});
    made.add({"lua", lua::read_table_text, lua::write_table_text});
    return made;
}

std::string yaml_of(const std::string& json) {
    const auto yaml = transcoder().convert(json, "json", "yaml");
    REQUIRE(yaml);
    return *yaml;
}

std::string json_of(const std::string& yaml) {
    INFO(yaml);
    const auto json = transcoder().convert(yaml, "yaml", "json");
    REQUIRE(json);
    return *json;
}

Error fault(const std::string& text, std::string_view from = "yaml") {
    const auto made = transcoder().convert(text, from, from == "yaml" ? "json" : "yaml");
    INFO(text);
    REQUIRE_FALSE(made);
    return made.error();
}

// Texts that formats like to take for something else, and code points from all over.
std::string random_text(Random& random) {
    static const std::vector<std::string> odd{
        "",           "null",   "~",      "true",   "No",
        "y",          "1",      "0x1f",   "-",      "- a",
        ": ",         "a: b",   "#",      " a",     "a ",
        "'",          "\"",     "\\",     "\n",     "\t",
        "a\nb",       "[]",     "{}",     "&a",     "*a",
        "!a",         "%a",     "@a",     "|",      ">",
        "---",        "...",    ".inf",   "1e3",    "<<",
        "=",          "straße", "👋🏽",   "\u0085", "\u2028",
        "\x7f",       "\x01",   "\u009f", "\ufeff", "\xef\xbf\xbd",
        "2026-01-02", "12:30",  "0o17",   "+1",     "1_000"};
    std::string text = odd[random.below(odd.size())];
    for (std::size_t more = random.below(4); more > 0; --more)
        text += random.chance(1, 2) ? odd[random.below(odd.size())]
                                    : std::string(1, static_cast<char>(random.below(127) + 1));
    if (random.chance(1, 20)) text.push_back('\0');
    return text;
}

std::string random_number(Random& random) {
    static const std::vector<std::string> odd{
        "0", "-0", "1.0", "1e400", "-1.5E-7", "12345678901234567890123456789", "0.10"};
    return random.chance(1, 2) ? odd[random.below(odd.size())]
                               : std::to_string(static_cast<std::int64_t>(random.next()));
}

Value random_value(Random& random, int depth) {
    Value value;
    switch (random.below(depth > 0 ? 7 : 4)) {
        case 0:
            return value;
        case 1:
            return Value::of_boolean(random.chance(1, 2));
        case 2:
            return Value::of_number(random_number(random));
        case 3:
            return Value::of_text(random_text(random));
        case 4:
            value.kind = ValueKind::list;
            for (std::size_t left = random.below(4); left > 0; --left)
                value.items.push_back(random_value(random, depth - 1));
            return value;
        default:
            value.kind = ValueKind::map;
            for (std::size_t left = random.below(4); left > 0; --left)
                value.fields.push_back(
                    {random_text(random) + std::to_string(left), random_value(random, depth - 1)});
            return value;
    }
}

}  // namespace

TEST_CASE("whatever a value holds comes back from JSON and from YAML as it was", "[transcoder]") {
    const auto both = transcoder();
    for (std::uint64_t seed = 1; seed <= 3'000; ++seed) {
        Random random{seed};
        const Value value = random_value(random, 4);
        for (const std::string format : {"json", "yaml"}) {
            const auto text = both.write(format, value);
            REQUIRE(text);
            INFO(seed << " " << format << ": " << *text);
            const auto back = both.read(format, *text);
            REQUIRE(back);
            REQUIRE(*back == value);
        }
        const auto json = both.write("json", value);
        REQUIRE(both.convert(*both.convert(*json, "json", "yaml"), "yaml", "json") == *json);
    }
}

namespace {

// As Lua holds it: numbers in Lua's own words, fields by name. None when it has no form there.
std::optional<Value> as_lua_has_it(Value value) {
    if (value.kind == ValueKind::number) {
        const bool whole = value.text.find_first_of(".eE") == std::string::npos;
        if (value.text == "1e400" || value.text.size() > 20) return std::nullopt;
        if (!whole) value.text = fmt::format("{}", std::strtod(value.text.c_str(), nullptr));
    }
    for (Value& item : value.items) {
        auto held = as_lua_has_it(std::move(item));
        if (!held) return std::nullopt;
        item = std::move(*held);
    }
    for (ValueField& field : value.fields) {
        auto held = as_lua_has_it(std::move(field.value));
        if (!held) return std::nullopt;
        field.value = std::move(*held);
    }
    std::ranges::sort(value.fields, {}, &ValueField::name);
    return value;
}

}  // namespace

TEST_CASE("what Lua can hold goes round from JSON to YAML to Lua and back", "[transcoder]") {
    const auto all = transcoder();
    std::size_t held_count = 0;
    for (std::uint64_t seed = 1; seed <= 2'000; ++seed) {
        Random random{seed};
        const Value value = random_value(random, 4);
        const auto held = as_lua_has_it(value);
        const auto lua = all.write("lua", value);
        INFO(seed << " " << (lua ? *lua : lua.error().to_string()));
        REQUIRE(lua.has_value() == held.has_value());
        if (!held) {
            CHECK(lua.error().code == ErrorCode::not_convertible);
            continue;
        }
        ++held_count;
        const auto back = all.read("lua", *lua);
        INFO((back ? "" : back.error().to_string()));
        REQUIRE(back);
        REQUIRE(*back == *held);
        const auto json = all.write("json", *held);
        const auto yaml = all.convert(*json, "json", "yaml");
        REQUIRE(yaml);
        const auto round = all.convert(*all.convert(*yaml, "yaml", "lua"), "lua", "json");
        REQUIRE(round);
        REQUIRE(*round == *json);
    }
    CHECK(held_count > 500);
}

TEST_CASE("Lua's text is what a person would write, and any expression is taken", "[transcoder]") {
    const auto all = transcoder();
    CHECK(*all.convert(R"({"a b":[1,-2.5,null,true],"end":[],"m":{},"t":"x\n\"y\u0001"})", "json",
                       "lua") ==
          "return {[\"a b\"] = {1, -2.5, null, true}, [\"end\"] = list{}, m = {}, "
          "t = \"x\\n\\\"y\\001\"}\n");
    CHECK(*all.convert("-9223372036854775808", "json", "lua") == "return math.mininteger\n");
    CHECK(*all.convert("9223372036854775808", "json", "lua") == "return 9223372036854775808.0\n");
    CHECK(*all.convert("local n = 2 return {n * 21, ('ab'):rep(2), -- why\n}", "lua", "json") ==
          R"([42,"abab"])");
    for (const auto& [text, code] : {std::pair{"return print", ErrorCode::not_convertible},
                                     {"return {1, 2, x = 3}", ErrorCode::not_convertible},
                                     {"return 0/0", ErrorCode::not_convertible},
                                     {"return 1, 2", ErrorCode::not_convertible},
                                     {"return +", ErrorCode::not_convertible},
                                     {"return 1 end do", ErrorCode::not_convertible},
                                     {"return require('http')", ErrorCode::not_convertible},
                                     {"return os.time()", ErrorCode::not_convertible},
                                     {"error('no')", ErrorCode::not_convertible},
                                     {"while true do end", ErrorCode::instruction_limit},
                                     {"return ('x'):rep(1 << 40)", ErrorCode::memory_limit}}) {
        INFO(text);
        CHECK(fault(text, "lua").code == code);
    }
    std::string deep = "1";
    for (int i = 0; i < 70; ++i)
        deep = "[" + deep + "]";
    CHECK(all.convert(deep, "json", "lua").error().code == ErrorCode::not_convertible);
}

TEST_CASE("YAML is written for people", "[transcoder]") {
    CHECK(yaml_of(R"({"type":"sum","payload":[1,2.50],"labels":{"team":"red"},"note":"a: b",)"
                  R"("none":null,"empty":[],"map":{},"on":true,"word":"no","deep":[[1],[]]})") ==
          "type: sum\npayload:\n  - 1\n  - 2.50\nlabels:\n  team: red\nnote: \"a: b\"\nnone: null\n"
          "empty: []\nmap: {}\n\"on\": true\nword: \"no\"\ndeep:\n  -\n    - 1\n  - []\n");
    CHECK(yaml_of("\"a\"") == "a\n");
    CHECK(yaml_of(" 7 ") == "7\n");
}

TEST_CASE("YAML is read as its core schema says", "[transcoder]") {
    CHECK(json_of("") == "null");
    CHECK(json_of("# nothing\n---\n") == "null");
    CHECK(json_of("[~, null, Null, NULL, '~', \"null\"]") == R"([null,null,null,null,"~","null"])");
    CHECK(json_of("[true, True, FALSE, yes, 'true']") == R"([true,true,false,"yes","true"])");
    CHECK(json_of("[0, 007, +12, -3, 0x1f, 0o17, 1_000]") == R"([0,7,12,-3,31,15,"1_000"])");
    CHECK(json_of("[.5, 5., -1.50, 1e3, 1.E-2, +.5e+1, ., -, 1e, '1.5']") ==
          R"([0.5,5,-1.50,1e3,1E-2,0.5e+1,".","-","1e","1.5"])");
    CHECK(json_of("a: 1\nb:\n  - x\n  - {c: d}\ntext: |\n  two\n  lines\n") ==
          R"({"a":1,"b":["x",{"c":"d"}],"text":"two\nlines\n"})");
    CHECK(json_of("1: a\ntrue: b\n") == R"({"1":"a","true":"b"})");
}

TEST_CASE("what cannot be converted is refused by name and place", "[transcoder]") {
    CHECK(fault("a: .inf\n").code == ErrorCode::not_convertible);
    CHECK_THAT(fault("a: 1\nb: [-.INF]\n").detail, Contains("line:2:"));
    CHECK_THAT(fault(".nan").detail, Contains("finite"));
    CHECK_THAT(fault("a: &x 1\n").detail, Contains("anchors"));
    CHECK_THAT(fault("a: *x\n").detail, Contains("line:1:"));
    CHECK_THAT(fault("a: !!binary aGk=\n").detail, Contains("tags"));
    CHECK_THAT(fault("a: 1\na: 2\n").detail, Contains("twice"));
    CHECK_THAT(fault("a: [1\n").detail, Contains("line:"));
    CHECK(fault("a: \xff\n").code == ErrorCode::not_convertible);
    CHECK(fault(std::string(limits::json_depth_max + 1, '[') +
                std::string(limits::json_depth_max + 1, ']'))
              .code == ErrorCode::not_convertible);
    CHECK(fault("--- 1\n--- 2\n").code == ErrorCode::not_convertible);
    CHECK(fault("{\"a\":1,\"a\":2}", "json").code == ErrorCode::bad_json);
    CHECK(fault("[1", "json").code == ErrorCode::bad_json);
    CHECK(fault("{\"" + std::string(1'001, 'n') + "\":1}", "json").code ==
          ErrorCode::not_convertible);
    const auto unknown = transcoder().convert("1", "toml", "json");
    REQUIRE_FALSE(unknown);
    CHECK(unknown.error().detail == "'toml' is no format known here: json, yaml, lua");
}

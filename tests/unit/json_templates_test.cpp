// References and conditions: what they stand for, what is wrong with them, and what somebody
// hostile may write.
#include "taskd/protocol/json_templates.hpp"

#include <catch.hpp>
#include <map>

#include "taskd/base/random.hpp"
#include "taskd/protocol/json.hpp"

using namespace taskd;
using Catch::Matchers::Contains;
using Catch::Matchers::StartsWith;

namespace {

struct Ended {
    std::string result;
    std::string state = "succeeded";
    std::string error = {};
};

// Steps that have ended, and inputs.
class Results {
  public:
    Results() {
        steps_["a"] = {.result = R"({"x":1,"text":"say \"hi\"","list":[10,{"y":null},[]],)"
                                 R"("result":{"z":2},"a.b":"dotted","deep":{"er":{"est":1.50}}})"};
        steps_["sum"] = {.result = "8"};
        steps_["a-b/c_1"] = {.result = R"("named")"};
        steps_["bad"] = {.result = "",
                         .state = "failed",
                         .error = R"({"code":"exit_3","message":"no","permanent":true})"};
        steps_["inputs"] = {.result = R"({"n":3,"word":"ü","result":"mine","none":null,)"
                                      R"("empty":{},"nil":[ ],"on":true})",
                            .state = ""};
        steps_["item"] = {.result = R"( "blank" )", .state = ""};
    }

    std::string fill(std::string_view json, std::size_t most = 1'000'000) const {
        auto filled = protocol::JsonTemplates{}.fill(json, find(), most);
        return filled ? *filled : filled.error().to_string();
    }

    std::string holds(std::string_view condition) const {
        const auto held = protocol::JsonTemplates{}.holds(condition, find());
        if (!held) return held.error().to_string();
        return *held ? "yes" : "no";
    }

    FindReferred find() const {
        return [this](std::string_view name, Ask) -> std::optional<Referred> {
            const auto found = steps_.find(std::string{name});
            if (found == steps_.end()) return std::nullopt;
            return Referred{found->second.result, found->second.state, found->second.error};
        };
    }

  private:
    std::map<std::string, Ended> steps_;
};

}  // namespace

TEST_CASE("a text that is one reference becomes the value, of its type", "[templates]") {
    const Results results;
    CHECK(results.fill(R"({"v":"${a.x}","w":[ "${sum}" ]})") == R"({"v":1,"w":[ 8 ]})");
    CHECK(results.fill(R"("${a.list}")") == R"([10,{"y":null},[]])");
    CHECK(results.fill(R"("${a.list[1].y}")") == "null");
    CHECK(results.fill(R"("${a.deep.er.est}")") == "1.50");
    CHECK(results.fill(R"("${inputs.on}")") == "true");
    CHECK(results.fill(R"("${a-b/c_1}")") == R"("named")");
    CHECK(results.fill(R"("${ a.x }")") == "1");
    CHECK(results.fill(R"("${a[\"a.b\"]}")") == R"("dotted")");
    CHECK(results.fill(R"("${a['a.b']}")") == R"("dotted")");
}

TEST_CASE("inside a text a reference becomes text", "[templates]") {
    const Results results;
    CHECK(results.fill(R"("n=${inputs.n}, ${a.text}; ${inputs.word}\n")") ==
          R"("n=3, say \"hi\"; ü\n")");
    CHECK(results.fill(R"("${a.deep}!")") == R"("{\"er\":{\"est\":1.50}}!")");
    CHECK(results.fill(R"("${a.x}${sum}")") == R"("18")");
    CHECK(results.fill(R"({"${inputs.word}":"${a.x}"})") == R"({"ü":1})");
    CHECK(results.fill(R"({"${sum}" :1})") == R"({"8" :1})");
}

TEST_CASE("result is implied, and said once is the whole of it", "[templates]") {
    const Results results;
    CHECK(results.fill(R"("${sum.result}")") == "8");
    CHECK(results.fill(R"("${a.result.x}")") == "1");
    CHECK(results.fill(R"("${a.result.result.z}")") == "2");
    CHECK(results.fill(R"("${inputs.result}")") == R"("mine")");  // no step has this name
}

TEST_CASE("how a step ended can be asked for", "[templates]") {
    const Results results;
    CHECK(results.fill(R"("${bad.@state}")") == R"("failed")");
    CHECK(results.fill(R"("${bad.@error.code}: ${bad.@error.message}")") == R"("exit_3: no")");
    CHECK(results.fill(R"(["${sum.@error}","${sum.@error.code}","${sum.@state}"])") ==
          R"([null,null,"succeeded"])");
    CHECK_THAT(results.fill(R"("${sum.@end}")"), Contains("only @state and @error"));
    CHECK_THAT(results.fill(R"("${bad.x}")"), Contains("bad has no result, it is failed"));
}

TEST_CASE("a text without a reference is not touched", "[templates]") {
    const Results results;
    for (const char* json : {"1", "null", R"("$")", R"("$5 {x}")",
                             R"( { "a" : [ 1 , "\u0024{a}" ] } )", R"("\\")", R"({"$":"$$"})"})
        CHECK(results.fill(json) == json);
    CHECK(results.fill(R"("$${a.x} costs ${a.x}$")") == R"("${a.x} costs 1$")");
    CHECK(results.fill(R"("$${")") == R"("${")");
    CHECK(results.fill(R"("\"$${a}\"")") == R"("\"${a}\"")");
}

TEST_CASE("what names nothing is an error that says so", "[templates]") {
    const Results results;
    const auto fault = [&](std::string_view json) { return results.fill(json); };
    CHECK_THAT(fault(R"("${b.x}")"), StartsWith("unresolved_reference: "));
    CHECK_THAT(fault(R"("${b.x}")"), Contains("${b.x}: there is no 'b'"));
    CHECK_THAT(fault(R"("${a.y}")"), Contains("there is no field 'y'"));
    CHECK_THAT(fault(R"("${sum.y}")"), Contains("'y' is asked of what has no fields"));
    CHECK_THAT(fault(R"("${a.list[3]}")"), Contains("no element 3, they count from 0"));
    CHECK_THAT(fault(R"("${a[0]}")"), Contains("element 0 is asked of what is no list"));
    CHECK_THAT(fault(R"("${a.list[2][0]}")"), Contains("no element 0"));
    for (const char* text :
         {"${", "${}", "${a", "${a.", "${a.}", "${a..x}", "${a[}", "${a[x]}", "${a[1}", "${a[-1]}",
          "${a[1]x}", "${.a}", "${a['x}", "${a['x'}", "${a[1234567890]}", "${a${b}}", "x ${ y"}) {
        INFO(text);
        std::string json;
        protocol::append_json_string(json, text);
        CHECK_THAT(fault(json), StartsWith("unresolved_reference: "));
    }
}

TEST_CASE("what is filled in has a bound", "[templates]") {
    const Results results;
    CHECK(results.fill(R"("${sum}")", 1) == "8");
    CHECK_THAT(results.fill(R"(["${sum}"])", 2), StartsWith("task_too_large: "));
    CHECK_THAT(results.fill(R"("abc")", 4), StartsWith("task_too_large: "));
}

TEST_CASE("a list is taken apart", "[templates]") {
    const protocol::JsonTemplates templates;
    const auto elements = templates.elements(R"( [1, "a,]" , {"x":[2]}, [] ] )");
    REQUIRE(elements);
    CHECK(*elements == std::vector<std::string>{"1", R"("a,]")", R"({"x":[2]})", "[]"});
    CHECK(templates.elements("[]")->empty());
    for (const char* json : {"{}", "1", "null", R"("[]")", ""})
        CHECK(templates.elements(json).error().code == ErrorCode::not_a_list);
}

TEST_CASE("the names that references begin with are found once each", "[templates]") {
    const protocol::JsonTemplates templates;
    using Names = std::vector<std::string>;
    CHECK(templates.names(R"({"x":"${a.b} and ${c[0]} and ${a}","y":"$${d} ${ e f .g}"})") ==
          Names{"a", "c", "e f"});
    CHECK(templates.names("${a.x} > 1 and not ${b}") == Names{"a", "b"});
    CHECK(templates.names("${").empty());
    CHECK(templates.names("no $ {at} all").empty());
}

TEST_CASE("conditions compare values by what they are", "[templates]") {
    const Results results;
    const std::pair<const char*, bool> cases[] = {
        {"true", true},
        {"false", false},
        {"null", false},
        {"0", false},
        {"-0.0", false},
        {"1e-400", false},
        {"0.5", true},
        {"''", false},
        {"'0'", true},
        {"[]", false},
        {"[0]", true},
        {"${a}", true},
        {"${inputs.none}", false},
        {"${inputs.empty}", false},
        {"${inputs.nil}", false},
        {"${inputs.on}", true},
        {"not ${inputs.on}", false},
        {"!!${inputs.on}", true},
        {"${a.x} == 1.0", true},
        {"${a.x} == '1'", false},
        {"${a.x} != 1", false},
        {"10 > 9", true},
        {"'10' > '9'", false},
        {"${a.deep.er.est} == 15e-1", true},
        {"9007199254740993 > 9007199254740992", true},
        {"1e999 > 1e308", true},
        {"${inputs.n} >= 3 and ${inputs.n} <= 3", true},
        {"${inputs.n} < 3 or ${inputs.n} > 3", false},
        {"${inputs.n} < 3 || ${sum} == 8 && true", true},
        {"true or true and false", true},
        {"(true or true) and false", false},
        {"not (1 == 2)", true},
        {"not 1 == 2", true},
        {"${a.text} == 'say \"hi\"'", true},
        {R"(${a.text} == "say \"hi\"")", true},
        {"'it\\'s' == \"it's\"", true},
        {"${bad.@state} == 'failed'", true},
        {"${bad.@error.code} in ['exit_3', 'exit_4']", true},
        {"${bad.@error.code} not in ['exit_4']", true},
        {"${sum.@error} == null", true},
        {"2 in ${a.list}", false},
        {"1e1 in ${a.list}", true},
        {"'ay' in ${a.text}", true},
        {"'' in ''", true},
        {"[1, [2.0]] == [1.0,[2]]", true},
        {"${a.list[1]} == ${a.list[1]}", true},
        {"'n${inputs.n}' == 'n3'", true},
        {"${ a.x }==1&&!false", true},
        {"null == false", false},
    };
    for (const auto& [text, held] : cases) {
        INFO(text);
        CHECK(results.holds(text) == (held ? "yes" : "no"));
    }
}

TEST_CASE("what is not at hand is null, whatever is asked of it, and all else is asked for too",
          "[templates]") {
    std::vector<std::string> asked;
    const auto find = [&](std::string_view name, Ask ask) -> std::optional<Referred> {
        asked.push_back(std::string{name} + (ask == Ask::ending ? " ended" : ""));
        Referred referred{{}, "succeeded", {}};
        referred.away = ask == Ask::result;
        return referred;
    };
    const protocol::JsonTemplates templates;
    CHECK(templates.fill(R"(["${a.x[2]}","${b.result}","${c.@state}","${d.@error.code}"])", find,
                         1'000) == R"([null,null,"succeeded",null])");
    CHECK(asked == std::vector<std::string>{"a", "b", "c ended", "d ended"});
}

TEST_CASE("fields of objects have no order in a comparison", "[templates]") {
    const auto find = [](std::string_view name, Ask) -> std::optional<Referred> {
        if (name == "a") return Referred{R"({"x":1,"y":[{"z":2}]})", "succeeded", ""};
        return Referred{R"({ "y" : [ {"z":2.0} ], "x" : 1 })", "succeeded", ""};
    };
    CHECK(protocol::JsonTemplates{}.holds("${a} == ${b}", find).value());
    CHECK_FALSE(protocol::JsonTemplates{}.holds("${a} == ${b.y}", find).value());
}

TEST_CASE("what decides nothing more is not resolved", "[templates]") {
    const Results results;
    CHECK(results.holds("${bad.@state} == 'succeeded' and ${bad.x} == 1") == "no");
    CHECK(results.holds("${bad.@state} == 'failed' or ${bad.x} == 1") == "yes");
    CHECK(results.holds("false and (${bad.x} < 'a' or ${no.x} in 3)") == "no");
    CHECK_THAT(results.holds("true and ${bad.x}"),
               StartsWith("unresolved_reference: ") && Contains("column 10: ${bad.x}"));
}

TEST_CASE("a faulty condition says its column", "[templates]") {
    const Results results;
    const std::pair<const char*, const char*> cases[] = {
        {"", "column 1: a value is missing"},
        {"  ", "column 3: a value is missing"},
        {"a.x == 1", "column 1: 'a.x' is no value; a text is written 'a.x', a reference ${a.x}"},
        {"1 ==", "column 5: a value is missing"},
        {"1 = 1", "column 3: an operator is missing"},
        {"1 == 2 == 3", "column 8: one comparison behind another"},
        {"(1", "column 1: the parenthesis is not closed"},
        {"true and (1 or 2", "column 10: the parenthesis"},
        {"1)", "column 2: an operator is missing"},
        {"'abc", "column 1: the text is not closed"},
        {"'abc\\", "column 1: the text is not closed"},
        {"true & false", "column 6: an operator is missing"},
        {"true and and", "column 10: 'and' is no value"},
        {"1 < 'a'", "column 3: only numbers have an order"},
        {"null < 1", "column 6: only numbers"},
        {"1 in 2", "column 3: 'in' looks into a list"},
        {"01 == 1", "column 1: '01' is no number"},
        {"--1", "column 1: '--1' is no number"},
        {"[1, 2", "column 1: the list is not closed"},
        {"[1 2]", "column 1: the list is not closed"},
        {"not", "column 4: a value is missing"},
        {"truely", "column 1: 'truely' is no value"},
        {"%", "column 1: no value begins here"},
    };
    for (const auto& [text, what] : cases) {
        INFO(text);
        CHECK_THAT(results.holds(text), StartsWith("bad_condition: ") && Contains(what));
    }
    CHECK_THAT(results.holds("1 == ${a"),
               StartsWith("unresolved_reference: ") && Contains("column 6: ${a: it is not closed"));
}

TEST_CASE("a condition is checked without what it refers to", "[templates]") {
    CHECK(protocol::check_condition("${nobody.x} > 3 and ${b} in ['${c}']"));
    CHECK_FALSE(protocol::check_condition("${a.x} >"));
    CHECK_FALSE(protocol::check_condition("'${a'"));
    CHECK_FALSE(protocol::check_condition("true or ${"));
    CHECK_FALSE(protocol::check_condition(std::string(5'000, ' ') + "1"));
}

TEST_CASE("deep and large texts end in an answer", "[templates]") {
    const Results results;
    CHECK_THAT(results.holds(std::string(2'000, '(')), Contains("nested too deep"));
    CHECK_THAT(results.holds(std::string(2'000, '[')), Contains("nested too deep"));
    CHECK(results.holds(std::string(4'000, '!') + "1") == "yes");
    const std::size_t many = 300'000;
    std::string lots = "[";
    for (std::size_t i = 0; i < many; ++i)
        lots += i == 0 ? R"("${sum}")" : R"(,"${sum}")";
    lots += "]";
    CHECK(results.fill(lots, 10 * many).size() == 2 * many + 1);
    CHECK(protocol::JsonTemplates{}.names(lots).size() == 1);
    CHECK_THAT(results.fill('"' + std::string(1'000'000, '$') + "{\"", 2'000'000),
               StartsWith("\"$"));
    std::string deep = "${a";
    for (int i = 0; i < 10'000; ++i)
        deep += "[0]";
    CHECK_THAT(results.fill('"' + deep + "}\""), StartsWith("unresolved_reference: "));
    CHECK(results.fill('"' + deep + "}\"").size() < 300);  // the message is short
}

TEST_CASE("whatever is written ends in an answer, and what is filled in is JSON", "[templates]") {
    const Results results;
    Random random{7};
    constexpr std::string_view pieces[] = {
        "${", "}",    "a",    ".",     "x",    "[",        "]",      "0",   "\"", "'",
        "$",  "$${",  "\\",   " and ", " or ", "(",        ")",      "==",  "<",  " in ",
        ",",  "not ", "true", "1",     "-",    "\xc3\xbc", "@state", "bad", "\n"};
    for (int round = 0; round < 20'000; ++round) {
        std::string text;
        for (auto left = random.below(12); left > 0; --left)
            text += pieces[random.below(std::size(pieces))];
        INFO(text);
        std::string json;
        protocol::append_json_string(json, text);
        const auto filled = protocol::JsonTemplates{}.fill(json, results.find(), 100'000);
        if (filled)
            REQUIRE(protocol::check_json(*filled));
        else
            REQUIRE(filled.error().code == ErrorCode::unresolved_reference);
        const auto held = protocol::JsonTemplates{}.holds(text, results.find());
        const auto checked = protocol::check_condition(text);
        if (held) REQUIRE(checked);
        if (!checked) REQUIRE_FALSE(held);
        // What is no JSON is not filled, and harms nobody.
        static_cast<void>(protocol::JsonTemplates{}.fill(text, results.find(), 100'000));
    }
}

TEST_CASE("any path into any value finds what is there", "[templates]") {
    Random random{11};
    for (int round = 0; round < 2'000; ++round) {
        // A value wrapped in random steps, and the path that leads back to it.
        std::string value = round % 2 == 0 ? "42" : R"("4\"2")";
        const std::string wanted = value;
        std::string path;
        for (auto depth = random.below(10); depth > 0; --depth) {
            if (random.below(2) == 0) {
                const auto before = random.below(3);
                std::string list = "[";
                for (std::uint64_t i = 0; i < before; ++i)
                    list += R"({"a":["]\\"]} , )";
                value = list + value + (random.below(2) == 0 ? " ,1]" : "]");
                path.insert(0, "[" + std::to_string(before) + "]");
            } else {
                value = R"({"other": "}\"", "k": )" + value + R"(, "z" :[{}]})";
                path.insert(0, random.below(2) == 0 ? ".k" : "['k']");
            }
        }
        const auto find = [&](std::string_view, Ask) -> std::optional<Referred> {
            return Referred{value, "", ""};
        };
        INFO(value);
        CHECK(protocol::JsonTemplates{}.fill("\"${a" + path + "}\"", find, 100'000).value() ==
              wanted);
    }
}

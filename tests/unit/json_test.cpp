// The strict check and the raw splitting of JSON.
#include "taskd/protocol/json.hpp"
#include "catch.hpp"
#include "taskd/base/limits.hpp"

using namespace taskd;
using namespace taskd::protocol;

TEST_CASE("valid JSON passes, digits untouched") {
    for (const char* text :
         {"{}", "[]", " null ", "true", "false", "0", "-0.5e-3", "\"\"", "\"\\u00e9\"", "[[[]]]",
          "170141183460469231731687303715884105727", "[1,2 , 3]", "{\"a\":{\"b\":[null,\"x\"]}}",
          "[1e400]", "\n[\r1\t]", "\"\xc3\xa9\"", "{\"a\":1,\"a\":2}", "[-1, 1.0E+2]"}) {
        INFO(text);
        CHECK(check_json(text));
        CHECK(read_items(text, 10));
        CHECK(read_items(text, 0));
        CHECK(read_envelope("{\"items\":[" + std::string{text} + "]}", "items"));
    }
}

TEST_CASE("what is not JSON is refused") {
    for (const char* text : {"",
                             " ",
                             "{",
                             "}",
                             "[",
                             "]",
                             "[1,]",
                             "[,1]",
                             "{\"a\"}",
                             "{\"a\":}",
                             "{\"a\":1,}",
                             "{a:1}",
                             "'x'",
                             "tru",
                             "truex",
                             "nul",
                             "[tru]",
                             "[nul]",
                             "[nulll]",
                             "[truee]",
                             "[fals]",
                             "01",
                             "[01]",
                             "[-]",
                             "[1.]",
                             "[.5]",
                             "[1e]",
                             "[+1]",
                             "[0x1]",
                             "NaN",
                             "[NaN]",
                             "[Infinity]",
                             "\"",
                             "\"\\x\"",
                             "[\"\\u12\"]",
                             "[\"a\nb\"]",
                             "[1 2]",
                             "[1]]",
                             "{}{}",
                             "[1],2",
                             "{\"a\":1 \"b\":2}",
                             "{\"a\" 1}",
                             "[\"\xff\"]",
                             "[\"\xc3\"]",
                             "\"a\" \"b\"",
                             "1 2",
                             "{1:2}",
                             "[1:2]",
                             "{\"a\",1}",
                             "/**/1",
                             "[1]//",
                             "\"\\ud800\""}) {
        INFO(text);
        const auto checked = check_json(text);
        REQUIRE_FALSE(checked);
        CHECK(checked.error().code == ErrorCode::bad_json);
        const auto taken = read_items(text, 10);
        REQUIRE_FALSE(taken);
        CHECK(taken.error().code == ErrorCode::bad_json);
    }
}

TEST_CASE("a fault of a text is told with its line and column") {
    const auto told = [](std::string_view text) { return check_json(text).error().detail; };
    CHECK(told(R"([1,])").starts_with("line 1, column 4: "));
    CHECK(told(" \n {\"a\": 1,\n  \"b\": 0x1}\n").starts_with("line 3, column 8: "));
    CHECK(told("{\n  \"a\": 1\n  \"b\": 2}").starts_with("line 3, column 3: "));
    // Seen before the reading begins, or only at the end.
    for (const char* text : {"{", "[", "[1", "\"a\nb\"", "[\"\xff\"]"})
        CHECK_FALSE(told(text).starts_with("line"));
}

TEST_CASE("what is not JSON is refused inside of others too") {
    for (const std::string text :
         {"", "{", "]", "[1,]", "{\"a\"}", "{\"a\":1,}", "tru", "nulll", "01", "1.", "+1",
          "\"\\x\"", "\"a\nb\"", "1 2", "{\"a\":1 \"b\":2}", "\"\xff\"", "{1:2}", "[1:2]",
          "\"\\ud800\""}) {
        INFO(text);
        CHECK_FALSE(read_items("[1," + text + "]", 10));
        CHECK_FALSE(read_items("[1," + text + "]", 1));
        CHECK_FALSE(read_items("{\"a\":" + text + "}", 10));
        CHECK_FALSE(read_envelope("{\"items\":[1," + text + "]}", "items"));
        CHECK_FALSE(read_envelope("{\"items\":[{\"b\":" + text + "}]}", "items"));
        CHECK_FALSE(read_envelope("{\"a\":" + text + ",\"items\":[]}", "items"));
    }
}

TEST_CASE("nesting is bounded") {
    const auto nested = [](std::size_t depth) {
        return std::string(depth, '[') + std::string(depth, ']');
    };
    CHECK(check_json(nested(limits::json_depth_max)));
    CHECK_FALSE(check_json(nested(limits::json_depth_max + 1)));
    CHECK_FALSE(check_json(nested(100'000)));
    CHECK(read_items(nested(limits::json_depth_max), 10));
    CHECK_FALSE(read_items(nested(limits::json_depth_max + 1), 10));
    CHECK_FALSE(read_items(nested(limits::json_depth_max + 1), 0));
}

TEST_CASE("objects and arrays split into raw values") {
    const std::string text = R"( {"a" : 1.50 ,"b\n":[ 1 , {"c":"}"} ],"d":"x\"y" } )";
    const auto fields = split_object(text);
    REQUIRE(fields);
    REQUIRE(fields->size() == 3);
    CHECK((*fields)[0] == std::pair<std::string, std::string_view>{"a", "1.50"});
    CHECK((*fields)[1].first == "b\n");
    const auto elements = split_array((*fields)[1].second);
    REQUIRE(elements);
    CHECK(*elements == std::vector<std::string_view>{"1", R"({"c":"}"})"});
    CHECK(read_string((*fields)[2].second, "d") == "x\"y");
    CHECK(split_object(R"({"a":1,"a":2})").error().code == ErrorCode::bad_json);
    CHECK(split_object("[1]").error().code == ErrorCode::invalid_field);
    CHECK(split_array("{}").error().code == ErrorCode::invalid_field);
}

TEST_CASE("what is taken apart while it is checked is what splitting gives") {
    for (const std::string text :
         {R"({})", R"( {"a" : 1.50 ,"b\n":[ 1 , {"c":"}"} ],"d":"x\"y" , "e":null,"f":{}} )",
          R"({"one":[[1],2 ],"two" : {"three":{"four":[ ]}} ,"five":true})"}) {
        INFO(text);
        const auto items = read_items(text, 10);
        REQUIRE(items);
        CHECK_FALSE(items->is_array);
        REQUIRE(items->items.size() == 1);
        CHECK(items->items[0].fields == *split_object(text));
        CHECK(read_envelope(text, "none")->fields == *split_object(text));
    }
    const std::string text = R"([ {"a":[1, 2] , "b":{}}, [3] ,-4.0 , "five", {} ,null ] )";
    const auto items = read_items(text, 10);
    REQUIRE(items);
    CHECK(items->is_array);
    CHECK(items->count == 6);
    std::vector<std::string_view> raw;
    for (const JsonItem& item : items->items)
        raw.push_back(item.raw);
    CHECK(raw == *split_array(text));
    CHECK(items->items[0].fields == *split_object(raw[0]));
    CHECK(items->items[1].fields.empty());
    CHECK(read_items(text, 2)->items.size() == 2);
    CHECK(read_items(text, 2)->count == 6);
    const std::string inner = R"({"from" : "x", "items":)" + text + R"(, "more": [7] })";
    const auto envelope = read_envelope(inner, "items");
    REQUIRE(envelope);
    CHECK(envelope->fields == *split_object(inner));
    REQUIRE(envelope->items.size() == 6);
    for (std::size_t i = 0; i < raw.size(); ++i) {
        CHECK(envelope->items[i].raw == raw[i]);
        CHECK(envelope->items[i].fields == items->items[i].fields);
    }
    std::string many = "{";
    for (std::size_t i = 0; i < 3 * JsonItem::fields_max; ++i)
        many += "\"f" + std::to_string(i) + "\":[" + std::to_string(i) + "],";
    CHECK(read_items(many + "\"last\":1}", 1)->items[0].fields.size() == JsonItem::fields_max);
    CHECK_FALSE(read_items(many + "\"last\":nul}", 1));
    CHECK(check_names(*split_object(R"({"a":1,"b":2})")));
    CHECK_FALSE(check_names(read_items(R"({"a":1,"a":2})", 1)->items[0].fields));
    CHECK(read_envelope("[1]", "items").error().code == ErrorCode::invalid_field);
}

TEST_CASE("scalars are read with their bounds") {
    CHECK(read_integer("5", "n", 0, 9) == 5);
    for (const char* raw : {"10", "-1", "1.0", "\"5\"", "null", "99999999999999999999"})
        CHECK(read_integer(raw, "n", 0, 9).error().code == ErrorCode::invalid_field);
    CHECK(read_string("\"\\u00fc\"", "s") == "\xc3\xbc");
    CHECK_FALSE(read_string("5", "s"));
    CHECK(read_boolean("true", "b") == true);
    CHECK_FALSE(read_boolean("\"true\"", "b"));
}

TEST_CASE("what is written reads back") {
    std::string out;
    JsonWriter{out}
        .begin_object()
        .field("a", 1)
        .field("b", "q\"\\\n\x01")
        .key("c")
        .begin_array()
        .null()
        .boolean(true)
        .begin_object()
        .end_object()
        .end_array()
        .field("d", std::uint64_t{18446744073709551615u})
        .end_object();
    CHECK(
        out ==
        "{\"a\":1,\"b\":\"q\\\"\\\\\\n\\u0001\",\"c\":[null,true,{}],\"d\":18446744073709551615}");
    CHECK(check_json(out));
}

// JSON as a document: places, and the same judgement of what is JSON as the other reader's.
#include "taskd/protocol/json_document.hpp"

#include <catch.hpp>

#include "taskd/base/random.hpp"
#include "taskd/protocol/json.hpp"

using namespace taskd;

TEST_CASE("JSON is read as a document with its places", "[workflow]") {
    const auto document =
        protocol::read_json_document("{\"a\": [1,\n  \"\\u00fc\"], \"b\":null}", "f");
    REQUIRE(document);
    CHECK(document->place == "f:1:1");
    CHECK(document->fields[0].value.place == "f:1:7");
    CHECK(document->fields[0].value.items[1].place == "f:2:3");
    CHECK(document->fields[0].value.items[1].text == "ü");
    CHECK(document->fields[0].value.items[1].quoted);
    CHECK(document->fields[1].place == "f:2:14");
    CHECK(document->fields[1].value.kind == DocumentKind::null);
    CHECK(protocol::write_document(*document).value() == R"({"a":[1,"ü"],"b":null})");
    const auto what = [](const std::string& text) {
        const auto read = protocol::read_json_document(text, "f");
        return read ? "none" : read.error().detail;
    };
    CHECK(what("{\n \"a\": 1,\n \"a\": 2}") == "f:3:5: 'a' stands there twice");
    CHECK(what("") == "f:1:1: a value is missing");
    CHECK(what("[1,]") == "f:1:4: no value begins here");
    CHECK(what("[1") == "f:1:3: ',' or ']' is missing");
    CHECK(what("{\"a\" 1}") == "f:1:6: ':' is missing");
    CHECK(what("{a: 1}") == "f:1:2: a name in quotes is missing");
    CHECK(what("[1] 2") == "f:1:5: something follows the value");
    CHECK(what("\"\x01\"").starts_with("f:1:1: the text has a character"));
    CHECK(what("\"\xff\"") == "f:1:1: it is not UTF-8");
    CHECK(what("[01]") == "f:1:2: no value begins here");
    CHECK(what(std::string(200, '[')) == "f:1:129: nested too deep");
}

TEST_CASE("what is JSON to one reader is to the other", "[workflow]") {
    Random random{5};
    constexpr std::string_view pieces[] = {
        "{",        "}",  "[",      "]",    ",",    ":",         "\"a\"",
        "\"b\\n\"", "1",  "-0.5e3", "true", "null", " ",         "\n",
        "\"",       "\\", "x",      "tru",  "01",   "\"\\u12\"", "\"\\ud83d\\ude00\""};
    for (int round = 0; round < 30'000; ++round) {
        std::string text;
        for (auto left = random.below(9); left > 0; --left)
            text += pieces[random.below(std::size(pieces))];
        INFO(text);
        const bool is_json = protocol::check_json(text).has_value();
        const auto document = protocol::read_json_document(text, "f");
        const bool is_twice = !document && document.error().detail.ends_with("stands there twice");
        REQUIRE(document.has_value() == (is_json && !is_twice));
    }
}

// Payloads and results as people type and read them.
#include "taskd/service/payload_text.hpp"

#include <vector>

#include "catch.hpp"
#include "taskd/protocol/json.hpp"

using namespace taskd;
using namespace taskd::service;

namespace {

std::string payload(const std::vector<std::string>& arguments) {
    const auto made = payload_of_arguments(arguments);
    return made ? *made : std::string{made.error().name()};
}

std::string file(std::string content) {
    const auto made = payload_of_file(std::move(content));
    return made ? *made : std::string{made.error().name()};
}

}  // namespace

TEST_CASE("one argument is a value, several are an array, none is nothing") {
    CHECK(payload({}) == "");
    CHECK(payload({"straße"}) == "\"straße\"");
    CHECK(payload({"1", "2", "3"}) == "[1,2,3]");
    CHECK(payload({"a", "b c"}) == R"(["a","b c"])");
    CHECK(payload({""}) == R"("")");
}

TEST_CASE("an argument that is a JSON number or literal stays so, all else is a text") {
    for (const char* kept : {"0", "-1", "1.50", "1e400", "-0", "true", "false", "null",
                             "340282366920938463463374607431768211456"})
        CHECK(payload({kept}) == kept);
    for (const char* text :
         {"007", "+1", "1.", ".5", "0x10", "NaN", "True", "1,2,3", "[1]", "{}", " 1", "1 ", "-"})
        CHECK(payload({text}) == '"' + std::string{text} + '"');
    CHECK(payload({"\"quoted\""}) == R"("\"quoted\"")");
    CHECK(payload({"tab\there"}) == R"("tab\there")");
    CHECK(payload({"1", "x", "null"}) == R"([1,"x",null])");
}

TEST_CASE("an argument that is not UTF-8 is refused") {
    CHECK(payload({"\xff"}) == "bad_json");
    CHECK(payload({"fine", "\xc3"}) == "bad_json");
}

TEST_CASE("a file is one JSON value or a text") {
    CHECK(file("[1, 2]\n") == "[1, 2]\n");
    CHECK(file("42") == "42");
    CHECK(file("a line\n") == R"("a line")");
    CHECK(file("a line\r\n") == R"("a line")");
    CHECK(file("two\nlines\n") == R"("two\nlines")");
    CHECK(file("") == R"("")");
}

TEST_CASE("a slip in a file that looks like JSON is told and not sent as a text") {
    for (const char* slip : {"[1, 2", "{\"a\": }", "\"open", "  [1,]", "{'a': 1}"})
        CHECK(file(slip) == "bad_json");
    CHECK(file("\xff\xfe") == "bad_json");
}

TEST_CASE("a text result is shown without quotes, anything else as it stands") {
    CHECK(shown_result(R"("STRASSE")") == "STRASSE");
    CHECK(shown_result(R"("a\n\"b\" ß")") == "a\n\"b\" ß");
    CHECK(shown_result("6") == "6");
    CHECK(shown_result("1.0") == "1.0");
    CHECK(shown_result("[\"a\"]") == "[\"a\"]");
    CHECK(shown_result("null") == "null");
}

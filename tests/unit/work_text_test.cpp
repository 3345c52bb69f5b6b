// reverse, upper and hash, and how payloads are read.
#include "catch.hpp"
#include "taskd/base/limits.hpp"
#include "taskd/work/work.hpp"

using namespace taskd;
using namespace taskd::work;

namespace {

std::expected<Outcome, TaskError> run(std::string_view type, std::string_view payload) {
    const WorkType* found = find_work(work_table(), type);
    REQUIRE(found != nullptr);
    return run_work(*found, payload);
}

struct Good {
    const char* payload;
    const char* result;
};

void check_all(std::string_view type, std::initializer_list<Good> cases) {
    for (const Good& each : cases) {
        CAPTURE(type, each.payload);
        const auto outcome = run(type, each.payload);
        if (!outcome) FAIL(outcome.error().message);
        CHECK(outcome->result_json == each.result);
        CHECK(outcome->sleep_first == Duration{0});
    }
}

struct Bad {
    const char* payload;
    const char* said;  // part of the message
};

void check_refused(std::string_view type, std::initializer_list<Bad> cases) {
    for (const Bad& each : cases) {
        CAPTURE(type, each.payload);
        const auto outcome = run(type, each.payload);
        REQUIRE_FALSE(outcome);
        CHECK(outcome.error().code == "bad_payload");
        CHECK(outcome.error().permanent);
        CHECK_THAT(outcome.error().message, Catch::Contains(each.said));
    }
}

}  // namespace

TEST_CASE("reverse keeps what people see as one character") {
    check_all("reverse",
              {
                  {R"("")", R"("")"},
                  {R"("a")", R"("a")"},
                  {R"("hello world")", R"("dlrow olleh")"},
                  {R"("  ")", R"("  ")"},
                  {R"(["one","two"])", R"("owt eno")"},
                  {R"([])", R"("")"},
                  {R"([""])", R"("")"},
                  {R"("straße")", R"("eßarts")"},
                  {R"("a👍🏽b")", R"("b👍🏽a")"},
                  {R"("🇩🇪🇫🇷")", R"("🇫🇷🇩🇪")"},
                  {R"("x👨‍👩‍👧‍👦y")", R"("y👨‍👩‍👧‍👦x")"},
                  {R"("cafe\u0301s")", "\"se\u0301fac\""},
                  {R"("a\r\nb")", R"("b\u000d\na")"},
                  {R"("a\n\rb")", R"("b\u000d\na")"},
                  {R"("각가")", R"("가각")"},
                  {R"("\ud83d\ude00!")", R"("!😀")"},
                  {R"("\"\\")", R"("\\\"")"},
                  {R"("a\u0000b")", R"("b\u0000a")"},
                  {R"( "ab" )", R"("ba")"},
                  {R"("1️⃣x")", R"("x1️⃣")"},
              });
}

TEST_CASE("upper maps in full, in no particular language") {
    check_all("upper", {
                           {R"("")", R"("")"},
                           {R"("straße")", R"("STRASSE")"},
                           {R"("ﬁx")", R"("FIX")"},
                           {R"("ǆ")", R"("Ǆ")"},
                           {R"("i ı")", R"("I I")"},
                           {R"("ὀδυσσεύς")", R"("ὈΔΥΣΣΕΎΣ")"},
                           {R"("ŉ")", R"("ʼN")"},
                           {R"("日本 42")", R"("日本 42")"},
                           {R"(["a","ß"])", R"("A SS")"},
                           {R"("😀a")", R"("😀A")"},
                       });
}

TEST_CASE("hash agrees with the published digests") {
    check_all(
        "hash",
        {
            {R"("")", R"("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")"},
            {R"("abc")", R"("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")"},
            {R"(["a","b"])",
             R"("c8687a08aa5d6ed2044328fa6a697ab8e96dc34291e8c2034ae8c38e6fcc6d65")"},
            {R"({"text":"abc"})",
             R"("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")"},
            {R"({"algorithm":"md5","text":"abc"})", R"("900150983cd24fb0d6963f7d28e17f72")"},
            {R"({"text":"abc","algorithm":"sha1"})",
             R"("a9993e364706816aba3e25717850c26c9cd0d89d")"},
            {R"({"text":"abc","algorithm":"sha3-256"})",
             R"("3a985da74fe225b2045c172d6bd390bd855f086e3e9d525b46bfe24511431532")"},
            {R"({"text":"abc","algorithm":"sha512"})",
             "\"ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
             "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f\""},
            {R"({"text":"abc","algorithm":"blake2b512"})",
             "\"ba80a53f981c4d0d6a2797b69f12f6e94c212f14685ac4b74b12bb6fdbffa2d1"
             "7d87c5392aab792dc252d5de4533cc9518d38aa8dbf1925ab92386edd4009923\""},
            {R"({"te\u0078t":"abc","algorithm":"md5"})", R"("900150983cd24fb0d6963f7d28e17f72")"},
        });
}

TEST_CASE("every algorithm that hash names can be computed") {
    const auto refused = run("hash", R"({"text":"","algorithm":"crc32"})");
    REQUIRE_FALSE(refused);
    const std::string_view message = refused.error().message;
    const std::string_view known = message.substr(message.find("known are ") + 10);
    std::size_t count = 0;
    for (std::size_t at = 0; at != std::string_view::npos; ++count) {
        const std::size_t comma = known.find(", ", at);
        const std::string name{
            known.substr(at, comma == std::string_view::npos ? comma : comma - at)};
        CAPTURE(name);
        CHECK(run("hash", R"({"text":"x","algorithm":")" + name + "\"}").has_value());
        at = comma == std::string_view::npos ? comma : comma + 2;
    }
    CHECK(count >= 6);
}

TEST_CASE("what is no text is refused by name") {
    for (const char* type : {"reverse", "upper"})
        check_refused(type, {
                                {"", "expected a string or an array of strings, got nothing"},
                                {" \n", "got nothing"},
                                {"5", "got a number"},
                                {"true", "got a boolean"},
                                {"null", "got null"},
                                {R"({"text":"a"})", "got an object"},
                                {R"(["a",5])", "expected a string at index 1, got a number"},
                                {R"([["a"]])", "expected a string at index 0, got an array"},
                            });
    check_refused(
        "hash",
        {
            {"5", "expected a string, an array of strings or an object with text and algorithm"},
            {R"([1])", "expected a string at index 0"},
            {R"({})", "text is missing"},
            {R"({"algorithm":"md5"})", "text is missing"},
            {R"({"text":5})", "expected a string as text, got a number"},
            {R"({"text":["a"]})", "expected a string as text, got an array"},
            {R"({"text":"a","salt":"b"})", R"(unknown field "salt")"},
            {R"({"text":"a","algorithm":null})", "expected a string as algorithm, got null"},
            {R"({"text":"a","algorithm":"SHA256"})",
             R"(unknown algorithm "SHA256"; known are sha256)"},
            {R"({"text":"a","text":"b"})", R"(the key "text" stands twice)"},
        });
}

TEST_CASE("what is not JSON is refused, also where a lazy parser would not look") {
    check_refused("reverse", {
                                 {R"("a" "b")", "not valid JSON"},
                                 {R"("a","b")", "more than one value"},
                                 {R"("a"])", "not valid JSON"},
                                 {R"("a"],["b")", "not valid JSON"},
                                 {R"(])", "not valid JSON"},
                                 {R"([)", "not valid JSON"},
                                 {R"(["a")", "not valid JSON"},
                                 {R"(["a",])", "not valid JSON"},
                                 {R"([,"a"])", "not valid JSON"},
                                 {R"(["a" "b"])", "not valid JSON"},
                                 {R"(["a"}])", "not valid JSON"},
                                 {R"("a)", "not valid JSON"},
                                 {R"("\x")", "not valid JSON"},
                                 {R"("\u12")", "not valid JSON"},
                                 {"\"a\nb\"", "not valid JSON"},
                                 {"'a'", "not valid JSON"},
                                 {"a", "not valid JSON"},
                                 {"nul", "not valid JSON"},
                                 {"truely", "not valid JSON"},
                                 {"01", "not valid JSON"},
                                 {"1.", "not valid JSON"},
                                 {"-", "not valid JSON"},
                                 {"NaN", "not valid JSON"},
                                 {"\"\xff\"", "not valid JSON"},
                                 {"\"\xed\xa0\x80\"", "not valid JSON"},
                                 {"\xef\xbb\xbf\"a\"", "not valid JSON"},
                             });
    check_refused("hash", {
                              {R"({"text":"a",})", "not valid JSON"},
                              {R"({"text" "a"})", "not valid JSON"},
                              {R"({"text":"a")", "not valid JSON"},
                              {R"({"text":"a"} x)", "not valid JSON"},
                              {R"({text:"a"})", "not valid JSON"},
                              {R"({"te\xt":"a"})", "not valid JSON"},
                          });
}

TEST_CASE("half a character is refused clearly") {
    check_refused("upper", {
                               {R"("\ud83d")", "half a character"},
                               {R"("\ude00")", "half a character"},
                               {R"("\ud83d\u0041")", "half a character"},
                               {R"("\ud83dA")", "half a character"},
                               {R"("\ud83d\ud83d\ude00")", "half a character"},
                               {R"("\ude00\ud83d")", "half a character"},
                               {R"(["a","\udfff"])", "half a character"},
                           });
    check_refused("hash", {{R"({"\ud800":"a"})", "half a character"}});
    check_all("upper",
              {{R"("\\ud83d")", R"("\\UD83D")"}, {R"("\\\\\ud83d\ude00")", R"("\\\\😀")"}});
}

TEST_CASE("deep nesting costs no stack") {
    const std::string deep = std::string(500'000, '[') + std::string(500'000, ']');
    for (const WorkType& type : work_table()) {
        CAPTURE(type.name);
        const auto outcome = run_work(type, deep);
        REQUIRE_FALSE(outcome);
        CHECK(outcome.error().code == "bad_payload");
    }
}

TEST_CASE("a payload or a result beyond a mebibyte is refused by name") {
    const auto text_of_size = [](std::size_t bytes, std::string_view part) {
        std::string json = "\"";
        while (json.size() + part.size() + 1 <= bytes)
            json.append(part);
        return json.append("\"");
    };
    const std::string largest = text_of_size(limits::task_bytes_max, "x");
    REQUIRE(largest.size() == limits::task_bytes_max);
    CHECK(run("reverse", largest)->result_json == largest);
    CHECK(run("hash", largest).has_value());
    const std::string wide = text_of_size(limits::task_bytes_max, "é👍🏽");
    CHECK(run("reverse", wide)->result_json.size() == wide.size());

    const auto too_large = run("reverse", text_of_size(limits::task_bytes_max + 1, "x"));
    REQUIRE_FALSE(too_large);
    CHECK(too_large.error().code == "task_too_large");
    const auto grown = run("upper", text_of_size(limits::task_bytes_max, "ΐ"));
    REQUIRE_FALSE(grown);
    CHECK(grown.error() == TaskError{"task_too_large", "the result is larger than 1 MiB", true});
}

TEST_CASE("long texts in messages are cut between characters") {
    const std::string name = "a" + std::string(40, 'b');
    check_refused("hash", {{R"({"text":"a","aéééééééééééééééééééééééééééééé":"b"})",
                            "\"aééééééééééééééééééé…\""}});
    const auto outcome = run("hash", R"({"text":"a","algorithm":")" + name + "\"}");
    REQUIRE_FALSE(outcome);
    CHECK_THAT(outcome.error().message, Catch::Contains("\"a" + std::string(39, 'b') + "…\""));
}

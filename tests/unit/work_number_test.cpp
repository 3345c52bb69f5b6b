// sum and wait: exact decimals, bounds, and what is refused.
#include "catch.hpp"
#include "taskd/work/work.hpp"
#include "work/decimal.hpp"

using namespace taskd;
using namespace taskd::work;
using namespace std::chrono_literals;

namespace {

std::expected<Outcome, TaskError> run(std::string_view type, std::string_view payload) {
    const WorkType* found = find_work(work_table(), type);
    REQUIRE(found != nullptr);
    return run_work(*found, payload);
}

struct Refused {
    const char* payload;
    const char* code;
    const char* said;  // part of the message
};

void check_refused(std::string_view type, std::initializer_list<Refused> cases) {
    for (const Refused& each : cases) {
        CAPTURE(type, each.payload);
        const auto outcome = run(type, each.payload);
        REQUIRE_FALSE(outcome);
        CHECK(outcome.error().code == each.code);
        CHECK(outcome.error().permanent);
        CHECK_THAT(outcome.error().message, Catch::Contains(each.said));
    }
}

constexpr const char* bad = "bad_payload";
constexpr const char* beyond = "out_of_range";

}  // namespace

TEST_CASE("sum is exact") {
    struct Case {
        const char* payload;
        const char* result;
    };
    for (const Case& each : std::initializer_list<Case>{
             {"[]", "0"},
             {"[1,2,3]", "6"},
             {"6", "6"},
             {"-0", "0"},
             {"[-0.0]", "0"},
             {"[1.50,0.5]", "2"},
             {"[0.1,0.2]", "0.3"},
             {"[0.1,0.1,0.1,0.1,0.1,0.1,0.1,0.1,0.1,0.1]", "1"},
             {"[1e3,2.5E-3]", "1000.0025"},
             {"[1E+2]", "100"},
             {"[-0.5]", "-0.5"},
             {"[-0.5,0.25]", "-0.25"},
             {"[-1,0.25]", "-0.75"},
             {"[-1.75,-0.25]", "-2"},
             {"[0.5,-0.5]", "0"},
             {R"("1, 2,3")", "6"},
             {R"("1")", "1"},
             {R"(" 1.5 , -2.5 ")", "-1"},
             {R"(["1"," 2 ",3])", "6"},
             {R"(["+5","007",".5","5."])", "17.5"},
             {"[ 1 , 2 ]", "3"},
             {"0e99999999999999999999", "0"},
             {"0.000000e-99999999999999999999", "0"},
             {"170141183460469231731687303715884105727", "170141183460469231731687303715884105727"},
             {"-170141183460469231731687303715884105728",
              "-170141183460469231731687303715884105728"},
             {"[170141183460469231731687303715884105727,1,-1]",
              "170141183460469231731687303715884105727"},
             {"[-170141183460469231731687303715884105728,-1,1]",
              "-170141183460469231731687303715884105728"},
             {"[170141183460469231731687303715884105727,-170141183460469231731687303715884105728]",
              "-1"},
             {"[170141183460469231731687303715884105727,0.5,-0.5]",
              "170141183460469231731687303715884105727"},
             {"[1e38,0.1,-1e38]", "0.1"},
             {"0.000000000000000000000000000001", "0.000000000000000000000000000001"},
             {"[1e-30,0.999999999999999999999999999999]", "1"},
             {"-123456789012345678901234567890.123456789012345678901234567891",
              "-123456789012345678901234567890.123456789012345678901234567891"},
             {"1.0000000000000000000000000000000000000000", "1"},
             {"0.00000000000000000000000000000000000000001e41", "1"},
             {"[9007199254740993,0.1]", "9007199254740993.1"},
             {"[1.7e2,12e-1]", "171.2"}}) {
        CAPTURE(each.payload);
        const auto outcome = run("sum", each.payload);
        if (!outcome) FAIL(outcome.error().message);
        CHECK(outcome->result_json == each.result);
    }
}

TEST_CASE("sum says clearly what it cannot add") {
    check_refused(
        "sum",
        {
            {"", bad, "got nothing"},
            {"null", bad, "got null"},
            {"true", bad, "got a boolean"},
            {R"({"a":1})", bad, "got an object"},
            {R"("")", bad, "expected a number at index 0, got a blank"},
            {R"("   ")", bad, "expected a number at index 0, got a blank"},
            {R"("1,2,")", bad, "expected a number at index 2, got a blank"},
            {R"(",1")", bad, "expected a number at index 0, got a blank"},
            {R"("1,,2")", bad, "expected a number at index 1, got a blank"},
            {R"("1 2")", bad, R"(expected a number at index 0, got "1 2")"},
            {R"("1;2")", bad, "index 0"},
            {R"("0x10")", bad, "index 0"},
            {R"("1_000")", bad, "index 0"},
            {R"("١")", bad, "index 0"},
            {R"("Infinity")", bad, "index 0"},
            {R"("NaN")", bad, "index 0"},
            {R"(".")", bad, "index 0"},
            {R"("-")", bad, "index 0"},
            {R"("+-1")", bad, "index 0"},
            {R"("1e")", bad, "index 0"},
            {R"("1e+")", bad, "index 0"},
            {R"("1.2.3")", bad, "index 0"},
            {R"("e5")", bad, "index 0"},
            {R"("1\u00002")", bad, R"(got "1\u00002")"},
            {R"([1,"two",3])", bad, R"(expected a number at index 1, got "two")"},
            {R"([1,2,null])", bad, "expected a number at index 2, got null"},
            {R"([1,[2]])", bad, "expected a number at index 1, got an array"},
            {R"([1,"2,3"])", bad, "index 1"},
            {"[1,]", bad, "not valid JSON"},
            {"[1 2]", bad, "not valid JSON"},
            {"[01]", bad, "not valid JSON"},
            {"[1.]", bad, "not valid JSON"},
            {"[+1]", bad, "not valid JSON"},
            {"[1e]", bad, "not valid JSON"},
            {"[1", bad, "not valid JSON"},
            {"1 2", bad, "not valid JSON"},
            {"1,2", bad, "more than one value"},
            {"[1,2]]", bad, "not valid JSON"},
            {"170141183460469231731687303715884105728", beyond, "index 0"},
            {"-170141183460469231731687303715884105729", beyond, "index 0"},
            {"170141183460469231731687303715884105727.5", beyond, "index 0"},
            {"-170141183460469231731687303715884105728.5", beyond, "index 0"},
            {"340282366920938463463374607431768211456", beyond, "index 0"},
            {"999999999999999999999999999999999999999", beyond, "index 0"},
            {"[1,1e39]", beyond, "index 1"},
            {"1e99999999999999999999", beyond, "index 0"},
            {"1e-99999999999999999999", beyond, "index 0"},
            {"1e-31", beyond, "30 digits behind the point"},
            {"[170141183460469231731687303715884105727,1]", beyond, "the sum is out of range"},
            {"[-170141183460469231731687303715884105728,-1]", beyond, "the sum is out of range"},
            {"[170141183460469231731687303715884105727,0.1]", beyond, "the sum is out of range"},
            {"[-170141183460469231731687303715884105728,-0.1]", beyond, "the sum is out of range"},
        });
}

TEST_CASE("sum takes a mebibyte of numbers and of digits") {
    std::string many = "[0.1";
    for (int i = 1; i < 200'000; ++i)
        many.append(",0.1");
    CHECK(run("sum", many + "]")->result_json == "20000");

    const std::string zeros(1'000'000, '0');
    CHECK(run("sum", "1" + zeros + "e-1000000")->result_json == "1");
    CHECK(run("sum", "0." + zeros + "1e1000001")->result_json == "1");
    const auto outcome = run("sum", "1" + zeros);
    REQUIRE_FALSE(outcome);
    CHECK(outcome.error().code == beyond);
    CHECK(outcome.error().message.size() < 300);

    std::string largest = "[";
    for (int i = 0; i < 10'000; ++i)
        largest.append("170141183460469231731687303715884105727,");
    for (int i = 0; i < 10'000; ++i)
        largest.append("-170141183460469231731687303715884105727,");
    CHECK(run("sum", largest + "7]")->result_json == "7");
}

TEST_CASE("decimals read back as printed") {
    for (const char* text :
         {"0", "-1", "0.5", "-0.5", "-0.000000000000000000000000000001", "99.99",
          "-170141183460469231731687303715884105727.999999999999999999999999999999"}) {
        CAPTURE(text);
        const auto decimal = parse_decimal(text);
        REQUIRE(decimal);
        CHECK(to_text(*decimal) == text);
    }
    CHECK(parse_decimal(" 1").error() == DecimalFault::not_a_number);
    CHECK(parse_decimal("").error() == DecimalFault::not_a_number);
}

TEST_CASE("the order of a sum does not matter") {
    const char* parts[] = {
        "170141183460469231731687303715884105727", "0.75", "-0.5", "-1e38", "-0.25", "3",
        "-170141183460469231731687303715884105728"};
    const std::size_t count = std::size(parts);
    for (std::size_t first = 0; first < count; ++first) {
        DecimalSum sum;
        for (std::size_t i = 0; i < count; ++i)
            sum.add(*parse_decimal(parts[(first + i) % count]));
        REQUIRE(sum.total());
        CHECK(to_text(*sum.total()) == "-99999999999999999999999999999999999998");
    }
}

TEST_CASE("wait tells its worker how long to sleep") {
    struct Case {
        const char* payload;
        Duration sleep;
        const char* result;
    };
    for (const Case& each :
         std::initializer_list<Case>{{"0", 0s, R"("Waited for 0 seconds")"},
                                     {"-0", 0s, R"("Waited for -0 seconds")"},
                                     {"3", 3s, R"("Waited for 3 seconds")"},
                                     {"1.50", 1500ms, R"("Waited for 1.50 seconds")"},
                                     {"2e-3", 2ms, R"("Waited for 2e-3 seconds")"},
                                     {"0.0000001", 1us, R"("Waited for 0.0000001 seconds")"},
                                     {"86400", 24h, R"("Waited for 86400 seconds")"},
                                     {R"("0.25")", 250ms, R"("Waited for 0.25 seconds")"},
                                     {R"({"seconds":2})", 2s, R"("Waited for 2 seconds")"},
                                     {R"({"seconds":"2"})", 2s, R"("Waited for 2 seconds")"}}) {
        CAPTURE(each.payload);
        const auto outcome = run("wait", each.payload);
        if (!outcome) FAIL(outcome.error().message);
        CHECK(outcome->sleep_first == each.sleep);
        CHECK(outcome->result_json == each.result);
    }
    check_refused("wait", {
                              {"", bad, "expected a number of seconds, got nothing"},
                              {"null", bad, "got null"},
                              {"[1]", bad, "got an array"},
                              {R"("soon")", bad, R"(got "soon")"},
                              {R"("")", bad, "expected a number of seconds"},
                              {R"("1s")", bad, "expected a number of seconds"},
                              {"{}", bad, "the field seconds alone"},
                              {R"({"seconds":1,"minutes":1})", bad, "the field seconds alone"},
                              {R"({"minutes":1})", bad, "the field seconds alone"},
                              {R"({"seconds":null})", bad, "got null"},
                              {"-1", beyond, "0 to 86400"},
                              {"-0.000001", beyond, "0 to 86400"},
                              {"86400.000001", beyond, "0 to 86400"},
                              {"86401", beyond, "0 to 86400"},
                              {"1e300", beyond, "0 to 86400"},
                              {"1e-300", beyond, "0 to 86400"},
                          });
}

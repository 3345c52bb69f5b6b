// Values into Lua and out again: nothing changes on the way, and what has no form there is named.
#include <fmt/format.h>

#include "catch.hpp"
#include "taskd/base/random.hpp"
#include "taskd/io/clock.hpp"
#include "taskd/lua/machine.hpp"
#include "taskd/protocol/value_json.hpp"

using namespace taskd;
using Catch::Matchers::Contains;

namespace {

// A program that hands back what it is given, or what an expression says.
class Echo {
  public:
    explicit Echo(const std::string& expression = "...") {
        const auto program =
            lua::Program::compile("echo", "return function(...) return " + expression + " end");
        REQUIRE(program);
        auto made = lua::Machine::make({.program = *program, .clock = clock_.get()});
        REQUIRE(made);
        machine_ = std::move(*made);
    }
    Result<Value> operator()(std::vector<Value> arguments = {}) {
        lua::Turn turn = machine_->call("", arguments);
        if (turn.standing == lua::Standing::failed) return std::unexpected{turn.error};
        REQUIRE(turn.standing == lua::Standing::done);
        REQUIRE(turn.values.size() == 1);
        return turn.values[0];
    }

  private:
    std::unique_ptr<port::Clock> clock_ = io::make_system_clock();
    std::unique_ptr<lua::Machine> machine_;
};

Value json(const std::string& text) {
    const auto value = protocol::read_json_value(text);
    INFO(text);
    REQUIRE(value);
    return *value;
}

std::string through(const std::string& text) {
    const auto value = Echo{}({json(text)});
    INFO(text);
    REQUIRE(value);
    return protocol::write_json_value(*value);
}

Error refused(const std::string& expression) {
    const auto value = Echo{expression}();
    INFO(expression);
    REQUIRE_FALSE(value);
    return value.error();
}

Value random_value(Random& random, int depth) {
    static const std::vector<std::string> texts{
        "", "a", "straße", "👋", std::string("\0x", 2), "\n\"\\", "null"};
    static const std::vector<std::string> numbers{
        "0", "-1", "9223372036854775807", "-9223372036854775808", "0.1", "1e+300", "-2.5", "1e-07"};
    Value value;
    switch (random.below(depth > 0 ? 6 : 4)) {
        case 0:
            return value;
        case 1:
            return Value::of_boolean(random.chance(1, 2));
        case 2:
            return Value::of_number(numbers[random.below(numbers.size())]);
        case 3:
            return Value::of_text(texts[random.below(texts.size())]);
        case 4:
            value.kind = ValueKind::list;
            for (std::size_t count = random.below(4); count > 0; --count)
                value.items.push_back(random_value(random, depth - 1));
            return value;
        default:
            value.kind = ValueKind::map;
            for (std::size_t count = random.below(4), at = 0; at < count; ++at)
                value.fields.push_back({fmt::format("f{}", at), random_value(random, depth - 1)});
            return value;
    }
}

}  // namespace

TEST_CASE("whatever JSON holds comes out of Lua as it went in") {
    for (const char* text :
         {"null", "true", "0", "-7", "1.5", "9223372036854775807", "\"\"", "[]", "{}", "[[],{}]",
          "[null,1,null]", "{\"a\":{\"b\":[1,2,{\"c\":null}]}}", "\"\\u0000\""})
        CHECK(through(text) == text);
    CHECK(through("1E2") == "100");
    CHECK(through("9223372036854775808") == "9.223372036854776e+18");  // the same number
    CHECK(through("{\"b\":1,\"a\":2}") == "{\"a\":2,\"b\":1}");  // Lua has no order of its own
    Random random{7};
    Echo echo;
    for (int round = 0; round < 3'000; ++round) {
        const Value value = random_value(random, 5);
        const auto back = echo({value});
        INFO(protocol::write_json_value(value));
        REQUIRE(back);
        REQUIRE(protocol::write_json_value(*back) == protocol::write_json_value(value));
    }
}

TEST_CASE("numbers that Lua cannot hold are refused, and do not lose digits") {
    for (const char* text : {"1e400", "12345678901234567890123", "9223372036854775809"}) {
        const auto value = Echo{}({json(text)});
        INFO(text);
        REQUIRE_FALSE(value);
        CHECK(value.error().code == ErrorCode::not_convertible);
        CHECK_THAT(value.error().detail, Contains(text));
    }
}

TEST_CASE("what has no form outside Lua is named with its place") {
    CHECK_THAT(refused("{a = {b = print}}").detail, Contains("a function at .a.b"));
    CHECK_THAT(refused("{1, 2, nil, 4, x = 1}").detail, Contains("neither list nor map"));
    CHECK_THAT(refused("{[1] = 1, [3] = 3}").detail, Contains("neither list nor map"));
    CHECK_THAT(refused("{[true] = 1}").detail, Contains("a boolean as the name"));
    CHECK_THAT(refused("{[1.5] = 1}").detail, Contains("a number as the name"));
    CHECK_THAT(refused("{x = 0/0}").detail, Contains("nan"));
    CHECK_THAT(refused("1/0").detail, Contains("inf"));
    CHECK_THAT(refused("'\\xff'").detail, Contains("not UTF-8"));
    CHECK_THAT(refused("coroutine.create(print)").detail, Contains("a thread"));
    CHECK_THAT(refused("(function() local t = {} t.t = t return t end)()").detail,
               Contains("within itself"));
    CHECK_THAT(
        refused("(function() local t = {} for i = 1, 60 do t = {t, t} end return t end)()").detail,
        Contains("this large"));
    for (const char* each : {"{a = print}", "1/0", "'\\xff'"})
        CHECK(refused(each).code == ErrorCode::not_convertible);
}

TEST_CASE("null and empty lists have words of their own") {
    CHECK(protocol::write_json_value(*Echo{"{a = null, b = list{}, c = {}}"}()) ==
          R"({"a":null,"b":[],"c":{}})");
    CHECK(protocol::write_json_value(*Echo{"select('#', ...) == 1 and ... == null"}({Value{}})) ==
          "true");
    // No metamethod runs when a value is read.
    CHECK(protocol::write_json_value(*Echo{
              "setmetatable({1}, {__index = error, __len = error, __pairs = error})"}()) == "[1]");
}

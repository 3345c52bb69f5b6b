// What every Log promises, and what the real one makes of hostile values.
#include <unistd.h>

#include <regex>
#include <thread>

#include "catch.hpp"
#include "memory_log.hpp"
#include "taskd/io/log.hpp"
#include "taskd/protocol/json.hpp"

using namespace taskd;
using namespace taskd::test;

namespace {

// The real log into a pipe, read back as lines.
struct RealLog {
    explicit RealLog(port::LogLevel level, io::LogFormat format = io::LogFormat::automatic) {
        REQUIRE(pipe(pipe_) == 0);
        log_ = io::make_log({.level = level,
                             .role = "dispatcher",
                             .instance = "d-1",
                             .format = format,
                             .descriptor = pipe_[1]})
                   .value();
    }
    ~RealLog() {
        close(pipe_[0]);
        if (pipe_[1] >= 0) close(pipe_[1]);
    }
    port::Log& log() { return *log_; }
    io::ProcessLog& process_log() { return *log_; }
    std::size_t records() { return lines().size(); }
    bool mentions(std::string_view part) { return text().find(part) != std::string::npos; }
    const std::string& text() {
        if (pipe_[1] >= 0) close(std::exchange(pipe_[1], -1));
        char buffer[65536];
        for (ssize_t size; (size = read(pipe_[0], buffer, sizeof buffer)) > 0;)
            text_.append(buffer, static_cast<std::size_t>(size));
        return text_;
    }
    std::vector<std::string> lines() {
        std::vector<std::string> all;
        std::string_view rest = text();
        for (auto end = rest.find('\n'); end != rest.npos; end = rest.find('\n')) {
            all.emplace_back(rest.substr(0, end));
            rest.remove_prefix(end + 1);
        }
        CHECK(rest.empty());
        return all;
    }

  private:
    int pipe_[2];
    std::unique_ptr<io::ProcessLog> log_;
    std::string text_;
};

struct TwinLog {
    explicit TwinLog(port::LogLevel level) : memory{level} {}
    port::Log& log() { return memory; }
    std::size_t records() const { return memory.entries.size(); }
    bool mentions(std::string_view part) const {
        for (const auto& entry : memory.entries) {
            if (entry.message.find(part) != std::string::npos) return true;
            for (const auto& [name, value] : entry.fields)
                if (value.find(part) != std::string::npos) return true;
        }
        return false;
    }
    MemoryLog memory;
};

}  // namespace

TEMPLATE_TEST_CASE("a log keeps what is at or above its level", "[log]", RealLog, TwinLog) {
    TestType world{port::LogLevel::info};
    world.log().debug("too quiet");
    world.log().info("first", {{"path", "/a"}});
    world.log().warn("second");
    world.log().error("third", {{"why", "no reason"}, {"count", "3"}});
    CHECK(world.records() == 3);
    CHECK_FALSE(world.mentions("too quiet"));
    CHECK(world.mentions("first"));
    CHECK(world.mentions("/a"));
    CHECK(world.mentions("no reason"));
}

TEST_CASE("a logfmt line has time, level, role and instance first", "[log]") {
    RealLog world{port::LogLevel::trace};
    world.log().info("task taken", {{"id", "7"}, {"type", "a b"}, {"empty", ""}});
    const std::regex expected{
        R"(ts=\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z level=info role=dispatcher instance=d-1 )"
        R"rx(msg="task taken" id=7 type="a b" empty="")rx"};
    CHECK(std::regex_match(world.lines().at(0), expected));
}

TEST_CASE("a line for people reads from left to right", "[log]") {
    RealLog world{port::LogLevel::trace, io::LogFormat::text};
    world.log().warn("slow disk", {{"ms", "250"}});
    const std::regex expected{
        R"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z WARN  dispatcher d-1: slow disk ms=250)"};
    CHECK(std::regex_match(world.lines().at(0), expected));
}

TEST_CASE("no value forges a line or steers a terminal", "[log]") {
    for (const auto format : {io::LogFormat::text, io::LogFormat::logfmt}) {
        RealLog world{port::LogLevel::trace, format};
        world.log().info("a\nts=1 level=error msg=forged",
                         {{"value",
                           "b\r\n\x1b[31mred\x7f\t\"quoted\" \\ \xc2\x9b"
                           "0m \xe2\x82\xac"}});
        const auto lines = world.lines();
        REQUIRE(lines.size() == 1);
        for (const char c : lines[0])
            CHECK(static_cast<unsigned char>(c) >= 0x20);
        CHECK(world.mentions(R"(a\nts=1 level=error msg=forged)"));
        CHECK(world.mentions(R"("b\r\n\x1b[31mred\x7f\t\"quoted\" \\ \u009b0m )"));
        CHECK(world.mentions("\xe2\x82\xac"));
    }
}

TEST_CASE("lines of several threads do not mix", "[log]") {
    RealLog world{port::LogLevel::trace};
    {
        std::vector<std::jthread> threads;
        for (int i = 0; i < 4; ++i)
            threads.emplace_back([&world] {
                for (int n = 0; n < 100; ++n)
                    world.log().info("hello", {{"n", std::to_string(n)}});
            });
    }
    const auto lines = world.lines();
    CHECK(lines.size() == 400);
    for (const auto& line : lines)
        CHECK(line.starts_with("ts="));
}

TEST_CASE("a JSON line is one JSON object, whatever it holds", "[log]") {
    RealLog world{port::LogLevel::trace, io::LogFormat::json};
    world.log().info("task \"taken\"\n", {{"task_id", "7"}, {"bad", "\xff\xc2\x9b \x1b[0m"}});
    world.log().info("c1", {{"value", "\xc2\x9b\xe2\x82\xac\x7f"}});
    const auto lines = world.lines();
    REQUIRE(lines.size() == 2);
    for (const auto& line : lines)
        CHECK(protocol::check_json(line));
    CHECK(std::regex_match(
        lines[0],
        std::regex{R"(\{"ts":"[0-9T:.-]+Z","level":"info","role":"dispatcher","instance":"d-1",)"
                   R"rx("msg":"task \\"taken\\"\\u000a","task_id":"7",.*)rx"}));
    CHECK_THAT(lines[1], Catch::Matchers::Contains("\\u009b\xe2\x82\xac\\u007f"));
}

TEST_CASE("what a log keeps can be asked and changed", "[log]") {
    RealLog world{port::LogLevel::warn};
    CHECK_FALSE(world.log().takes(port::LogLevel::info));
    world.log().info("not kept");
    world.process_log().set_level(port::LogLevel::debug);
    CHECK(world.log().takes(port::LogLevel::debug));
    world.log().debug("kept");
    world.process_log().set_format(io::LogFormat::json);
    world.log().info("as JSON");
    const auto lines = world.lines();
    REQUIRE(lines.size() == 2);
    CHECK(lines[0].starts_with("ts="));
    CHECK(lines[1].starts_with("{\"ts\":"));
}

TEST_CASE("levels have names", "[log]") {
    for (const char* name : {"trace", "debug", "info", "warn", "error"})
        CHECK(io::to_text(io::parse_log_level(name).value()) == name);
    CHECK_FALSE(io::parse_log_level("loud"));
}

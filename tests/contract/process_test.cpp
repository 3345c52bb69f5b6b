// What every ProcessRunner promises.
#include <csignal>
#include <optional>

#include "catch.hpp"
#include "contract_worlds.hpp"
#include "sim_processes.hpp"
#include "taskd/base/limits.hpp"
#include "taskd/io/processes.hpp"

using namespace taskd;
using namespace taskd::test;
using namespace std::chrono_literals;
using port::ProcessEnd;
using port::ProcessStream;

namespace {

port::ProcessSpec with_side(port::ProcessSpec spec) {
    spec.has_side = true;
    return spec;
}

// Each world has the same few programs: the real ones are shell scripts.
struct RealProcesses : RealWorld {
    io::ProcessRunner real_runner{loop};
    port::ProcessRunner& runner() { return real_runner; }

    static port::ProcessSpec shell(std::string script) {
        return {.argv = {"/bin/sh", "-c", std::move(script)}, .env = {{"GREETING", "hello"}}};
    }
    port::ProcessSpec speaks_and_exits_3() {
        return shell("echo $GREETING; echo oops >&2; printf unfinished; exit 3");
    }
    port::ProcessSpec prints_one_long_line() {
        return shell("head -c 40000 /dev/zero | tr '\\0' x; echo");
    }
    port::ProcessSpec waits() { return shell("echo up; exec sleep 1000"); }
    port::ProcessSpec refuses_to_end() {
        return shell("trap '' TERM; echo up; while :; do sleep 1; done");
    }
    port::ProcessSpec takes_hangups() {
        return shell("trap 'echo heard; exit 0' HUP; echo up; while :; do sleep 0.05; done");
    }
    port::ProcessSpec missing() { return {.argv = {"/no/such/program"}, .env = {}}; }
    port::ProcessSpec speaks_aside() {
        return with_side(shell("echo up; echo beside >&3; printf more >&3; [ -e /dev/fd/4 ]"));
    }
};

struct TwinProcesses : TwinWorld {
    SimProcessRunner twin{host};
    port::ProcessRunner& runner() { return twin; }

    TwinProcesses() {
        using Program = std::shared_ptr<SimProgram>;
        twin.install("/speak", [](const Program& self) {
            self->print(ProcessStream::out, self->spec().env.at(0).second);
            self->print(ProcessStream::err, "oops");
            self->print(ProcessStream::out, "unfinished");
            self->exit(3);
        });
        twin.install("/long", [](const Program& self) {
            self->print(ProcessStream::out, std::string(40'000, 'x'));
            self->exit(0);
        });
        twin.install("/wait", [](const Program& self) { self->print(ProcessStream::out, "up"); });
        twin.install("/refuse", [](const Program& self) {
            self->on_terminate([] {});
            self->print(ProcessStream::out, "up");
        });
        twin.install("/aside", [](const Program& self) {
            self->print(ProcessStream::out, "up");
            self->print(ProcessStream::side, "beside");
            self->print(ProcessStream::side, "more");
            self->exit(1);
        });
        twin.install("/hangup", [](const Program& self) {
            self->on_signal(SIGHUP, [it = self.get()] {
                it->print(ProcessStream::out, "heard");
                it->exit(0);
            });
            self->print(ProcessStream::out, "up");
        });
    }
    static port::ProcessSpec spec(std::string path) {
        return {.argv = {std::move(path)}, .env = {{"GREETING", "hello"}}};
    }
    port::ProcessSpec speaks_and_exits_3() { return spec("/speak"); }
    port::ProcessSpec prints_one_long_line() { return spec("/long"); }
    port::ProcessSpec waits() { return spec("/wait"); }
    port::ProcessSpec refuses_to_end() { return spec("/refuse"); }
    port::ProcessSpec takes_hangups() { return spec("/hangup"); }
    port::ProcessSpec missing() { return spec("/missing"); }
    port::ProcessSpec speaks_aside() { return with_side(spec("/aside")); }
};

struct Watched {
    std::vector<std::string> out;
    std::vector<std::string> err;
    std::vector<std::string> side;
    std::optional<ProcessEnd> end;
    std::unique_ptr<port::Process> process;

    template <class World>
    void spawn(World& world, const port::ProcessSpec& spec) {
        process = world.runner()
                      .spawn(spec, {.line =
                                        [this](ProcessStream stream, std::string_view line) {
                                            CHECK_FALSE(end.has_value());
                                            (stream == ProcessStream::out   ? out
                                             : stream == ProcessStream::err ? err
                                                                            : side)
                                                .emplace_back(line);
                                        },
                                    .ended =
                                        [this](ProcessEnd how) {
                                            CHECK_FALSE(end.has_value());
                                            end = how;
                                        }})
                      .value();
        CHECK(out.empty());
        CHECK_FALSE(end.has_value());
    }
};

}  // namespace

TEMPLATE_TEST_CASE("a child may speak on a third stream", "[process]", RealProcesses,
                   TwinProcesses) {
    for (const bool guarded : {false, true}) {
        TestType world;
        Watched child;
        auto spec = world.speaks_aside();
        spec.guarded = guarded;
        child.spawn(world, spec);
        REQUIRE(world.run_until([&] { return child.end.has_value(); }));
        CHECK(child.out == std::vector<std::string>{"up"});
        CHECK(child.side == std::vector<std::string>{"beside", "more"});
        CHECK(child.end == ProcessEnd{.status = 1});  // nothing else is open in it
    }
}

TEMPLATE_TEST_CASE("a child's lines come apart by stream, then its status, once", "[process]",
                   RealProcesses, TwinProcesses) {
    TestType world;
    Watched child;
    child.spawn(world, world.speaks_and_exits_3());
    CHECK(child.process->pid() > 0);
    REQUIRE(world.run_until([&] { return child.end.has_value(); }));
    CHECK(child.end == ProcessEnd{.status = 3});
    CHECK(child.out == std::vector<std::string>{"hello", "unfinished"});
    CHECK(child.err == std::vector<std::string>{"oops"});
    child.process->terminate();  // harmless now
    child.process->kill();
}

TEMPLATE_TEST_CASE("a line beyond the limit comes in pieces", "[process]", RealProcesses,
                   TwinProcesses) {
    TestType world;
    Watched child;
    child.spawn(world, world.prints_one_long_line());
    REQUIRE(world.run_until([&] { return child.end.has_value(); }));
    REQUIRE(child.out.size() == 3);
    CHECK(child.out[0].size() == limits::process_line_bytes_max);
    CHECK(child.out[0].size() + child.out[1].size() + child.out[2].size() == 40'000);
}

TEMPLATE_TEST_CASE("terminate asks, kill does not", "[process]", RealProcesses, TwinProcesses) {
    TestType world;
    Watched polite;
    Watched stubborn;
    polite.spawn(world, world.waits());
    stubborn.spawn(world, world.refuses_to_end());
    REQUIRE(world.run_until([&] { return polite.out.size() + stubborn.out.size() == 2; }));
    polite.process->terminate();
    stubborn.process->terminate();
    REQUIRE(world.run_until([&] { return polite.end.has_value(); }));
    CHECK(polite.end == ProcessEnd{.signal = SIGTERM});
    CHECK_FALSE(stubborn.end.has_value());
    stubborn.process->kill();
    REQUIRE(world.run_until([&] { return stubborn.end.has_value(); }));
    CHECK(stubborn.end == ProcessEnd{.signal = SIGKILL});
}

TEMPLATE_TEST_CASE("a signal reaches the child, which may take it or die of it", "[process]",
                   RealProcesses, TwinProcesses) {
    TestType world;
    Watched listens;
    Watched deaf;
    listens.spawn(world, world.takes_hangups());
    deaf.spawn(world, world.waits());
    REQUIRE(world.run_until([&] { return listens.out.size() + deaf.out.size() == 2; }));
    listens.process->signal(SIGHUP);
    deaf.process->signal(SIGHUP);
    REQUIRE(world.run_until([&] { return listens.end && deaf.end; }));
    CHECK(listens.out == std::vector<std::string>{"up", "heard"});
    CHECK(listens.end == ProcessEnd{.status = 0});
    CHECK(deaf.end == ProcessEnd{.signal = SIGHUP});
}

TEMPLATE_TEST_CASE("a program that is missing is named", "[process]", RealProcesses,
                   TwinProcesses) {
    TestType world;
    const auto spec = world.missing();
    const auto result = world.runner().spawn(spec, {});
    REQUIRE_FALSE(result.has_value());
    CHECK(result.error().code == ErrorCode::file_missing);
    CHECK(result.error().detail.find(spec.argv[0]) != std::string::npos);
}

TEMPLATE_TEST_CASE("destroying a process kills it and tells nobody", "[process]", RealProcesses,
                   TwinProcesses) {
    TestType world;
    Watched child;
    child.spawn(world, world.waits());
    child.process.reset();
    Watched other;
    other.spawn(world, world.speaks_and_exits_3());
    REQUIRE(world.run_until([&] { return other.end.has_value(); }));
    CHECK_FALSE(child.end.has_value());
    CHECK(child.out.empty());
}

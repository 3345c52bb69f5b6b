// Commands, topology and relay: tables and book-keeping, and where a message goes.
#include "taskd/runtime/relay.hpp"

#include <latch>
#include <mutex>
#include <thread>

#include "catch.hpp"
#include "taskd/runtime/commands.hpp"
#include "taskd/runtime/topology.hpp"

using namespace taskd;
using namespace taskd::runtime;
using Catch::Matchers::Contains;

namespace {

// Keeps what is delivered, and holds the lane up while it is told to.
class Inbox final : public Receiver {
  public:
    void deliver(Package package, Delivered delivered) override {
        if (gate != nullptr) gate->wait();
        got.push_back(package.payload.text);
        delivered({});
    }
    std::latch* gate = nullptr;
    std::vector<std::string> got;
};

class OtherNodes final : public NodeLink {
  public:
    void send(const std::string& base_url, Package package, Delivered delivered) override {
        sent.push_back(base_url + " " + package.name);
        delivered(fail(ErrorCode::unreachable, base_url));
    }
    std::vector<std::string> sent;
};

Package package_to(const std::string& node, const std::string& host, std::string payload,
                   Duration wait = {}) {
    return {.from = {"a", "lua", 1},
            .to = {node, host, 1},
            .name = "it",
            .topic = "t",
            .payload = Value::of_text(std::move(payload)),
            .wait = wait};
}

}  // namespace

TEST_CASE("process ids are read as they are written") {
    const ProcessId id{"node-1", "lua", 77};
    CHECK(*parse_process_id(to_text(id)) == id);
    for (const char* wrong : {"", "{}", "{a@b|}", "{a@b|0}", "{a@|1}", "{@b|1}", "a@b|1", "{a|1}",
                              "{a@b|1x}", "{a@b|99999999999999999999}"})
        CHECK(parse_process_id(wrong).error().code == ErrorCode::invalid_field);
    CHECK(parse_process_id("{10.0.0.7:4010@lua|3}")->node == "10.0.0.7:4010");
}

TEST_CASE("a command has one handler, found by its number") {
    Commands commands;
    const auto answer = [](const char* text) {
        return [text](const CommandCall& call) { call.answer(Value::of_text(text)); };
    };
    REQUIRE(commands.add(7, "first", answer("seven")));
    REQUIRE(commands.add(300, "built in", answer("three hundred")));
    const auto twice = commands.add(7, "second", answer("x"));
    REQUIRE_FALSE(twice);
    CHECK(twice.error().code == ErrorCode::command_twice);
    CHECK_THAT(twice.error().detail, Contains("first") && Contains("second"));
    CHECK_FALSE(commands.add(300, "again", answer("x")));
    commands.freeze();
    std::string got;
    const auto ask = [&](CommandId id) {
        commands.dispatch(id, {.answer = [&](const Result<Value>& value) {
                              got = value ? value->text : std::string{value.error().name()};
                          }});
        return got;
    };
    CHECK(ask(7) == "seven");
    CHECK(ask(300) == "three hundred");
    CHECK(ask(8) == "command_unknown");
    CHECK(ask(301) == "command_unknown");
    CHECK(commands.rows().size() == 2);
}

TEST_CASE("the topology knows families, links, monitors and names") {
    Topology topology{"here", "lua", nullptr};
    REQUIRE(topology.begin(1, 0, "a"));
    REQUIRE(topology.begin(2, 1, "b"));
    REQUIRE(topology.begin(3, 1, "c"));
    CHECK(topology.begin(4, 99, "d").error().code == ErrorCode::process_ended);
    CHECK_FALSE(topology.has(4));
    REQUIRE(topology.link(2, 3));
    CHECK(topology.link(2, 2).error().code == ErrorCode::invalid_field);
    CHECK(topology.link(2, 9).error().code == ErrorCode::process_not_found);
    REQUIRE(topology.monitor(1, 2));
    REQUIRE(topology.give_name(2, "it"));
    REQUIRE(topology.give_name(2, "it"));
    CHECK(topology.give_name(3, "it").error().code == ErrorCode::name_taken);
    REQUIRE(topology.give_name(2, "that"));
    CHECK(topology.find_name("it") == 0);
    CHECK(topology.find_name("that") == 2);
    const ProcessEnd end = topology.end(2, "done");
    CHECK(end.children.empty());
    CHECK(end.linked == std::vector<ProcessNumber>{3});
    CHECK(end.monitors == std::vector<ProcessNumber>{1});
    CHECK(topology.find_name("that") == 0);
    CHECK(topology.end(2, "done").linked.empty());
    CHECK(topology.end(1, "done").children == std::vector<ProcessNumber>{3});
    CHECK(topology.rows(0, 10).size() == 1);
    CHECK(topology.rows(0, 10)[0].parent == 0);
    CHECK(topology.count() == 1);
}

TEST_CASE("a message goes to this node, to a peer, or to an address") {
    OtherNodes others;
    Inbox inbox;
    Relay relay{{.node = "a", .peers = {{"b", "http://b:1"}}, .remotes = {"10.0.0.1:5"}}, &others};
    relay.attach("lua", inbox);
    const auto error_of = [&](Package package) {
        std::string name = "none";
        std::latch told{1};
        relay.send(std::move(package), [&](const Result<void>& sent) {
            if (!sent) name = sent.error().name();
            told.count_down();
        });
        told.wait();
        return name;
    };
    CHECK(error_of(package_to("a", "lua", "x")) == "none");
    CHECK(error_of(package_to("a", "other", "x")) == "process_not_found");
    CHECK(error_of(package_to("b", "lua", "x")) == "unreachable");
    CHECK(error_of(package_to("10.0.0.1:5", "lua", "x")) == "unreachable");
    CHECK(error_of(package_to("c", "lua", "x")) == "node_unknown");
    CHECK(error_of(package_to("10.0.0.2:5", "lua", "x")) == "node_unknown");
    CHECK(others.sent == std::vector<std::string>{"http://b:1 it", "http://10.0.0.1:5 it"});
    const RelayCounts counts = relay.counts();
    CHECK(counts.local == 1);
    CHECK(counts.peer == 1);
    CHECK(counts.internode == 1);
    Relay alone{{.node = "a"}};
    alone.send(package_to("b", "lua", "x"), [](const Result<void>& sent) {
        CHECK(sent.error().code == ErrorCode::node_unknown);
    });
}

TEST_CASE("a lane that is full refuses, or lets the sender wait, and keeps the order") {
    Inbox inbox;
    std::latch gate{1};
    inbox.gate = &gate;
    std::mutex mutex;
    std::vector<std::string> outcomes;
    const auto note = [&](const std::string& what) {
        return [&, what](const Result<void>& sent) {
            const std::lock_guard lock{mutex};
            outcomes.push_back(what + (sent ? "" : " " + std::string{sent.error().name()}));
        };
    };
    {
        Relay relay{{.node = "a", .lanes = 1, .lane_packages_max = 2}};
        relay.attach("lua", inbox);
        relay.send(package_to("a", "lua", "1"), note("1"));
        while (relay.counts().local == 0)  // the lane has it, and is held up
            std::this_thread::yield();
        relay.send(package_to("a", "lua", "2"), note("2"));
        relay.send(package_to("a", "lua", "3"), note("3"));
        relay.send(package_to("a", "lua", "4"), note("4"));
        relay.send(package_to("a", "lua", "5", std::chrono::seconds{5}), note("5"));
        CHECK(relay.counts().refused == 1);
        gate.count_down();
        while (relay.counts().local < 4)
            std::this_thread::yield();
    }
    CHECK(inbox.got == std::vector<std::string>{"1", "2", "3", "5"});
    CHECK(outcomes == std::vector<std::string>{"4 mailbox_full", "1", "2", "3", "5"});
}

TEST_CASE("senders are spread over the lanes, each always on its own") {
    std::vector<int> lanes(8);
    for (std::uint64_t number = 1; number <= 8'000; ++number) {
        const ProcessId id{"node", "lua", number};
        CHECK(Relay::lane_of(id, 8) == Relay::lane_of(id, 8));
        ++lanes[Relay::lane_of(id, 8)];
    }
    for (const int count : lanes)
        CHECK((count > 800 && count < 1'200));
}

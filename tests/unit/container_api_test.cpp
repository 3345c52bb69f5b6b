// Answers of container engines as two of them really give them, and what is no such answer.
#include "taskd/protocol/container_api.hpp"

#include "catch.hpp"

using namespace taskd;
using namespace taskd::protocol;
using namespace std::string_literals;

TEST_CASE("a list of containers is read from either engine") {
    const auto docker = parse_container_list(
        R"([{"Id":"cb60","Names":["/probe"],"Image":"debian:bookworm-slim","State":"running",)"
        R"("Status":"Up 3 seconds","Ports":[],"Labels":{}}])");
    REQUIRE(docker);
    REQUIRE(docker->size() == 1);
    CHECK(docker->front().name == "probe");
    CHECK(docker->front().image == "debian:bookworm-slim");
    CHECK(docker->front().runs());
    const auto podman = parse_container_list(
        R"([{"Id":"e6c8186ef7df68d3","Names":["probe"],"Image":"localhost/debian:bookworm-slim",)"
        R"("State":"exited","Name":"","Config":null},{"Id":"e6c8186ef7df68d4","Names":null}])");
    REQUIRE(podman);
    CHECK(podman->at(0).name == "probe");
    CHECK_FALSE(podman->at(0).runs());
    CHECK(podman->at(1).name == "e6c8186ef7df");
    for (const char* wrong : {"", "{}", "[{}]", "[1]", "[", "<html>"})
        CHECK(parse_container_list(wrong).error().code == ErrorCode::bad_answer);
}

TEST_CASE("the details of a container are read from either engine") {
    Container container;
    REQUIRE(parse_container_details(
        R"({"State":{"Status":"exited","OOMKilled":true,"ExitCode":137,)"
        R"("StartedAt":"2026-11-21T04:46:48.851857365Z","Health":{"Status":"unhealthy"}},)"
        R"("RestartCount":3,"Config":{"Tty":true}})",
        container));
    CHECK(container.state == "exited");
    CHECK(container.health == "unhealthy");
    CHECK(container.restarts == 3);
    CHECK(container.exit_code == 137);
    CHECK(container.out_of_memory);
    CHECK(container.terminal);
    CHECK(container.started_at == "2026-11-21T04:46:48.851857365Z");
    // An older name of the same thing, and what is left out.
    REQUIRE(parse_container_details(
        R"({"State":{"Status":"running","Healthcheck":{"Status":"starting"}}})", container));
    CHECK(container.health == "starting");
    CHECK(container.restarts == 0);
    CHECK_FALSE(container.out_of_memory);
    REQUIRE(parse_container_details(R"({"State":{"Health":{"Status":"none"}}})", container));
    CHECK(container.health.empty());
    CHECK(parse_container_details("[]", container).error().code == ErrorCode::bad_answer);
}

TEST_CASE("what a container uses leaves out the cache that the kernel would give back") {
    const auto docker = parse_container_use(
        R"({"cpu_stats":{"cpu_usage":{"total_usage":89262526},"online_cpus":2},)"
        R"("memory_stats":{"usage":724992,"stats":{"total_inactive_file":24992},)"
        R"("limit":1000000}})");
    CHECK(docker == ContainerUse{89262526, 700000, 1000000});
    const auto unified = parse_container_use(
        R"({"memory_stats":{"usage":100,"stats":{"inactive_file":40,"total_inactive_file":1}}})");
    CHECK(unified == ContainerUse{0, 60, 0});
    const auto podman = parse_container_use(
        R"({"cpu_stats":{"cpu_usage":{"total_usage":45912877}},"precpu_stats":{"cpu_usage":)"
        R"({"total_usage":0}},"memory_stats":{"usage":544768,"limit":25276514304}})");
    CHECK(podman == ContainerUse{45912877, 544768, 25276514304});
    CHECK(parse_container_use("null").error().code == ErrorCode::bad_answer);
}

TEST_CASE("events are read a line each, without those that checks make") {
    const auto events = parse_container_events(
        R"({"Action":"die","Actor":{"ID":"cb60","Attributes":{"exitCode":"137","name":"probe"}},)"
        R"("timeNano":1795236408475287386})"
        "\n"
        R"({"Action":"exec_create: /bin/sh -c true","Actor":{"ID":"cb60"}})"
        "\nrubbish\n\n"
        R"({"Action":"create","Actor":{"ID":"e6c8","Attributes":{"containerExitCode":"0"}}})"
        "\n"
        R"({"Action":"died","Actor":{"ID":"e6c8","Attributes":{"containerExitCode":"1"}}})");
    REQUIRE(events.size() == 3);
    CHECK(events[0] == ContainerEvent{1795236408475287386, "cb60", "probe", "die", "137"});
    CHECK(events[1].exit_code.empty());
    CHECK(events[2].exit_code == "1");
}

TEST_CASE("a log is read with and without a terminal, and cannot act on who reads it") {
    const std::string framed = "\x01\0\0\0\0\0\0\x06hello\n"s + "\x02\0\0\0\0\0\0\x05oops\n"s +
                               "\x01\0\0\0\0\0\0\x03"s + "end";
    CHECK(parse_container_log(framed, false) == std::vector<std::string>{"hello", "oops", "end"});
    CHECK(parse_container_log("\x01\0\0\0\0\0\1\0cut"s, false) == std::vector<std::string>{"cut"});
    CHECK(parse_container_log("\x01\0\0"s, false).empty());
    const auto plain =
        parse_container_log("one\r\n\x1b[31mred\xff\n" + std::string(1000, 'x'), true);
    REQUIRE(plain.size() == 3);
    CHECK(plain[0] == "one");
    CHECK(plain[1] == " [31mred?");
    CHECK(plain[2].size() < 400);
}

TEST_CASE("what is asked of an engine names the container and an end") {
    CHECK(container_log_target("a/b", 5) ==
          "/containers/a%2Fb/logs?stdout=true&stderr=true&tail=5");
    CHECK(container_events_target(WallTime{std::chrono::microseconds{1'500'000}},
                                  WallTime{std::chrono::microseconds{2'000'001}}) ==
          "/events?since=1.500000000&until=2.000001000&filters=%7B%22type%22%3A%5B%22container%22"
          "%5D%7D");
}

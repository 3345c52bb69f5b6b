// compose.yaml as `taskd compose` writes it, and the one that is checked in.
#include "taskd/service/compose.hpp"

#include <fstream>

#include "catch.hpp"

using namespace taskd;
using namespace taskd::service;

namespace {

std::string read(const std::string& path) {
    std::ifstream file{TASKD_SOURCE_DIR "/" + path};
    return {std::istreambuf_iterator<char>{file}, {}};
}

std::size_t count(std::string_view text, std::string_view part) {
    std::size_t found = 0;
    for (auto at = text.find(part); at != text.npos; at = text.find(part, at + 1))
        ++found;
    return found;
}

}  // namespace

TEST_CASE("the compose.yaml that is checked in is what taskd compose writes") {
    const auto workers = parse_worker_list(read("config/workers.json"));
    REQUIRE(workers);
    // Stale: run `build/release/taskd compose` in the top folder.
    CHECK(read("compose.yaml") == write_compose({}, *workers));
}

TEST_CASE("nothing is published unless asked, and then TCP alone and on loopback unless said") {
    const std::vector<WorkerEntry> workers{{.type = "sum", .concurrency = 7},
                                           {.type = "hash", .enabled = false}};
    const auto closed = write_compose({}, workers);
    REQUIRE(closed);
    CHECK(count(*closed, "ports:") == 0);
    CHECK(count(*closed, ":/var/run/docker.sock") == 1);  // the monitor alone
    CHECK(count(*closed, "--log-dir=/logs") == 4);
    CHECK(count(*closed, "logs:/logs") == 4);
    CHECK(count(*closed, "--concurrency=7") == 1);
    CHECK(count(*closed, "worker-hash") == 0);
    const auto open = write_compose({.publish = "8000"}, workers);
    REQUIRE(open);
    CHECK(count(*open, "ports:") == 1);
    CHECK(count(*open, R"(- "127.0.0.1:8000:4000/tcp")") == 1);
    CHECK(count(*open, "/udp") == 0);
    CHECK(count(*write_compose({.publish = "0.0.0.0:80"}, workers), R"("0.0.0.0:80:4000/tcp")") ==
          1);
    for (const char* wrong : {"x", "0", "65536", ":", ":80", "1.2.3.4:", "80/udp"})
        CHECK(write_compose({.publish = wrong}, workers).error().code == ErrorCode::invalid_field);
}

TEST_CASE("a container is given as long to stop as its worker takes to drain, and a while more") {
    const auto text = write_compose({}, {{.type = "sum"},
                                         {.type = "film",
                                          .work = WorkerWork::exec,
                                          .command = {"./film.sh"},
                                          .options = {{"drain-timeout", "2m0.5s"}}}});
    REQUIRE(text);
    CHECK(count(*text, "stop_grace_period:") == 2);
    CHECK(count(*text, "  restart: unless-stopped\n  stop_grace_period: 45s\n") == 1);
    const std::string film = text->substr(text->find("  worker-film:\n"));
    CHECK(count(film, "\n    stop_grace_period: 136s\n") == 1);
    const WorkerEntry wrong{.type = "sum", .options = {{"drain-timeout", "soon"}}};
    CHECK(write_compose({}, {wrong}).error().code == ErrorCode::invalid_field);
}

TEST_CASE("an image from elsewhere is not built") {
    const auto text = write_compose({.image = "registry/taskd:1", .build = ""}, {});
    REQUIRE(text);
    CHECK(count(*text, "build:") == 0);
    CHECK(count(*text, R"(image: "registry/taskd:1")") == 1);
}

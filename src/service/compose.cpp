#include "taskd/service/compose.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "taskd/base/duration_text.hpp"
#include "taskd/base/limits.hpp"
#include "taskd/protocol/json.hpp"

namespace taskd::service {
namespace {

// Any text as a YAML scalar: what JSON writes is one.
std::string quoted(std::string_view text) {
    std::string out;
    protocol::append_json_string(out, text);
    return out;
}

constexpr std::string_view head =
    R"(# Written by `taskd compose` from config/workers.json: change that and run it again.
# The cluster key in {key} is made by the same command.
#
#   docker compose up --build --detach      (docker-compose before version 2)
#
# The monitor sees containers when its user may use the engine's socket: give the socket's group as
# DOCKER_GID, `stat -c %g /var/run/docker.sock` tells it.

x-taskd: &taskd
  image: {image}{build}
  networks: [tasknet]
  secrets: [cluster_key]
  restart: unless-stopped
  stop_grace_period: {grace}s
  read_only: true
  tmpfs: [/tmp]
  cap_drop: [ALL]
  security_opt: ["no-new-privileges:true"]

services:
)";

constexpr std::string_view tail = R"(
networks:
  tasknet:

volumes:
  logs:
  registry:
  store:

secrets:
  cluster_key:
    file: {key}
)";

// The health check is the binary itself: the image holds nothing else.
constexpr std::string_view service = R"(  {name}:
    <<: *taskd
    command:
      - {words}
      - --host=0.0.0.0
      - --port={port}
      - --key-file=/run/secrets/cluster_key
      - --log-dir=/logs
{options}    volumes:
      - logs:/logs
{volumes}{rest}    healthcheck:
      test: [CMD, /usr/bin/taskd, health, "--url=http://127.0.0.1:{port}"]
      interval: 5s
      timeout: 3s
      retries: 6
      start_period: 10s
)";

// A container that is told to stop is killed so many seconds later: an engine that is busy stops
// many at a time.
std::int64_t grace_of(Duration drain_timeout) {
    constexpr auto margin = std::chrono::seconds{15};
    return std::chrono::ceil<std::chrono::seconds>(drain_timeout).count() + margin.count();
}

// Of a worker whose settings say it; the others have what stands at the top.
Result<std::string> write_grace(const WorkerEntry& worker) {
    const auto found = std::ranges::find(worker.options, "drain-timeout",
                                         &std::pair<std::string, std::string>::first);
    if (found == worker.options.end()) return std::string{};
    const auto said = parse_duration(found->second);
    if (!said)
        return fail(ErrorCode::invalid_field, fmt::format("drain-timeout of {}: '{}' is no time",
                                                          worker.type, found->second));
    return fmt::format("    stop_grace_period: {}s\n", grace_of(*said));
}

struct Service {
    std::string name;
    std::string words;  // the role, and what stands behind it
    unsigned port = 0;
    std::vector<std::string> options;
    std::vector<std::string> volumes;
    std::string rest;
};

std::string write_items(const std::vector<std::string>& items) {
    std::string out;
    for (const std::string& item : items)
        out += fmt::format("      - {}\n", item);
    return out;
}

std::string write_service(const Service& what) {
    return fmt::format(service, fmt::arg("name", what.name), fmt::arg("words", what.words),
                       fmt::arg("port", what.port), fmt::arg("options", write_items(what.options)),
                       fmt::arg("volumes", write_items(what.volumes)), fmt::arg("rest", what.rest));
}

// "127.0.0.1:8000:4000/tcp" of "8000".
Result<std::string> write_publish(const std::string& publish) {
    const std::size_t colon = publish.rfind(':');
    const bool alone = colon == std::string::npos;
    const std::string address = alone ? "127.0.0.1" : publish.substr(0, colon);
    const std::string port = alone ? publish : publish.substr(colon + 1);
    std::uint16_t number = 0;
    const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), number);
    if (error != std::errc{} || end != port.data() + port.size() || number == 0 || address.empty())
        return fail(ErrorCode::invalid_field, fmt::format("'{}' is no port to publish", publish));
    return fmt::format("    ports:\n      - {}\n",
                       quoted(fmt::format("{}:{}:4000/tcp", address, number)));
}

// A name of a task type is no service name as it is: dots and underlines are not for host names.
std::string service_name(const std::string& type) {
    std::string name = "worker-" + type;
    for (char& c : name)
        if (c == '_' || c == '.') c = '-';
    return name;
}

}  // namespace

Result<std::string> write_compose(const ComposeSettings& settings,
                                  const std::vector<WorkerEntry>& workers) {
    const std::string nameservice = "--nameservice=http://nameservice:5001";
    Service dispatcher{.name = "dispatcher",
                       .words = "dispatcher",
                       .port = 4000,
                       .options = {"--data=/data", nameservice},
                       .volumes = {"store:/data"}};
    if (!settings.publish.empty()) {
        auto ports = write_publish(settings.publish);
        if (!ports) return ports;
        dispatcher.rest = std::move(*ports);
    }
    const std::string build =
        settings.build.empty() ? "" : fmt::format("\n  build: {}", quoted(settings.build));
    std::string out = fmt::format(head, fmt::arg("image", quoted(settings.image)),
                                  fmt::arg("build", build), fmt::arg("key", settings.key_file),
                                  fmt::arg("grace", grace_of(limits::drain_timeout)));
    out += write_service(dispatcher);
    out += write_service({.name = "nameservice",
                          .words = "nameservice",
                          .port = 5001,
                          .options = {"--data=/data"},
                          .volumes = {"registry:/data"}});
    out +=
        write_service({.name = "monitor",
                       .words = "monitor",
                       .port = 8080,
                       .options = {"--dispatcher=http://dispatcher:4000", nameservice},
                       .volumes = {"${DOCKER_SOCKET:-/var/run/docker.sock}:/var/run/docker.sock"},
                       .rest = "    group_add:\n      - \"${DOCKER_GID:-0}\"\n"});
    for (const WorkerEntry& worker : workers) {
        if (!worker.enabled) continue;
        const WorkerArguments arguments = arguments_of(worker);
        Service made{.name = service_name(worker.type), .words = "worker", .port = 6000};
        for (const std::string& word : arguments.front)
            made.words += "\n      - " + quoted(word);
        made.options = {nameservice, fmt::format("--concurrency={}", worker.concurrency)};
        for (const std::string& word : arguments.back)
            made.options.push_back(quoted(word));
        auto grace = write_grace(worker);
        if (!grace) return grace;
        made.rest = std::move(*grace);
        out += write_service(made);
    }
    return out + fmt::format(tail, fmt::arg("key", quoted(settings.key_file)));
}

}  // namespace taskd::service

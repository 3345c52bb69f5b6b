#include "taskd/protocol/container_api.hpp"

#include <fmt/format.h>

#include "taskd/protocol/json.hpp"
#include "taskd/protocol/json_view.hpp"
#include "taskd/protocol/target.hpp"

namespace taskd::protocol {
namespace {

constexpr std::size_t line_bytes_max = 300;

std::unexpected<Error> not_understood(std::string_view what) {
    return fail(ErrorCode::bad_answer, fmt::format("the engine's {} cannot be read", what));
}

std::string without_slash(std::string name) {
    return name.starts_with('/') ? name.substr(1) : name;
}

// "1700000000.000000123", which both engines take.
std::string instant(WallTime time) {
    const auto us = std::chrono::duration_cast<std::chrono::microseconds>(time.time_since_epoch());
    return fmt::format("{}.{:06}000", us.count() / 1'000'000, us.count() % 1'000'000);
}

// Bytes of one character that is whole and allowed, 0 when there is none.
std::size_t character_bytes(std::string_view text) {
    const auto first = static_cast<unsigned char>(text.front());
    const std::size_t size = first < 0x80 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
    return text.size() >= size && is_utf8(text.substr(0, size)) ? size : 0;
}

std::string clean_line(std::string_view line) {
    std::string out;
    while (!line.empty() && out.size() < line_bytes_max) {
        const std::size_t size = character_bytes(line);
        const bool control = static_cast<unsigned char>(line.front()) < ' ' || line.front() == 127;
        if (size == 0)
            out.push_back('?');
        else if (control)
            out.push_back(' ');
        else
            out += line.substr(0, size);
        line.remove_prefix(std::max<std::size_t>(size, 1));
    }
    if (!line.empty()) out += "…";
    while (out.ends_with(' '))
        out.pop_back();
    return out;
}

void split_lines(std::string_view text, std::vector<std::string>& lines) {
    while (!text.empty()) {
        const std::size_t end = std::min(text.find('\n'), text.size());
        lines.push_back(clean_line(text.substr(0, end)));
        text.remove_prefix(std::min(end + 1, text.size()));
    }
}

// The payloads of all frames, one after the other; a frame that is cut off ends it.
std::string unframe(std::string_view body) {
    constexpr std::size_t head_bytes = 8;
    std::string text;
    while (body.size() >= head_bytes) {
        std::size_t size = 0;
        for (std::size_t i = 4; i < head_bytes; ++i)
            size = size << 8 | static_cast<unsigned char>(body[i]);
        body.remove_prefix(head_bytes);
        text += body.substr(0, size);
        body.remove_prefix(std::min(size, body.size()));
    }
    return text;
}

// Made by every health check and every attached terminal: nobody asked for those.
bool is_noise(std::string_view action) {
    return action.starts_with("exec") || action == "attach" || action == "top" ||
           action == "resize" || action == "healthcheck";
}

}  // namespace

std::string container_list_target() {
    return "/containers/json?all=true";
}

std::string container_details_target(std::string_view id) {
    return fmt::format("/containers/{}/json", percent_encode(id));
}

std::string container_use_target(std::string_view id) {
    return fmt::format("/containers/{}/stats?stream=false&one-shot=true", percent_encode(id));
}

std::string container_log_target(std::string_view id, std::size_t lines) {
    return fmt::format("/containers/{}/logs?stdout=true&stderr=true&tail={}", percent_encode(id),
                       lines);
}

std::string container_events_target(WallTime since, WallTime until) {
    return fmt::format("/events?since={}&until={}&filters={}", instant(since), instant(until),
                       percent_encode(R"({"type":["container"]})"));
}

Result<std::vector<Container>> parse_container_list(std::string_view body) {
    if (!check_json(body) || kind_of(body) != JsonKind::array) return not_understood("list");
    std::vector<Container> containers;
    for (const JsonView& item : JsonView{body}.items()) {
        Container container;
        container.id = item["Id"].text();
        if (container.id.empty()) return not_understood("list");
        const auto names = item["Names"].items();
        container.name =
            names.empty() ? container.id.substr(0, 12) : without_slash(names.front().text());
        container.image = item["Image"].text();
        container.state = item["State"].text();
        containers.push_back(std::move(container));
    }
    return containers;
}

Result<void> parse_container_details(std::string_view body, Container& into) {
    if (!check_json(body) || kind_of(body) != JsonKind::object) return not_understood("details");
    const JsonView details{body};
    const JsonView state = details["State"];
    into.restarts = details["RestartCount"].number().value_or(0);
    into.terminal = details["Config"]["Tty"].is_true();
    into.state = state["Status"].text();
    into.started_at = state["StartedAt"].text();
    into.exit_code = state["ExitCode"].number().value_or(0);
    into.out_of_memory = state["OOMKilled"].is_true();
    into.health = state["Health"]["Status"].text();
    if (into.health.empty()) into.health = state["Healthcheck"]["Status"].text();
    if (into.health == "none") into.health.clear();
    return {};
}

Result<ContainerUse> parse_container_use(std::string_view body) {
    if (!check_json(body) || kind_of(body) != JsonKind::object) return not_understood("figures");
    const JsonView figures{body};
    const JsonView memory = figures["memory_stats"];
    ContainerUse use;
    use.cpu_ns = figures["cpu_stats"]["cpu_usage"]["total_usage"].number().value_or(0);
    use.memory_bytes = memory["usage"].number().value_or(0);
    use.memory_limit_bytes = memory["limit"].number().value_or(0);
    // Pages of files that the kernel would give back at once; the name depends on the cgroups.
    const JsonView parts = memory["stats"];
    auto cache = parts["inactive_file"].number();
    if (!cache) cache = parts["total_inactive_file"].number();
    if (cache && *cache < use.memory_bytes) use.memory_bytes -= *cache;
    return use;
}

std::vector<ContainerEvent> parse_container_events(std::string_view body) {
    std::vector<ContainerEvent> events;
    while (!body.empty()) {
        const std::size_t end = std::min(body.find('\n'), body.size());
        const std::string_view line = body.substr(0, end);
        body.remove_prefix(std::min(end + 1, body.size()));
        if (line.empty() || !check_json(line)) continue;
        const JsonView event{line};
        const JsonView actor = event["Actor"];
        const JsonView attributes = actor["Attributes"];
        ContainerEvent made{.at_ns = event["timeNano"].number().value_or(0),
                            .id = actor["ID"].text(),
                            .name = attributes["name"].text(),
                            .action = event["Action"].text(),
                            .exit_code = {}};
        if (made.action.starts_with("die")) {  // "die" or "died"; some tell a code with every event
            made.exit_code = attributes["exitCode"].text();
            if (made.exit_code.empty()) made.exit_code = attributes["containerExitCode"].text();
        }
        if (!made.action.empty() && !is_noise(made.action)) events.push_back(std::move(made));
    }
    return events;
}

std::vector<std::string> parse_container_log(std::string_view body, bool terminal) {
    std::vector<std::string> lines;
    split_lines(terminal ? std::string{body} : unframe(body), lines);
    return lines;
}

}  // namespace taskd::protocol

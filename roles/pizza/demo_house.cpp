#include "demo_house.hpp"

#include <algorithm>

#include "taskd/io/http_exchange.hpp"
#include "taskd/io/private_files.hpp"
#include "taskd/protocol/json.hpp"

namespace taskd::roles {
namespace {

using namespace std::chrono_literals;

constexpr Duration turn = 10ms;
constexpr Duration start_limit = 20s;
constexpr Duration stop_limit = 15s;
constexpr Duration answer_limit = 30s;
constexpr std::size_t port_bytes_max = 16;

}  // namespace

protocol::JsonView DemoAnswer::json() const {
    return protocol::check_json(body) ? protocol::JsonView{body} : protocol::JsonView{};
}

DemoHouse::DemoHouse(io::Loop& loop, std::string program, std::string folder)
    : loop_{loop}, runner_{loop}, program_{std::move(program)}, folder_{std::move(folder)} {}

DemoHouse::~DemoHouse() = default;

bool DemoHouse::wait(const std::function<bool()>& holds, Duration limit) {
    for (Duration waited{0}; !holds(); waited += turn) {
        if (waited >= limit) return false;
        loop_.run_until([] { return false; }, turn);
    }
    return true;
}

Result<void> DemoHouse::start(const std::string& name, std::vector<std::string> arguments) {
    Part& part = parts_[name];
    part.arguments = std::move(arguments);
    part.port = "0";
    return spawn(name, part);
}

Result<void> DemoHouse::start_again(const std::string& name) {
    return spawn(name, parts_.at(name));
}

Result<void> DemoHouse::spawn(const std::string& name, Part& part) {
    const std::string port_file = folder_ + "/" + name + ".port";
    io::remove_file(port_file);
    port::ProcessSpec spec;
    spec.argv = {program_};
    spec.argv.insert(spec.argv.end(), part.arguments.begin(), part.arguments.end());
    std::vector<std::string> more{"--port",  part.port,      "--port-file",
                                  port_file, "--log-format", "logfmt"};
    if (std::ranges::find(spec.argv, "--data") == spec.argv.end()) {
        more.emplace_back("--data");
        more.push_back(folder_ + "/" + name);
    }
    spec.argv.insert(spec.argv.end(), more.begin(), more.end());
    auto process = runner_.spawn(
        spec, {.line = [&part](port::ProcessStream,
                               std::string_view line) { part.log.emplace_back(line); },
               .ended = [&part](port::ProcessEnd) { part.runs = false; }});
    if (!process) return fail(std::move(process));
    part.process = std::move(*process);
    part.runs = true;
    std::string told;
    const bool listens = wait(
        [&] {
            told = io::read_whole_file(port_file, port_bytes_max).value_or("");
            return told.ends_with('\n') || !part.runs;
        },
        start_limit);
    if (listens && part.runs) {
        told.pop_back();
        part.port = told;
        return {};
    }
    return fail(ErrorCode::start_timeout,
                name + (part.log.empty() ? std::string{} : ": " + part.log.back()));
}

void DemoHouse::kill(const std::string& name) {
    Part& part = parts_.at(name);
    part.process->kill();
    wait([&] { return !part.runs; }, stop_limit);
}

void DemoHouse::stop_all() {
    for (auto& [name, part] : parts_)
        if (part.runs) part.process->terminate();
    const auto gone = [&] {
        return std::ranges::none_of(parts_, [](const auto& each) { return each.second.runs; });
    };
    wait(gone, stop_limit);
    parts_.clear();
}

std::string DemoHouse::url(const std::string& name) const {
    return "http://127.0.0.1:" + parts_.at(name).port;
}

std::vector<std::string> DemoHouse::log_lines(const std::string& name,
                                              const std::vector<std::string>& words) const {
    std::vector<std::string> found;
    for (const std::string& line : parts_.at(name).log)
        if (std::ranges::all_of(words, [&](const std::string& word) {
                return line.find(word) != std::string::npos;
            }))
            found.push_back(line);
    return found;
}

DemoAnswer DemoHouse::ask(const std::string& name, const std::string& method,
                          const std::string& target, const std::string& body,
                          port::HttpHeaders headers) const {
    if (!body.empty() && port::find_header(headers, "Content-Type").empty())
        headers.emplace_back("Content-Type", "application/json");
    auto answer =
        io::http_call(url(name), {method, target, std::move(headers), body}, answer_limit);
    if (!answer) return {};
    return {answer->status, std::move(answer->headers), std::move(answer->body)};
}

std::string DemoHouse::run(std::vector<std::string> arguments) {
    port::ProcessSpec spec;
    spec.argv = {program_};
    spec.argv.insert(spec.argv.end(), arguments.begin(), arguments.end());
    std::string text;
    bool runs = true;
    auto process = runner_.spawn(spec, {.line =
                                            [&](port::ProcessStream stream, std::string_view line) {
                                                if (stream == port::ProcessStream::out)
                                                    text.append(line).append("\n");
                                            },
                                        .ended = [&](port::ProcessEnd) { runs = false; }});
    if (!process) return {};
    wait([&] { return !runs; });
    return text;
}

}  // namespace taskd::roles

#include "client.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <stdio_ext.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <filesystem>
#include <utility>

#include "key_file.hpp"
#include "taskd/io/clock.hpp"
#include "taskd/io/entropy.hpp"
#include "taskd/io/http_exchange.hpp"
#include "taskd/io/private_files.hpp"
#include "taskd/protocol/json.hpp"
#include "taskd/protocol/problem.hpp"

namespace taskd::roles {
namespace {

constexpr std::size_t endpoints_bytes_max = limits::mebibyte;
constexpr const char* host_url = "http://127.0.0.1:6500";

// What `taskd up` wrote into its data directory.
Result<std::string> read_endpoints(const std::string& data) {
    const std::string path = data + "/endpoints.json";
    auto content = io::read_whole_file(path, endpoints_bytes_max);
    if (content && !protocol::check_json(*content))
        return fail(ErrorCode::config_invalid, path + " is not JSON");
    // A dispatcher keeps its routes under the same name.
    if (content && JsonView{*content}["dispatcher"]["url"].text().empty())
        return fail(ErrorCode::file_missing, path + " of a 'taskd up'");
    return content;
}

// The file is there while `taskd up` runs. What is there and cannot be read is another fault.
Result<std::string> read_running(const std::string& data) {
    auto endpoints = read_endpoints(data);
    std::error_code error;
    const auto found = std::filesystem::status(data + "/endpoints.json", error).type();
    if (!endpoints && found == std::filesystem::file_type::not_found)
        return fail(ErrorCode::unreachable, "no taskd up runs on " + data);
    return endpoints;
}

// As `taskd up` noted it for this server.
Result<protocol::ClusterKey> find_noted_key(const std::string& url) {
    const std::string note = key_note_path(url);
    if (note.empty()) return protocol::ClusterKey{};
    const auto path = io::read_whole_file(note, limits::header_bytes_max);
    if (!path) return protocol::ClusterKey{};
    return read_key_file(path->substr(0, path->find('\n'))).value_or(protocol::ClusterKey{});
}

// Scheme, host and port, as `taskd up` writes them.
std::string server_of(std::string url) {
    const auto scheme = url.find("://");
    const std::size_t host = scheme == std::string::npos ? 0 : scheme + 3;
    url.erase(std::min(url.find('/', host), url.size()));
    constexpr std::string_view local = "localhost";
    const std::string_view named = std::string_view{url}.substr(host);
    if (named == local || named.starts_with("localhost:"))
        url.replace(host, local.size(), "127.0.0.1");
    return url;
}

bool is_one_of(const JsonView& endpoints, const std::string& url) {
    return std::ranges::any_of(std::array{"dispatcher", "nameservice", "monitor", "host"},
                               [&](const char* child) {
                                   const std::string known = endpoints[child]["url"].text();
                                   return !known.empty() && server_of(known) == server_of(url);
                               });
}

// The key of a data directory is for the servers of that directory alone. Whether another name
// leads to one of them nobody here can know for sure. `told` is where its addresses may stand.
Result<protocol::ClusterKey> find_key_of(const std::string& data, const std::string& told,
                                         Server& server) {
    const auto endpoints = read_endpoints(told);
    if (endpoints && is_one_of(JsonView{*endpoints}, server.url)) {
        const std::string path = JsonView{*endpoints}["key_file"].text();
        return read_key_file(path.empty() ? told + "/key" : path);
    }
    auto noted = find_noted_key(server.url);
    if (noted && noted->empty())
        server.why_keyless =
            fmt::format("the key of {} was not sent: {}; --key-file FILE sends one", data,
                        endpoints ? server.url + " is none of the addresses in its endpoints.json"
                                  : endpoints.error().to_string());
    return noted;
}

Result<protocol::ClusterKey> find_key(const Options& options, Server& server) {
    if (options.given("key-file")) return read_key_file(options.text("key-file"));
    if (!options.given("data")) return find_noted_key(server.url);
    return find_key_of(options.text("data"), options.text("data"), server);
}

std::string without_controls(std::string text, std::string_view kept) {
    for (std::size_t i = 0; i < text.size(); ++i) {
        const auto byte = static_cast<unsigned char>(text[i]);
        if ((byte < ' ' && !kept.contains(text[i])) || byte == 0x7f) text[i] = ' ';
        // U+0080 to U+009F, as UTF-8.
        if (byte == 0xc2 && i + 1 < text.size() && static_cast<unsigned char>(text[i + 1]) < 0xa0)
            text.replace(i, 2, " ");
    }
    return text;
}

std::size_t width_of(std::string_view text) {
    return static_cast<std::size_t>(
        std::ranges::count_if(text, [](char c) { return (c & 0xC0) != 0x80; }));
}

}  // namespace

std::vector<OptionRow> with_client_rows(std::vector<OptionRow> own, std::string_view retry_for) {
    own.push_back({.name = "url",
                   .value = "URL",
                   .fallback = "http://127.0.0.1:4000",
                   .help = "the server's address"});
    own.push_back({.name = "data",
                   .value = "DIR",
                   .help = "data directory of a running 'taskd up': finds address and key"});
    own.push_back({.name = "key-file", .value = "FILE", .help = "the cluster key"});
    own.push_back({.name = "retry-for",
                   .kind = OptionKind::duration,
                   .value = "DURATION",
                   .fallback = retry_for,
                   .help = "go on over broken connections for so long"});
    own.push_back({.name = "client-config",
                   .value = "FILE",
                   .help = "settings file in place of ~/.config/taskd/client.yaml",
                   .from_file = false});
    return own;
}

Result<Server> find_server(const Options& options) {
    Server server{options.text("url"), {}, {}};
    if (options.given("data") && options.source("data") >= options.source("url")) {
        const auto endpoints = read_running(options.text("data"));
        if (!endpoints && options.source("url") != OptionSource::environment)
            return std::unexpected{endpoints.error()};
        if (endpoints) server.url = JsonView{*endpoints}["dispatcher"]["url"].text();
    }
    auto key = find_key(options, server);
    if (!key) return fail(std::move(key));
    server.key = std::move(*key);
    return server;
}

Result<Server> find_host(const Options& options) {
    Server server{options.given("url") ? options.text("url") : host_url, {}, {}};
    if (options.given("data") &&
        (!options.given("url") || options.source("data") >= options.source("url"))) {
        const auto endpoints = read_running(options.text("data"));
        if (!endpoints) return std::unexpected{endpoints.error()};
        server.url = JsonView{*endpoints}["host"]["url"].text();
        if (server.url.empty()) return fail(ErrorCode::not_ready, "no host of programs runs there");
    }
    auto key = find_key(options, server);
    if (!key) return fail(std::move(key));
    server.key = std::move(*key);
    return server;
}

Result<Server> find_server_of(const Options& options, const std::string& dir) {
    Server server{options.text("url"), {}, {}};
    std::string told = dir;
    for (const std::string& around : {dir, dir + "/.."}) {
        const auto endpoints = read_endpoints(around);
        if (dir.empty() || !endpoints) continue;
        told = around;
        if (!options.given("url")) server.url = JsonView{*endpoints}["dispatcher"]["url"].text();
        break;
    }
    auto key = dir.empty() || options.given("key-file")
                   ? find_key(options, server)
                   : find_key_of(options.text("data"), told, server);
    if (!key) return fail(std::move(key));
    server.key = std::move(*key);
    return server;
}

void tell_of_key(Server& server, const port::HttpResponse& answer) {
    if (server.told_of_key) return;
    constexpr std::string_view way =
        "--key-file FILE (TASKD_KEY_FILE) sends a key, --data DIR (TASKD_DATA) that of a running "
        "'taskd up'";
    std::string why;
    if (answer.status == row_of(ErrorCode::missing_key).http_status)
        why = server.why_keyless.empty() ? fmt::format("{} asks for its key: {}", server.url, way)
                                         : server.why_keyless;
    else if (answer.status == row_of(ErrorCode::wrong_key).http_status &&
             protocol::parse_problem(answer.body, answer.status).code == ErrorCode::wrong_key)
        why = fmt::format("{} has another key than the one it was sent: {}", server.url, way);
    if (why.empty()) return;
    server.told_of_key = true;
    say(why);
}

Client::Client(Server server, Duration retry_for)
    : server_{std::move(server)},
      clock_{io::make_system_clock()},
      progress_{*clock_},
      api_{{.key = server_.key, .retry_for = retry_for, .seed = io::random_seed()}, ports()} {}

service::TaskClientPorts Client::ports() {
    service::TaskClientPorts made{.call =
                                      [this](port::HttpRequest request, Duration timeout) {
                                          auto answer = io::http_call(server_.url,
                                                                      std::move(request), timeout);
                                          if (answer) tell_of_key(server_, *answer);
                                          return answer;
                                      },
                                  .pause = io::pause_for,
                                  .trying_again =
                                      [this](const Error& error) {
                                          progress_.clear();
                                          say(fmt::format("{}, trying again", error.to_string()));
                                      },
                                  .clock = *clock_};
    if (!progress_.shown()) return made;
    made.waited = [this] { progress_.clear(); };
    made.waiting = [this](const service::TaskOutcome& outcome, Duration waited) {
        const auto seconds = std::chrono::floor<std::chrono::seconds>(waited);
        const std::string why = outcome.waiting.empty() ? "" : ": " + outcome.waiting;
        progress_.line(
            fmt::format("waiting for {}s, it is {}{}", seconds.count(), outcome.state, why));
    };
    return made;
}

int with_whole_client(const Options& options, const std::function<int(Client&)>& use) {
    auto server = find_server(options);
    if (!server) return report(server.error());
    Client client{std::move(*server), options.duration("retry-for")};
    return use(client);
}

int with_client(const Options& options, const std::function<int(service::TaskClient&)>& use) {
    return with_whole_client(options, [&](Client& client) { return use(client.api()); });
}

std::string one_line(std::string text) {
    return without_controls(std::move(text), {});
}

std::string as_lines(std::string text) {
    return without_controls(std::move(text), "\n\t");
}

std::string write_table(const TableRows& said) {
    std::vector<std::size_t> widths;
    TableRows rows = said;
    for (auto& row : rows) {
        for (std::string& cell : row)
            cell = one_line(std::move(cell));
        widths.resize(std::max(widths.size(), row.size()));
        for (std::size_t i = 0; i < row.size(); ++i)
            widths[i] = std::max(widths[i], width_of(row[i]));
    }
    std::string out;
    for (const auto& row : rows) {
        std::string line;
        for (std::size_t i = 0; i < row.size(); ++i)
            line += row[i] + std::string(widths[i] - width_of(row[i]) + 2, ' ');
        line.erase(line.find_last_not_of(' ') + 1);
        out += line + '\n';
    }
    return out;
}

std::string pause_text(std::string_view word, const JsonView& pause) {
    if (pause.empty()) return {};
    std::string text = fmt::format("{} since {}", word, pause["since"].text());
    if (!pause["by"].text().empty()) text += " by " + pause["by"].text();
    if (!pause["reason"].text().empty()) text += ": " + pause["reason"].text();
    return text;
}

std::string pause_body(const Options& options) {
    std::string body;
    protocol::JsonWriter json{body};
    json.begin_object();
    for (const std::string_view name : {"key", "by", "reason"})
        if (options.given(name)) json.field(name, options.text(name));
    json.end_object();
    return body;
}

void print_line(std::string_view text) {
    std::fwrite(text.data(), 1, text.size(), stdout);
    std::fputc('\n', stdout);
}

// The stream forgets what it could not write earlier, but not that it could not.
bool is_output_lost() {
    return std::fflush(stdout) != 0 || std::ferror(stdout) != 0;
}

bool has_reader_left() {
    pollfd reader{STDOUT_FILENO, 0, 0};
    return poll(&reader, 1, 0) == 1 && (reader.revents & (POLLERR | POLLHUP)) != 0;
}

int end_of_output() {
    if (!is_output_lost()) return 0;
    if (!has_reader_left()) return report({ErrorCode::io_failed, "stdout"});
    __fpurge(stdout);
    std::clearerr(stdout);
    return 0;
}

void say(std::string_view text) {
    std::fputs(fmt::format("taskd: {}\n", as_lines(std::string{text})).c_str(), stderr);
}

}  // namespace taskd::roles

// What the commands for people share: how a server and its key are found, how answers are read and
// printed. Data goes to stdout, all else to stderr.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "command.hpp"
#include "progress.hpp"
#include "taskd/port/clock.hpp"
#include "taskd/protocol/json_view.hpp"
#include "taskd/service/task_client.hpp"

namespace taskd::roles {

// A page's own rows, then the rows that every client command has. `retry_for` is the default.
std::vector<OptionRow> with_client_rows(std::vector<OptionRow> own, std::string_view retry_for);

// Where a server is and the key it asks for.
struct Server {
    std::string url;
    protocol::ClusterKey key;
    std::string why_keyless;  // although there is one in a data directory that was named
    bool told_of_key = false;
};
// The address: --url, else what `taskd up` left under --data, else the default; a flag goes over
// the environment. The key: --key-file, else DATA/key when the address is one of that directory's,
// else the note `taskd up` left; else none.
Result<Server> find_server(const Options& options);

// The same for a host of programs: --url, else what `taskd up` left under --data, else where one
// listens by default. not_ready when none runs there.
Result<Server> find_host(const Options& options);

// The same for the dispatcher that uses a data directory: by what `taskd up` left there or around
// it, unless --url and --key-file say otherwise.
Result<Server> find_server_of(const Options& options, const std::string& dir);

// When the answer refuses the key, or that there was none: says once why, and what sends one.
void tell_of_key(Server& server, const port::HttpResponse& answer);

// The client over the real world.
class Client {
  public:
    Client(Server server, Duration retry_for);
    Client(const Client&) = delete;
    Client& operator=(const Client&) = delete;

    service::TaskClient& api() { return api_; }
    const port::Clock& clock() const { return *clock_; }
    Progress& progress() { return progress_; }

  private:
    service::TaskClientPorts ports();

    Server server_;
    std::unique_ptr<port::Clock> clock_;
    Progress progress_;
    service::TaskClient api_;
};

// Finds the server and runs `use`; returns the exit code.
int with_whole_client(const Options& options, const std::function<int(Client&)>& use);
int with_client(const Options& options, const std::function<int(service::TaskClient&)>& use);

// ---- answers ---------------------------------------------------------------------------------

using protocol::JsonView;

// What others wrote, for a terminal: a space for what would steer it. Of lines, line feeds and tabs
// stay.
std::string one_line(std::string text);
std::string as_lines(std::string text);

using TableRows = std::vector<std::vector<std::string>>;
// The first row is the head. Columns as wide as they need to be, for a terminal.
std::string write_table(const TableRows& said);

// "paused since … by …: …"; empty when there is none.
std::string pause_text(std::string_view word, const JsonView& pause);
// What --key, --by and --reason say, as a pause's body.
std::string pause_body(const Options& options);

void print_line(std::string_view text);
// Whether some of what was printed could not be written.
bool is_output_lost();
bool has_reader_left();
// The exit code of what printed all it could: io_failed, said on stderr, when some of it was lost.
// That the reader has left, as `head` does, is no failure: it had what it wanted.
int end_of_output();
void say(std::string_view text);  // to stderr

}  // namespace taskd::roles

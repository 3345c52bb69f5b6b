// What the commands for people share: how a server and its key are found, how answers are read and
// printed. Data goes to stdout, all else to stderr.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "command.hpp"
#include "taskd/port/clock.hpp"
#include "taskd/service/task_client.hpp"

namespace taskd::roles {

// A page's own rows, then the rows that every client command has. `retry_for` is the default.
std::vector<OptionRow> with_client_rows(std::vector<OptionRow> own, std::string_view retry_for);

// Where a server is and the key it asks for.
struct Server {
    std::string url;
    protocol::ClusterKey key;
};
// The address: --url, else what `taskd up` left under --data, else the default; a flag goes over
// the environment. The key: --key-file, else DATA/key, else the note `taskd up` left; else none.
Result<Server> find_server(const Options& options);

// The client over the real world.
class Client {
  public:
    Client(Server server, Duration retry_for);

    service::TaskClient& api() { return api_; }

  private:
    Server server_;
    std::unique_ptr<port::Clock> clock_;
    service::TaskClient api_;
};

// Finds the server and runs `use`; returns the exit code.
int with_client(const Options& options, const std::function<int(service::TaskClient&)>& use);

// ---- answers
// -------------------------------------------------------------------------------------

// One JSON value from a server, read forgivingly: what is missing or of another kind is empty.
class JsonView {
  public:
    JsonView() = default;
    explicit JsonView(std::string_view raw) : raw_{raw} {}

    JsonView operator[](std::string_view field) const;
    std::vector<JsonView> items() const;
    std::string text() const;  // a string's text, any other value as it stands; null is ""
    std::string_view raw() const { return raw_; }
    bool empty() const { return raw_.empty() || raw_ == "null"; }

  private:
    std::string_view raw_;
};

using TableRows = std::vector<std::vector<std::string>>;
// The first row is the head. Columns as wide as they need to be, for a terminal.
std::string write_table(const TableRows& rows);

void print_line(std::string_view text);
void say(std::string_view text);  // to stderr

}  // namespace taskd::roles

// The processes of `taskd pizza demo`: the broker and the services, on free ports, in a folder of
// their own. Blocks; the loop turns while something is waited for, so that ends are seen.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "taskd/io/loop.hpp"
#include "taskd/io/processes.hpp"
#include "taskd/port/http.hpp"
#include "taskd/protocol/json_view.hpp"

namespace taskd::roles {

struct DemoAnswer {
    int status = 0;  // 0: there was none
    port::HttpHeaders headers;
    std::string body;

    protocol::JsonView json() const;  // of a body that is JSON, else empty
};

class DemoHouse {
  public:
    DemoHouse(io::Loop& loop, std::string program, std::string folder);
    ~DemoHouse();

    // Starts one; it keeps its port over restarts. Returns when it listens.
    Result<void> start(const std::string& name, std::vector<std::string> arguments);
    Result<void> start_again(const std::string& name);
    void kill(const std::string& name);  // as kill -9 does; returns when it is gone
    void stop_all();                     // asks, then does not

    std::string url(const std::string& name) const;
    // Of its log, those lines that hold all of the words.
    std::vector<std::string> log_lines(const std::string& name,
                                       const std::vector<std::string>& words) const;
    DemoAnswer ask(const std::string& name, const std::string& method, const std::string& target,
                   const std::string& body = {}, port::HttpHeaders headers = {}) const;
    // What another command of this program prints.
    std::string run(std::vector<std::string> arguments);

    bool wait(const std::function<bool()>& holds, Duration limit = std::chrono::seconds{20});
    const std::string& folder() const { return folder_; }

  private:
    struct Part {
        std::vector<std::string> arguments;
        std::unique_ptr<port::Process> process;
        bool runs = false;
        std::string port;  // "0" until it is known
        std::vector<std::string> log;
    };
    Result<void> spawn(const std::string& name, Part& part);

    io::Loop& loop_;
    io::ProcessRunner runner_;
    std::string program_;
    std::string folder_;
    std::map<std::string, Part> parts_;
};

}  // namespace taskd::roles

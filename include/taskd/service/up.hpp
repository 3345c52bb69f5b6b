// Everything on one machine: dispatcher, name service, monitor, one worker of each type and a host
// of programs as child processes. Each is a service: when it starts, ends and is started again is
// the supervisor's; how it starts, when it is ready and where it is found is ours. On the loop, by
// ports alone; the loop serves nobody else.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "taskd/base/limits.hpp"
#include "taskd/port/clock.hpp"
#include "taskd/port/http.hpp"
#include "taskd/port/log.hpp"
#include "taskd/port/process_runner.hpp"
#include "taskd/port/service.hpp"
#include "taskd/port/timers.hpp"
#include "taskd/protocol/datagram.hpp"
#include "taskd/service/worker_list.hpp"

namespace taskd::service {

struct UpSettings {
    std::string program;   // the executable
    std::string data;      // absolute
    std::string key_file;  // the same
    protocol::ClusterKey key;
    // The dispatcher's; then name service, monitor, workers, host. 0: free ones.
    std::uint16_t port = 0;
    bool host = false;  // there is one, and it runs the programs of the registry in `data`
    std::vector<WorkerEntry> workers;       // those to start
    std::vector<std::string> common_flags;  // for every child
    // By role: "worker" to "/etc/taskd/worker.yaml". A role without one reads none.
    std::map<std::string, std::string, std::less<>> config_files;
    std::string lease;  // of the dispatcher; empty: its default
    Duration poll_interval = std::chrono::milliseconds{25};
    // How long a child started with these words takes to end once told, as its settings say; empty:
    // as long as roles do.
    std::function<Duration(const std::vector<std::string>& argv)> drain_timeout_of;
    Duration drain_margin = std::chrono::seconds{5};  // beyond that, then it is killed
    // One that is not ready then is killed. The dispatcher takes its time: it reads its store
    // first.
    Duration start_max = std::chrono::seconds{60};
};

// What Up needs of the world beside processes and HTTP.
struct UpPorts {
    port::ProcessRunner& processes;
    port::HttpExchange& http;
    port::Clock& clock;
    port::Timers& timers;
    port::Log& log;
    std::function<std::optional<std::uint16_t>(const std::string& path)> read_port;
    std::function<void(const std::string& path)> remove;
    // Atomically, into the data directory.
    std::function<Result<void>(const std::string& path, const std::string& content)> write;
    std::function<void(std::string_view child, std::string_view line)> print;
};

class Up {
  public:
    // `ready` is told once when all children are that are required, and the host is, or has shown
    // that it cannot be.
    Up(UpSettings settings, UpPorts ports, std::function<void()> ready);
    ~Up();

    // The children, to be looked after; once, and they go before this does. Each starts on its port
    // again. Workers and monitor need the dispatcher, that needs the name service: so each finishes
    // what it holds while those it needs are still there.
    std::vector<port::SupervisedService> services();

    // One more worker, on a free port; and none of this name any more, once its service is gone.
    port::SupervisedService add_worker(const WorkerEntry& worker);
    void forget(std::string_view name);
    bool has(std::string_view name) const;
    std::vector<WorkerEntry> workers() const;  // those there are
    static std::string name_of(const WorkerEntry& worker);

    Result<void> start();  // bad_usage when there are not ports enough
    bool all_ready() const;
    Duration drain_max() const;  // of all there are, one after the other
    void stop();                 // looks after nobody any more
    void pass_on(int signal);    // to every child that listens
    void tell_endpoints();       // again, if they were told: a child is another process now

    std::string url(std::string_view child) const;  // empty while its port is not known
    std::string endpoints() const;                  // the content of endpoints.json

  private:
    enum class Role { nameservice, dispatcher, monitor, worker, host };
    struct Child {
        Role role;
        std::string name;
        std::optional<WorkerEntry> worker;
        std::uint16_t port = 0;  // 0: not known yet
        std::unique_ptr<port::Process> process;
        port::ServiceHandlers handlers;  // of this life
        std::string port_file;
        bool port_told = false;  // by this life of it
        bool ready = false;
        bool asking = false;
        bool ended_once = false;
        std::uint64_t life = 0;
        std::string instance;  // a worker's, as it was last ready
        Duration drain_max{};  // as its settings were when it was last started
    };
    class ChildService;

    Child& add(Role role, std::string name, std::optional<WorkerEntry> worker);
    static bool is_required(const Child& child);
    Duration drain_max_of(const Child& child) const;
    port::ServiceSpec spec_of(Child& child) const;
    const Child& first(Role role) const;
    void start_child(Child& child);
    std::string program_file(const Child& child) const;   // of a worker whose program is a text
    std::string contract_file(const Child& child) const;  // of one whose tasks are calls
    void write_files(const Child& child);
    std::vector<std::string> arguments(const Child& child) const;
    void child_ended(Child& child, std::uint64_t life, const port::ServiceEnd& end);
    void poll();
    void look_at_port(Child& child);
    void ask_ready(Child& child);
    void ask_workers();
    void took_workers(const Result<port::HttpResponse>& answer);
    void became_ready(Child& child);
    void look_if_all_ready();
    std::string url_of(const Child& child) const;

    UpSettings settings_;
    UpPorts ports_;
    std::function<void()> ready_;
    std::vector<std::unique_ptr<Child>> children_;
    std::unique_ptr<port::Timer> poll_timer_;
    bool told_ = false;  // endpoints.json was written
    bool polling_ = false;
    bool asking_workers_ = false;
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // answers may come after our end
};

}  // namespace taskd::service

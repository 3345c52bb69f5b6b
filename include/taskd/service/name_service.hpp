// The name service: who works on what, and where. A registration is a lease: it is renewed by
// heartbeats and expires without them. The list is written to registry.json on every change and
// read back at start, so that a restart forgets nobody.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "taskd/base/limits.hpp"
#include "taskd/model/registration.hpp"
#include "taskd/port/background.hpp"
#include "taskd/port/clock.hpp"
#include "taskd/port/files.hpp"
#include "taskd/port/log.hpp"
#include "taskd/port/timers.hpp"
#include "taskd/service/http_front.hpp"
#include "taskd/service/vitals.hpp"

namespace taskd::service {

struct NameServiceSettings {
    std::string dir;  // holds registry.json
    Duration heartbeat = limits::heartbeat_interval;
    Duration expiry = limits::registration_expiry;
};

class NameService {
  public:
    NameService(NameServiceSettings settings, port::Files& files, port::Background& disk_lane,
                port::Clock& clock, port::Timers& timers, port::Log& log);

    // Before the loop runs: reads registry.json back. Everybody there gets a whole expiry from now.
    // On a full disk it is written later.
    Result<void> load();
    void add_routes(HttpFront& front);

    const RegistrySnapshot& registry() const { return registry_; }
    void report(port::MetricSink& sink) const;
    // Answers everybody who watches, so that a shutdown does not wait for them.
    void let_go();

  private:
    struct Watcher {
        std::shared_ptr<Call> call;
        std::string type;
        std::uint64_t version = 0;
    };

    Result<void> read_back();
    void not_written(const Error& error);
    void put(Call call);
    void remove(Call call);
    void get(Call call);
    void list(Call call);
    void answer_list(Call& call, const std::string& type);
    void changed(std::function<void()> written);
    void save();
    void expire();
    void arm();
    void wake_watchers();

    Registration* find(const std::string& instance);
    void erase(const std::string& instance);
    void note_left(const std::string& instance, SessionId session);
    bool has_left(const std::string& instance, SessionId session) const;

    NameServiceSettings settings_;
    std::string file_;
    port::Files& files_;
    port::Background& disk_lane_;
    port::Clock& clock_;
    port::Log& log_;
    RegistrySnapshot registry_;
    std::map<std::string, SteadyTime> expires_;
    std::map<std::string, SessionId> replaced_;  // the session that a newer one took the name from
    std::map<std::pair<std::string, SessionId>, SteadyTime> left_;  // until when it is remembered
    std::multimap<SteadyTime, Watcher> watchers_;
    bool saving_ = false;
    bool unwritten_ = false;                       // and told so
    std::vector<std::function<void()>> to_write_;  // told when the next save is done
    std::unique_ptr<port::Timer> save_timer_;
    std::unique_ptr<port::Timer> expiry_timer_;
    std::unique_ptr<port::Timer> watch_timer_;
};

}  // namespace taskd::service

// The registry of a role over HTTP: changes, and being told of them; who reads all of it opens its
// file. On the loop.
#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "taskd/port/clock.hpp"
#include "taskd/port/history.hpp"
#include "taskd/port/timers.hpp"
#include "taskd/protocol/entry_json.hpp"
#include "taskd/service/http_front.hpp"

namespace taskd::service {

struct RegistryApiPorts {
    using Made = Result<std::optional<port::RegistryVersion>>;
    // Makes the change, and answers at once or later; none when it was so already.
    std::function<void(protocol::RegistryAsked asked, std::function<void(const Made&)> done)>
        change;
    std::function<std::uint64_t()> version;  // the newest
    // What led to a version from the one before.
    std::function<Result<std::vector<port::EntryChange>>(std::uint64_t version)> step;
    port::Clock& clock;
    port::Timers& timers;
};

class RegistryApi {
  public:
    using Made = RegistryApiPorts::Made;

    explicit RegistryApi(RegistryApiPorts ports) : ports_{std::move(ports)} {}
    void add_routes(HttpFront& front);
    void moved();  // there is a newer version
    void stop();   // nobody waits any more

  private:
    struct Waiter {
        Call call;
        std::uint64_t after = 0;
        std::unique_ptr<port::Timer> timer;
    };

    void post(Call call);
    void changes(Call call);
    void tell(Call call, std::uint64_t after);

    RegistryApiPorts ports_;
    std::list<Waiter> waiters_;
};

// {"version", "at", "changes", "note"}.
std::string write_version(const port::RegistryVersion& version);

}  // namespace taskd::service

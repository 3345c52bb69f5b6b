// Keeps one registration in the name service: makes it, renews it, makes it again when the name
// service has forgotten it, and takes it out at the end. On the loop.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "taskd/base/limits.hpp"
#include "taskd/model/registration.hpp"
#include "taskd/port/clock.hpp"
#include "taskd/port/http.hpp"
#include "taskd/port/log.hpp"
#include "taskd/port/timers.hpp"
#include "taskd/protocol/datagram.hpp"

namespace taskd::service {

struct RegistrarSettings {
    Registration registration;
    std::string nameservice_url;
    protocol::ClusterKey key;
    Duration heartbeat = limits::heartbeat_interval;  // or sooner, as the name service asks
};

struct RegistrarPorts {
    port::HttpExchange& http;
    port::Clock& clock;
    port::Timers& timers;
    port::Log& log;
};

class Registrar {
  public:
    // Begins at once; a name service that is away is asked until it answers.
    Registrar(RegistrarSettings settings, const RegistrarPorts& ports);

    bool registered() const { return registered_; }

    // Once: takes the registration out, then `done`. Without an answer it expires by itself.
    void leave(std::function<void()> done);

  private:
    void ask();
    void answered(const Result<port::HttpResponse>& answer);
    void leave_again(int tries);

    RegistrarSettings settings_;
    RegistrarPorts ports_;
    std::unique_ptr<port::Timer> timer_;
    bool registered_ = false;
    bool waiting_told_ = false;
    bool leaving_ = false;
    std::function<void()> left_;
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // answers may come after our end
};

}  // namespace taskd::service

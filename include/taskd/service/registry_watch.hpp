// Follows the name service: a blocking watch keeps the list current, so that no task waits for a
// look-up. While the name service is away the last list stays.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "taskd/model/registration.hpp"
#include "taskd/port/clock.hpp"
#include "taskd/port/http.hpp"
#include "taskd/port/log.hpp"
#include "taskd/port/timers.hpp"
#include "taskd/protocol/datagram.hpp"

namespace taskd::service {

class RegistryWatch {
  public:
    RegistryWatch(std::string nameservice_url, protocol::ClusterKey key, port::HttpExchange& http,
                  port::Clock& clock, port::Timers& timers, port::Log& log,
                  std::function<void(const RegistrySnapshot&)> changed);

    bool connected() const { return connected_; }

  private:
    void ask();
    void answered(const Result<port::HttpResponse>& answer);
    void failed(const std::string& why);

    std::string url_;
    protocol::ClusterKey key_;
    port::HttpExchange& http_;
    port::Clock& clock_;
    port::Log& log_;
    std::function<void(const RegistrySnapshot&)> changed_;
    std::unique_ptr<port::Timer> timer_;
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // answers may come after our end
    std::uint64_t version_ = 0;
    bool seen_ = false;  // a list came at least once
    bool connected_ = false;
    bool told_ = false;  // that it is away
    Duration retry_{};
};

}  // namespace taskd::service

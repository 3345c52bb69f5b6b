// Sends what one attempt prints to the dispatcher, in order, as it comes. It never holds the
// printer up: what cannot be sent for a while is dropped, and the stream says so by a gap.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "taskd/port/clock.hpp"
#include "taskd/port/http.hpp"
#include "taskd/port/timers.hpp"
#include "taskd/protocol/datagram.hpp"

namespace taskd::service {

struct LogSenderPorts {
    port::HttpExchange& http;
    port::Clock& clock;
    port::Timers& timers;
};

class LogSender {
  public:
    LogSender(LogSenderPorts ports, protocol::ClusterKey key, std::string dispatcher_url,
              const protocol::LeaseKey& lease);

    void append(std::string_view bytes);
    // Runs `done` once all is sent, or given up, or the patience is over. Nothing is appended then.
    void finish(Duration patience, std::function<void()> done);

  private:
    void send();
    void answered(const Result<port::HttpResponse>& answer);
    void check_finished();

    LogSenderPorts ports_;
    protocol::ClusterKey key_;
    std::string url_;
    std::string path_;
    std::string flying_;  // on its way, or to be said again
    std::uint64_t flying_at_ = 0;
    std::string waiting_;
    std::uint64_t end_ = 0;  // of the stream, as it was printed
    bool over_ = false;      // nothing is taken any more
    Duration retry_{};
    std::unique_ptr<port::Timer> retry_timer_;
    std::unique_ptr<port::Timer> patience_timer_;
    std::function<void()> finished_;
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // answers may come after our end
};

}  // namespace taskd::service

#include "taskd/service/log_sender.hpp"

#include <algorithm>
#include <utility>

#include "taskd/protocol/problem.hpp"
#include "taskd/service/http_front.hpp"

namespace taskd::service {
namespace {

constexpr Duration patience_of_one = std::chrono::seconds{10};
constexpr Duration retry_first = std::chrono::milliseconds{100};
constexpr Duration retry_most = std::chrono::seconds{2};
constexpr std::size_t waiting_bytes_max = limits::log_append_bytes_max;

// Full, or the lease is not ours any more. A key may be ours again.
bool is_refused(const port::HttpResponse& answer) {
    return answer.status != 401 && answer.status != 403 &&
           protocol::parse_refusal(answer.body, answer.status);
}

}  // namespace

LogSender::LogSender(LogSenderPorts ports, protocol::ClusterKey key, std::string dispatcher_url,
                     const protocol::LeaseKey& lease)
    : ports_{ports},
      key_{std::move(key)},
      url_{std::move(dispatcher_url)},
      path_{"/v1/leases/" + protocol::write_lease_path(lease) + "/logs?offset="},
      retry_{retry_first},
      retry_timer_{ports.timers.make()},
      patience_timer_{ports.timers.make()} {}

void LogSender::append(std::string_view bytes) {
    if (over_ || bytes.empty()) return;
    end_ += bytes.size();
    waiting_ += bytes;
    if (waiting_.size() > waiting_bytes_max) waiting_.clear();  // readers step over the gap
    if (flying_.empty()) send();
}

void LogSender::send() {
    if (flying_.empty()) {
        flying_ = std::exchange(waiting_, {});
        flying_at_ = end_ - flying_.size();
    }
    if (flying_.empty()) return check_finished();
    port::HttpRequest request{"POST",
                              path_ + std::to_string(flying_at_),
                              {{"Content-Type", "application/octet-stream"}},
                              flying_};
    add_key(request.headers, key_);
    ports_.http.send(
        url_, std::move(request), patience_of_one,
        [this, alive = std::weak_ptr{alive_}](const Result<port::HttpResponse>& answer) {
            if (!alive.expired()) answered(answer);
        });
}

void LogSender::answered(const Result<port::HttpResponse>& answer) {
    const bool refused = answer && is_refused(*answer);
    if (!answer || (answer->status != 200 && !refused)) {
        retry_timer_->set(ports_.clock.steady() + retry_, [this] { send(); });
        retry_ = std::min<Duration>(2 * retry_, retry_most);
        return;
    }
    retry_ = retry_first;
    flying_.clear();
    if (refused) {
        over_ = true;
        waiting_.clear();
    }
    send();
}

void LogSender::finish(Duration patience, std::function<void()> done) {
    finished_ = std::move(done);
    patience_timer_->set(ports_.clock.steady() + patience, [this] {
        over_ = true;
        flying_.clear();
        waiting_.clear();
        retry_timer_->clear();
        check_finished();
    });
    check_finished();
}

void LogSender::check_finished() {
    if (!finished_ || !flying_.empty() || !waiting_.empty()) return;
    patience_timer_->clear();
    // Not from within: whoever is told may let go of this.
    ports_.timers.post([done = std::exchange(finished_, nullptr)] { done(); });
}

}  // namespace taskd::service

#include "taskd/service/registry_watch.hpp"

#include <algorithm>

#include "taskd/protocol/registration_json.hpp"
#include "taskd/service/http_front.hpp"

namespace taskd::service {
namespace {

constexpr Duration watch_time = std::chrono::seconds{20};
constexpr Duration patience = watch_time + std::chrono::seconds{10};
constexpr Duration retry_first = std::chrono::milliseconds{100};
constexpr Duration retry_most = std::chrono::seconds{2};

}  // namespace

RegistryWatch::RegistryWatch(std::string nameservice_url, protocol::ClusterKey key,
                             port::HttpExchange& http, port::Clock& clock, port::Timers& timers,
                             port::Log& log, std::function<void(const RegistrySnapshot&)> changed)
    : url_{std::move(nameservice_url)},
      key_{std::move(key)},
      http_{http},
      clock_{clock},
      log_{log},
      changed_{std::move(changed)},
      timer_{timers.make()},
      retry_{retry_first} {
    ask();
}

void RegistryWatch::ask() {
    port::HttpRequest request{"GET", "/v1/registrations", {}, {}};
    // Until the first answer, and after a time away, it is told the list at once.
    if (seen_ && connected_)
        request.target += "?watch=" + std::to_string(version_) +
                          "&wait=" + std::to_string(watch_time / std::chrono::seconds{1}) + "s";
    add_key(request.headers, key_);
    http_.send(url_, std::move(request), patience,
               [this, alive = std::weak_ptr<bool>{alive_}](Result<port::HttpResponse> answer) {
                   if (!alive.expired()) answered(answer);
               });
}

void RegistryWatch::answered(const Result<port::HttpResponse>& answer) {
    if (!answer) return failed(answer.error().to_string());
    if (answer->status != 200) return failed("status " + std::to_string(answer->status));
    const auto snapshot = protocol::parse_registry(answer->body);
    if (!snapshot) return failed(snapshot.error().to_string());
    if (!connected_) log_.info("following the name service", {{"url", url_}});
    connected_ = true;
    told_ = false;
    retry_ = retry_first;
    const bool changed = !seen_ || snapshot->version != version_;
    seen_ = true;
    version_ = snapshot->version;
    if (changed) changed_(*snapshot);
    ask();
}

void RegistryWatch::failed(const std::string& why) {
    if (!told_) log_.warn("waiting for the name service", {{"url", url_}, {"why", why}});
    told_ = true;
    connected_ = false;
    timer_->set(clock_.steady() + retry_, [this] { ask(); });
    retry_ = std::min<Duration>(retry_ * 2, retry_most);
}

}  // namespace taskd::service

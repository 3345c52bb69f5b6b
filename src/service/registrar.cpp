#include "taskd/service/registrar.hpp"

#include <algorithm>

#include "taskd/protocol/json_view.hpp"
#include "taskd/protocol/problem.hpp"
#include "taskd/protocol/registration_json.hpp"
#include "taskd/protocol/task_json.hpp"
#include "taskd/service/http_front.hpp"

namespace taskd::service {
namespace {

constexpr Duration patience = std::chrono::seconds{5};
constexpr Duration retry = std::chrono::milliseconds{500};
constexpr int leave_tries = 3;
constexpr Duration heartbeat_min = std::chrono::milliseconds{100};  // whatever is answered

// The name service forgets by its own settings: it may want to hear of us more often than ours say.
Duration heartbeat_of(const std::string& body, Duration own) {
    if (!protocol::check_json(body)) return own;
    const auto wanted = protocol::JsonView{body}["heartbeat_ms"].number();
    if (!wanted || *wanted >= static_cast<std::uint64_t>(own / std::chrono::milliseconds{1}))
        return own;
    const Duration asked = std::chrono::milliseconds{*wanted};
    return std::max(asked, std::min(own, heartbeat_min));
}

}  // namespace

Registrar::Registrar(RegistrarSettings settings, const RegistrarPorts& ports)
    : settings_{std::move(settings)}, ports_{ports}, timer_{ports.timers.make()} {
    ask();
}

void Registrar::ask() {
    if (leaving_) return;
    port::HttpRequest request{"PUT",
                              "/v1/registrations/" + settings_.registration.instance,
                              {{"Content-Type", std::string{protocol::json_type}}},
                              protocol::write_registration_body(settings_.registration)};
    add_key(request.headers, settings_.key);
    ports_.http.send(
        settings_.nameservice_url, std::move(request), patience,
        [this, alive = std::weak_ptr<bool>{alive_}](const Result<port::HttpResponse>& answer) {
            if (!alive.expired()) answered(answer);
        });
}

void Registrar::answered(const Result<port::HttpResponse>& answer) {
    if (leaving_) return;  // the timer is the way out's by now
    const bool taken = answer && (answer->status == 200 || answer->status == 201);
    if (taken) {
        if (!registered_)
            ports_.log.info("registered", {{"nameservice", settings_.nameservice_url}});
        waiting_told_ = false;
    } else if (!waiting_told_) {
        waiting_told_ = true;
        const std::string why =
            answer ? protocol::parse_problem(answer->body, answer->status).to_string()
                   : answer.error().to_string();
        ports_.log.warn("waiting for the name service",
                        {{"url", settings_.nameservice_url}, {"why", why}});
    }
    registered_ = taken;
    const Duration pause = taken ? heartbeat_of(answer->body, settings_.heartbeat) : retry;
    timer_->set(ports_.clock.steady() + pause, [this] { ask(); });
}

void Registrar::leave(std::function<void()> done) {
    left_ = std::move(done);
    leaving_ = true;
    timer_->clear();
    leave_again(leave_tries);
}

void Registrar::leave_again(int tries) {
    port::HttpRequest request{"DELETE",
                              "/v1/registrations/" + settings_.registration.instance + "?session=" +
                                  protocol::write_session(settings_.registration.session),
                              {},
                              {}};
    add_key(request.headers, settings_.key);
    ports_.http.send(
        settings_.nameservice_url, std::move(request), patience,
        [this, tries,
         alive = std::weak_ptr<bool>{alive_}](const Result<port::HttpResponse>& answer) {
            if (alive.expired()) return;
            if (answer || tries <= 1) return std::exchange(left_, nullptr)();
            timer_->set(ports_.clock.steady() + retry, [this, tries] { leave_again(tries - 1); });
        });
}

}  // namespace taskd::service

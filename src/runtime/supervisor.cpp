#include "taskd/runtime/supervisor.hpp"

#include <algorithm>
#include <utility>

#include "taskd/base/assert.hpp"
#include "taskd/runtime/keys.hpp"

namespace taskd::runtime {
namespace {

using Kind = ServiceAction::Kind;

constexpr std::string_view host = "services";  // of the process ids

std::string milliseconds(Duration duration) {
    return std::to_string(duration.count() / 1000);
}

}  // namespace

Supervisor::Supervisor(AppContext& context, ProcessIds& ids, std::uint64_t seed,
                       std::function<void(int status)> gave_up)
    : clock_{context.get(clock_key)},
      timers_{context.get(timers_key)},
      log_{context.get(log_key)},
      bus_{context.get(bus_key)},
      ids_{ids},
      seed_{seed},
      gave_up_{std::move(gave_up)},
      timer_{timers_.make()} {}

Supervisor::~Supervisor() = default;

void Supervisor::attach(AppContext& context) {
    context.put(supervisor_key, *this);
}

Result<void> Supervisor::add(port::SupervisedService service) {
    services_.push_back({std::move(service.spec), std::move(service.service), {}, {}});
    if (!policy_) return {};
    const auto actions = policy_->add(clock_.steady(), services_.back().spec);
    if (actions) {
        act(*actions);
        return {};
    }
    services_.pop_back();
    return std::unexpected{actions.error()};
}

void Supervisor::remove(std::string_view name, std::function<void()> done) {
    TASKD_ASSERT(policy_);
    const auto found = std::ranges::find_if(
        services_, [&](const One& one) { return one.service && one.spec.name == name; });
    TASKD_ASSERT(found != services_.end());
    found->removed = std::move(done);
    act(policy_->remove(clock_.steady(), static_cast<std::size_t>(found - services_.begin())));
}

Result<void> Supervisor::start_entries() {
    std::vector<port::ServiceSpec> specs;
    for (const One& one : services_)
        specs.push_back(one.spec);
    auto policy = Supervision::make(std::move(specs), seed_);
    if (!policy) return fail(std::move(policy));
    policy_ = std::move(*policy);
    act(policy_->start_all(clock_.steady()));
    return {};
}

bool Supervisor::all_running() const {
    return policy_ && policy_->all_running();
}

std::vector<Supervisor::Status> Supervisor::states() const {
    std::vector<Status> states;
    for (std::size_t i = 0; i < services_.size(); ++i)
        if (services_[i].service)
            states.push_back(
                {services_[i].spec.name, policy_ ? policy_->state(i) : ServiceState::unknown});
    return states;
}

void Supervisor::act(const ServiceActions& actions) {
    for (const ServiceAction& action : actions)
        act(action);
    keep_time();
    look_if_drained();
}

void Supervisor::act(const ServiceAction& action) {
    switch (action.kind) {
        case Kind::start:
            return begin(action.service);
        case Kind::stop:
            return services_[action.service].service->stop();
        case Kind::kill:
            log_.warn("not in time, killed", {{"service", services_[action.service].spec.name}});
            return services_[action.service].service->kill();
        case Kind::changed:
            log(action);
            tell(action);
            return let_go(services_[action.service], action.to);
        case Kind::give_up:
            if (auto gave_up = std::exchange(gave_up_, nullptr)) gave_up(action.status);
    }
}

void Supervisor::begin(std::size_t number) {
    One& one = services_[number];
    one.id = ids_.next(host);
    one.service->start({.ready = [this, number] { act(policy_->started(clock_.steady(), number)); },
                        .ended =
                            [this, number](const port::ServiceEnd& end) {
                                bus_.publish("process.stopped",
                                             {{"pid", to_text(services_[number].id)},
                                              {"service", services_[number].spec.name},
                                              {"how", end.how}});
                                act(policy_->ended(clock_.steady(), number, end));
                            }});
    if (const auto timeout = one.service->stop_timeout())
        policy_->set_stop_timeout(number, *timeout);
    bus_.publish("process.started", {{"pid", to_text(one.id)}, {"service", one.spec.name}});
}

// Of one that was removed: later, this may be its own callback.
void Supervisor::let_go(One& one, ServiceState state) {
    if (state != ServiceState::stopped || !one.removed) return;
    gone_.push_back(std::move(one.service));
    timers_.post([this, done = std::exchange(one.removed, nullptr), alive = std::weak_ptr{alive_}] {
        if (alive.expired()) return;
        gone_.clear();
        done();
    });
}

void Supervisor::tell(const ServiceAction& action) {
    std::vector<bus::EventField> fields{{"service", services_[action.service].spec.name},
                                        {"from", std::string{to_text(action.from)}}};
    if (!action.how.empty()) fields.push_back({"how", action.how});
    if (action.again_in) fields.push_back({"again_in_ms", milliseconds(*action.again_in)});
    bus_.publish("supervisor.state." + std::string{to_text(action.to)}, std::move(fields));
}

void Supervisor::log(const ServiceAction& action) {
    const std::string& name = services_[action.service].spec.name;
    switch (action.to) {
        case ServiceState::running:
            return log_.info("ready", {{"service", name}});
        case ServiceState::stopped:
            if (action.from != ServiceState::stopping) return;  // it did not run
            return log_.info("ended", {{"service", name}, {"with", action.how}});
        case ServiceState::exited:
            return log_.info("done", {{"service", name}, {"with", action.how}});
        case ServiceState::failed:
            if (action.again_in)
                return log_.warn("ended, started again",
                                 {{"service", name},
                                  {"with", action.how},
                                  {"in_ms", milliseconds(*action.again_in)}});
            return log_.error(action.from == ServiceState::starting ? "ended before it was ready"
                                                                    : "ended too often",
                              {{"service", name}, {"with", action.how}});
        default:
            return;
    }
}

void Supervisor::keep_time() {
    timer_->clear();
    if (const auto next = policy_->next())
        timer_->set(*next, [this] { act(policy_->due(clock_.steady())); });
}

// ---- down ---------------------------------------------------------------------------------------

void Supervisor::drain(std::function<void()> done) {
    drained_ = std::move(done);
    if (!policy_) return std::exchange(drained_, nullptr)();
    act(policy_->stop_all(clock_.steady()));
}

void Supervisor::look_if_drained() {
    if (drained_ && policy_->none_alive()) std::exchange(drained_, nullptr)();
}

void Supervisor::stop() {
    timer_->clear();
    for (One& one : services_)
        one.service.reset();
    gone_.clear();
}

}  // namespace taskd::runtime

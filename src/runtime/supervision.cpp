#include "taskd/runtime/supervision.hpp"

#include <algorithm>
#include <array>
#include <cmath>

#include "taskd/base/assert.hpp"
#include "taskd/runtime/levels.hpp"

namespace taskd::runtime {
namespace {

using Kind = ServiceAction::Kind;

constexpr std::array<std::string_view, 7> state_names = {
    "unknown", "starting", "running", "stopping", "stopped", "exited", "failed"};

std::optional<SteadyTime> after(SteadyTime now, Duration span) {
    return span == Duration{0} ? std::nullopt : std::optional{now + span};
}

}  // namespace

std::string_view to_text(ServiceState state) {
    return state_names[static_cast<std::size_t>(state)];
}

Duration restart_delay(const port::RestartPolicy& policy, std::uint32_t attempt, Random& random) {
    const auto initial = static_cast<double>(policy.initial_delay.count());
    const double grown =
        initial * std::pow(policy.backoff_factor, static_cast<double>(attempt - 1));
    const double capped = std::min(grown, static_cast<double>(policy.max_delay.count()));
    constexpr std::uint64_t steps = 2'001;  // of chance, from -1 to 1
    const double chance = (static_cast<double>(random.below(steps)) - 1'000) / 1'000;
    return Duration{static_cast<std::int64_t>(capped * (1 + policy.jitter * chance))};
}

Result<Supervision> Supervision::make(std::vector<port::ServiceSpec> specs, std::uint64_t seed) {
    std::vector<Node> nodes;
    for (const port::ServiceSpec& spec : specs)
        nodes.push_back({spec.name, spec.needs});
    if (auto levels = levels_of(nodes); !levels) return fail(std::move(levels));
    std::vector<One> services;
    for (port::ServiceSpec& spec : specs) {
        One& one = services.emplace_back();
        for (const std::string& need : spec.needs) {
            const auto found = std::ranges::find(nodes, need, &Node::name);
            one.needs.push_back(static_cast<std::size_t>(found - nodes.begin()));
        }
        one.spec = std::move(spec);
    }
    return Supervision{std::move(services), seed};
}

bool Supervision::One::is_alive() const {
    return state == ServiceState::starting || state == ServiceState::running ||
           state == ServiceState::stopping;
}

bool Supervision::One::may_wait() const {
    return state == ServiceState::unknown || (state == ServiceState::failed && !deadline);
}

bool Supervision::all_running() const {
    return std::ranges::all_of(services_, [](const One& one) {
        return one.removed || one.state == ServiceState::running;
    });
}

bool Supervision::none_alive() const {
    return std::ranges::none_of(services_, &One::is_alive);
}

std::optional<SteadyTime> Supervision::next() const {
    std::optional<SteadyTime> next;
    for (const One& one : services_)
        for (const auto& each : {one.deadline, one.stable_at})
            if (each && (!next || *each < *next)) next = each;
    return next;
}

void Supervision::change(One& one, ServiceState to, ServiceActions& out, std::string how) {
    out.push_back({.kind = Kind::changed,
                   .service = number_of(one),
                   .from = one.state,
                   .to = to,
                   .how = std::move(how)});
    one.state = to;
    one.deadline.reset();
    one.stable_at.reset();
}

// ---- up -----------------------------------------------------------------------------------------

ServiceActions Supervision::start_all(SteadyTime now) {
    ServiceActions out;
    start_those_that_may(now, out);
    return out;
}

void Supervision::start_those_that_may(SteadyTime now, ServiceActions& out) {
    if (stopping_) return;
    for (One& one : services_) {
        const bool may = one.may_wait() && !one.spent && !one.removed &&
                         std::ranges::all_of(one.needs, [this](std::size_t need) {
                             return services_[need].state == ServiceState::running;
                         });
        if (!may) continue;
        change(one, ServiceState::starting, out);
        one.too_slow = false;
        one.deadline = after(now, one.spec.start_timeout);
        out.push_back({.kind = Kind::start, .service = number_of(one)});
    }
}

ServiceActions Supervision::started(SteadyTime now, std::size_t service) {
    ServiceActions out;
    One& one = services_[service];
    if (one.state != ServiceState::starting || one.too_slow) return out;
    change(one, ServiceState::running, out);
    one.ever_ran = true;
    one.stable_at = now + one.spec.stable_after;
    start_those_that_may(now, out);
    return out;
}

// ---- the end of one -----------------------------------------------------------------------------

ServiceActions Supervision::ended(SteadyTime now, std::size_t service,
                                  const port::ServiceEnd& end) {
    ServiceActions out;
    One& one = services_[service];
    TASKD_ASSERT(one.is_alive());
    if (stopping_ || one.removed) {
        change(one, ServiceState::stopped, out, end.how);
        if (stopping_) stop_those_that_may(now, out);
    } else if (!end.retry) {
        change(one, ServiceState::exited, out, end.how);
        one.spent = true;
    } else {
        fail_one(now, one, end, out);
    }
    return out;
}

void Supervision::fail_one(SteadyTime now, One& one, const port::ServiceEnd& end,
                           ServiceActions& out) {
    const bool is_required = one.spec.startup == port::Startup::required;
    const std::uint32_t most = one.spec.restart.max_attempts;
    change(one, ServiceState::failed, out, one.too_slow ? "start_timeout" : end.how);
    one.spent = (is_required && !one.ever_ran) || (most != 0 && one.attempts >= most);
    if (!one.spent) {
        const Duration delay = restart_delay(one.spec.restart, ++one.attempts, random_);
        one.deadline = now + delay;
        out.back().again_in = delay;
        return;
    }
    const int status =
        one.too_slow ? row_of(ErrorCode::start_timeout).exit_code : std::max(end.status, 1);
    if (is_required)
        out.push_back({.kind = Kind::give_up, .service = number_of(one), .status = status});
}

ServiceActions Supervision::due(SteadyTime now) {
    ServiceActions out;
    for (One& one : services_) {
        if (one.stable_at && *one.stable_at <= now) {
            one.stable_at.reset();
            one.attempts = 0;
        }
        if (!one.deadline || *one.deadline > now) continue;
        one.deadline.reset();  // of failed: it may start now
        if (!one.is_alive()) continue;
        one.too_slow = true;
        out.push_back({.kind = Kind::kill, .service = number_of(one)});
    }
    start_those_that_may(now, out);
    return out;
}

// ---- down ---------------------------------------------------------------------------------------

ServiceActions Supervision::stop_all(SteadyTime now) {
    ServiceActions out;
    stopping_ = true;
    for (One& one : services_)
        if (one.may_wait() || one.state == ServiceState::failed)
            change(one, ServiceState::stopped, out);
    stop_those_that_may(now, out);
    return out;
}

Result<ServiceActions> Supervision::add(SteadyTime now, port::ServiceSpec spec) {
    One one;
    for (const std::string& need : spec.needs) {
        const auto found = std::ranges::find_if(
            services_, [&](const One& other) { return !other.removed && other.spec.name == need; });
        if (found == services_.end())
            return fail(ErrorCode::dependency_missing,
                        spec.name + " needs " + need + ", which is not there");
        one.needs.push_back(static_cast<std::size_t>(found - services_.begin()));
    }
    one.spec = std::move(spec);
    services_.push_back(std::move(one));
    ServiceActions out;
    start_those_that_may(now, out);
    return out;
}

ServiceActions Supervision::remove(SteadyTime now, std::size_t service) {
    ServiceActions out;
    One& one = services_[service];
    for (const One& other : services_)
        TASKD_ASSERT(other.removed || std::ranges::count(other.needs, service) == 0);
    one.removed = true;
    if (one.state == ServiceState::stopping) return out;
    if (one.is_alive())
        stop_one(now, one, out);
    else
        change(one, ServiceState::stopped, out);
    return out;
}

void Supervision::stop_one(SteadyTime now, One& one, ServiceActions& out) {
    change(one, ServiceState::stopping, out);
    one.deadline = after(now, one.spec.stop_timeout);
    out.push_back({.kind = Kind::stop, .service = number_of(one)});
}

// Those that nobody alive needs.
void Supervision::stop_those_that_may(SteadyTime now, ServiceActions& out) {
    for (One& one : services_) {
        if (one.state != ServiceState::starting && one.state != ServiceState::running) continue;
        const bool is_needed = std::ranges::any_of(services_, [&](const One& other) {
            return other.is_alive() && std::ranges::count(other.needs, number_of(one)) != 0;
        });
        if (!is_needed) stop_one(now, one, out);
    }
}

}  // namespace taskd::runtime

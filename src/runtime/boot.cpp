#include "taskd/runtime/boot.hpp"

#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <ranges>
#include <thread>

#include "taskd/runtime/levels.hpp"

namespace taskd::runtime {
namespace {

std::string milliseconds(Duration duration) {
    return std::to_string(duration.count() / 1000);
}

}  // namespace

Boot::Boot(port::MainLoop& loop, const port::Clock& clock, port::Log& log, BootSettings settings)
    : loop_{loop}, clock_{clock}, log_{log}, settings_{std::move(settings)} {
    if (!settings_.leave) settings_.leave = [](int status) { _exit(status); };
    plan_.infrastructure = settings_.infrastructure;
}

Boot::~Boot() {
    destroy_loaded();
}

std::size_t Boot::place(std::unique_ptr<Component> component) {
    for (const auto& other : components_)
        TASKD_ASSERT(other->info.name != component->info.name);
    components_.push_back(std::move(component));
    return components_.size() - 1;
}

BootPlan Boot::plan() const {
    BootPlan plan = plan_;
    for (const Component* component : order_)
        plan.components.push_back(component->info);
    return plan;
}

int Boot::run() {
    TASKD_ASSERT(state_ == State::adding);
    state_ = State::running;
    auto signals = loop_.on_signal({SIGINT, SIGTERM}, [this](int number) { on_signal(number); });
    if (auto up = signals ? bring_up() : std::move(signals); up) {
        log_.info("ready", {{"components", std::to_string(order_.size())}});
        if (settings_.plan_only) {
            settings_.plan_only(plan());
            shutdown();
        }
        loop_.run();
    } else {
        log_.error("not started", {{"error", up.error().to_string()}});
        status_ = row_of(up.error().code).exit_code;
    }
    drain_timer_.reset();
    stop_started();
    destroy_loaded();
    state_ = State::ended;
    return status_;
}

// ---- up -----------------------------------------------------------------------------------------

Result<void> Boot::bring_up() {
    if (auto sorted = sort_by_level(); !sorted) return sorted;
    if (auto loaded = load(); !loaded) return loaded;
    if (auto active = activate(); !active) return active;
    return start_entries();
}

Result<void> Boot::sort_by_level() {
    std::vector<Node> nodes;
    for (const auto& component : components_)
        nodes.push_back({component->info.name, component->info.needs,
                         component->level.value_or(settings_.own_level)});
    auto levels = levels_of(nodes);
    if (!levels) return fail(std::move(levels));
    for (std::size_t i = 0; i < components_.size(); ++i) {
        const std::size_t said = components_[i]->level.value_or((*levels)[i]);
        if (said != (*levels)[i])
            return fail(ErrorCode::level_too_low,
                        "on level " + std::to_string(said) + ": " + path_to(nodes, *levels, i));
        components_[i]->info.level = (*levels)[i];
        order_.push_back(components_[i].get());
    }
    std::ranges::stable_sort(order_, {}, [](const Component* each) { return each->info.level; });
    return {};
}

Result<void> Boot::load() {
    const SteadyTime begin = clock_.steady();
    for (std::size_t at = 0; at < order_.size();) {
        std::size_t end = at + 1;
        while (end < order_.size() && order_[end]->info.level == order_[at]->info.level)
            ++end;
        if (auto loaded = load_level(at, end); !loaded) return loaded;
        at = end;
    }
    plan_.load_time = clock_.steady() - begin;
    return {};
}

// Those that load beside others begin first. After a fault the rest of the level is left out, but
// what has begun is waited for.
Result<void> Boot::load_level(std::size_t begin, std::size_t end) {
    std::vector<Result<void>> results(end - begin);
    {
        std::vector<std::jthread> threads;
        for (std::size_t i = begin; i < end; ++i)
            if (order_[i]->loads_beside)
                threads.emplace_back([&, i] { results[i - begin] = load_one(*order_[i]); });
        for (std::size_t i = begin; i < end; ++i) {
            if (order_[i]->loads_beside) continue;
            results[i - begin] = load_one(*order_[i]);
            if (!results[i - begin]) break;
        }
    }
    Result<void> first;
    for (std::size_t i = begin; i < end; ++i) {
        const ComponentInfo& info = order_[i]->info;
        if (!results[i - begin]) {
            auto fault =
                give_up("a component cannot be loaded", *order_[i], results[i - begin].error());
            if (first) first = std::move(fault);
        } else if (order_[i]->loaded) {
            log_.debug("loaded", {{"component", info.name},
                                  {"depth", std::to_string(info.level)},
                                  {"ms", milliseconds(info.load_time)}});
        }
    }
    return first;
}

Result<void> Boot::load_one(Component& component) {
    const SteadyTime begin = clock_.steady();
    auto loaded = component.load(*this);
    component.loaded = loaded.has_value();
    if (component.loaded) component.attach(context_);
    component.info.load_time = clock_.steady() - begin;
    return loaded;
}

Result<void> Boot::activate() {
    SteadyTime begin = clock_.steady();
    const auto note = [&](std::string name) {
        const SteadyTime end = clock_.steady();
        plan_.activation.push_back({std::move(name), end - std::exchange(begin, end)});
    };
    for (Component* component : order_)
        component->freeze();
    context_.seal();
    note("seal");
    for (Component* component : order_) {
        if (auto result = component->start(); !result)
            return give_up("a component cannot be started", *component, result.error());
        ++started_;
        note("start " + component->info.name);
    }
    return {};
}

Result<void> Boot::start_entries() {
    for (Component* component : order_) {
        if (!component->has_entries()) continue;
        const SteadyTime begin = clock_.steady();
        if (auto result = component->start_entries(); !result)
            return give_up("entries cannot be started", *component, result.error());
        plan_.entries.push_back({component->info.name, clock_.steady() - begin});
    }
    return {};
}

std::unexpected<Error> Boot::give_up(std::string_view what, const Component& component,
                                     const Error& error) const {
    std::vector<Node> nodes;
    std::vector<std::size_t> levels;
    std::size_t at = 0;
    for (const auto& each : components_) {
        if (each.get() == &component) at = nodes.size();
        nodes.push_back({each->info.name, each->info.needs});
        levels.push_back(each->info.level);
    }
    log_.error(what, {{"component", component.info.name},
                      {"path", path_to(nodes, levels, at)},
                      {"error", error.to_string()}});
    return std::unexpected{error};
}

bool Boot::ready() const {
    return state_ == State::running && started_ == order_.size() && started_ > 0 &&
           std::ranges::all_of(order_, [](const Component* each) { return each->ready(); });
}

// ---- down ---------------------------------------------------------------------------------------

void Boot::on_signal(int number) {
    if (state_ == State::running) {
        log_.info("draining", {{"signal", std::to_string(number)}});
        return shutdown(0);
    }
    log_.warn("leaving at once", {{"signal", std::to_string(number)}});
    status_ = 128 + number;
    settings_.leave(status_);
    loop_.stop();
}

void Boot::shutdown(int status) {
    if (state_ != State::running) return;
    state_ = State::draining;
    status_ = status;
    undrained_.clear();
    for (const bool first : {false, true})  // the last goes first
        for (std::size_t i = 0; i < started_; ++i)
            if (order_[i]->drains_first == first) undrained_.push_back(order_[i]);
    drain_timer_ = loop_.make();
    const Duration patience =
        settings_.ask_drain_timeout ? settings_.ask_drain_timeout() : settings_.drain_timeout;
    drain_timer_->set(clock_.steady() + patience, [this] {
        if (draining_ != nullptr)
            log_.warn("not drained in time", {{"component", draining_->info.name}});
        end_drain();
    });
    loop_.post([this] { drain_next(); });
}

void Boot::drain_next() {
    if (state_ != State::draining) return;
    if (undrained_.empty()) return end_drain();
    draining_ = undrained_.back();
    undrained_.pop_back();
    draining_->drain([this, component = draining_] {
        // Said twice, or after the time was up, it means nothing.
        if (state_ != State::draining || draining_ != component) return;
        draining_ = nullptr;
        loop_.post([this] { drain_next(); });
    });
}

void Boot::end_drain() {
    drain_timer_->clear();
    state_ = State::ended;
    stop_started();
    loop_.stop();
}

void Boot::stop_started() {
    while (started_ > 0)
        order_[--started_]->stop();
}

void Boot::destroy_loaded() {
    for (Component* component : std::views::reverse(order_)) {
        if (!std::exchange(component->loaded, false)) continue;
        component->destroy();
    }
}

}  // namespace taskd::runtime

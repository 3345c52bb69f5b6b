#include "taskd/runtime/boot.hpp"

#include <unistd.h>

#include <algorithm>
#include <csignal>

namespace taskd::runtime {
namespace {

std::string milliseconds(Duration duration) {
    return std::to_string(duration.count() / 1000);
}

}  // namespace

Boot::Boot(port::MainLoop& loop, const port::Clock& clock, port::Log& log, BootSettings settings)
    : loop_{loop}, clock_{clock}, log_{log}, settings_{std::move(settings)} {
    if (!settings_.leave) settings_.leave = [](int status) { _exit(status); };
}

Boot::~Boot() {
    destroy_loaded();
}

std::size_t Boot::place(std::unique_ptr<Component> component) {
    for (const std::size_t need : component->needs) {
        const ComponentInfo& needed = components_[need]->info;
        component->info.level = std::max(component->info.level, needed.level + 1);
        component->info.needs.push_back(needed.name);
    }
    components_.push_back(std::move(component));
    return components_.size() - 1;
}

std::vector<Boot::Component*> Boot::in_load_order() const {
    std::vector<Component*> order;
    for (const auto& component : components_)
        order.push_back(component.get());
    std::ranges::stable_sort(order, {}, [](const Component* each) { return each->info.level; });
    return order;
}

std::vector<ComponentInfo> Boot::plan() const {
    std::vector<ComponentInfo> plan;
    for (const Component* component : in_load_order())
        plan.push_back(component->info);
    return plan;
}

int Boot::run() {
    TASKD_ASSERT(state_ == State::adding);
    order_ = in_load_order();
    state_ = State::running;
    auto signals = loop_.on_signal({SIGINT, SIGTERM}, [this](int number) { on_signal(number); });
    auto up = signals ? load_and_start() : std::move(signals);
    if (up) {
        log_.info("ready", {{"components", std::to_string(order_.size())}});
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

Result<void> Boot::load_and_start() {
    const auto give_up = [&](const char* what, const Component& component, const Error& error) {
        log_.error(what, {{"component", component.info.name}, {"error", error.to_string()}});
        return std::unexpected{error};
    };
    for (Component* component : order_) {
        const SteadyTime begin = clock_.steady();
        if (auto result = component->load(*this); !result)
            return give_up("a component cannot be loaded", *component, result.error());
        component->info.load_time = clock_.steady() - begin;
        ++loaded_;
        log_.debug("loaded", {{"component", component->info.name},
                              {"depth", std::to_string(component->info.level)},
                              {"ms", milliseconds(component->info.load_time)}});
    }
    for (Component* component : order_) {
        if (auto result = component->start(); !result)
            return give_up("a component cannot be started", *component, result.error());
        ++started_;
    }
    return {};
}

bool Boot::ready() const {
    return state_ == State::running && started_ == order_.size() && started_ > 0 &&
           std::ranges::all_of(order_, [](const Component* each) { return each->ready(); });
}

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
    undrained_ = started_;
    drain_timer_ = loop_.make();
    drain_timer_->set(clock_.steady() + settings_.drain_timeout, [this] {
        log_.warn("not drained in time", {{"component", order_[undrained_]->info.name}});
        end_drain();
    });
    loop_.post([this] { drain_next(); });
}

void Boot::drain_next() {
    if (state_ != State::draining) return;
    if (undrained_ == 0) return end_drain();
    const std::size_t number = --undrained_;
    order_[number]->drain([this, number] {
        // Said twice, or after the time was up, it means nothing.
        if (state_ == State::draining && undrained_ == number) loop_.post([this] { drain_next(); });
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
    while (loaded_ > 0)
        order_[--loaded_]->destroy();
}

}  // namespace taskd::runtime

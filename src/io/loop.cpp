#include "taskd/io/loop.hpp"

#include <asio/post.hpp>
#include <asio/steady_timer.hpp>
#include <chrono>
#include <optional>

#include "io/loop_impl.hpp"

namespace taskd::io {
namespace {

std::chrono::steady_clock::time_point to_asio(SteadyTime at) {
    // Both count CLOCK_MONOTONIC, see clock.cpp.
    return std::chrono::steady_clock::time_point{at.time_since_epoch()};
}

// A timer is set again far more often than it fires, mostly to a later time: the wait under way is
// left as it is, and when it ends too early it is begun anew. Asio may have queued a handler
// already when it is cancelled: the round tells it is stale.
class LoopTimer final : public port::Timer {
  public:
    explicit LoopTimer(asio::io_context& context) : state_{std::make_shared<State>(context)} {}
    ~LoopTimer() override { clear(); }
    LoopTimer(const LoopTimer&) = delete;
    LoopTimer& operator=(const LoopTimer&) = delete;

    void set(SteadyTime at, std::function<void()> fire) override {
        state_->fire = std::move(fire);
        state_->at = at;
        if (!state_->wakes_at || *state_->wakes_at > at) wait(state_);
    }

    void clear() override {
        state_->fire = nullptr;
        if (!state_->wakes_at) return;
        state_->wakes_at.reset();
        ++state_->round;
        state_->timer.cancel();
    }

  private:
    struct State {
        explicit State(asio::io_context& context) : timer{context} {}
        asio::steady_timer timer;
        std::uint64_t round = 0;
        SteadyTime at{};
        std::optional<SteadyTime> wakes_at;  // of the wait under way
        std::function<void()> fire;
    };

    static void wait(const std::shared_ptr<State>& state) {
        state->wakes_at = state->at;
        state->timer.expires_at(to_asio(state->at));
        state->timer.async_wait([state, round = ++state->round](asio::error_code) {
            if (round != state->round) return;
            state->wakes_at.reset();
            if (std::chrono::steady_clock::now() < to_asio(state->at)) return wait(state);
            // Moved out first: the callback may set the timer again or destroy it.
            const auto run = std::exchange(state->fire, nullptr);
            run();
        });
    }

    std::shared_ptr<State> state_;
};

void wait_for_signal(asio::signal_set& set, std::shared_ptr<std::function<void(int)>> handler) {
    set.async_wait([&set, handler](asio::error_code error, int number) {
        if (error) return;
        wait_for_signal(set, handler);
        (*handler)(number);
    });
}

}  // namespace

Loop::Loop() : impl_{std::make_unique<Impl>()} {}
Loop::~Loop() = default;

void Loop::run() {
    impl_->context.restart();
    impl_->context.run();
}

void Loop::stop() {
    impl_->context.stop();
}

Result<void> Loop::on_signal(const std::vector<int>& signals, std::function<void(int)> handler) {
    auto set = std::make_unique<asio::signal_set>(impl_->context);
    for (const int number : signals) {
        asio::error_code error;
        set->add(number, error);
        if (error) return fail(ErrorCode::internal, "signal handler: " + error.message());
    }
    wait_for_signal(*set, std::make_shared<std::function<void(int)>>(std::move(handler)));
    impl_->signals.push_back(std::move(set));
    return {};
}

std::unique_ptr<port::Timer> Loop::make() {
    return std::make_unique<LoopTimer>(impl_->context);
}

void Loop::post(std::function<void()> job) {
    asio::post(impl_->context, std::move(job));
}

void Loop::post_from_any_thread(std::function<void()> job) {
    asio::post(impl_->context, std::move(job));
}

bool Loop::run_until(const std::function<bool()>& done, Duration limit) {
    impl_->context.restart();
    const auto end = std::chrono::steady_clock::now() + limit;
    while (!done()) {
        if (std::chrono::steady_clock::now() >= end) return false;
        impl_->context.run_one_until(end);
        if (impl_->context.stopped()) return done();
    }
    return true;
}

}  // namespace taskd::io

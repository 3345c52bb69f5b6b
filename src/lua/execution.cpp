#include "execution.hpp"

#include "taskd/base/assert.hpp"

namespace taskd::lua {
namespace {

// Commands answered at once within one turn on a thread; then others have theirs.
constexpr int answers_a_turn = 64;

}  // namespace

Execution::Execution(Scheduler& scheduler, const runtime::Commands& commands, std::uint64_t number,
                     std::unique_ptr<Machine> machine)
    : scheduler_{scheduler}, commands_{commands}, number_{number}, machine_{std::move(machine)} {}

void Execution::start(Done done) {
    done_ = std::move(done);
    scheduler_.submit(shared_from_this());
}

void Execution::stop(Error why) {
    {
        const std::lock_guard lock{mutex_};
        if (state_ == State::ended || stopped_) return;
        stopped_ = std::move(why);
        if (state_ != State::waiting) return;
        state_ = State::queued;
    }
    scheduler_.submit(shared_from_this());
}

void Execution::replace(std::unique_ptr<Machine> machine) {
    {
        const std::lock_guard lock{mutex_};
        TASKD_ASSERT(state_ == State::waiting || state_ == State::dispatching);
        ++question_;
        let_go_ = nullptr;
        begun_ = false;
        machine_.swap(machine);
        if (state_ == State::dispatching) {
            answered_ = true;
            return;
        }
        state_ = State::queued;
    }
    scheduler_.submit(shared_from_this());
}

void Execution::answered(std::uint64_t question, Result<Value> answer) {
    std::function<void()> done_with;  // destroyed outside the lock
    {
        const std::lock_guard lock{mutex_};
        // Late: it was stopped or replaced meanwhile.
        if (question != question_) return;
        if (state_ == State::dispatching) {
            machine_->keep_answer(std::move(answer));
            answered_ = true;
            done_with.swap(let_go_);
            return;
        }
        if (state_ != State::waiting) return;
        machine_->keep_answer(std::move(answer));
        done_with.swap(let_go_);
        state_ = State::queued;
    }
    scheduler_.submit(shared_from_this());
}

// What is to be let go of when it is stopped before the answer is there; at once when it was.
void Execution::keep(std::uint64_t question, std::function<void()> let_go) {
    {
        const std::lock_guard lock{mutex_};
        if (question != question_) return;
        const bool waits = state_ == State::waiting || state_ == State::dispatching;
        if (waits && !answered_) return let_go_.swap(let_go);
        if (!stopped_) return;
    }
    let_go();
}

void Execution::dispatch(Turn& turn) {
    std::uint64_t question = 0;
    {
        const std::lock_guard lock{mutex_};
        state_ = State::dispatching;
        answered_ = false;
        question = ++question_;
    }
    commands_.dispatch(turn.command,
                       {.process = number_,
                        .arguments = std::move(turn.values),
                        .answer =
                            [weak = weak_from_this(), question](Result<Value> answer) {
                                if (const auto self = weak.lock())
                                    self->answered(question, std::move(answer));
                            },
                        .when_gone =
                            [weak = weak_from_this(), question](std::function<void()> let_go) {
                                if (const auto self = weak.lock())
                                    self->keep(question, std::move(let_go));
                                else
                                    let_go();
                            }});
}

// Whether the thread runs it further at once.
bool Execution::go_on_after(Turn& turn) {
    if (turn.standing == Standing::done) {
        finish({.values = std::move(turn.values), .trace = {}, .machine = std::move(machine_)});
        return false;
    }
    if (turn.standing == Standing::failed) {
        finish({.values = std::unexpected{std::move(turn.error)},
                .trace = std::move(turn.trace),
                .machine = {}});
        return false;
    }
    if (turn.standing == Standing::slice) {
        {
            const std::lock_guard lock{mutex_};
            memory_ = machine_->memory_bytes();
            state_ = State::queued;
        }
        scheduler_.submit_last(shared_from_this());
        return false;
    }
    dispatch(turn);
    const std::lock_guard lock{mutex_};
    memory_ = machine_->memory_bytes();
    state_ = answered_ || stopped_ ? State::running : State::waiting;
    return state_ == State::running;
}

void Execution::run() {
    for (int turns = 0;; ++turns) {
        std::optional<Error> stopped;
        {
            const std::lock_guard lock{mutex_};
            if (state_ == State::ended) return;
            stopped = stopped_;
            state_ = turns < answers_a_turn || stopped ? State::running : State::queued;
            if (state_ == State::queued) break;
        }
        if (stopped) {
            // A machine that has run nothing of the call is as good as before.
            if (!begun_) machine_->forget_call();
            return finish({.values = std::unexpected{std::move(*stopped)},
                           .trace = {},
                           .machine = begun_ ? nullptr : std::move(machine_)});
        }
        Turn turn = std::exchange(begun_, true) ? machine_->go_on() : machine_->begin();
        if (!go_on_after(turn)) return;
    }
    scheduler_.submit_last(shared_from_this());
}

void Execution::finish(Outcome outcome) {
    std::function<void()> let_go;
    {
        const std::lock_guard lock{mutex_};
        state_ = State::ended;
        let_go.swap(let_go_);
    }
    if (let_go) let_go();
    machine_.reset();  // unless the outcome has it: what it held is free when the end is told
    const Done done = std::exchange(done_, nullptr);
    done(std::move(outcome));
}

std::size_t Execution::memory_bytes() const {
    const std::lock_guard lock{mutex_};
    return memory_;
}

}  // namespace taskd::lua

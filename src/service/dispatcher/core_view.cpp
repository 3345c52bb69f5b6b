// How the view follows the journal, and what goes once it has: segments and ended tasks.
#include <algorithm>

#include "taskd/service/core.hpp"
#include "taskd/service/rebuild.hpp"

namespace taskd::service {
namespace {

// How often a full disk is tried again.
constexpr Duration room_retry = std::chrono::seconds{1};

}  // namespace

// Taken when a batch is closed, so that the rows are what they are at its last record; stored once
// that record is durable.
void Core::snapshot_for_view() {
    if (for_view_.empty() && !view_busy_) copied_before_ = engine_.copied_bytes();
    for_view_.push_back({take_view_change(engine_, applied_, now()), ports_.clock.steady()});
}

// While the view is behind, more changes wait beside the one that it stores: each is small, and a
// row that changes again and again must not be kept in all of them.
bool Core::view_is_due() const {
    if (view_full_) return false;
    if (!view_busy_ && for_view_.empty()) return ports_.clock.steady() >= view_due_at();
    return engine_.changed_tasks() >= settings_.view_change_tasks &&
           engine_.copied_bytes() - copied_before_ < settings_.view_copies_bytes_max;
}

void Core::store_view() {
    if (view_busy_ || for_view_.empty()) return;
    if (for_view_.front().change.mark.sequence > durable_) return;
    view_busy_ = true;
    view_timer_->clear();
    view_stored_at_ = ports_.clock.steady();
    auto next = std::make_shared<ForView>(std::move(for_view_.front()));
    for_view_.pop_front();
    auto result = std::make_shared<Result<void>>();
    ports_.view_lane.run(
        [&view = ports_.view, next, result] { *result = view.store(next->change); },
        [this, next, result] { view_stored(std::move(*next), *result); });
}

void Core::view_stored(ForView stored, Result<void> result) {
    view_busy_ = false;
    if (!result && result.error().code == ErrorCode::disk_full) {
        // The journal has everything: the same rows again once there is room.
        if (!view_full_) ports_.log.error("no room for the view");
        view_full_ = true;
        for_view_.push_front(std::move(stored));
        turn_away_view_waiters();
        view_timer_->set(ports_.clock.steady() + room_retry, [this] { store_view(); });
        return;
    }
    view_full_ = false;
    if (!result) return lost_disk_(result.error());
    viewed_ = stored.change.mark.sequence;
    view_behind_since_.reset();
    if (viewed_ < durable_) view_behind_since_ = stored.taken_at;
    serve_view_waiters();  // before the next change, which would hold them up
    store_view();
    forget();
    look_after_journal();
    check_drained();
    arm_view();
}

SteadyTime Core::view_due_at() const {
    const bool awaited = !view_waiters_.empty() || !draining_.empty() ||
                         engine_.waiting_bytes() > 2 * settings_.engine.waiting_bytes_max ||
                         engine_.event_bytes() > 2 * settings_.engine.events_bytes_max;
    return awaited ? view_stored_at_ : view_stored_at_ + settings_.view_interval;
}

// Between batches the state is what is durable, so the view need not wait for the next one to
// close.
void Core::arm_view() {
    if (view_busy_ || !for_view_.empty() || viewed_ == applied_) return;
    view_timer_->set(view_due_at(), [this] {
        const bool between = !syncing_ && open_.records.records.empty();
        if (view_busy_ || !for_view_.empty() || viewed_ == applied_ || !between) return;
        snapshot_for_view();
        store_view();
    });
}

void Core::ask_view(std::function<void(port::View&)> ask, Reply then) {
    ports_.view_lane.run([&view = ports_.view, ask = std::move(ask)] { ask(view); },
                         std::move(then));
}

void Core::when_viewed(std::function<void(port::View&)> ask, Reply then) {
    if (viewed_ >= applied_) {
        ask_view(std::move(ask), std::move(then));
        return;
    }
    view_waiters_.push_back({applied_, std::move(ask), std::move(then)});
    if (!view_full_)
        arm_view();
    else
        store_view();  // there may be room by now; if not, they are turned away
}

void Core::bring(const Task& row) {
    if (engine_.is_deleted(row.spec.id)) return;
    engine_.apply(engine::TaskLoaded{std::make_shared<Task>(row)});
}

// The view cannot catch up now, and nobody knows when it will: those who wait are told.
void Core::turn_away_view_waiters() {
    for (ViewWaiter& waiter : std::exchange(view_waiters_, {}))
        waiter.then();
}

void Core::serve_view_waiters() {
    while (!view_waiters_.empty() && view_waiters_.front().needed <= viewed_) {
        ViewWaiter waiter = std::move(view_waiters_.front());
        view_waiters_.pop_front();
        ask_view(std::move(waiter.ask), std::move(waiter.then));
    }
}

// While a submit asks the view about its ids, or what a page of it led to waits, nothing is
// forgotten: what the view answered would no longer be all there is.
void Core::forget() {
    forget_due_ = questions_ > 0 || page_waits();
    if (forget_due_) return;
    engine::Decision decision = engine_.decide(now(), engine::Forget{viewed_}, random_);
    for (const engine::Note& note : decision.notes)
        engine_.apply(note);
    forget_told();
    look();
    if (decision.notes.size() == limits::turn_tasks_max) ports_.timers.post([this] { forget(); });
}

void Core::look_after_journal() {
    if (space_busy_) return;
    const auto stats = ports_.journal.stats();
    const bool drop = viewed_ > dropped_;
    // A disk that is full, or fails, is not tried again for every task that is refused.
    const bool failing = stats.full || journal_fault_;
    const bool too_soon = failing && !drop && ports_.clock.steady() < room_retry_at_;
    const bool prepare = stats.wants_prepare && !too_soon;
    if (!drop && !prepare) return;
    space_busy_ = true;
    const Sequence covered = viewed_;
    auto results = std::make_shared<std::pair<Result<void>, Result<void>>>();
    ports_.space_lane.run(
        [&journal = ports_.journal, drop, prepare, covered, results] {
            if (drop) results->first = journal.drop_through(covered);
            if (prepare) results->second = journal.prepare();
        },
        [this, covered, prepare, results] {
            space_busy_ = false;
            if (!results->first) {
                lost_disk_(results->first.error());
                return;
            }
            dropped_ = covered;
            if (prepare) journal_prepared(results->second);
            needs_room_ = false;  // or there is none, and they are told
            run_deferred();
            finish_turn();
        });
}

void Core::journal_prepared(const Result<void>& result) {
    if (result) {
        if (std::exchange(journal_fault_, std::nullopt))
            ports_.log.info("the journal has room again");
        return;
    }
    if (!journal_fault_)
        ports_.log.warn("no room for the journal", {{"error", result.error().to_string()}});
    journal_fault_ = result.error();
    room_retry_at_ = ports_.clock.steady() + room_retry;
    space_timer_->set(room_retry_at_, [this] { look_after_journal(); });
}

void Core::drain(std::function<void()> done) {
    draining_.push_back(std::move(done));
    check_drained();
    arm_view();
}

void Core::check_drained() {
    if (draining_.empty() || viewed_ != applied_ || view_busy_ || !idle()) return;
    for (auto& done : std::exchange(draining_, {}))
        ports_.timers.post(std::move(done));
}

bool is_needed_by_workflow(const Core& core, const Task& task) {
    if (!task.spec.step) return false;
    const Workflow* workflow = core.engine().find_workflow(task.spec.step->workflow);
    return workflow != nullptr && !has_ended(workflow->state);
}

}  // namespace taskd::service

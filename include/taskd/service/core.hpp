// The dispatcher's core: runs commands through the engine, the journal and the view in the order
// that loses nothing: decide, write, apply, sync, tell. While one batch syncs the next one fills.
//
// All calls on the loop's thread. Journal and view work on lanes of their own.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "taskd/engine/engine.hpp"
#include "taskd/port/background.hpp"
#include "taskd/port/clock.hpp"
#include "taskd/port/journal.hpp"
#include "taskd/port/log.hpp"
#include "taskd/port/metrics.hpp"
#include "taskd/port/timers.hpp"
#include "taskd/port/view.hpp"
#include "taskd/service/believed_clock.hpp"

namespace taskd::service {

struct CoreSettings {
    engine::EngineSettings engine;
    // The view is written at most this often, unless somebody waits for it.
    Duration view_interval = std::chrono::milliseconds{200};
    std::size_t batch_bytes_soft =
        4 * limits::mebibyte;  // beyond it commands wait for the next batch
    // Of tasks and events that the view does not have yet; beyond it submits are refused.
    std::size_t unviewed_bytes_max = limits::unviewed_bytes_least;
    // Of what is known of tasks that have not ended; beyond it nothing may be submitted.
    std::size_t backlog_bytes_max = SIZE_MAX;
    std::size_t view_change_tasks = limits::view_change_tasks;
    std::size_t view_copies_bytes_max = limits::view_copies_bytes_max;
    // A wall clock that is set ahead makes nothing old before; tests alone have it shorter.
    Duration clock_believed_after = limits::clock_believed_after;
};

struct CorePorts {
    port::Journal& journal;
    port::View& view;
    port::Background& journal_lane;  // commit
    port::Background& space_lane;    // prepare and drop_through
    port::Background& view_lane;
    port::Clock& clock;
    port::Timers& timers;
    port::Log& log;
};

// How long things took, and how much at once.
struct CoreFigures {
    port::Histogram submit{port::MetricKind::seconds};
    port::Histogram queue_wait{port::MetricKind::seconds};
    port::Histogram run{port::MetricKind::seconds};
    port::Histogram whole{port::MetricKind::seconds};
    port::Histogram batch_records{port::MetricKind::sizes};
    port::Histogram sync{port::MetricKind::seconds};
};

class Core {
  public:
    // `lost_disk` is called when a sync or the view failed: the process must end without an answer.
    Core(CoreSettings settings, CorePorts ports, std::uint64_t seed,
         std::function<void(const Error&)> lost_disk);
    ~Core();

    // Before the loop runs: rebuilds the engine from view and journal. Blocks.
    Result<void> recover();

    // What is done at once after a command was decided and applied; what it returns is done once
    // all of it is durable. Both on the loop. A refusal stands in the decision.
    using Reply = std::function<void()>;
    using Decided = std::function<Reply(const engine::Decision&)>;
    void execute(engine::Command command, Decided decided);

    // Runs `then` once everything applied so far is durable: an answer made from what is seen now.
    void when_durable(Reply then);
    // Runs `ask` on the view's lane once the view covers everything applied so far, `then` on the
    // loop; `then` alone when the disk has no room for the view: let the answer be disk_full until
    // `ask` makes another.
    void when_viewed(std::function<void(port::View&)> ask, Reply then);
    // The same without waiting for the view to catch up.
    void ask_view(std::function<void(port::View&)> ask, Reply then);

    // Called for every output once it is durable.
    void on_output(std::function<void(const engine::Output&)> handler);
    // Called for every batch once it is durable, before its outputs and replies; not for what was
    // recovered.
    void on_records(std::function<void(const RecordBatch&)> handler);

    const engine::Engine& engine() const { return engine_; }
    TaskId make_id();
    Now now() const;

    // False while what could be leased is not, as the journal has no room for it.
    bool can_lease() const { return !lease_refused_; }

    void refuse_new_work() { closed_ = true; }
    // The same until it is taken back.
    void hold_new_work(std::optional<Error> why) { held_ = std::move(why); }
    // Why new work is refused at the moment, if it is.
    std::optional<Error> slow_down() const;
    // The same for what makes tasks.
    std::optional<Error> no_more_tasks() const;
    // A bound for what may be held in memory of requests under way.
    std::size_t burst_bytes() const { return settings_.unviewed_bytes_max; }
    port::JournalStats journal_stats() const { return ports_.journal.stats(); }
    Sequence durable() const { return durable_; }
    Sequence applied() const { return applied_; }
    Sequence viewed() const { return viewed_; }
    Duration view_lag() const;  // how long the view has been behind
    // How long work and workers that could do it have stood side by side; it should be no time.
    Duration idle_with_work() const;
    void note_submit(Duration took) { figures_.submit.observe(took); }
    void report(port::MetricSink& sink) const;

    // A row that the view has just answered comes into memory, unless there is a newer one. To be
    // called where the answer arrives: later it may be old.
    void bring(const Task& row);

    std::uint64_t bodies_read() const { return bodies_read_; }  // from the view, of live tasks

    // Nothing is waiting to be written or told.
    bool idle() const;
    // Runs `done` when everything applied is durable and stands in the view.
    void drain(std::function<void()> done);

  private:
    struct Batch {
        RecordBatch records;
        std::size_t bytes = 0;
        std::vector<engine::Output> outputs;
        std::vector<Reply> replies;
    };
    struct Wanted {
        std::vector<TaskId> ids;
        std::vector<std::string> keys;
        std::vector<EventRange> events;
    };
    struct Fetched {
        std::vector<Task> tasks;
        std::vector<KeyUse> keys;
        std::vector<std::shared_ptr<const TopicEvent>> events;
    };
    struct Deferred {
        engine::Command command;
        Decided decided;
        std::size_t bytes = 0;
    };
    struct ViewWaiter {
        Sequence needed;
        std::function<void(port::View&)> ask;
        Reply then;
    };

    void run(engine::Command command, Decided decided);
    Result<void> settle(engine::Decision& decision, port::Purpose purpose);
    void note(const Record& record);
    void advance();
    void fetch_and_advance(engine::Decision& decision);
    void advance_first(WorkflowId id);
    void forget_told();
    void fetch_workflow_and_run(engine::Command command, WorkflowId id, Decided decided);
    void take_workflow(engine::Command& command, const std::shared_ptr<const WholeWorkflow>& found);
    void match();
    bool must_defer() const;
    void defer(Deferred deferred, bool first);
    bool page_waits() const;
    void run_deferred();
    void fetch(Wanted wanted, bool ahead, std::function<void(Fetched)> then);
    static Result<Fetched> fetch_from(port::View& view, const Wanted& wanted);
    void fetch_and_run(engine::Command command, Wanted wanted, Decided decided);
    void look();
    void finish_turn();
    void flush();
    void synced(Batch batch, Result<void> result);
    void tell(Batch& batch);
    void recycle(Batch batch);
    void snapshot_for_view();
    bool view_is_due() const;
    void store_view();  // the next change, if it may be stored now
    SteadyTime view_due_at() const;
    void arm_view();
    void check_drained();
    void serve_view_waiters();
    void turn_away_view_waiters();
    void look_after_journal();
    void journal_prepared(const Result<void>& result);
    void forget();
    void watch();
    void arm_tick();
    void tick();

    CoreSettings settings_;
    CorePorts ports_;
    CoreFigures figures_;
    BelievedClock believed_;
    Random random_;
    std::function<void(const Error&)> lost_disk_;
    std::function<void(const engine::Output&)> on_output_;
    std::function<void(const RecordBatch&)> on_records_;
    engine::Engine engine_;

    EngineTime engine_start_{};  // engine time at steady_start_
    SteadyTime steady_start_{};
    Sequence applied_;  // last record applied
    Sequence durable_;  // last record synced
    Sequence viewed_;   // last record in the view

    Batch open_;
    Batch spare_;  // empty: an earlier batch's memory
    bool syncing_ = false;
    bool flush_posted_ = false;
    bool needs_room_ = false;  // the batch is full or the journal's filler behind
    std::deque<Deferred> deferred_;
    std::size_t deferred_bytes_ = 0;  // of their payloads, and of those that wait for the view
    bool forget_due_ = false;         // put off by questions to the view
    std::size_t fetches_ = 0;         // commands waiting for the view
    std::size_t questions_ = 0;       // those of them that rest on what the view alone knows
    std::uint64_t workflows_deleted_ = 0;
    // What the view said of results, for the steps of a workflow that refer to them.
    struct Told {
        std::shared_ptr<const engine::ToldResults> results;
        bool used = false;  // a turn was decided with it
    };
    std::map<WorkflowId, Told> told_;
    bool looking_ = false;
    std::uint64_t bodies_read_ = 0;

    // Taken when a batch was closed, in order; each is stored once its batch is durable.
    struct ForView {
        port::ViewChange change;
        SteadyTime taken_at;
    };
    void view_stored(ForView stored, Result<void> result);
    std::deque<ForView> for_view_;
    std::uint64_t copied_before_ = 0;  // when for_view_ was last empty
    bool view_busy_ = false;
    bool view_full_ = false;  // the disk had no room for it
    std::optional<SteadyTime> view_behind_since_;
    SteadyTime view_stored_at_{};
    std::deque<ViewWaiter> view_waiters_;
    std::unique_ptr<port::Timer> view_timer_;

    std::unique_ptr<port::Timer> watch_timer_;
    SteadyTime watched_at_{};
    std::optional<SteadyTime> idle_since_;  // as far as it was looked at
    bool idle_told_ = false;
    bool backlog_told_ = false;
    std::unique_ptr<port::Timer> tick_timer_;
    bool ticking_ = false;  // a tick waits for bodies or for room
    SteadyTime tick_not_before_{};
    bool space_busy_ = false;
    std::unique_ptr<port::Timer> space_timer_;
    std::optional<Error> journal_fault_;  // of the last filling, and told so
    bool lease_refused_ = false;
    SteadyTime room_retry_at_{};
    Sequence dropped_;
    bool closed_ = false;
    std::optional<Error> held_;
    std::vector<std::function<void()>> draining_;
};

// Whether steps to come may ask for its result: then it must not be deleted.
bool is_needed_by_workflow(const Core& core, const Task& task);

}  // namespace taskd::service

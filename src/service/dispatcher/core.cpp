// The turn: decide, reserve, apply, and later sync and tell.
#include "taskd/service/core.hpp"

#include <algorithm>

#include "taskd/base/assert.hpp"
#include "taskd/protocol/record_codec.hpp"
#include "taskd/service/rebuild.hpp"

namespace taskd::service {

using engine::Command;
using engine::Decision;

namespace {

constexpr Duration watch_interval = std::chrono::seconds{1};
// A batch's memory is used again, unless it was a large one: asking for it anew costs page faults.
constexpr std::size_t spare_records_max = 4'096;

// What a full disk refuses first.
bool adds_work(Command& command) {
    return engine::asked_of(command) != nullptr ||
           std::holds_alternative<engine::Publish>(command) ||
           std::holds_alternative<engine::Redrive>(command) ||
           std::holds_alternative<engine::EditPayload>(command) ||
           std::holds_alternative<engine::StartWorkflow>(command) ||
           std::holds_alternative<engine::RetryWorkflow>(command) ||
           std::holds_alternative<engine::StartOperation>(command);
}

// What it holds in memory while it waits, roughly: what callers sent is the most of it.
std::size_t bytes_of(Command& command) {
    std::size_t bytes = sizeof command;
    if (const engine::Submit* submit = engine::asked_of(command))
        for (const TaskSpec& task : submit->tasks)
            bytes += sizeof task + task.payload.view().size();
    if (const auto* publish = std::get_if<engine::Publish>(&command))
        for (const TopicEvent& event : publish->events)
            bytes += sizeof event + taskd::bytes_of(event);
    if (const auto* complete = std::get_if<engine::Complete>(&command))
        bytes += complete->result.view().size();
    if (const auto* edit = std::get_if<engine::EditPayload>(&command))
        bytes += edit->payload.view().size();
    return bytes;
}

// Made of what the view had: until it is decided, deletions of that time must be remembered.
bool is_of_page(const Command& command) {
    return std::holds_alternative<engine::StepOperation>(command) ||
           std::holds_alternative<engine::DropTasks>(command);
}

// What the view alone knows of keys goes into the command that comes again.
struct TakeFetched {
    std::vector<KeyUse> keys;
    std::vector<std::shared_ptr<const TopicEvent>> events;

    template <class Any>
    void operator()(Any& command) {
        if constexpr (requires { command.fetched = true; }) command.fetched = true;
        if constexpr (requires { command.known_keys; }) command.known_keys = std::move(keys);
        if constexpr (requires { command.known_events; }) command.known_events = std::move(events);
    }
};

}  // namespace

Core::Core(CoreSettings settings, CorePorts ports, std::uint64_t seed,
           std::function<void(const Error&)> lost_disk)
    : settings_{settings},
      ports_{ports},
      believed_{ports.clock, settings.clock_believed_after},
      random_{seed},
      lost_disk_{std::move(lost_disk)},
      engine_{settings.engine},
      view_timer_{ports.timers.make()},
      watch_timer_{ports.timers.make()},
      tick_timer_{ports.timers.make()},
      space_timer_{ports.timers.make()} {}

Core::~Core() = default;

Result<void> Core::recover() {
    const auto rebuilt =
        rebuild(engine_, ports_.view, [this](Sequence after, const TakeBatch& take) {
            return ports_.journal.recover(after, take);
        });
    if (!rebuilt) return std::unexpected{rebuilt.error()};
    viewed_ = dropped_ = rebuilt->viewed;
    applied_ = rebuilt->applied;
    durable_ = applied_;
    engine_start_ = rebuilt->engine;
    steady_start_ = view_stored_at_ = ports_.clock.steady();
    ports_.log.info("recovered", {{"records_through", std::to_string(applied_.value)},
                                  {"tasks", std::to_string(engine_.tasks_in_memory())}});
    execute(engine::Resume{}, [](const Decision&) { return Reply{}; });
    look_after_journal();
    watch();
    return {};
}

Now Core::now() const {
    return {ports_.clock.wall(), engine_start_ + (ports_.clock.steady() - steady_start_),
            believed_.ahead()};
}

TaskId Core::make_id() {
    return TaskId::make(ports_.clock.wall(), random_);
}

void Core::on_output(std::function<void(const engine::Output&)> handler) {
    on_output_ = std::move(handler);
}

void Core::on_records(std::function<void(const RecordBatch&)> handler) {
    on_records_ = std::move(handler);
}

void Core::execute(Command command, Decided decided) {
    // A frame has an end: what comes while a big one fills waits until it is written.
    if (!deferred_.empty() || must_defer())
        return defer({std::move(command), std::move(decided)}, false);
    run(std::move(command), std::move(decided));
}

void Core::defer(Deferred deferred, bool first) {
    deferred.bytes = bytes_of(deferred.command);
    deferred_bytes_ += deferred.bytes;
    deferred_.insert(first ? deferred_.begin() : deferred_.end(), std::move(deferred));
}

void Core::run(Command command, Decided decided) {
    const bool new_work = adds_work(command);
    Decision decision = engine_.decide(now(), command, random_);
    if (decision.asks()) {
        fetch_and_run(std::move(command),
                      {std::move(decision.fetch), std::move(decision.fetch_keys),
                       std::move(decision.topics.fetch)},
                      std::move(decided));
        return;
    }
    if (decision.fetch_workflow) {
        fetch_workflow_and_run(std::move(command), *decision.fetch_workflow, std::move(decided));
        return;
    }
    const auto purpose = new_work ? port::Purpose::new_work : port::Purpose::old_work;
    if (auto settled = settle(decision, purpose); !settled) {
        // The batch is full or the filler behind: both pass, the command waits for it. A filler
        // that fails does not.
        const bool passes = !journal_fault_ || syncing_ || !open_.records.records.empty();
        const bool behind = settled.error().code == ErrorCode::overloaded;
        if (behind && passes) {
            needs_room_ = true;
            defer({std::move(command), std::move(decided)}, true);
            look_after_journal();
            finish_turn();
            return;
        }
        decision = {};
        decision.refused = behind ? *journal_fault_ : settled.error();
    }
    advance();
    match();
    if (Reply reply = decided(decision)) open_.replies.push_back(std::move(reply));
    finish_turn();
}

bool Core::must_defer() const {
    return needs_room_ || (syncing_ && open_.bytes > settings_.batch_bytes_soft);
}

bool Core::page_waits() const {
    return std::ranges::any_of(deferred_, [](const Deferred& each) {
        const auto* retry = std::get_if<engine::RetryWorkflow>(&each.command);
        return is_of_page(each.command) || (retry != nullptr && retry->fetched);
    });
}

void Core::run_deferred() {
    while (!deferred_.empty() && !must_defer()) {
        Deferred next = std::move(deferred_.front());
        deferred_.pop_front();
        deferred_bytes_ -= next.bytes;
        run(std::move(next.command), std::move(next.decided));
    }
}

// Applied only when it can be written: the room is set aside first.
Result<void> Core::settle(Decision& decision, port::Purpose purpose) {
    std::size_t bytes = 0;
    for (const Record& record : decision.records)
        bytes += protocol::encoded_bytes_max(record);
    if (bytes > 0) {
        if (open_.bytes == 0) bytes += protocol::batch_bytes_overhead_max;
        if (auto reserved = ports_.journal.reserve(bytes, purpose); !reserved) return reserved;
        open_.bytes += bytes;
    }
    for (Record& record : decision.records) {
        applied_ = applied_.next();
        if (open_.records.records.empty()) open_.records.first = applied_;
        engine_.apply(applied_, record);
        note(record);
        if (std::holds_alternative<WorkflowDeleted>(record)) ++workflows_deleted_;
        open_.records.records.push_back(std::move(record));
    }
    for (const engine::Note& note : decision.notes)
        engine_.apply(note);
    for (engine::Output& output : decision.outputs)
        open_.outputs.push_back(std::move(output));
    return {};
}

// A process that ends leases nothing more: the next one does.
void Core::match() {
    if (closed_) return;
    for (std::size_t i = 0; i < limits::turn_tasks_max && engine_.can_match(); ++i) {
        if (syncing_ && open_.bytes > settings_.batch_bytes_soft) return;  // after the sync
        Decision decision = engine_.decide(now(), engine::Match{}, random_);
        const auto settled = settle(decision, port::Purpose::old_work);
        lease_refused_ =
            !settled && (journal_fault_ || settled.error().code == ErrorCode::disk_full);
        if (!settled) return;  // tried again when there is room
    }
}

// Bodies that came are noted; `then` gets what the view alone knows: tasks, and keys' uses with the
// tasks that hold them.
void Core::fetch(Wanted wanted, bool ahead, std::function<void(Fetched)> then) {
    auto found = std::make_shared<Result<Fetched>>();
    auto asked = std::make_shared<Wanted>(std::move(wanted));
    ask_view([found, asked](port::View& view) { *found = fetch_from(view, *asked); },
             [this, found, asked, ahead, then = std::move(then)] {
                 if (!*found) return lost_disk_(found->error());
                 std::vector<Task> unknown;
                 for (Task& task : (*found)->tasks) {
                     if (engine_.is_deleted(task.spec.id)) continue;
                     if (!engine_.state_of(task.spec.id)) {
                         unknown.push_back(std::move(task));
                     } else if (engine_.is_bodiless(task.spec.id)) {
                         ++bodies_read_;
                         engine_.apply(
                             engine::TaskLoaded{std::make_shared<Task>(std::move(task)), ahead});
                     }
                 }
                 for (const TaskId& id : asked->ids)
                     if (engine_.is_bodiless(id))
                         return lost_disk_(Error{ErrorCode::view_corrupt,
                                                 id.to_string() + " is not in the view"});
                 then({std::move(unknown), std::move((*found)->keys), std::move((*found)->events)});
             });
}

Result<Core::Fetched> Core::fetch_from(port::View& view, const Wanted& wanted) {
    Fetched fetched;
    auto keys = view.find_keys(wanted.keys);
    if (!keys) return fail(std::move(keys));
    fetched.keys = std::move(*keys);
    std::vector<TaskId> ids = wanted.ids;
    for (const KeyUse& use : fetched.keys)
        ids.push_back(use.id);
    auto tasks = view.find(ids);
    if (!tasks) return fail(std::move(tasks));
    fetched.tasks = std::move(*tasks);
    // As much as one answer may have; who wants more asks again.
    std::size_t room = limits::deliveries_bytes_max;
    for (EventRange range : wanted.events) {
        range.bytes = std::min(range.bytes, room);
        auto events = view.events(range);
        if (!events) return fail(std::move(events));
        for (TopicEvent& event : *events) {
            room -= std::min(room, bytes_of(event));
            fetched.events.push_back(std::make_shared<const TopicEvent>(std::move(event)));
        }
        if (room == 0) break;
    }
    return fetched;
}

void Core::fetch_and_run(Command command, Wanted wanted, Decided decided) {
    const bool question = engine::asked_of(command) != nullptr;
    const bool holds_memory = question || is_of_page(command);
    ++fetches_;
    questions_ += holds_memory ? 1 : 0;
    const std::size_t bytes = bytes_of(command);
    deferred_bytes_ += bytes;
    auto again = std::make_shared<Command>(std::move(command));
    fetch(std::move(wanted), false,
          [this, question, holds_memory, bytes, again,
           decided = std::move(decided)](Fetched unknown) {
              --fetches_;
              deferred_bytes_ -= bytes;
              questions_ -= holds_memory ? 1 : 0;
              // An ended task comes back to whoever wants to change it.
              if (!question)
                  for (Task& task : unknown.tasks)
                      engine_.apply(engine::TaskLoaded{std::make_shared<Task>(std::move(task))});
              if (engine::Submit* submit = engine::asked_of(*again)) {
                  submit->fetched = true;
                  submit->known = std::move(unknown.tasks);
                  submit->known_keys = std::move(unknown.keys);
              } else
                  std::visit(TakeFetched{std::move(unknown.keys), std::move(unknown.events)},
                             *again);
              execute(std::move(*again), decided);
              if (forget_due_) forget();
          });
}

// Reads the bodies of tasks whose turn comes soon.
void Core::look() {
    while (!looking_ && engine_.can_look()) {
        Decision decision = engine_.decide(now(), engine::Look{}, random_);
        for (const engine::Note& note : decision.notes)
            engine_.apply(note);
        if (decision.fetch.empty()) return;
        looking_ = true;
        fetch({std::move(decision.fetch), {}, {}}, true, [this](const Fetched&) {
            looking_ = false;
            match();
            finish_turn();
        });
    }
}

void Core::finish_turn() {
    look();
    arm_tick();
    if (flush_posted_) return;
    flush_posted_ = true;
    ports_.timers.post([this] {
        flush_posted_ = false;
        flush();
    });
}

void Core::flush() {
    if (engine_.can_match() || engine_.can_advance()) {
        advance();
        match();  // what one turn left over
        arm_tick();
    }
    if (syncing_) return;
    if (open_.records.records.empty()) {
        Batch told = std::exchange(open_, {});
        tell(told);  // nothing was written and nothing is under way: all of it is durable
        recycle(std::move(told));
        check_drained();
        return;
    }
    ports_.journal.seal();
    open_.records.engine = now().engine;
    auto batch = std::make_shared<Batch>(std::exchange(open_, std::exchange(spare_, {})));
    if (view_is_due()) snapshot_for_view();
    syncing_ = true;
    figures_.batch_records.observe_size(batch->records.records.size());
    struct Synced {
        Result<void> result;
        Duration took{};
    };
    auto done = std::make_shared<Synced>();
    ports_.journal_lane.run(
        [&journal = ports_.journal, &clock = ports_.clock, batch, done] {
            const SteadyTime begin = clock.steady();
            done->result = journal.commit(batch->records);
            done->took = clock.steady() - begin;
        },
        [this, batch, done] {
            figures_.sync.observe(done->took);
            synced(std::move(*batch), done->result);
        });
}

void Core::synced(Batch batch, Result<void> result) {
    if (!result) {
        lost_disk_(result.error());
        return;
    }
    syncing_ = false;
    durable_ = batch.records.last();
    if (!view_behind_since_) view_behind_since_ = ports_.clock.steady();
    if (!view_full_) store_view();
    // The disk has the next batch before this one is told: neither waits for the other.
    if (!open_.records.records.empty()) flush();
    tell(batch);
    recycle(std::move(batch));
    arm_view();
    needs_room_ = false;
    run_deferred();
    look_after_journal();
    finish_turn();  // what has come meanwhile is in the next batch too: fewer syncs when much comes
}

void Core::recycle(Batch batch) {
    const std::size_t room = batch.records.records.capacity();
    if (room > spare_records_max || room < spare_.records.records.capacity()) return;
    batch.records.records.clear();
    batch.outputs.clear();
    batch.replies.clear();
    batch.bytes = 0;
    spare_ = std::move(batch);
}

void Core::tell(Batch& batch) {
    if (on_records_ && !batch.records.records.empty()) on_records_(batch.records);
    const EngineTime told_at = now().engine;
    for (const engine::Output& output : batch.outputs) {
        if (const auto* ended = std::get_if<engine::TaskEnded>(&output))
            engine_.apply(engine::EndTold{ended->id, told_at - ended->at});
        if (on_output_) on_output_(output);
    }
    for (const Reply& reply : batch.replies)
        reply();
}

void Core::when_durable(Reply then) {
    open_.replies.push_back(std::move(then));
    finish_turn();
}

bool Core::idle() const {
    return !syncing_ && open_.records.records.empty() && open_.replies.empty() &&
           deferred_.empty() && fetches_ == 0;
}

std::optional<Error> Core::slow_down() const {
    if (closed_) return Error{ErrorCode::shutting_down, {}};
    if (held_) return held_;
    const auto behind = view_behind_since_;
    const bool late = behind && ports_.clock.steady() - *behind > limits::view_lag_max;
    // Beside what stays in memory although the view has it. Without room for the view the journal's
    // own room is the bound.
    const std::size_t bytes =
        engine_.waiting_bytes() + engine_.ended_bytes() + engine_.event_bytes();
    const auto& kept = settings_.engine;
    const bool much = !view_full_ && bytes > settings_.unviewed_bytes_max + kept.waiting_bytes_max +
                                                 kept.ended_bytes_max + kept.events_bytes_max;
    if (view_full_ && late) return Error{ErrorCode::disk_full, "the view has no room"};
    if (late) return Error{ErrorCode::overloaded, "the view is behind"};
    if (deferred_bytes_ > settings_.unviewed_bytes_max)
        return Error{ErrorCode::overloaded, "what is new waits for the disk"};
    if (much) return Error{ErrorCode::overloaded, "what is new waits for the view"};
    if (ports_.journal.stats().bytes_since_drop > limits::view_lag_bytes_max)
        return Error{ErrorCode::overloaded, "the journal waits for the view"};
    return std::nullopt;
}

std::optional<Error> Core::no_more_tasks() const {
    if (auto slow = slow_down()) return slow;
    if (engine_.backlog_bytes() <= settings_.backlog_bytes_max) return std::nullopt;
    return Error{ErrorCode::backlog_full,
                 std::to_string(engine_.tasks_in_memory()) + " tasks are there"};
}

// Whatever the indexes say: nothing that could be done may lie beside a worker that could do it.
void Core::watch() {
    const SteadyTime now = ports_.clock.steady();
    watch_timer_->set(now + watch_interval, [this] { watch(); });
    believed_.look();
    // Time in which the whole process stood still says nothing.
    const Duration stood_still = now - watched_at_ - watch_interval;
    if (idle_since_ && stood_still > Duration{0}) *idle_since_ += stood_still;
    watched_at_ = now;
    const bool many = engine_.backlog_bytes() > settings_.backlog_bytes_max;
    if (many && !backlog_told_)
        ports_.log.warn(row_of(ErrorCode::backlog_full).text,
                        {{"tasks", std::to_string(engine_.tasks_in_memory())}});
    backlog_told_ = many;
    // Without room nothing can be leased, and that is told already; at the end nothing is.
    const bool held_up = ports_.journal.stats().full || journal_fault_ || needs_room_ || closed_;
    const auto types = held_up ? std::vector<std::string>{} : engine_.idle_with_work();
    if (types.empty()) {
        idle_since_.reset();
        idle_told_ = false;
        return;
    }
    if (!idle_since_) idle_since_ = now;
    if (idle_with_work() <= limits::idle_with_work_max || std::exchange(idle_told_, true)) return;
    ports_.log.error("work waits beside idle workers", {{"type", types.front()}});
    match();
    finish_turn();
}

Duration Core::idle_with_work() const {
    return idle_since_ ? ports_.clock.steady() - *idle_since_ : Duration{0};
}

void Core::arm_tick() {
    const Now time = now();
    auto deadline = engine_.next_deadline(time);
    if (!deadline) {
        tick_timer_->clear();
        return;
    }
    if (engine_.waits_for_wall_time())
        deadline = std::min(*deadline, time.engine + limits::wall_clock_look);
    const SteadyTime at = steady_start_ + (*deadline - engine_start_);
    tick_timer_->set(std::max(at, tick_not_before_), [this] { tick(); });
}

void Core::tick() {
    if (std::exchange(ticking_, true)) return;
    execute(engine::Tick{}, [this](const Decision& decision) {
        ticking_ = false;
        // A full disk refuses even this: come again later instead of at once.
        if (decision.refused)
            tick_not_before_ = ports_.clock.steady() + std::chrono::milliseconds{100};
        return Reply{};
    });
}

}  // namespace taskd::service

#include "sim/story.hpp"

#include <algorithm>

#include "sim/topic_acts.hpp"
#include "taskd/protocol/json_templates.hpp"
#include "taskd/protocol/record_codec.hpp"
#include "taskd/protocol/search_match.hpp"
#include "taskd/service/rebuild.hpp"

namespace taskd::sim {

using namespace std::chrono_literals;

namespace {

constexpr Duration lease_duration = 3s;
constexpr std::size_t step_targets = 3;
// Long enough for the longest backoff, limit and wait that an act asks for.
constexpr int settle_seconds = 4'000;

service::CoreSettings core_settings() {
    service::CoreSettings settings;
    settings.engine.lease_duration = lease_duration;
    // Small, so that bodies, keys and ended tasks do leave memory.
    settings.engine.ended_in_memory_max = 40;
    settings.engine.waiting_bytes_max = 2'000;
    settings.engine.keys_in_memory_max = 20;
    settings.engine.events_bytes_max = 1'500;
    settings.view_interval = 50ms;
    static const protocol::JsonTemplates templates;
    settings.engine.templates = &templates;
    return settings;
}

// One that was refused does nothing.
bool does_something(const engine::Decision& decision) {
    return !decision.records.empty() || !decision.notes.empty() || !decision.outputs.empty();
}

}  // namespace

Result<void> JudgedJournal::commit(const RecordBatch& batch) {
    // What is read back is what was written.
    std::string bytes;
    protocol::encode_batch(batch, bytes);
    const auto back = protocol::decode_batch(bytes);
    if (!back || !(*back == batch)) judge_.blame("records are read back as they were written");
    judge_.take(batch);
    return MemoryJournal::commit(batch);
}

void JudgedLog::write(port::LogLevel level, std::string_view message,
                      std::initializer_list<port::LogField> fields) {
    if (level != port::LogLevel::error || message == "no room for the view") return;
    std::string text = "the core does not complain: " + std::string{message};
    for (const port::LogField& field : fields)
        text.append(" ").append(field.name).append("=").append(field.value);
    judge_.blame(std::move(text));
}

Story::Story(std::uint64_t seed, Tally& tally)
    : random_{seed},
      tally_{tally},
      stage_{random_},
      judge_{lease_duration},
      log_{judge_},
      journal_lane_{stage_},
      space_lane_{stage_},
      view_lane_{stage_} {
    tally_.rows.resize(state_table().size());
    workers_ = {{.name = "first", .types = {"echo", "sleep"}, .slots = 3},
                {.name = "second", .types = {"sleep", "heavy"}, .slots = 2},
                {.name = "third", .types = {"echo", "heavy"}, .slots = 4, .pulls = true}};
    for (const SimWorker& worker : workers_)
        judge_.set_slots(worker.name, worker.slots);
    start();
}

Story::~Story() {
    if (runs()) gather_rows();
    keeper_.reset();
    deliveries_.reset();
    schedules_.reset();
    core_.reset();
}

void Story::hit(const char* fault) {
    ++tally_.faults[fault];
}

void Story::start() {
    journal_ = std::make_unique<JudgedJournal>(tape_, judge_);
    view_ = std::make_unique<MemoryView>(table_);
    fill_journal(journal_full_);
    fill_view(view_full_);
    core_ = std::make_unique<service::Core>(
        core_settings(),
        service::CorePorts{*journal_, *view_, journal_lane_, space_lane_, view_lane_, stage_,
                           stage_, log_},
        random_.next(),
        [this](const Error& error) { judge_.blame("no disk is lost here: " + error.to_string()); });
    core_->on_output([this](const engine::Output& output) { deliver(output); });
    schedules_ = std::make_unique<service::ScheduleDesk>(*core_, calendar_, stage_, stage_, log_);
    deliveries_ = std::make_unique<service::DeliveryDesk>(*core_, stage_, stage_);
    keeper_ = std::make_unique<service::TopicKeeper>(*core_, stage_, stage_, log_);
    core_->on_records([this](const RecordBatch& batch) { deliveries_->on_records(batch); });
    check_durable();
    if (auto recovered = core_->recover(); !recovered)
        judge_.blame("a start succeeds: " + recovered.error().to_string());
    rows_before_ = core_->engine().row_hits();
    check_same(core_->engine(), false);
    schedules_->start();
    keeper_->start();
    ++life_;
    ++tally_.lives;
    for (SimWorker& worker : workers_)
        if (worker.up) declare(worker);
}

void Story::gather_rows() {
    const auto& hits = core_->engine().row_hits();
    for (std::size_t i = 0; i < hits.size(); ++i)
        tally_.rows[i] += hits[i] - rows_before_[i];
}

// Killed: a call that the disk was given is done or not, as luck will have it. Without power it is
// not.
void Story::die(Death how) {
    if (!runs()) return;
    const bool writing = journal_lane_.has_job();
    if (writing) hit("died while syncing");
    if (journal_lane_.has_answer()) hit("died between sync and answer");
    if (view_lane_.has_job()) hit("died while the view was read or stored");
    hit(how == Death::kill ? "dispatcher killed" : "power cut");
    gather_rows();
    if (writing && how == Death::kill && random_.chance(1, 2)) journal_lane_.finish_first();
    keeper_.reset();
    deliveries_.reset();
    schedules_.reset();
    core_.reset();
    stepping_.clear();
    for (StageLane* lane : {&journal_lane_, &space_lane_, &view_lane_})
        lane->forget();
    stage_.clear();
}

void Story::fill_journal(bool full) {
    journal_full_ = full;
    journal_->full = full;
}

void Story::fill_view(bool full) {
    view_full_ = full;
    view_->fails_with = full ? std::optional{ErrorCode::disk_full} : std::nullopt;
}

void Story::declare(SimWorker& worker) {
    const auto room = static_cast<std::uint32_t>(
        worker.slots - std::min<std::size_t>(worker.slots, core_->engine().held_by(worker.name)));
    ask("worker up", engine::WorkerUp{worker.name, worker.types, worker.slots,
                                      worker.pulls ? room : engine::credit_unlimited});
}

void Story::deliver(const engine::Output& output) {
    const auto to = [&](const std::string& name) -> SimWorker* {
        const auto at = std::ranges::find(workers_, name, &SimWorker::name);
        return at == workers_.end() || !at->up ? nullptr : &*at;
    };
    const bool lost = random_.chance(lost_in_a_hundred, 100);
    if (const auto* lease = std::get_if<engine::SendLease>(&output)) {
        if (lost) return hit("lease lost on its way");
        if (SimWorker* worker = to(lease->worker)) worker->held.push_back(lease->lease);
    } else if (const auto* revoke = std::get_if<engine::SendRevoke>(&output)) {
        if (lost) return hit("revocation lost on its way");
        SimWorker* worker = to(revoke->worker);
        if (worker && std::erase(worker->held, revoke->lease) > 0)
            worker->revoked.push_back(revoke->lease);
    }
}

void Story::ask(const char* name, engine::Command command, Done done) {
    asked(name);
    core_->execute(std::move(command),
                   [this, name, done = std::move(done)](const engine::Decision& decision) {
                       if (does_something(decision)) accepted(name);
                       return [done, decision] {
                           if (done) done(decision);
                       };
                   });
}

void Story::submit(const char* name, std::vector<TaskSpec> tasks) {
    std::vector<TaskId> ids;
    for (const TaskSpec& spec : tasks)
        ids.push_back(spec.id);
    ask(name, engine::Submit{.tasks = std::move(tasks), .known = {}, .known_keys = {}},
        [this, ids](const engine::Decision& decision) {
            if (decision.refused) return;
            std::vector<TaskId> there = ids;
            for (const auto& [index, other] : decision.existing)
                there[index] = other;
            for (const TaskId& id : there)
                if (!judge_.find(id) && !judge_.was_deleted(id))
                    judge_.blame("what was acknowledged is durable: " + id.to_string());
        });
}

void Story::make_group(Group group, bool open, std::vector<TaskSpec> tasks) {
    for (TaskSpec& spec : tasks)
        spec.group = group.id;
    const GroupId id = group.id;
    ask("make group",
        engine::MakeGroup{
            std::move(group), open, {.tasks = std::move(tasks), .known = {}, .known_keys = {}}},
        [this, id](const engine::Decision& decision) {
            if (!decision.refused && !judge_.groups().contains(id))
                judge_.blame("a group that was acknowledged is durable: " + id.to_string());
        });
}

TaskSpec Story::make_task(std::string type) {
    TaskSpec spec;
    spec.id = TaskId::make(stage_.wall(), random_);
    spec.type = std::move(type);
    spec.payload = Blob{std::to_string(random_.below(1'000))};
    if (random_.chance(1, 4)) spec.payload = Blob{"\"" + std::string(700, 'p') + "\""};
    return spec;
}

TaskSpec Story::make_task() {
    static constexpr const char* types[] = {"echo", "sleep", "heavy", "nobody"};
    static constexpr const char* keys[] = {"", "", "acme", "bolt"};
    TaskSpec spec = make_task(types[random_.below(random_.chance(1, 8) ? 4 : 3)]);
    spec.key = keys[random_.below(4)];
    spec.priority = static_cast<std::uint8_t>(random_.below(10));
    spec.attempts_max = static_cast<std::uint32_t>(1 + random_.below(4));
    spec.crashes_max = static_cast<std::uint32_t>(1 + random_.below(4));
    spec.backoff.initial = std::chrono::milliseconds{random_.below(8'000)};
    spec.backoff.max = 30s;
    spec.backoff.kind = static_cast<BackoffKind>(random_.below(3));
    if (random_.chance(1, 6)) spec.delay = std::chrono::milliseconds{1 + random_.below(9'000)};
    if (spec.delay == Duration{0} && random_.chance(1, 12))
        spec.run_at = stage_.wall() + std::chrono::milliseconds{random_.below(20'000)};
    if (random_.chance(1, 4)) spec.idempotency_key = "order-" + std::to_string(random_.below(60));
    if (random_.chance(1, 12)) spec.no_retry = {"not_now"};
    if (random_.chance(1, 5)) spec.timeout = std::chrono::milliseconds{100 + random_.below(2'000)};
    if (random_.chance(1, 5))
        spec.queue_timeout = std::chrono::milliseconds{100 + random_.below(9'000)};
    if (random_.chance(1, 5))
        spec.total_timeout = std::chrono::milliseconds{200 + random_.below(9'000)};
    return spec;
}

std::optional<TaskId> Story::any_known() {
    if (submitted_.empty()) return std::nullopt;
    return submitted_[random_.below(submitted_.size())].id;
}

std::optional<TaskId> Story::any_recent() {
    if (submitted_.empty()) return std::nullopt;
    const std::size_t newest = std::min<std::size_t>(12, submitted_.size());
    return submitted_[submitted_.size() - 1 - random_.below(newest)].id;
}

// What the service's own driver does with the view: a few at a time, as far as the view has them.
void Story::step_operation(const OperationId& id) {
    const auto& running = core_->engine().operations();
    const auto at = running.find(id);
    if (at == running.end() || at->second.state != OperationState::running) return;
    if (!stepping_.insert(id).second) return;  // the next part is read when this one is done
    TaskQuery query;
    query.limit = step_targets;
    query.after = at->second.cursor;
    if (auto search = parse_search(at->second.search)) query.search = std::move(*search);
    query.now = stage_.wall();
    query.rows_max = 20;
    const auto page = MemoryView{table_}.list(query);
    engine::StepOperation step{.id = id, .targets = {}};
    const engine::Engine& engine = core_->engine();
    for (const Task& row : page->tasks) {
        const TaskId& task = row.spec.id;
        if (engine.is_deleted(task)) continue;
        const bool comes_back =
            at->second.action == OperationAction::redrive && !engine.state_of(task);
        if (comes_back || engine.is_bodiless(task)) core_->bring(row);
        step.targets.push_back({task, row.changed_as});
    }
    step.cursor = page->next;
    step.last = !page->next;
    ask("step operation", std::move(step),
        [this, id](const engine::Decision&) { stepping_.erase(id); });
}

// As retention does, whatever their age: ended tasks from some place on, as far as the view has
// them, but for members of groups that have not ended; and of schedules, whose times would have
// their turn again when they are made up for.
void Story::drop_some() {
    TaskQuery query;
    query.limit = step_targets;
    query.search = parse_search("state:succeeded,dead,cancelled,expired").value();
    if (random_.chance(1, 2)) query.after = any_known();
    query.bare = true;
    const auto page = MemoryView{table_}.list(query);
    engine::DropTasks drop;
    const engine::Engine& engine = core_->engine();
    for (const Task& row : page->tasks) {
        const auto group =
            row.spec.group ? engine.groups().find(*row.spec.group) : engine.groups().end();
        const bool counted =
            group != engine.groups().end() && group->second.state != GroupState::done;
        const bool needed = service::is_needed_by_workflow(*core_, row);
        if (!counted && !needed && !row.spec.planned_for && !engine.is_deleted(row.spec.id))
            drop.targets.push_back({row.spec.id, row.changed_as});
    }
    ask("drop tasks", std::move(drop));
}

void Story::live(std::uint64_t steps) {
    for (std::uint64_t i = 0; i < steps && judge_.broken().empty(); ++i) {
        ++tally_.steps;
        act(*this);
        if (random_.chance(1, 2)) stage_.run_posted();
        if (random_.chance(2, 3))
            stage_.pass(Duration{static_cast<std::int64_t>(random_.below(30'000))});
        check();
    }
}

// After every step: what the engine counts is what its tasks and leases say, it can explain
// whatever waits, and nothing waits beside a worker that could do it.
void Story::check() {
    if (!runs()) return;
    const engine::Engine& engine = core_->engine();
    for (const std::string& fault : engine.faults())
        judge_.blame("figures are what leases and tasks say: " + fault);
    if (const auto id = any_recent()) {
        const Task* task = engine.find(*id);
        if (task && engine.explain(core_->now(), *task).rule.empty())
            judge_.blame("whatever waits is explained: " + id->to_string());
    }
    const bool still = stage_.quiet() && core_->idle() && !journal_full_ && !view_lane_.has_job() &&
                       !view_lane_.has_answer();
    if (still && engine.can_advance()) judge_.blame("a workflow that can go on does");
    if (still && !engine.can_match() && !engine.can_look())
        for (const std::string& type : engine.idle_with_work())
            judge_.blame("nothing queued lies beside an idle worker: " + type);
}

// What comes back is exactly what was durable.
void Story::check_durable() {
    engine::Engine engine{core_settings().engine};
    const auto rebuilt =
        service::rebuild(engine, *view_, [this](Sequence after, const service::TakeBatch& take) {
            return journal_->recover(after, take);
        });
    if (!rebuilt) return judge_.blame("a store is whole: " + rebuilt.error().to_string());
    check_same(engine, true);
    for (const WorkflowId& id : judge_.workflows().running())
        if (const Workflow* there = engine.find_workflow(id); !there || has_ended(there->state))
            judge_.blame("a restart keeps workflows: " + id.to_string());
}

// `steps`: those of workflows too, which go on within the turn that recovers.
void Story::check_same(const engine::Engine& engine, bool steps) {
    for (const auto& [id, fate] : judge_.fates()) {
        if (fate.step && !steps) continue;
        std::optional<TaskState> state = engine.state_of(id);
        if (const auto row = table_.tasks.find(id); !state && row != table_.tasks.end())
            state = row->second.state;
        if (!state)
            judge_.blame("no acknowledged task is lost: " + id.to_string());
        else if (*state != fate.state)
            judge_.blame("a restart changes nothing: " + id.to_string() + " is " +
                         std::string{to_text(*state)} + ", was " +
                         std::string{to_text(fate.state)});
    }
    for (const SimWorker& worker : workers_)
        if (engine.held_by(worker.name) != judge_.held_by(worker.name))
            judge_.blame("a restart keeps leases: " + worker.name);
}

void Story::work_all() {
    for (SimWorker& worker : workers_) {
        for (const engine::LeaseRef& lease : std::exchange(worker.held, {}))
            ask("complete", engine::Complete{lease, Blob{"true"}});
        for (const engine::LeaseRef& lease : std::exchange(worker.revoked, {}))
            ask("confirm revoked", engine::ConfirmRevoked{lease});
        if (worker.pulls) declare(worker);
    }
    for (const OperationId& id : operations)
        step_operation(id);
    consume_all(*this);
}

bool Story::at_peace() {
    const auto runs = [](const auto& each) { return each.second.state == OperationState::running; };
    const auto open = [](const auto& each) { return each.second.state == GroupState::open; };
    return judge_.live() == 0 && judge_.topics().open() == 0 &&
           std::ranges::none_of(judge_.groups(), open) && core_->idle() &&
           core_->viewed() == core_->applied() && std::ranges::none_of(judge_.operations(), runs) &&
           judge_.workflows().running().empty();
}

std::string Story::what_waits() {
    for (const auto& [id, fate] : judge_.fates()) {
        if (is_terminal(fate.state)) continue;
        const Task* task = core_->engine().find(id);
        const std::string why =
            task ? std::string{core_->engine().explain(core_->now(), *task).rule} : "no body";
        return id.to_string() + " of " + fate.type + " is " + std::string{to_text(fate.state)} +
               ": " + why;
    }
    for (const auto& [id, operation] : judge_.operations())
        if (operation.state == OperationState::running) return "operation " + id.to_string();
    for (const auto& [id, group] : judge_.groups())
        if (group.state == GroupState::open) return "group " + id.to_string() + " is open";
    if (const std::size_t open = judge_.topics().open(); open > 0)
        return std::to_string(open) + " deliveries";
    for (const WorkflowId& id : judge_.workflows().running())
        for (const auto& wait : core_->engine().explain_workflow(core_->now(), id, 1))
            return "workflow " + id.to_string() + ", step " + wait.step + ": " + wait.text;
    return core_->idle() ? "the view, which is at " + std::to_string(core_->viewed().value) +
                               " of " + std::to_string(core_->applied().value)
                         : "the core";
}

void Story::settle() {
    if (!judge_.broken().empty()) return;
    if (!runs()) start();
    lost_in_a_hundred = 0;
    stage_.slowness = 2ms;
    fill_journal(false);
    fill_view(false);
    for (const std::string& name : schedule_names)
        schedules_->remove(name, [](const engine::Decision&) {});
    for (const char* type : {"echo", "sleep", "heavy", "nobody"}) {
        engine::ChangeQueue change{.type = type, .rules = {.type = type}};
        ask("change queue", change);
        change.what = engine::ChangeQueue::What::resume;
        ask("change queue", change);
        for (const char* key : {"acme", "bolt"}) {
            change.key = key;
            ask("change queue", change);
        }
    }
    for (SimWorker& worker : workers_) {
        worker.up = true;
        ask("change worker",
            engine::ChangeWorker{worker.name, engine::ChangeWorker::What::resume, {}, {}});
        declare(worker);
    }
    for (int i = 0; i < settle_seconds && judge_.broken().empty() && !at_peace(); ++i) {
        work_all();
        // What was asked before may still be on its way to the engine, so it is said again.
        if (i % 50 == 0)
            for (const GroupId& id : open_groups)
                ask("close group", engine::CloseGroup{id});
        if (i % 50 == 0)
            for (const auto& [id, fate] : judge_.fates())
                if (fate.type == "nobody" && !is_terminal(fate.state))
                    ask("cancel", engine::Cancel{id, "nobody does it"});
        stage_.pass(i < 200 ? 100ms : 1s);
        check();
    }
    if (judge_.broken().empty() && !at_peace()) judge_.blame("every task ends: " + what_waits());
    if (judge_.broken().empty()) check_whole();
}

// At the end of a story: groups have ended, and the view has what the journal had.
void Story::check_whole() {
    judge_.topics().at_rest([this](std::string what) { judge_.blame(std::move(what)); });
    for (const auto& [id, group] : judge_.groups())
        if (group.state != GroupState::done) judge_.blame("every group ends: " + id.to_string());
    for (const auto& [id, fate] : judge_.fates()) {
        const auto row = table_.tasks.find(id);
        if (row == table_.tasks.end())
            judge_.blame("the view has every task: " + id.to_string());
        else if (row->second.state != fate.state)
            judge_.blame("the view has them as they are: " + id.to_string());
        else if (fate.state == TaskState::succeeded && row->second.result.empty())
            judge_.blame("what succeeded has a result: " + id.to_string());
    }
    for (const auto& [id, whole] : table_.workflows)
        if (judge_.workflows().state_of(id) != whole.workflow.state)
            judge_.blame("the view has workflows as they are: " + id.to_string());
    std::uint64_t ended = 0;
    for (const auto& [id, task] : table_.tasks) {
        if (!judge_.find(id)) judge_.blame("the view has no other tasks: " + id.to_string());
        ended += is_terminal(task.state) ? 1 : 0;
    }
    if (ended != core_->engine().totals().kept)
        judge_.blame("ended tasks are counted as they are: " + std::to_string(ended) + " and " +
                     std::to_string(core_->engine().totals().kept));
}

}  // namespace taskd::sim

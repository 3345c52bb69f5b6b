// How steps follow each other: what the end of one makes of those that wait for it.
#include "engine/workflows.hpp"

#include <algorithm>

#include "engine/rules.hpp"
#include "taskd/base/assert.hpp"

namespace taskd::engine {
namespace {

bool is_good(const Step& step) {
    return step.state == StepState::succeeded || (step.state == StepState::skipped && !step.error);
}

std::uint32_t& count_of(Workflow& head, StepState state) {
    switch (state) {
        case StepState::succeeded:
            return head.succeeded;
        case StepState::failed:
            return head.failed;
        case StepState::skipped:
            return head.skipped;
        default:
            TASKD_ASSERT(state == StepState::cancelled);
            return head.cancelled;
    }
}

// Changes one workflow, and keeps what follows from it.
class Editor {
  public:
    Editor(State& state, LiveWorkflow& workflow)
        : all_{state.workflows}, templates_{state.settings.templates}, w_{workflow} {
        all_.work.erase({w_.turn, w_.head.id});
    }
    ~Editor() {
        all_.changed.insert(w_.head.id);
        if (w_.has_work()) all_.work.insert({w_.turn, w_.head.id});
    }
    Editor(const Editor&) = delete;
    Editor& operator=(const Editor&) = delete;

    void touch(StepIndex step) {
        if (std::exchange(w_.changed[step], 1) == 0) w_.changed_steps.push_back(step);
    }

    void make_ready(StepIndex step) {
        const bool begins = w_.head.state == WorkflowState::running ||
                            (w_.head.state == WorkflowState::failing && w_.index->rescues(step));
        if (begins && w_.steps[step].state == StepState::pending) w_.ready.push_back(step);
    }

    void begin(StepIndex step, WallTime at) {
        Step& row = w_.steps[step];
        TASKD_ASSERT(row.state == StepState::pending);
        row.tries = w_.this_try();
        row.state = StepState::active;
        row.began_at = at;
        w_.active.insert(step);
        ++w_.head.active;
        leave_ready(step);
        listen(step);
        touch(step);
    }

    void expand(StepIndex step) {
        Step& row = w_.steps[step];
        Expansion expansion;
        auto elements = templates_->elements(row.list.view());
        TASKD_ASSERT(elements && elements->size() == row.items.size());
        expansion.elements = std::move(*elements);
        w_.expansions.emplace(step, std::move(expansion));
    }

    void wait_until(StepIndex step, EngineTime until) {
        w_.steps[step].until = until;
        all_.deadlines.emplace(until, w_.head.id, step);
    }

    void end(StepIndex step, StepState state, std::optional<TaskError> error, WallTime at) {
        Step& row = w_.steps[step];
        TASKD_ASSERT(!has_ended(row.state));
        if (row.state == StepState::active) {
            --w_.head.active;
            w_.active.erase(step);
            w_.expansions.erase(step);
            stop_listening(step);
            if (row.until) all_.deadlines.erase({*row.until, w_.head.id, step});
        } else {
            leave_ready(step);
        }
        row.state = state;
        row.ended_at = at;
        row.error = std::move(error);
        row.until.reset();
        ++count_of(w_.head, state);
        touch(step);
        follow(step, at);
    }

    // What the end of a step leads to; of a chain that is skipped, one after the other.
    void follow(StepIndex first, WallTime at) {
        std::vector<StepIndex> ended{first};
        while (!ended.empty()) {
            const StepIndex step = ended.back();
            ended.pop_back();
            follow_one(step, at, ended);
        }
    }

    void give_up_ready() {
        std::erase_if(w_.ready, [&](StepIndex step) {
            return w_.head.state != WorkflowState::failing || !w_.index->rescues(step);
        });
    }

    void item_ended(StepIndex step, std::uint32_t item, bool good, std::optional<TaskError> error,
                    WallTime at) {
        Step& row = w_.steps[step];
        Expansion& expansion = w_.expansions.at(step);
        if (row.items[item] == ItemState::active)
            --expansion.active;
        else
            expansion.next = std::max(expansion.next, item + 1);
        row.items[item] = good ? ItemState::succeeded : ItemState::failed;
        ++expansion.ended;
        if (!good) {
            ++expansion.failed;
            if (!row.error) row.error = std::move(error);
        }
        touch(step);
        end_expansion(step, at);
    }

    // When all its items have ended, or no more of them begin and none is under way.
    void end_expansion(StepIndex step, WallTime at) {
        const Expansion& expansion = w_.expansions.at(step);
        const bool all = expansion.ended == w_.steps[step].items.size();
        const bool stops = expansion.failed > 0 && w_.plan(step).on_failure != OnFailure::go_on;
        const bool idle = expansion.active == 0;
        if (!all && idle && w_.falls(step))
            return end(step, StepState::cancelled, w_.head.error, at);
        if (!all && !(stops && idle)) return;
        if (expansion.failed == 0) return end(step, StepState::succeeded, std::nullopt, at);
        TaskError error = *w_.steps[step].error;
        error.message = std::to_string(expansion.failed) + " of " +
                        std::to_string(w_.steps[step].items.size()) +
                        " items did not succeed, first: " + error.message;
        end(step, StepState::failed, std::move(error), at);
    }

    // Begins anew to work out what follows from the steps as they are.
    void rewire() {
        lay_out();
        for (StepIndex i = 0; i < w_.steps.size(); ++i)
            if (w_.steps[i].state == StepState::active) resume(i);
        for (StepIndex i = 0; i < w_.steps.size(); ++i) {
            if (has_ended(w_.steps[i].state))
                follow(i, w_.steps[i].ended_at.value_or(w_.head.made_at));
            else if (w_.plan(i).after.empty() && !w_.plan(i).compensates)
                make_ready(i);
        }
    }

    // As if no step had begun.
    void lay_out() {
        w_.ready.clear();
        w_.active.clear();
        w_.expansions.clear();
        w_.tasks = 0;
        w_.verdict.reset();
        for (StepIndex i = 0; i < w_.index->size(); ++i)
            w_.open[i] = static_cast<std::uint32_t>(w_.plan(i).after.size());
    }

  private:
    void listen(StepIndex step) {
        const StepPlan& plan = w_.plan(step);
        if (plan.kind == StepKind::event) all_.listeners[plan.awaits].emplace(w_.head.id, step);
    }

    void stop_listening(StepIndex step) {
        const StepPlan& plan = w_.plan(step);
        if (plan.kind != StepKind::event) return;
        const auto found = all_.listeners.find(plan.awaits);
        if (found == all_.listeners.end()) return;
        found->second.erase({w_.head.id, step});
        if (found->second.empty()) all_.listeners.erase(found);
    }

    void resume(StepIndex step) {
        Step& row = w_.steps[step];
        w_.active.insert(step);
        listen(step);
        if (row.until) all_.deadlines.emplace(*row.until, w_.head.id, step);
        if (w_.plan(step).for_each.empty()) {
            if (w_.plan(step).kind == StepKind::task) ++w_.tasks;
            return;
        }
        expand(step);
        Expansion& expansion = w_.expansions.at(step);
        for (std::uint32_t i = 0; i < row.items.size(); ++i) {
            if (row.items[i] == ItemState::pending) continue;
            expansion.next = i + 1;
            (row.items[i] == ItemState::active ? expansion.active : expansion.ended) += 1;
            if (row.items[i] == ItemState::failed) ++expansion.failed;
        }
        w_.tasks += expansion.active;
        // Rows of earlier versions do not say.
        if (expansion.failed > 0 && !row.error) row.error = error_of(ErrorCode::step_failed);
    }

    void leave_ready(StepIndex step) {
        const auto found = std::ranges::find(w_.ready, step);
        if (found != w_.ready.end()) w_.ready.erase(found);
    }

    void follow_one(StepIndex step, WallTime at, std::vector<StepIndex>& ended) {
        const Step& row = w_.steps[step];
        if (row.state == StepState::cancelled) return;
        const bool good = is_good(row);
        const StepPlan& plan = w_.plan(step);
        const auto& followers = w_.index->followers(step);
        const bool failed = row.state == StepState::failed;
        if (failed && plan.compensated_by) make_ready(*plan.compensated_by);
        bool fatal = failed && followers.empty() && plan.on_failure == OnFailure::fail;
        for (const StepEdge& edge : followers) {
            if (has_ended(w_.steps[edge.from].state)) continue;
            if (good || edge.on_failure == OnFailure::go_on) {
                if (--w_.open[edge.from] == 0) make_ready(edge.from);
            } else if (!failed || edge.on_failure == OnFailure::skip) {
                skip(edge.from, step, at);
                ended.push_back(edge.from);
            } else {
                fatal = true;
            }
        }
        if (!fatal || w_.verdict) return;
        w_.verdict = error_of(ErrorCode::step_failed,
                              plan.name + ": " + (row.error ? row.error->message : ""));
    }

    void skip(StepIndex step, StepIndex because, WallTime at) {
        Step& row = w_.steps[step];
        row.state = StepState::skipped;
        row.ended_at = at;
        row.error = error_of(ErrorCode::step_failed, w_.plan(because).name);
        ++w_.head.skipped;
        touch(step);
    }

    Workflows& all_;
    const Templates* templates_;
    LiveWorkflow& w_;
};

LiveWorkflow& at(State& state, WorkflowId id) {
    LiveWorkflow* found = state.workflows.find(id);
    TASKD_ASSERT(found != nullptr);
    return *found;
}

// An inner workflow that undoes what it can goes on with that, unless the outer one is cancelled.
void note_told(LiveWorkflow& outer, StepIndex step, WorkflowState inner) {
    const bool is_told =
        inner == WorkflowState::cancelling ||
        (inner == WorkflowState::failing && outer.head.state != WorkflowState::cancelling);
    is_told ? (void)outer.told.insert(step) : (void)outer.told.erase(step);
}

void note_told_by(State& state, const LiveWorkflow& inner) {
    if (!inner.head.parent || inner.head.state == WorkflowState::running) return;
    LiveWorkflow* outer = state.workflows.find(inner.head.parent->workflow);
    if (outer == nullptr) return;
    const Editor editor{state, *outer};
    note_told(*outer, inner.head.parent->step, inner.head.state);
}

void note_told_to(const Workflows& all, LiveWorkflow& outer) {
    for (const StepIndex step : outer.active) {
        const auto& child = outer.steps[step].child;
        const LiveWorkflow* inner = child ? all.find(*child) : nullptr;
        if (inner != nullptr) note_told(outer, step, inner->head.state);
    }
}

// What goes to its end already has no time left to keep.
void add_deadline(Workflows& all, const LiveWorkflow& w) {
    if (w.head.state != WorkflowState::running) return;
    all.deadlines.emplace(w.head.ends_by, w.head.id, whole_workflow);
}

}  // namespace

bool LiveWorkflow::has_work() const {
    if (away || has_ended(head.state)) return false;
    if (active.empty() && ready.empty()) return true;  // it ends
    if (head.state == WorkflowState::running && verdict) return true;
    if (head.state != WorkflowState::running && !to_cancel(1).empty()) return true;
    if (head.state == WorkflowState::cancelling || !has_room()) return false;
    if (!ready.empty()) return true;
    return std::ranges::any_of(expansions, [&](const auto& each) {
        const auto& [step, expansion] = each;
        const std::uint32_t most = plan(step).in_flight;
        const bool goes_on = expansion.failed == 0 || plan(step).on_failure == OnFailure::go_on;
        const bool wanted = head.state == WorkflowState::running || index->rescues(step);
        return wanted && goes_on && expansion.next < steps[step].items.size() &&
               (most == 0 || expansion.active < most);
    });
}

std::vector<StepIndex> LiveWorkflow::to_cancel(std::size_t most) const {
    std::vector<StepIndex> found;
    for (const StepIndex step : active) {
        if (found.size() == most) break;
        if (falls(step) && !told.contains(step)) found.push_back(step);
    }
    return found;
}

LiveWorkflow* Workflows::find(WorkflowId id) {
    const auto found = all.find(id);
    return found == all.end() ? nullptr : &found->second;
}

const LiveWorkflow* Workflows::find(WorkflowId id) const {
    const auto found = all.find(id);
    return found == all.end() ? nullptr : &found->second;
}

void apply_workflow(State& state, Sequence, const WorkflowStarted& record) {
    LiveWorkflow& w = state.workflows.all[record.workflow.id];
    TASKD_ASSERT(w.index == nullptr);
    w.head = record.workflow;
    w.index = record.index ? record.index : std::make_shared<const PlanIndex>(record.plan);
    w.steps.resize(w.index->size());
    w.open.resize(w.index->size());
    w.changed.assign(w.index->size(), 0);
    ++state.workflows.running;
    state.workflows.steps += w.steps.size();
    add_deadline(state.workflows, w);
    Editor{state, w}.rewire();
}

void apply_workflow(State& state, Sequence, const StepBegan& record) {
    LiveWorkflow& w = at(state, record.id);
    Editor editor{state, w};
    editor.begin(record.step, record.at);
    Step& row = w.steps[record.step];
    row.child = record.child;
    row.list = record.list;
    if (record.until) editor.wait_until(record.step, *record.until);
    if (record.list.empty()) return;
    row.items.assign(record.items, ItemState::pending);
    editor.expand(record.step);
    editor.end_expansion(record.step, record.at);  // the list may be empty
}

void apply_workflow(State& state, Sequence, const StepEnded& record) {
    LiveWorkflow& w = at(state, record.id);
    Editor editor{state, w};
    if (record.item) {
        editor.item_ended(record.step, *record.item, false, record.error, record.at);
        return;
    }
    Step& row = w.steps[record.step];
    row.result = record.result;
    row.result_bytes = record.result.size();
    if (w.plan(record.step).kind == StepKind::signal) {
        const auto used =
            std::ranges::find(w.head.signals, w.plan(record.step).awaits, &Signal::name);
        const bool succeeded = record.state == StepState::succeeded;
        if (succeeded && used != w.head.signals.end()) w.head.signals.erase(used);
    }
    editor.end(record.step, record.state, record.error, record.at);
}

void apply_workflow(State& state, Sequence, const WorkflowTurned& record) {
    LiveWorkflow& w = at(state, record.id);
    {
        Editor editor{state, w};
        state.workflows.deadlines.erase({w.head.ends_by, w.head.id, whole_workflow});
        w.head.state = record.state;
        w.head.error = record.error;
        editor.give_up_ready();
        note_told_to(state.workflows, w);
    }
    note_told_by(state, w);
}

void apply_workflow(State& state, Sequence sequence, const WorkflowEnded& record) {
    LiveWorkflow& w = at(state, record.id);
    state.workflows.deadlines.erase({w.head.ends_by, w.head.id, whole_workflow});
    {
        Editor editor{state, w};
        w.head.state = record.state;
        w.head.output = record.output;
        w.head.ended_at = record.at;
        const std::uint32_t left =
            w.head.steps - w.head.succeeded - w.head.failed - w.head.skipped - w.head.cancelled;
        (record.state == WorkflowState::succeeded ? w.head.skipped : w.head.cancelled) += left;
        w.ended_as = sequence;
    }
    --state.workflows.running;
    state.workflows.steps -= w.steps.size();
    state.workflows.ended.emplace_back(sequence, record.id);
    if (!w.head.parent) return;
    LiveWorkflow* parent = state.workflows.find(w.head.parent->workflow);
    const StepIndex step = w.head.parent->step;
    if (parent == nullptr || parent->steps[step].child != record.id ||
        parent->steps[step].state != StepState::active)
        return;
    Editor editor{state, *parent};
    parent->told.erase(step);
    parent->steps[step].result = record.output;
    parent->steps[step].result_bytes = record.output.size();
    if (record.state == WorkflowState::succeeded)
        editor.end(step, StepState::succeeded, std::nullopt, record.at);
    else if (parent->falls(step))
        editor.end(step, StepState::cancelled, w.head.error, record.at);
    else
        editor.end(step, StepState::failed, w.head.error, record.at);
}

void apply_workflow(State& state, Sequence, const WorkflowRetried& record) {
    LiveWorkflow& w = at(state, record.id);
    TASKD_ASSERT(has_ended(w.head.state));
    for (StepIndex i = 0; i < w.steps.size(); ++i) {
        // What was undone may have to be undone again.
        const bool succeeded = w.steps[i].state == StepState::succeeded;
        if ((succeeded && !w.index->rescues(i)) || w.steps[i] == Step{}) continue;
        if (succeeded) --w.head.succeeded;
        w.steps[i] = Step{};
        if (std::exchange(w.changed[i], 1) == 0) w.changed_steps.push_back(i);
    }
    w.head.state = WorkflowState::running;
    ++w.head.retries;
    w.head.error.reset();
    w.head.ended_at.reset();
    w.head.output = {};
    w.head.ends_by = record.ends_by;
    w.head.failed = w.head.skipped = w.head.cancelled = 0;
    ++state.workflows.running;
    state.workflows.steps += w.steps.size();
    add_deadline(state.workflows, w);
    Editor{state, w}.rewire();
}

void apply_workflow(State& state, Sequence, const SignalReceived& record) {
    LiveWorkflow& w = at(state, record.id);
    Editor editor{state, w};
    w.head.signals.push_back(record.signal);
}

void apply_workflow(State& state, Sequence, const WorkflowDeleted& record) {
    if (LiveWorkflow* w = state.workflows.find(record.id)) {
        state.workflows.work.erase({w->turn, record.id});
        state.workflows.changed.erase(record.id);
        state.workflows.all.erase(record.id);
    }
    state.gone.workflows.push_back(record.id);
}

void step_task_began(State& state, const TaskSpec& spec, WallTime when) {
    LiveWorkflow& w = at(state, spec.step->workflow);
    const StepIndex step = spec.step->step;
    Editor editor{state, w};
    ++w.tasks;
    if (w.plan(step).for_each.empty()) return editor.begin(step, when);
    Expansion& expansion = w.expansions.at(step);
    w.steps[step].items[spec.step->item] = ItemState::active;
    expansion.next = std::max(expansion.next, spec.step->item + 1);
    ++expansion.active;
    editor.touch(step);
}

void step_task_ended(State& state, const Task& task, WallTime when) {
    const StepOf& of = *task.spec.step;
    LiveWorkflow* w = state.workflows.find(of.workflow);
    if (w == nullptr || w->task_id(of.step, of.item) != task.spec.id) return;
    if (w->steps[of.step].state != StepState::active) return;
    Editor editor{state, *w};
    --w->tasks;
    const bool good = task.state == TaskState::succeeded;
    if (good) w->steps[of.step].result_bytes += task.result.size();
    std::optional<TaskError> error;
    if (!good) error = task.error;
    if (!w->plan(of.step).for_each.empty())
        return editor.item_ended(of.step, of.item, good, std::move(error), when);
    const bool with_it = w->falls(of.step) && task.state == TaskState::cancelled;
    const StepState ended = good      ? StepState::succeeded
                            : with_it ? StepState::cancelled
                                      : StepState::failed;
    editor.end(of.step, ended, std::move(error), when);
}

namespace {

// What a step that waited for it has as its result: `data` is its body where that is JSON.
Blob result_of(const Templates& templates, const TopicEvent& event) {
    std::string out = "{\"topic\":" + templates.quoted(event.topic) +
                      ",\"sequence\":" + std::to_string(event.sequence.value) +
                      ",\"id\":" + templates.quoted(event.id) +
                      ",\"type\":" + templates.quoted(event.type) +
                      ",\"key\":" + templates.quoted(event.key) + ",\"data\":";
    const std::string_view body = event.body.view();
    out += templates.is_json(body) ? body : "null";
    return Blob{out + "}"};
}

}  // namespace

void workflow_event(State& state, const TopicEvent& event) {
    const auto found = state.workflows.listeners.find(event.topic);
    if (found == state.workflows.listeners.end()) return;
    const Blob result = result_of(*state.settings.templates, event);
    // The list changes while steps end.
    for (const auto& [id, step] : std::set{found->second}) {
        LiveWorkflow& w = at(state, id);
        Editor editor{state, w};
        w.steps[step].result = result;
        w.steps[step].result_bytes = result.size();
        editor.end(step, StepState::succeeded, std::nullopt, event.at);
    }
}

void restore_workflow(State& state, const WholeWorkflow& whole) {
    const auto [place, added] = state.workflows.all.try_emplace(whole.workflow.id);
    if (!added) return;
    LiveWorkflow& w = place->second;
    w.head = whole.workflow;
    w.index = std::make_shared<const PlanIndex>(whole.plan);
    w.steps = whole.steps;
    w.open.resize(w.index->size());
    w.changed.assign(w.index->size(), 0);
    w.stored = true;
    if (has_ended(w.head.state)) {
        state.workflows.ended.emplace_back(w.ended_as, w.head.id);  // until the next Forget
        return;
    }
    ++state.workflows.running;
    state.workflows.steps += w.steps.size();
    add_deadline(state.workflows, w);
    {
        Editor editor{state, w};
        editor.rewire();
        note_told_to(state.workflows, w);
    }
    state.workflows.changed.erase(w.head.id);
    note_told_by(state, w);
}

void set_workflow_away(State& state, WorkflowId id, bool away) {
    LiveWorkflow* w = state.workflows.find(id);
    if (w == nullptr) return;
    state.workflows.work.erase({w->turn, id});
    w->away = away;
    if (w->has_work()) state.workflows.work.insert({w->turn, id});
}

void serve_workflow(State& state, WorkflowId id, bool first) {
    LiveWorkflow* w = state.workflows.find(id);
    if (w == nullptr || state.workflows.work.erase({w->turn, id}) == 0) return;
    w->turn = first ? 0 : ++state.workflows.turns;
    state.workflows.work.insert({w->turn, id});
}

void forget_workflow(State& state, WorkflowId id) {
    auto& ended = state.workflows.ended;
    const auto entry = std::ranges::find(ended, id, &std::pair<Sequence, WorkflowId>::second);
    const Sequence since = entry->first;
    ended.erase(entry);
    const LiveWorkflow* w = state.workflows.find(id);
    if (w != nullptr && has_ended(w->head.state) && w->ended_as == since)
        state.workflows.all.erase(id);
}

}  // namespace taskd::engine

// The next of a workflow: steps that may begin, those that are to be cancelled, its end. Nothing
// here changes state; whatever is not done in a turn is done in the next, since it follows from
// what the steps are.
#include <algorithm>

#include "engine/rules.hpp"
#include "taskd/base/assert.hpp"

namespace taskd::engine {
namespace {

// What the texts of a workflow's steps refer to, as far as memory has it or the view has said.
class Sources {
  public:
    Sources(const State& state, const LiveWorkflow& workflow, const ToldResults& told)
        : state_{state}, w_{workflow}, told_{told} {}

    // What is asked from here on is another step's.
    void begin() {
        results_.clear();
        made_.clear();
        missing_.clear();
        index_.clear();
        bytes_ = 0;
        gone_ = false;
    }
    // Another item of the same step: what that refers to is made once for all of them.
    void set_item(std::string_view element, std::uint32_t index) {
        item_ = element;
        index_ = std::to_string(index);
    }
    FindReferred finder() {
        return [this](std::string_view name, Ask ask) { return find(name, ask); };
    }
    const std::vector<TaskId>& missing() const { return missing_; }
    bool gone() const { return gone_; }
    bool too_large() const { return bytes_ > limits::step_results_bytes_max; }

    // A list of what the items of a step came to, or the one result of any other. Each is counted
    // once, however often it is asked for.
    std::string_view result_of(StepIndex step) {
        const auto [place, added] = results_.try_emplace(step);
        if (added) place->second = make_result(step);
        return place->second;
    }

  private:
    std::string_view make_result(StepIndex step) {
        const Step& row = w_.steps[step];
        const StepPlan& plan = w_.plan(step);
        if (plan.kind != StepKind::task) return row.result.empty() ? nothing : row.result.view();
        bytes_ += row.result_bytes;
        if (too_large()) return nothing;
        if (plan.for_each.empty())
            return row.state == StepState::succeeded ? task_result(w_.task_id(step, 0)) : nothing;
        std::string& list = made_.emplace_back("[");
        for (std::uint32_t i = 0; i < row.items.size(); ++i) {
            if (i > 0) list += ',';
            const bool good = row.items[i] == ItemState::succeeded;
            list += good ? task_result(w_.task_id(step, i)) : nothing;
        }
        list += ']';
        return list;
    }

    std::optional<Referred> find(std::string_view name, Ask ask) {
        if (name == "inputs") return Referred{or_empty(w_.head.inputs), {}, {}};
        if (name == "env") return Referred{or_empty(w_.head.env), {}, {}};
        if (name == "workflow") return Referred{own(), {}, {}};
        if (name == "item" && !index_.empty()) return Referred{item_, {}, {}};
        if (name == "index" && !index_.empty()) return Referred{index_, {}, {}};
        const auto step = w_.index->find(name);
        if (!step || !has_ended(w_.steps[*step].state)) return std::nullopt;
        const std::string_view state = to_text(w_.steps[*step].state);
        if (ask == Ask::ending) return Referred{{}, state, error_of(*step)};
        Referred found{result_of(*step), state, {}};
        found.away = !missing_.empty() || gone_ || too_large();
        return found;
    }

    std::string_view task_result(TaskId id) {
        const Header* header = state_.find(id);
        if (header != nullptr && header->body) return header->body->task->result.view();
        const auto told = told_.find(id);
        if (told != told_.end() && told->second) return told->second->view();
        if (told == told_.end())
            missing_.push_back(id);
        else
            gone_ = true;
        return nothing;
    }

    std::string_view error_of(StepIndex step) {
        const auto& error = w_.steps[step].error;
        if (!error) return {};
        return made_.emplace_back("{\"code\":" + quoted(error->code) +
                                  ",\"message\":" + quoted(error->message) + "}");
    }

    std::string quoted(const std::string& text) const {
        return state_.settings.templates->quoted(text);
    }

    static std::string_view or_empty(const Blob& blob) {
        return blob.empty() ? std::string_view{"{}"} : blob.view();
    }

    std::string_view own() {
        return made_.emplace_back("{\"id\":\"" + w_.head.id.to_string() +
                                  "\",\"name\":" + quoted(w_.head.name) + "}");
    }

    static constexpr std::string_view nothing = "null";

    const State& state_;
    const LiveWorkflow& w_;
    const ToldResults& told_;
    std::string_view item_;
    std::string index_;  // empty outside of items
    std::map<StepIndex, std::string_view> results_;
    std::deque<std::string> made_;
    std::vector<TaskId> missing_;
    bool gone_ = false;  // a result was deleted
    std::uint64_t bytes_ = 0;
};

// About what a plan takes in a record.
std::size_t bytes_of(const WorkflowPlan& plan) {
    constexpr std::size_t fixed = 256;
    std::size_t bytes = plan.output.size();
    for (const StepPlan& step : plan.steps) {
        bytes += fixed + step.name.size() + step.when.size() + step.for_each.size() +
                 step.task.payload.size() + step.inputs.size() + step.after.size() * 8;
        if (step.child) bytes += bytes_of(*step.child);
    }
    return bytes;
}

TaskError as_task_error(const Error& error) {
    return error_of(error.code, error.detail);
}

// One turn of one workflow.
class Turn {
    // One more record beyond it fits a frame of the journal by far.
    static constexpr std::size_t bytes_max = 4 * limits::mebibyte;

  public:
    Turn(const Context& context, const LiveWorkflow& workflow, const ToldResults& told)
        : context_{context},
          templates_{*context.state.settings.templates},
          w_{workflow},
          told_{told},
          sources_{context.state, workflow, told} {}

    Decision decide() {
        if (w_.head.state == WorkflowState::running && w_.verdict)
            turn();
        else if (const auto steps = w_.to_cancel(limits::workflow_turn_tasks); !steps.empty())
            cancel(steps);
        else if (w_.active.empty() && w_.ready.empty())
            end();
        else
            begin();
        if (decision_.records.empty() && !(bodiless_.empty() && missing_.empty())) {
            decision_.fetch = std::move(bodiless_);
            decision_.advanced = w_.head.id;
            if (missing_.empty()) return std::move(decision_);
            // Together with what was asked for before: one step may need all of it at once.
            for (const auto& [id, result] : told_)
                missing_.insert(id);
            decision_.fetch_results.assign(missing_.begin(), missing_.end());
        } else {
            decision_.notes.emplace_back(WorkflowServed{w_.head.id});
        }
        return std::move(decision_);
    }

  private:
    void turn() {
        decision_.records.emplace_back(
            WorkflowTurned{w_.head.id, WorkflowState::failing, *w_.verdict, context_.now.wall});
    }

    // ---- cancelling

    void cancel(const std::vector<StepIndex>& steps) {
        for (const StepIndex step : steps) {
            if (cancelled_enough()) return;
            cancel(step);
        }
    }

    // The bodies that it takes are asked for at once, too.
    bool cancelled_enough() const {
        return decision_.records.size() + bodiless_.size() >= limits::workflow_turn_tasks;
    }

    void cancel(StepIndex step) {
        const Step& row = w_.steps[step];
        if (row.child) return cancel_child(step, *row.child);
        if (w_.plan(step).kind != StepKind::task) return ends(step, StepState::cancelled);
        const auto expansion = w_.expansions.find(step);
        if (expansion == w_.expansions.end()) return cancel_task(w_.task_id(step, 0));
        if (expansion->second.active == 0) return ends(step, StepState::cancelled);
        for (std::uint32_t i = 0; i < expansion->second.next; ++i) {
            if (cancelled_enough()) return;
            if (row.items[i] == ItemState::active) cancel_task(w_.task_id(step, i));
        }
    }

    void cancel_child(StepIndex step, WorkflowId child) {
        const LiveWorkflow* within = context_.state.workflows.find(child);
        if (within == nullptr || has_ended(within->head.state))
            return ends(step, StepState::cancelled);
        decision_.records.emplace_back(WorkflowTurned{
            child, WorkflowState::cancelling,
            error_of(ErrorCode::cancelled, "the workflow it stands in ends"), context_.now.wall});
    }

    void cancel_task(TaskId id) {
        Decision one = decide_cancel(context_, Cancel{id, why()});
        bodiless_.insert(bodiless_.end(), one.fetch.begin(), one.fetch.end());
        std::ranges::move(one.records, std::back_inserter(decision_.records));
        std::ranges::move(one.outputs, std::back_inserter(decision_.outputs));
    }

    std::string why() const {
        return w_.head.state == WorkflowState::failing ? "the workflow has failed"
                                                       : "the workflow was cancelled";
    }

    // ---- its end

    void end() {
        WorkflowState state = WorkflowState::succeeded;
        if (w_.head.state == WorkflowState::failing) state = WorkflowState::failed;
        if (w_.head.state == WorkflowState::cancelling) state = WorkflowState::cancelled;
        std::string output;
        if (state == WorkflowState::succeeded) {
            auto made = make_output();
            if (!missing_.empty()) return;
            if (!made) {
                decision_.records.emplace_back(WorkflowTurned{w_.head.id, WorkflowState::failing,
                                                              as_task_error(made.error()),
                                                              context_.now.wall});
                return;
            }
            output = std::move(*made);
        }
        decision_.records.emplace_back(
            WorkflowEnded{w_.head.id, state, output.empty() ? Blob{} : Blob{std::move(output)},
                          context_.now.wall});
        decision_.outputs.emplace_back(WorkflowOver{w_.head.id});
    }

    Result<std::string> make_output() {
        const Blob& wanted = w_.index->plan().output;
        return checked(wanted.empty() ? last_results()
                                      : templates_.fill(wanted.view(), sources_.finder(),
                                                        limits::result_bytes_max));
    }

    // What came of the steps that nothing waits for: of one step its result, of more an object.
    // Of very many, or very large ones, nobody wants all.
    Result<std::string> last_results() {
        constexpr std::size_t most = 100;
        std::vector<StepIndex> last;
        for (StepIndex i = 0; i < w_.index->size() && last.size() <= most; ++i)
            if (w_.index->followers(i).empty() && !w_.index->rescues(i)) last.push_back(i);
        if (last.size() > most) return "null";
        std::uint64_t bytes = 0;
        for (const StepIndex step : last)
            bytes += w_.steps[step].result_bytes;
        if (bytes > limits::result_bytes_max / 2) return "null";
        if (last.size() == 1) return std::string{sources_.result_of(last.front())};
        std::string output = "{";
        for (const StepIndex step : last) {
            if (output.size() > 1) output += ',';
            output += '"' + w_.plan(step).name + "\":";
            output += sources_.result_of(step);
        }
        return output + '}';
    }

    // What was filled in, unless something for it is not here.
    Result<std::string> checked(Result<std::string> filled) {
        if (sources_.too_large())
            return fail(ErrorCode::task_too_large, "of the results that are referred to");
        if (sources_.gone()) return fail(ErrorCode::result_gone);
        missing_.insert(sources_.missing().begin(), sources_.missing().end());
        return filled;
    }

    // ---- beginning

    void begin() {
        for (const auto& [step, expansion] : w_.expansions) {
            begin_items(step, expansion);
            if (full() || !missing_.empty()) return;
        }
        for (const StepIndex step : w_.ready) {
            if (full() || !missing_.empty()) return;
            begin(step);
            // What comes of it may decide about the next.
            if (w_.plan(step).kind == StepKind::signal) return;
        }
    }

    bool full() const {
        const std::uint32_t most = w_.index->plan().tasks_max;
        return decision_.records.size() >= limits::workflow_turn_tasks || bytes_ >= bytes_max ||
               (most > 0 && w_.tasks + begun_ >= most);
    }

    void begin(StepIndex step) {
        const StepPlan& plan = w_.plan(step);
        sources_.begin();
        if (!plan.when.empty()) {
            const auto holds = templates_.holds(plan.when, sources_.finder());
            const auto known =
                checked(holds ? Result<std::string>{""} : std::unexpected{holds.error()});
            if (!missing_.empty()) return;
            if (!known) return fails(step, as_task_error(known.error()));
            if (!*holds) return ends(step, StepState::skipped);
        }
        if (!plan.for_each.empty()) return expand(step);
        switch (plan.kind) {
            case StepKind::task:
                begin_task(step, 0, plan);
                return;
            case StepKind::join:
                return ends(step, StepState::succeeded);
            case StepKind::workflow:
                return begin_child(step, plan);
            case StepKind::signal:
                return begin_signal(step, plan);
            case StepKind::sleep:
            case StepKind::approval:
            case StepKind::event:
                return waits(step, plan);
        }
    }

    void waits(StepIndex step, const StepPlan& plan) {
        StepBegan began{w_.head.id, step, std::nullopt, std::nullopt, {}, 0, context_.now.wall};
        if (plan.wait > Duration{0}) began.until = context_.now.engine + plan.wait;
        decision_.records.emplace_back(std::move(began));
    }

    void begin_signal(StepIndex step, const StepPlan& plan) {
        waits(step, plan);
        const auto& signals = w_.head.signals;
        const auto there = std::ranges::find(signals, plan.awaits, &Signal::name);
        if (there == signals.end()) return;
        bytes_ += there->payload.size();
        decision_.records.emplace_back(StepEnded{w_.head.id, step, std::nullopt,
                                                 StepState::succeeded, there->payload, std::nullopt,
                                                 context_.now.wall});
    }

    void begin_child(StepIndex step, const StepPlan& plan) {
        const auto inputs = filled(step, plan.inputs, limits::task_bytes_max);
        if (!inputs) return;
        const Workflows& all = context_.state.workflows;
        const std::size_t steps = children_steps_ + plan.child->steps.size();
        if (all.running + children_ >= limits::workflows_running_max ||
            all.steps + steps > limits::workflow_steps_running_max)
            return fails(step, error_of(ErrorCode::too_many_workflows));
        children_steps_ = steps;
        ++children_;
        bytes_ += bytes_of(*plan.child) + inputs->size() + w_.head.env.size();
        Workflow head;
        head.id = TaskId::make(context_.now.wall, context_.random);
        head.name = plan.child->name.empty() ? plan.name : plan.child->name;
        head.inputs = *inputs;
        head.env = w_.head.env;
        head.parent = ParentStep{w_.head.id, step};
        head.depth = w_.head.depth + 1;
        head.made_at = context_.now.wall;
        head.ends_by = context_.now.engine + plan.child->timeout;
        head.steps = static_cast<std::uint32_t>(plan.child->steps.size());
        decision_.records.emplace_back(
            StepBegan{w_.head.id, step, std::nullopt, head.id, {}, 0, context_.now.wall});
        decision_.records.emplace_back(WorkflowStarted{std::move(head), plan.child});
    }

    void expand(StepIndex step) {
        const auto list = filled(step, w_.plan(step).for_each, limits::task_bytes_max);
        if (!list) return;
        const auto elements = templates_.elements(list->view());
        if (!elements) return fails(step, as_task_error(elements.error()));
        if (elements->size() > limits::workflow_items_max)
            return fails(step, error_of(ErrorCode::too_many_steps,
                                        std::to_string(elements->size()) + " items"));
        bytes_ += list->size();
        decision_.records.emplace_back(
            StepBegan{w_.head.id, step, std::nullopt, std::nullopt, *list,
                      static_cast<std::uint32_t>(elements->size()), context_.now.wall});
    }

    void begin_items(StepIndex step, const Expansion& expansion) {
        const StepPlan& plan = w_.plan(step);
        if (expansion.failed > 0 && plan.on_failure != OnFailure::go_on) return;
        if (w_.falls(step)) return;
        const std::uint32_t most = plan.in_flight == 0 ? UINT32_MAX : plan.in_flight;
        std::uint32_t active = expansion.active;
        const auto count = static_cast<std::uint32_t>(expansion.elements.size());
        sources_.begin();
        for (std::uint32_t item = expansion.next; item < count && active < most; ++item, ++active) {
            if (full()) return;
            sources_.set_item(expansion.elements[item], item);
            const bool begun = begin_task(step, item, plan);
            // The first that fails may end the step.
            if (!missing_.empty() || (!begun && plan.on_failure != OnFailure::go_on)) return;
        }
    }

    // False when it failed, or something for it is not here.
    bool begin_task(StepIndex step, std::uint32_t item, const StepPlan& plan) {
        const auto which = plan.for_each.empty() ? std::nullopt : std::optional{item};
        auto payload = fill(plan.task.payload, limits::task_bytes_max);
        if (!missing_.empty()) return false;
        TaskSpec spec = plan.task;
        spec.id = w_.task_id(step, item);
        if (payload && context_.state.find(spec.id) != nullptr)
            payload = fail(ErrorCode::id_conflict, spec.id.to_string());
        if (!payload) {
            fails(step, as_task_error(payload.error()), which);
            return false;
        }
        bytes_ += payload->size();
        spec.payload = *payload;
        spec.step = StepOf{w_.head.id, step, item, plan.name};
        decision_.records.emplace_back(submitted(context_.now, spec));
        ++begun_;
        return true;
    }

    // ---- parts

    // Untouched where nothing is referred to.
    Result<Blob> fill(const Blob& text, std::size_t bytes_most) {
        if (text.view().find("${") == std::string_view::npos) return text;
        auto made = checked(templates_.fill(text.view(), sources_.finder(), bytes_most));
        if (!made) return std::unexpected{made.error()};
        return Blob{std::move(*made)};
    }

    // Nothing when the step failed with it, or something is not here yet.
    std::optional<Blob> filled(StepIndex step, const Blob& text, std::size_t bytes_most) {
        auto made = fill(text, bytes_most);
        if (!missing_.empty()) return std::nullopt;
        if (made) return std::move(*made);
        fails(step, as_task_error(made.error()));
        return std::nullopt;
    }

    void ends(StepIndex step, StepState state) {
        decision_.records.emplace_back(
            StepEnded{w_.head.id, step, std::nullopt, state, {}, std::nullopt, context_.now.wall});
    }

    void fails(StepIndex step, TaskError error, std::optional<std::uint32_t> item = {}) {
        decision_.records.emplace_back(StepEnded{
            w_.head.id, step, item, StepState::failed, {}, std::move(error), context_.now.wall});
    }

    const Context& context_;
    const Templates& templates_;
    const LiveWorkflow& w_;
    const ToldResults& told_;
    Sources sources_;
    Decision decision_;
    std::vector<TaskId> bodiless_;  // that are to be cancelled
    std::set<TaskId> missing_;      // whose results are referred to
    std::uint32_t begun_ = 0;
    std::size_t children_ = 0;
    std::size_t children_steps_ = 0;
    std::size_t bytes_ = 0;  // of payloads, lists and plans in the records
};

}  // namespace

Decision decide_advance(const Context& context, const Advance& command) {
    const Workflows& workflows = context.state.workflows;
    if (workflows.work.empty()) return {};
    TASKD_ASSERT(context.state.settings.templates != nullptr);
    const LiveWorkflow& next = workflows.all.at(workflows.work.begin()->second);
    static const ToldResults nothing;
    Decision decision = Turn{context, next, command.told ? *command.told : nothing}.decide();
    // Else it would be asked for ever.
    TASKD_ASSERT(!decision.records.empty() || decision.advanced);
    return decision;
}

}  // namespace taskd::engine

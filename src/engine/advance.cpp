// The next of a workflow: steps that may begin, those that are to be cancelled, its end. Nothing
// here changes state; whatever is not done in a turn is done in the next, since it follows from
// what the steps are.
#include <algorithm>

#include "engine/rules.hpp"
#include "taskd/base/assert.hpp"

namespace taskd::engine {
namespace {

// What the texts of a workflow refer to, as far as memory has it.
class Sources {
  public:
    Sources(const State& state, const LiveWorkflow& workflow) : state_{state}, w_{workflow} {}

    void set_item(std::string_view element, std::uint32_t index) {
        item_ = element;
        index_ = std::to_string(index);
    }
    FindReferred finder() {
        return [this](std::string_view name) { return find(name); };
    }
    const std::vector<TaskId>& missing() const { return missing_; }
    bool too_large() const { return bytes_ > limits::step_results_bytes_max; }

    // A list of what the items of a step came to, or the one result of any other.
    std::string_view result_of(StepIndex step) {
        const Step& row = w_.steps[step];
        const StepPlan& plan = w_.plan(step);
        if (plan.kind != StepKind::task) return row.result.empty() ? "null" : row.result.view();
        bytes_ += row.result_bytes;
        if (too_large()) return "null";
        if (plan.for_each.empty())
            return row.state == StepState::succeeded ? task_result(w_.task_id(step, 0)) : "null";
        std::string& list = made_.emplace_back("[");
        for (std::uint32_t i = 0; i < row.items.size(); ++i) {
            if (i > 0) list += ',';
            const bool good = row.items[i] == ItemState::succeeded;
            list += good ? task_result(w_.task_id(step, i)) : "null";
        }
        list += ']';
        return list;
    }

  private:
    std::optional<Referred> find(std::string_view name) {
        if (name == "inputs") return Referred{or_empty(w_.head.inputs), {}, {}};
        if (name == "env") return Referred{or_empty(w_.head.env), {}, {}};
        if (name == "workflow") return Referred{own(), {}, {}};
        if (name == "item" && !index_.empty()) return Referred{item_, {}, {}};
        if (name == "index" && !index_.empty()) return Referred{index_, {}, {}};
        const auto step = w_.index->find(name);
        if (!step || !has_ended(w_.steps[*step].state)) return std::nullopt;
        return Referred{result_of(*step), to_text(w_.steps[*step].state), error_of(*step)};
    }

    std::string_view task_result(TaskId id) {
        const Header* header = state_.find(id);
        if (header != nullptr && header->body) return header->body->task->result.view();
        missing_.push_back(id);
        return "null";
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

    const State& state_;
    const LiveWorkflow& w_;
    std::string_view item_;
    std::string index_;  // empty outside of items
    std::deque<std::string> made_;
    std::vector<TaskId> missing_;
    std::uint64_t bytes_ = 0;
};

TaskError as_task_error(const Error& error) {
    return error_of(error.code, error.detail);
}

// One turn of one workflow.
class Turn {
  public:
    Turn(const Context& context, const LiveWorkflow& workflow, bool fetched)
        : context_{context},
          templates_{*context.state.settings.templates},
          w_{workflow},
          fetched_{fetched} {}

    Decision decide() {
        if (w_.head.state == WorkflowState::running && w_.verdict)
            turn();
        else if (const auto steps = w_.to_cancel(limits::workflow_turn_tasks); !steps.empty())
            cancel(steps);
        else if (w_.active.empty() && w_.ready.empty())
            end();
        else
            begin();
        if (decision_.records.empty() && !missing_.empty()) {
            decision_.fetch = std::move(missing_);
            decision_.advanced = w_.head.id;
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
            if (decision_.records.size() >= limits::workflow_turn_tasks) return;
            cancel(step);
        }
    }

    void cancel(StepIndex step) {
        const Step& row = w_.steps[step];
        if (row.child) return cancel_child(step, *row.child);
        if (w_.plan(step).kind != StepKind::task) return ends(step, StepState::cancelled);
        const auto expansion = w_.expansions.find(step);
        if (expansion == w_.expansions.end()) return cancel_task(w_.task_id(step, 0));
        if (expansion->second.active == 0) return ends(step, StepState::cancelled);
        for (std::uint32_t i = 0; i < expansion->second.next; ++i) {
            if (decision_.records.size() >= limits::workflow_turn_tasks) return;
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
        missing_.insert(missing_.end(), one.fetch.begin(), one.fetch.end());
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
        Sources sources{context_.state, w_};
        const Blob& wanted = w_.index->plan().output;
        Result<std::string> output =
            wanted.empty()
                ? last_results(sources)
                : templates_.fill(wanted.view(), sources.finder(), limits::result_bytes_max);
        return checked(sources, std::move(output));
    }

    // What came of the steps that nothing waits for: of one step its result, of more an object.
    // Of very many, or very large ones, nobody wants all.
    Result<std::string> last_results(Sources& sources) {
        constexpr std::size_t most = 100;
        std::vector<StepIndex> last;
        for (StepIndex i = 0; i < w_.index->size() && last.size() <= most; ++i)
            if (w_.index->followers(i).empty() && !w_.index->rescues(i)) last.push_back(i);
        if (last.size() > most) return "null";
        std::uint64_t bytes = 0;
        for (const StepIndex step : last)
            bytes += w_.steps[step].result_bytes;
        if (bytes > limits::result_bytes_max / 2) return "null";
        if (last.size() == 1) return std::string{sources.result_of(last.front())};
        std::string output = "{";
        for (const StepIndex step : last) {
            if (output.size() > 1) output += ',';
            output += '"' + w_.plan(step).name + "\":";
            output += sources.result_of(step);
        }
        return output + '}';
    }

    // What was filled in, unless something for it is not here.
    Result<std::string> checked(const Sources& sources, Result<std::string> filled) {
        if (sources.too_large())
            return fail(ErrorCode::task_too_large, "of the results that are referred to");
        if (!sources.missing().empty() && fetched_) return fail(ErrorCode::result_gone);
        missing_.insert(missing_.end(), sources.missing().begin(), sources.missing().end());
        return filled;
    }

    // ---- beginning

    void begin() {
        for (const auto& [step, expansion] : w_.expansions) {
            begin_items(step, expansion);
            if (full()) return;
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
        return decision_.records.size() >= limits::workflow_turn_tasks ||
               (most > 0 && w_.tasks + begun_ >= most);
    }

    void begin(StepIndex step) {
        const StepPlan& plan = w_.plan(step);
        Sources sources{context_.state, w_};
        if (!plan.when.empty()) {
            const auto holds = templates_.holds(plan.when, sources.finder());
            const auto known =
                checked(sources, holds ? Result<std::string>{""} : std::unexpected{holds.error()});
            if (!missing_.empty()) return;
            if (!known) return fails(step, as_task_error(known.error()));
            if (!*holds) return ends(step, StepState::skipped);
        }
        if (!plan.for_each.empty()) return expand(step, sources);
        switch (plan.kind) {
            case StepKind::task:
                return begin_task(step, 0, sources, plan);
            case StepKind::join:
                return ends(step, StepState::succeeded);
            case StepKind::workflow:
                return begin_child(step, sources, plan);
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
        decision_.records.emplace_back(StepEnded{w_.head.id, step, std::nullopt,
                                                 StepState::succeeded, there->payload, std::nullopt,
                                                 context_.now.wall});
    }

    void begin_child(StepIndex step, Sources& sources, const StepPlan& plan) {
        const auto inputs = filled(step, sources, plan.inputs, limits::task_bytes_max);
        if (!inputs) return;
        if (context_.state.workflows.running + children_ >= limits::workflows_running_max)
            return fails(step, error_of(ErrorCode::too_many_workflows));
        ++children_;
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

    void expand(StepIndex step, Sources& sources) {
        const auto list = filled(step, sources, w_.plan(step).for_each, limits::task_bytes_max);
        if (!list) return;
        const auto elements = templates_.elements(list->view());
        if (!elements) return fails(step, as_task_error(elements.error()));
        if (elements->size() > limits::workflow_items_max)
            return fails(step, error_of(ErrorCode::too_many_steps,
                                        std::to_string(elements->size()) + " items"));
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
        for (std::uint32_t item = expansion.next; item < count && active < most; ++item, ++active) {
            if (full()) return;
            Sources sources{context_.state, w_};
            sources.set_item(expansion.elements[item], item);
            const std::size_t before = begun_;
            begin_task(step, item, sources, plan);
            // The first that fails may end the step.
            const bool failed = begun_ == before;
            if (!missing_.empty() || (failed && plan.on_failure != OnFailure::go_on)) return;
        }
    }

    void begin_task(StepIndex step, std::uint32_t item, Sources& sources, const StepPlan& plan) {
        const bool is_item = !plan.for_each.empty();
        auto payload = fill(sources, plan.task.payload, limits::task_bytes_max);
        if (!missing_.empty()) return;
        if (!payload)
            return fails(step, as_task_error(payload.error()),
                         is_item ? std::optional{item} : std::nullopt);
        TaskSpec spec = plan.task;
        spec.id = w_.task_id(step, item);
        if (context_.state.find(spec.id) != nullptr)
            return fails(step, error_of(ErrorCode::id_conflict, spec.id.to_string()),
                         is_item ? std::optional{item} : std::nullopt);
        spec.payload = *payload;
        spec.step = StepOf{w_.head.id, step, item, plan.name};
        decision_.records.emplace_back(submitted(context_.now, spec));
        ++begun_;
    }

    // ---- parts

    // Untouched where nothing is referred to.
    Result<Blob> fill(Sources& sources, const Blob& text, std::size_t bytes_max) {
        if (text.view().find("${") == std::string_view::npos) return text;
        auto made = checked(sources, templates_.fill(text.view(), sources.finder(), bytes_max));
        if (!made) return std::unexpected{made.error()};
        return Blob{std::move(*made)};
    }

    // Nothing when the step failed with it, or something is not here yet.
    std::optional<Blob> filled(StepIndex step, Sources& sources, const Blob& text,
                               std::size_t bytes_max) {
        auto made = fill(sources, text, bytes_max);
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
    bool fetched_;
    Decision decision_;
    std::vector<TaskId> missing_;
    std::uint32_t begun_ = 0;
    std::size_t children_ = 0;
};

}  // namespace

Decision decide_advance(const Context& context, const Advance& command) {
    const Workflows& workflows = context.state.workflows;
    if (workflows.work.empty()) return {};
    TASKD_ASSERT(context.state.settings.templates != nullptr);
    const LiveWorkflow& next = workflows.all.at(workflows.work.begin()->second);
    Decision decision = Turn{context, next, command.fetched == next.head.id}.decide();
    // Else it would be asked for ever.
    TASKD_ASSERT(!decision.records.empty() || !decision.fetch.empty());
    return decision;
}

}  // namespace taskd::engine

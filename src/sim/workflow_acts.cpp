#include "sim/workflow_acts.hpp"

#include "sim/random_plan.hpp"

namespace taskd::sim {
namespace {

constexpr std::size_t running_max = 4;

std::optional<WorkflowId> any_workflow(Story& story) {
    if (story.workflows.empty()) return std::nullopt;
    return story.workflows[story.random().below(story.workflows.size())].first;
}

void begin(Story& story, const char* name, WorkflowId id,
           const std::shared_ptr<const WorkflowPlan>& plan) {
    engine::StartWorkflow command{
        .id = id, .inputs = Blob{"{}"}, .index = std::make_shared<const PlanIndex>(plan)};
    story.ask(name, std::move(command), [&story, id](const engine::Decision& decision) {
        if (!decision.refused && !story.judge().workflows().knows(id))
            story.judge().blame("a workflow that was acknowledged is durable: " + id.to_string());
    });
}

}  // namespace

void start_workflow(Story& story) {
    if (!story.workflows.empty() && story.random().chance(1, 6)) {
        const auto& [id, plan] = story.workflows[story.random().below(story.workflows.size())];
        story.hit("answer lost, workflow begun again");
        return begin(story, "start workflow again", id, plan);
    }
    if (story.judge().workflows().running().size() >= running_max) return;
    const auto id = TaskId::make(story.stage().wall(), story.random());
    auto plan = random_plan(story.random(), {"echo", "sleep", "heavy"});
    story.workflows.emplace_back(id, plan);
    begin(story, "start workflow", id, plan);
}

void speak_to_workflow(Story& story) {
    if (story.workflows.empty()) return;
    const auto& [id, plan] = story.workflows[story.random().below(story.workflows.size())];
    const StepPlan& step = plan->steps[story.random().below(plan->steps.size())];
    if (step.kind == StepKind::approval)
        story.ask("answer step", engine::AnswerStep{id, step.name, story.random().chance(3, 4),
                                                    Blob{"{\"by\":\"ann\"}"}, "because"});
    else
        story.ask("signal", engine::SendSignal{id, {"go", Blob{"7"}}});
}

void cancel_workflow(Story& story) {
    if (const auto id = any_workflow(story))
        story.ask("cancel workflow", engine::CancelWorkflow{*id, "enough"});
}

void retry_workflow(Story& story) {
    if (const auto id = any_workflow(story))
        story.ask("retry workflow", engine::RetryWorkflow{*id});
}

void delete_workflow(Story& story) {
    if (const auto id = any_workflow(story))
        story.ask("delete workflow", engine::DeleteWorkflow{*id});
}

void cancel_step(Story& story) {
    std::vector<TaskId> live;
    for (const auto& [id, fate] : story.judge().fates())
        if (fate.step && !is_terminal(fate.state)) live.push_back(id);
    if (!live.empty())
        story.ask("cancel", engine::Cancel{live[story.random().below(live.size())], "by hand"});
}

}  // namespace taskd::sim

// What workflows ask of the turn: their next, and what of it only the view has.
#include <algorithm>
#include <span>

#include "taskd/service/core.hpp"

namespace taskd::service {

using engine::Command;
using engine::Decision;

namespace {

// A few tasks at a time: the view hands them over whole, and their payloads are not wanted.
Result<void> read_results(port::View& view, std::span<const TaskId> ids,
                          engine::ToldResults& results) {
    constexpr std::size_t at_once = 16;
    for (std::size_t from = 0; from < ids.size(); from += at_once) {
        const auto some = ids.subspan(from, std::min(at_once, ids.size() - from));
        auto tasks = view.find(some);
        if (!tasks) return std::unexpected{tasks.error()};
        for (const TaskId& id : some)
            results[id];
        for (Task& task : *tasks)
            results[task.spec.id] = std::move(task.result);
    }
    return {};
}

}  // namespace

// What the ends of steps lead to, in the same batch as these; what is too much for one turn goes on
// in the next.
void Core::advance() {
    for (std::size_t records = 0; records < limits::turn_tasks_max;) {
        const auto next = engine_.next_to_advance();
        if (!next) return;
        if (syncing_ && open_.bytes > settings_.batch_bytes_soft) return;  // after the sync
        const auto told = told_.find(*next);
        const bool knows = told != told_.end();
        Decision decision =
            engine_.decide(now(), engine::Advance{knows ? told->second.results : nullptr}, random_);
        if (decision.advanced) {
            fetch_and_advance(decision);
            continue;
        }
        records += decision.records.size();
        if (!settle(decision, port::Purpose::old_work)) return;  // tried again when there is room
        if (knows) told->second.used = true;
    }
}

// Bodies of tasks that are to be cancelled, or results that steps refer to: memory has neither.
// Meanwhile others have their turn.
void Core::fetch_and_advance(Decision& decision) {
    const WorkflowId id = *decision.advanced;
    engine_.apply(engine::WorkflowAway{id, true});
    ++fetches_;
    if (decision.fetch_results.empty())
        return fetch({std::move(decision.fetch), {}}, false,
                     [this, id](const Fetched&) { advance_first(id); });
    auto results = std::make_shared<engine::ToldResults>();
    auto read = std::make_shared<Result<void>>();
    ask_view([results, read, ids = std::move(decision.fetch_results)](
                 port::View& view) { *read = read_results(view, ids, *results); },
             [this, id, results, read] {
                 if (!*read) return lost_disk_(read->error());
                 // Kept until others are told: the same step may go on with the next of its items.
                 std::erase_if(told_, [](const auto& each) { return each.second.used; });
                 told_[id] = {results, false};
                 advance_first(id);
             });
}

void Core::advance_first(WorkflowId id) {
    --fetches_;
    engine_.apply(engine::WorkflowAway{id, false});
    engine_.apply(engine::WorkflowFirst{id});
    advance();
    match();
    finish_turn();
}

void Core::forget_told() {
    std::erase_if(told_, [this](const auto& each) {
        const Workflow* workflow = engine_.find_workflow(each.first);
        return workflow == nullptr || has_ended(workflow->state);
    });
}

// What the view has of a workflow once it has caught up: one that was deleted must not come back.
void Core::fetch_workflow_and_run(Command command, WorkflowId id, Decided decided) {
    ++fetches_;
    ++questions_;
    auto again = std::make_shared<Command>(std::move(command));
    auto found =
        std::make_shared<Result<std::shared_ptr<const WholeWorkflow>>>(fail(ErrorCode::disk_full));
    when_viewed([found, id](port::View& view) { *found = view.find_workflow(id); },
                [this, found, again, deleted = workflows_deleted_, decided = std::move(decided)] {
                    --fetches_;
                    --questions_;
                    if (!*found && found->error().code == ErrorCode::disk_full) {
                        Decision refused;
                        refused.refused = found->error();
                        if (Reply reply = decided(refused))
                            open_.replies.push_back(std::move(reply));
                        return finish_turn();
                    }
                    if (!*found) return lost_disk_(found->error());
                    // What may be old is asked again; who only deletes it is not misled by it.
                    const bool deletes = std::holds_alternative<engine::DeleteWorkflow>(*again);
                    if (deletes || deleted == workflows_deleted_) take_workflow(*again, **found);
                    execute(std::move(*again), decided);
                });
}

void Core::take_workflow(Command& command, const std::shared_ptr<const WholeWorkflow>& found) {
    if (auto* retry = std::get_if<engine::RetryWorkflow>(&command)) {
        retry->fetched = true;
        if (found && engine_.find_workflow(retry->id) == nullptr)
            engine_.apply(engine::WorkflowLoaded{found});
    } else if (auto* start = std::get_if<engine::StartWorkflow>(&command)) {
        start->fetched = true;
        start->known = found;
    } else if (auto* remove = std::get_if<engine::DeleteWorkflow>(&command)) {
        remove->fetched = true;
        remove->known = found;
    }
}

}  // namespace taskd::service

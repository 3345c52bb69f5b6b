#include "taskd/service/operations.hpp"

#include <algorithm>

#include "taskd/protocol/search_match.hpp"

namespace taskd::service {
namespace {

// How long it is left alone after it was refused.
constexpr Duration retry = std::chrono::seconds{1};
constexpr Duration one_second = std::chrono::seconds{1};  // in units that can be divided

// Few enough at a time that a rate is even.
std::size_t page_of(const Operation& operation) {
    constexpr std::uint32_t parts = 10;
    if (operation.rate == 0) return limits::operation_turn_tasks;
    return std::clamp<std::size_t>(operation.rate / parts, 1, limits::operation_turn_tasks);
}

// What was written, and what the action can be done on at all.
Search whole_search(const Operation& operation) {
    Search search = parse_search(operation.search).value_or(Search{});
    const Search reach = parse_search(reach_of(operation.action)).value();
    search.terms.insert(search.terms.end(), reach.terms.begin(), reach.terms.end());
    return search;
}

}  // namespace

Operations::Operations(Core& core, port::Clock& clock, port::Timers& timers, port::Log& log)
    : core_{core}, clock_{clock}, timers_{timers}, log_{log} {}

void Operations::start() {
    for (const auto& [id, operation] : core_.engine().operations())
        if (operation.state == OperationState::running) go_on(id);
}

void Operations::go_on(const OperationId& id) {
    const auto found = core_.engine().operations().find(id);
    const bool runs = found != core_.engine().operations().end() &&
                      found->second.state == OperationState::running;
    if (!runs) {
        runs_.erase(id);
        return;
    }
    Run& run = runs_[id];
    if (!run.timer) {
        run.timer = timers_.make();
        run.search = whole_search(found->second);
    }
    if (run.asking) return;
    // Redriving is new work: it goes on when there is room.
    const bool redrives = found->second.action == OperationAction::redrive;
    const auto slow = redrives ? core_.no_more_tasks() : std::nullopt;
    if (!slow) {
        run.waits = false;
        return ask(id, run);
    }
    if (!std::exchange(run.waits, true))
        log_.warn("operation waits", {{"operation", id.to_string()}, {"error", slow->to_string()}});
    again(id, retry);
}

void Operations::ask(const OperationId& id, Run& run) {
    const Operation& operation = core_.engine().operations().at(id);
    TaskQuery query;
    query.search = run.search;
    query.limit = page_of(operation);
    query.after = operation.cursor;
    query.now = operation.started_at;
    auto page = std::make_shared<Result<TaskPage>>(fail(ErrorCode::disk_full));
    auto look = [page, query = std::move(query)](port::View& view) { *page = view.list(query); };
    auto then = [this, id, page] { this->found(id, *page); };
    run.asking = true;
    // What was so at the beginning must be seen. Later the view is at most as old as the page
    // before, and nothing of this operation is left behind the cursor.
    if (run.covered)
        core_.ask_view(std::move(look), std::move(then));
    else
        core_.when_viewed(std::move(look), std::move(then));
}

void Operations::found(const OperationId& id, const Result<TaskPage>& page) {
    const auto at = runs_.find(id);
    if (at == runs_.end()) return;
    Run& run = at->second;
    run.asking = false;
    const auto known = core_.engine().operations().find(id);
    if (known == core_.engine().operations().end()) return go_on(id);
    const Operation& operation = known->second;
    if (!page) {
        log_.warn("operation waits",
                  {{"operation", id.to_string()}, {"error", page.error().to_string()}});
        return again(id, retry);
    }
    run.covered = true;
    const SteadyTime begin = clock_.steady();
    auto step = step_of(operation, run.search, *page);
    Duration wait{0};
    if (operation.rate > 0) wait = one_second * step.targets.size() / operation.rate;
    core_.execute(std::move(step),
                  [this, id, wait](const engine::Decision& decision) -> Core::Reply {
                      const bool refused = decision.refused.has_value();
                      return [this, id, wait, refused] { again(id, refused ? retry : wait); };
                  });
    turns_.observe(clock_.steady() - begin);
}

// The rows may be a little old: what is in memory says how it is now.
engine::StepOperation Operations::step_of(const Operation& operation, const Search& search,
                                          const TaskPage& page) {
    engine::StepOperation step{.id = operation.id, .targets = {}};
    step.cursor = page.next;
    step.last = !page.next.has_value();
    const engine::Engine& engine = core_.engine();
    for (const Task& row : page.tasks) {
        const TaskId id = row.spec.id;
        if (row.submitted_at > operation.started_at || engine.is_deleted(id)) continue;
        if (operation.action == OperationAction::remove && is_needed_by_workflow(core_, row)) {
            ++step.passed_over;
            continue;
        }
        const bool comes_back =
            operation.action == OperationAction::redrive && !engine.state_of(id);
        if (comes_back || engine.is_bodiless(id)) core_.bring(row);
        const Task* now = engine.find(id);
        const bool same = now == nullptr || now->changed_as == row.changed_as ||
                          protocol::matches(search, *now, operation.started_at);
        if (same)
            step.targets.push_back({id, now == nullptr ? row.changed_as : now->changed_as});
        else
            ++step.passed_over;
    }
    return step;
}

void Operations::again(const OperationId& id, Duration wait) {
    const auto found = runs_.find(id);
    if (found == runs_.end()) return go_on(id);
    if (wait == Duration{0}) return go_on(id);
    found->second.timer->set(clock_.steady() + wait, [this, id] { go_on(id); });
}

void Operations::report(port::MetricSink& sink) const {
    sink.put(port::Metric::operations_running, static_cast<double>(runs_.size()));
    sink.put(port::Metric::operation_turn_seconds, turns_);
}

}  // namespace taskd::service

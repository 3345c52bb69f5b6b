// Groups: made, closed, and ended when the last of their tasks has. Nothing here changes state.
#include "engine/rules.hpp"
#include "taskd/base/assert.hpp"

namespace taskd::engine {

Decision decide_make_group(const Context& context, const MakeGroup& command) {
    const auto& groups = context.state.groups;
    const Group& asked = command.group;
    const auto found = groups.find(asked.id);
    const bool there = found != groups.end();
    if (there && (found->second.name != asked.name || found->second.completion != asked.completion))
        return refuse(ErrorCode::id_conflict, asked.id.to_string());
    if (!there && context.state.groups_running >= limits::groups_running_max)
        return refuse(ErrorCode::too_many_groups, std::to_string(limits::groups_running_max));
    Decision decision;
    if (!command.submit.tasks.empty()) {
        Submit submit = command.submit;
        if (!there) submit.group_made = asked.id;
        decision = decide_submit(context, submit);
        if (decision.refused || !decision.fetch.empty() || !decision.fetch_keys.empty())
            return decision;
    }
    if (there) return decision;
    decision.records.insert(decision.records.begin(), GroupMade{asked});
    if (!command.open) decision.records.emplace_back(GroupClosed{asked.id});
    return decision;
}

Decision decide_close_group(const Context& context, const CloseGroup& command) {
    const auto found = context.state.groups.find(command.id);
    if (found == context.state.groups.end())
        return refuse(ErrorCode::group_not_found, command.id.to_string());
    Decision decision;
    if (found->second.state == GroupState::open)
        decision.records.emplace_back(GroupClosed{command.id});
    return decision;
}

namespace {

// The task that a record brings to an end.
struct EndOf {
    std::optional<TaskId> id;
    TaskState state{};

    void operator()(const TaskCompleted& record) { set(record.id, TaskState::succeeded); }
    void operator()(const TaskCancelled& record) { set(record.id, TaskState::cancelled); }
    void operator()(const TaskExpired& record) { set(record.id, TaskState::expired); }
    void operator()(const AttemptFailed& record) { dies(record); }
    void operator()(const AttemptCrashed& record) { dies(record); }
    void operator()(const TimedOutLeaseEnded& record) { dies(record); }
    template <class Other>
    void operator()(const Other&) {}

  private:
    template <class Ended>
    void dies(const Ended& record) {
        if (!record.due_at) set(record.id, TaskState::dead);
    }
    void set(TaskId ended, TaskState as) {
        id = ended;
        state = as;
    }
};

// What the completion task is told: counts, who failed, and its own payload.
std::string payload_of(const Group& group) {
    std::string out = "{\"group\":\"" + group.id.to_string() + "\"";
    const auto count = [&](std::string_view name, std::uint64_t value) {
        out.append(",\"").append(name).append("\":").append(std::to_string(value));
    };
    count("tasks", group.tasks);
    count("succeeded", group.succeeded);
    count("dead", group.dead);
    count("cancelled", group.cancelled);
    count("expired", group.expired);
    out += ",\"failed\":[";
    for (const TaskId& id : group.failed) {
        if (!out.ends_with('[')) out += ',';
        out += '"' + id.to_string() + '"';
    }
    return out + "],\"payload\":" + std::string{group.completion->payload.view()} + "}";
}

}  // namespace

void count_end(Group& group, TaskId id, TaskState state) {
    switch (state) {
        case TaskState::succeeded:
            ++group.succeeded;
            return;
        case TaskState::dead:
            ++group.dead;
            break;
        case TaskState::cancelled:
            ++group.cancelled;
            break;
        case TaskState::expired:
            ++group.expired;
            break;
        default:
            TASKD_ASSERT(false);
    }
    if (group.failed.size() < limits::group_failed_shown_max) group.failed.push_back(id);
}

void finish_groups(const Context& context, Decision& decision) {
    if (decision.records.empty()) return;
    const bool made_here = std::holds_alternative<GroupMade>(decision.records.front());
    if (context.state.groups_running == 0 && !made_here) return;
    std::map<GroupId, Group> touched;  // as they will be
    const auto touch = [&](const GroupId& id) -> Group* {
        if (const auto here = touched.find(id); here != touched.end()) return &here->second;
        const auto found = context.state.groups.find(id);
        if (found == context.state.groups.end()) return nullptr;
        return &touched.try_emplace(id, found->second).first->second;
    };
    for (const Record& record : decision.records) {
        if (const auto* made = std::get_if<GroupMade>(&record))
            touched.emplace(made->group->id, *made->group);
        if (const auto* added = std::get_if<TaskSubmitted>(&record); added && added->spec.group)
            if (Group* group = touch(*added->spec.group)) ++group->tasks;
        if (const auto* closed = std::get_if<GroupClosed>(&record)) {
            if (Group* group = touch(closed->id)) group->state = GroupState::closed;
            continue;
        }
        EndOf end;
        std::visit(end, record);
        if (!end.id) continue;
        const Header* header = context.state.find(*end.id);
        if (header == nullptr || !header->body) continue;
        const auto& member_of = header->body->task->spec.group;
        if (!member_of) continue;
        if (Group* group = touch(*member_of); group != nullptr && group->state != GroupState::done)
            count_end(*group, *end.id, end.state);
    }
    for (auto& [id, group] : touched) {
        if (group.state != GroupState::closed || group.ended() < group.tasks) continue;
        GroupEnded ended{id, std::nullopt, context.now.wall};
        if (group.completion) {
            TaskSpec spec = *group.completion;
            spec.id = TaskId::make(context.now.wall, context.random);
            spec.payload = Blob{payload_of(group)};
            ended.completed_by = spec.id;
            decision.records.emplace_back(ended);
            decision.records.emplace_back(submitted(context.now, spec));
        } else {
            decision.records.emplace_back(ended);
        }
    }
}

}  // namespace taskd::engine

// The view's twin: the same promises in a map. What is stored survives as long as its table does.
#pragma once

#include <algorithm>
#include <map>

#include "taskd/port/view.hpp"
#include "taskd/protocol/search_match.hpp"
#include "taskd/sim/memory_topics.hpp"

namespace taskd::sim {

struct MemoryTable {
    port::ViewMark mark;
    std::map<TaskId, Task> tasks;
    std::map<std::string, KeyUse> keys;
    std::map<std::string, QueueRules> queues;
    std::map<OperationId, Operation> operations;
    std::map<GroupId, Group> groups;
    std::map<std::string, WorkerHold> holds;
    std::map<std::string, Schedule> schedules;
    MemoryTopics topics;
    std::map<WorkflowId, WholeWorkflow> workflows;
};

// Rows as a change of the view carries them.
inline std::vector<std::shared_ptr<const Task>> as_rows(std::vector<Task> tasks) {
    std::vector<std::shared_ptr<const Task>> rows;
    for (Task& task : tasks)
        rows.push_back(std::make_shared<const Task>(std::move(task)));
    return rows;
}

class MemoryView final : public port::View {
  public:
    explicit MemoryView(MemoryTable& table) : table_{table} {}

    Result<port::ViewMark> mark() override { return table_.mark; }

    Result<void> store(const port::ViewChange& change) override {
        if (fails_with) return fail(*fails_with);
        ++changes;
        change_tasks_max = std::max(change_tasks_max, change.tasks.size());
        for (const TaskId& id : change.gone_tasks)
            table_.tasks.erase(id);
        for (const OperationId& id : change.gone_operations)
            table_.operations.erase(id);
        for (const Operation& operation : change.operations)
            table_.operations[operation.id] = operation;
        for (const WorkerHold& hold : change.holds)
            if (hold.pause)
                table_.holds[hold.instance] = hold;
            else
                table_.holds.erase(hold.instance);
        for (const GroupId& id : change.gone_groups)
            table_.groups.erase(id);
        for (const Group& group : change.groups)
            table_.groups[group.id] = group;
        for (const auto& task : change.tasks) {
            table_.tasks[task->spec.id] = *task;
            const KeyUse use = key_use_of(task->spec, task->submitted_at);
            const auto old = table_.keys.find(use.key);
            if (!use.key.empty() && (old == table_.keys.end() || old->second.until < use.until))
                table_.keys[use.key] = use;
        }
        for (const QueueRules& rules : change.queues)
            table_.queues[rules.type] = rules;
        for (const auto& [name, schedule] : change.schedules) {
            table_.schedules.erase(name);
            if (schedule) table_.schedules[name] = *schedule;
        }
        for (const WorkflowId& id : change.gone_workflows)
            table_.workflows.erase(id);
        for (const WorkflowChange& each : change.workflows) {
            WholeWorkflow& whole = table_.workflows[each.workflow.id];
            whole.workflow = each.workflow;
            if (each.plan) whole.plan = each.plan;
            whole.steps.resize(whole.plan->steps.size());
            for (const auto& [step, row] : each.steps)
                whole.steps[step] = row;
        }
        std::erase_if(table_.keys, [&](const auto& each) {
            const auto holder = table_.tasks.find(each.second.id);
            const bool lives = holder != table_.tasks.end() && is_live(holder->second);
            return each.second.until <= change.at && !lives;
        });
        table_.topics.store(change.topics);
        table_.mark = change.mark;
        return {};
    }

    Result<std::vector<Task>> find(std::span<const TaskId> ids) override {
        tasks_asked += ids.size();
        std::vector<Task> found;
        for (const TaskId& id : ids)
            if (const auto at = table_.tasks.find(id); at != table_.tasks.end())
                found.push_back(at->second);
        return found;
    }

    Result<TaskPage> list(const TaskQuery& query) override {
        TaskPage page;
        std::size_t rows = 0;
        auto each = query.after ? table_.tasks.upper_bound(*query.after) : table_.tasks.begin();
        for (; each != table_.tasks.end(); ++each) {
            const Task& task = each->second;
            if (rows == std::max<std::size_t>(query.rows_max, 1)) {
                page.next = std::prev(each)->first;
                break;
            }
            ++rows;
            if (!query.type.empty() && task.spec.type != query.type) continue;
            if (query.state && task.state != *query.state) continue;
            if (!protocol::matches(query.search, task, query.now)) continue;
            if (!query.count_only && page.tasks.size() == std::max<std::size_t>(query.limit, 1)) {
                page.next = page.tasks.back().spec.id;
                break;
            }
            ++page.count;
            if (query.count_only) continue;
            page.tasks.push_back(task);
            if (query.bare) page.tasks.back().spec.payload = page.tasks.back().result = {};
        }
        return page;
    }

    Result<std::vector<TaskId>> match(std::string_view part) override {
        std::vector<TaskId> found;
        if (part.empty()) return found;
        std::string lower{part};
        std::ranges::transform(lower, lower.begin(), [](char c) {
            return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
        });
        for (const auto& [id, task] : table_.tasks) {
            const std::string text = id.to_string();
            if ((text.starts_with(lower) || text.ends_with(lower)) && found.size() < 2)
                found.push_back(id);
        }
        return found;
    }

    Result<void> each_live(const std::function<void(const TaskHead&)>& take) override {
        std::vector<Task> live;
        for (const auto& [id, task] : table_.tasks)
            if (is_live(task)) live.push_back(task);
        std::ranges::sort(live, {}, &Task::queued_as);
        for (const Task& task : live)
            take(head_of(task));
        return {};
    }

    Result<void> each_queue(const std::function<void(const QueueRules&)>& take) override {
        for (const auto& [type, rules] : table_.queues)
            take(rules);
        return {};
    }

    Result<void> each_operation(const std::function<void(const Operation&)>& take) override {
        for (const auto& [id, operation] : table_.operations)
            take(operation);
        return {};
    }

    Result<void> each_group(const std::function<void(const Group&)>& take) override {
        for (const auto& [id, group] : table_.groups)
            take(group);
        return {};
    }

    Result<void> each_schedule(const std::function<void(const Schedule&)>& take) override {
        for (const auto& [name, schedule] : table_.schedules)
            take(schedule);
        return {};
    }

    Result<std::vector<TopicEvent>> events(const EventRange& range) override {
        auto found = table_.topics.find(range);
        for (const TopicEvent& event : found)
            event_bytes_read += bytes_of(event);
        return found;
    }

    Result<std::optional<EventSequence>> event_at(const std::string& topic,
                                                  WallTime time) override {
        for (auto each = table_.topics.events.lower_bound({topic, EventSequence{}});
             each != table_.topics.events.end() && each->first.topic == topic; ++each)
            if (each->second.event.at >= time) return each->first.sequence;
        return std::nullopt;
    }

    Result<void> each_topic(const std::function<void(const Topic&)>& take) override {
        for (const auto& [name, topic] : table_.topics.topics)
            take(topic);
        return {};
    }

    Result<void> each_subscription(const std::function<void(const Subscription&)>& take) override {
        for (const auto& [name, group] : table_.topics.groups)
            take(group);
        return {};
    }

    Result<void> each_letter(
        const std::function<void(const TopicChanges::Letter&)>& take) override {
        for (const auto& [place, letter] : table_.topics.letters)
            take({place.first, place.second, letter.letter});
        return {};
    }

    Result<void> each_event_id(const std::function<void(const TopicEvent&)>& take) override {
        std::vector<const MemoryTopics::Row*> rows;
        for (const auto& [place, row] : table_.topics.events)
            if (row.event.id_given) rows.push_back(&row);
        std::ranges::sort(rows, {}, [](const auto* row) { return row->made_as; });
        const std::size_t most = limits::event_ids_in_memory;
        for (std::size_t i = rows.size() > most ? rows.size() - most : 0; i < rows.size(); ++i)
            take(rows[i]->event);
        return {};
    }

    Result<void> each_hold(const std::function<void(const WorkerHold&)>& take) override {
        for (const auto& [instance, hold] : table_.holds)
            take(hold);
        return {};
    }

    Result<void> each_workflow(const std::function<void(const WholeWorkflow&)>& take) override {
        for (const auto& [id, whole] : table_.workflows)
            if (!has_ended(whole.workflow.state)) take(whole);
        return {};
    }

    Result<std::shared_ptr<const WholeWorkflow>> find_workflow(WorkflowId id) override {
        const auto found = table_.workflows.find(id);
        if (found == table_.workflows.end()) return nullptr;
        return std::make_shared<const WholeWorkflow>(found->second);
    }

    Result<std::vector<Workflow>> list_workflows(const WorkflowQuery& query) override {
        std::vector<Workflow> found;
        for (auto each = table_.workflows.rbegin(); each != table_.workflows.rend(); ++each)
            if (found.size() < query.limit && matches(query, each->second.workflow))
                found.push_back(each->second.workflow);
        return found;
    }

    Result<std::vector<WorkflowId>> workflows_to_drop(const port::OldWorkflows& asked) override {
        std::vector<std::pair<WallTime, WorkflowId>> ended;
        for (const auto& [id, whole] : table_.workflows)
            if (whole.workflow.ended_at) ended.emplace_back(*whole.workflow.ended_at, id);
        std::ranges::sort(ended);
        std::vector<WorkflowId> found;
        for (std::size_t i = 0; i < ended.size() && found.size() < asked.limit; ++i) {
            const bool crowded = ended.size() - i > asked.kept;
            if (ended[i].first < asked.before || (crowded && ended[i].first < asked.crowded_before))
                found.push_back(ended[i].second);
        }
        return found;
    }

    Result<void> each_key(const std::function<void(const KeyUse&)>& take) override {
        std::vector<KeyUse> uses;
        for (const auto& [key, use] : table_.keys)
            uses.push_back(use);
        std::ranges::stable_sort(uses, {}, &KeyUse::until);
        for (const KeyUse& use : uses)
            take(use);
        return {};
    }

    Result<std::vector<KeyUse>> find_keys(std::span<const std::string> keys) override {
        std::vector<KeyUse> found;
        for (const std::string& key : keys)
            if (const auto at = table_.keys.find(key); at != table_.keys.end())
                found.push_back(at->second);
        return found;
    }

    Result<std::optional<TaskId>> newest_ended() override {
        std::optional<TaskId> newest;
        for (const auto& [id, task] : table_.tasks)
            if (is_terminal(task.state)) newest = id;
        return newest;
    }

    std::optional<ErrorCode> fails_with;  // what the disk says to every store
    std::size_t changes = 0;              // that were stored
    std::size_t change_tasks_max = 0;     // tasks in the largest of them
    std::size_t event_bytes_read = 0;
    std::size_t tasks_asked = 0;  // by their ids

  private:
    MemoryTable& table_;
};

}  // namespace taskd::sim

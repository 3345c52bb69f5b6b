#include "taskd/protocol/event.hpp"

#include <algorithm>
#include <type_traits>

#include "taskd/protocol/json.hpp"
#include "taskd/protocol/task_json.hpp"

namespace taskd::protocol {
namespace {

constexpr std::string_view names[] = {
    "task.submitted",   "task.leased",         "task.succeeded",      "task.failed",
    "task.crashed",     "task.timed_out",      "task.released",       "task.scheduled",
    "task.queued",      "task.dead",           "task.cancelled",      "task.expired",
    "task.redriven",    "task.edited",         "task.priority",       "task.deleted",
    "queue.changed",    "schedule.changed",    "schedule.removed",    "schedule.fired",
    "schedule.missed",  "operation.started",   "operation.advanced",  "operation.ended",
    "group.made",       "group.closed",        "group.ended",         "worker.held",
    "workflow.started", "workflow.step_began", "workflow.step_ended", "workflow.turned",
    "workflow.ended",   "workflow.retried",    "workflow.signal",     "workflow.deleted",
    "dispatcher.began",
};

// Writes the events of one record.
class Teller {
  public:
    // Without facts it makes none, and is only asked whether it would.
    Teller(Sequence sequence, const TaskFacts* facts, const EventNames* wanted)
        : sequence_{sequence}, facts_{facts}, wanted_{wanted} {}

    std::vector<Event> take() { return std::move(events_); }
    bool tells_any() const { return tells_any_; }

    // A record that tells nobody anything.
    template <class Other>
    void operator()(const Other&) {}

    void operator()(const TaskSubmitted& record) {
        task("task.submitted", record.spec.id, record.at, [&](JsonWriter& json) {
            json.field("priority", record.spec.priority);
            if (!record.spec.key.empty()) json.field("key", record.spec.key);
            if (record.due) json.field("due_at", *record.due);
            if (record.spec.labels.empty()) return;
            std::string labels;
            for (const auto& [name, value] : record.spec.labels) {
                append_json_string(labels += labels.empty() ? '{' : ',', name);
                append_json_string(labels += ':', value);
            }
            json.key("labels").raw(labels += '}');
        });
    }
    void operator()(const TaskLeased& record) {
        const bool told = task("task.leased", record.id, record.at, [&](JsonWriter& json) {
            json.field("epoch", record.epoch.value).field("worker", record.worker);
        });
        if (told) events_.back().subjects.push_back("worker:" + record.worker);
    }
    void operator()(const TaskCompleted& record) {
        task("task.succeeded", record.id, record.at, [&](JsonWriter& json) {
            json.field("epoch", record.epoch.value);
            if (record.took) json.field("took_ms", *record.took / std::chrono::milliseconds{1});
        });
    }
    void operator()(const AttemptFailed& record) {
        task("task.failed", record.id, record.at, [&](JsonWriter& json) {
            std::string error;
            write_task_error(error, record.error);
            json.field("epoch", record.epoch.value).key("error").raw(error);
        });
        after_attempt(record);
    }
    void operator()(const AttemptCrashed& record) {
        attempt("task.crashed", record);
        after_attempt(record);
    }
    void operator()(const AttemptTimedOut& record) { attempt("task.timed_out", record); }
    void operator()(const TimedOutLeaseEnded& record) { after_attempt(record); }
    void operator()(const AttemptReleased& record) { attempt("task.released", record); }
    void operator()(const TaskDue& record) { task("task.queued", record.id, {}, nothing); }
    void operator()(const TaskCancelled& record) {
        task("task.cancelled", record.id, record.at, [&](JsonWriter& json) {
            if (!record.reason.empty()) json.field("reason", record.reason);
        });
    }
    void operator()(const TaskExpired& record) {
        task("task.expired", record.id, record.at, [&](JsonWriter& json) {
            json.field(
                "reason",
                row_of(record.whole ? ErrorCode::deadline_exceeded : ErrorCode::expired).name);
        });
    }
    void operator()(const TaskRedriven& record) {
        task("task.redriven", record.id, record.at, nothing);
    }
    void operator()(const PayloadEdited& record) {
        task("task.edited", record.id, record.at, nothing);
    }
    void operator()(const PriorityChanged& record) {
        task("task.priority", record.id, {},
             [&](JsonWriter& json) { json.field("priority", record.priority); });
    }
    void operator()(const TaskDeleted& record) { task("task.deleted", record.id, {}, nothing); }
    void operator()(const QueueChanged& record) {
        tell("queue.changed", {"queue:" + record.rules.type}, {}, [&](JsonWriter& json) {
            json.field("type", record.rules.type)
                .field("paused", record.rules.paused.has_value())
                .field("draining", record.rules.draining.has_value());
        });
    }
    void operator()(const ScheduleChanged& record) {
        named("schedule", "schedule.changed", record.schedule->spec.name, {},
              [&](JsonWriter& json) { json.field("paused", record.schedule->paused.has_value()); });
    }
    void operator()(const ScheduleRemoved& record) {
        named("schedule", "schedule.removed", record.name, {}, nothing);
    }
    void operator()(const ScheduleFired& record) {
        if (record.missed > 0)
            named("schedule", "schedule.missed", record.name, {},
                  [&](JsonWriter& json) { json.field("missed", record.missed); });
        if (!record.fire) return;
        const Fire& fire = *record.fire;
        named("schedule", "schedule.fired", record.name, fire.at, [&](JsonWriter& json) {
            json.field("planned_at", fire.planned)
                .field("outcome", to_text(fire.outcome))
                .field("backfill", record.backfill);
            if (fire.task) json.field("task", *fire.task);
            if (!fire.reason.empty()) json.field("reason", fire.reason);
        });
    }
    void operator()(const OperationStarted& record) {
        const Operation& operation = record.operation;
        numbered(
            "operation", "operation.started", operation.id, operation.started_at,
            [&](JsonWriter& json) {
                json.field("action", to_text(operation.action)).field("search", operation.search);
            });
    }
    void operator()(const OperationAdvanced& record) {
        numbered("operation", "operation.advanced", record.id, {}, [&](JsonWriter& json) {
            json.field("changed", record.changed).field("passed_over", record.passed_over);
        });
    }
    void operator()(const OperationEnded& record) {
        numbered("operation", "operation.ended", record.id, record.at,
                 [&](JsonWriter& json) { json.field("stopped", record.stopped); });
    }
    void operator()(const GroupMade& record) {
        numbered("group", "group.made", record.group->id, record.group->made_at,
                 [&](JsonWriter& json) { json.field("name", record.group->name); });
    }
    void operator()(const GroupClosed& record) {
        numbered("group", "group.closed", record.id, {}, nothing);
    }
    void operator()(const GroupEnded& record) {
        numbered("group", "group.ended", record.id, record.at, [&](JsonWriter& json) {
            if (record.completed_by) json.field("completion_id", *record.completed_by);
        });
    }
    void operator()(const WorkerHeld& record) {
        tell("worker.held", {"worker:" + record.hold.instance}, {}, [&](JsonWriter& json) {
            json.field("instance", record.hold.instance)
                .field("paused", record.hold.pause.has_value())
                .field("draining", record.hold.draining);
        });
    }
    void operator()(const WorkflowStarted& record) {
        numbered("workflow", "workflow.started", record.workflow.id, record.workflow.made_at,
                 [&](JsonWriter& json) { json.field("name", record.workflow.name); });
    }
    void operator()(const StepBegan& record) {
        numbered("workflow", "workflow.step_began", record.id, record.at, [&](JsonWriter& json) {
            json.field("step", record.step);
            if (record.child) json.field("workflow", *record.child);
        });
    }
    void operator()(const StepEnded& record) {
        numbered("workflow", "workflow.step_ended", record.id, record.at, [&](JsonWriter& json) {
            json.field("step", record.step).field("state", to_text(record.state));
            if (record.item) json.field("item", *record.item);
            if (record.error) json.field("code", record.error->code);
        });
    }
    void operator()(const WorkflowTurned& record) {
        numbered("workflow", "workflow.turned", record.id, record.at, [&](JsonWriter& json) {
            json.field("state", to_text(record.state)).field("code", record.error.code);
        });
    }
    void operator()(const WorkflowEnded& record) {
        numbered("workflow", "workflow.ended", record.id, record.at,
                 [&](JsonWriter& json) { json.field("state", to_text(record.state)); });
    }
    void operator()(const WorkflowRetried& record) {
        numbered("workflow", "workflow.retried", record.id, record.at, nothing);
    }
    void operator()(const SignalReceived& record) {
        numbered("workflow", "workflow.signal", record.id, {},
                 [&](JsonWriter& json) { json.field("signal", record.signal.name); });
    }
    void operator()(const WorkflowDeleted& record) {
        numbered("workflow", "workflow.deleted", record.id, {}, nothing);
    }
    void operator()(const EngineResumed&) { tell("dispatcher.began", {}, {}, nothing); }

  private:
    using When = std::optional<WallTime>;
    static constexpr auto nothing = [](JsonWriter&) {};

    // Whether the next event, which this is, is to be made.
    bool takes(std::string_view name) {
        ++count_;
        if (wanted_ != nullptr && !wanted_->contains(name)) return false;
        tells_any_ = true;
        return facts_ != nullptr;
    }

    template <class More>
    void tell(std::string_view name, std::vector<std::string> subjects, When at, More more) {
        if (takes(name)) make(name, std::move(subjects), at, more);
    }

    template <class More>
    void make(std::string_view name, std::vector<std::string> subjects, When at, More more) {
        Event& event =
            events_.emplace_back(Event{{sequence_, count_ - 1}, name, std::move(subjects), {}});
        JsonWriter json{event.data};
        json.begin_object().field("event", name).field("event_id", to_text(event.id));
        more(json);
        if (at) json.field("at", *at);
        json.end_object();
    }

    template <class More>
    bool numbered(std::string_view kind, std::string_view name, const TaskId& id, When at,
                  More more) {
        if (!takes(name)) return false;
        const std::string text = id.to_string();
        make(name, {std::string{kind} + ":" + text}, at, [&](JsonWriter& json) {
            json.field("id", text);
            more(json);
        });
        return true;
    }

    template <class More>
    void named(std::string_view kind, std::string_view name, const std::string& subject, When at,
               More more) {
        if (!takes(name)) return;
        make(name, {std::string{kind} + ":" + subject}, at, [&](JsonWriter& json) {
            json.field("name", subject);
            more(json);
        });
    }

    template <class More>
    bool task(std::string_view name, const TaskId& id, When at, More more) {
        const bool told = numbered("task", name, id, at, [&](JsonWriter& json) {
            if (!facts_->type.empty()) json.field("type", facts_->type);
            if (facts_->group) json.field("group", *facts_->group);
            more(json);
        });
        if (!told) return false;
        auto& subjects = events_.back().subjects;
        if (!facts_->type.empty()) subjects.push_back("queue:" + facts_->type);
        if (facts_->group) subjects.push_back("group:" + facts_->group->to_string());
        return true;
    }

    template <class Ended>
    void attempt(std::string_view name, const Ended& record) {
        task(name, record.id, record.at,
             [&](JsonWriter& json) { json.field("epoch", record.epoch.value); });
    }

    // What becomes of a task whose attempt did not succeed.
    template <class Ended>
    void after_attempt(const Ended& record) {
        if (!record.due_at) {
            task("task.dead", record.id, record.at, nothing);
            return;
        }
        task("task.scheduled", record.id, record.at, [&](JsonWriter& json) {
            if (record.due_shown) json.field("due_at", *record.due_shown);
        });
    }

    Sequence sequence_;
    const TaskFacts* facts_;
    const EventNames* wanted_;
    std::uint32_t count_ = 0;  // of its events so far, made or not
    bool tells_any_ = false;
    std::vector<Event> events_;
};

}  // namespace

std::span<const std::string_view> event_names() {
    return names;
}

std::vector<Event> events_of(Sequence sequence, const Record& record, const TaskFacts& facts,
                             const EventNames* wanted) {
    Teller teller{sequence, &facts, wanted};
    std::visit(teller, record);
    return teller.take();
}

bool tells_any(const Record& record, const EventNames& wanted) {
    Teller teller{{}, nullptr, &wanted};
    std::visit(teller, record);
    return teller.tells_any();
}

}  // namespace taskd::protocol

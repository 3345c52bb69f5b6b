// Runs every *.story beside this file: commands, a line of dashes, what the engine answers.
// `test_stories --update` is TASKD_UPDATE_STORIES=1: rewrites the answers; review the diff.
#include <map>
#include <sstream>

#include "catch.hpp"
#include "replay.hpp"
#include "taskd/base/duration_text.hpp"
#include "taskd/engine/engine.hpp"

using namespace taskd;
using namespace taskd::engine;

namespace {

using test::Arguments;

// "email,sms" as its parts.
std::vector<std::string> words(const std::string& text) {
    std::vector<std::string> parts;
    std::istringstream stream{text};
    for (std::string part; std::getline(stream, part, ',');)
        parts.push_back(part);
    return parts;
}

// One engine with named tasks and a clock that the story moves.
class Stage {
  public:
    std::string play(const std::string& line) {
        out_.str("");
        const auto [verb, subject, given] = test::parse_line(line);
        if (verb == "advance")
            advance(*parse_duration(subject));
        else if (verb == "resume")
            turn(Resume{});
        else if (verb == "show")
            show(subject);
        else if (verb == "explain")
            explain(subject);
        else if (verb == "set-clock")  // the wall clock alone
            now_.wall += (given.contains("back") ? -1 : 1) * *parse_duration(subject), turn(Tick{});
        else
            turn(command(verb, subject, given));
        return out_.str();
    }

  private:
    Command command(const std::string& verb, const std::string& subject, const Arguments& given) {
        if (verb == "submit") return Submit{{spec(subject, given)}};
        if (verb == "worker")
            return WorkerUp{subject, words(given.at("type")),
                            static_cast<std::uint32_t>(std::stoul(given.at("slots"))),
                            given.contains("credit")
                                ? static_cast<std::uint32_t>(std::stoul(given.at("credit")))
                                : credit_unlimited};
        if (verb == "worker-gone") return WorkerGone{subject};
        if (verb == "cancel")
            return Cancel{id(subject), given.contains("reason") ? given.at("reason") : ""};
        if (verb == "priority")
            return SetPriority{id(subject), static_cast<std::uint8_t>(std::stoi(given.at("to")))};
        if (verb == "queue") return rules(subject, given);
        if (verb == "redrive") return Redrive{id(subject), true};
        if (verb == "edit") return EditPayload{id(subject), Blob{given.at("payload")}, true};
        if (verb == "start") return begin(subject, given);
        if (verb == "stop") return StopOperation{id(subject)};
        if (verb == "step") return step(subject, given);
        if (verb == "drop") return DropTasks{targets(given)};
        if (verb == "group") return group(subject, given);
        if (verb == "hold-worker" || verb == "drain-worker" || verb == "free-worker") {
            const auto what = verb == "hold-worker"    ? ChangeWorker::What::pause
                              : verb == "drain-worker" ? ChangeWorker::What::drain
                                                       : ChangeWorker::What::resume;
            return ChangeWorker{subject, what, given.contains("by") ? given.at("by") : "", ""};
        }
        if (verb == "report")
            return Report{{},
                          {id(subject), LeaseEpoch{std::stoull(given.at("epoch"))}},
                          {static_cast<std::uint8_t>(std::stoi(given.at("percent"))), "", "", {}}};
        if (verb == "close") return CloseGroup{id(subject)};
        if (verb == "pause" || verb == "unpause" || verb == "drain") {
            ChangeQueue change;
            change.type = subject;
            change.what = verb == "pause"   ? ChangeQueue::What::pause
                          : verb == "drain" ? ChangeQueue::What::drain
                                            : ChangeQueue::What::resume;
            if (given.contains("key")) change.key = given.at("key");
            if (given.contains("by")) change.by = given.at("by");
            if (given.contains("reason")) change.reason = given.at("reason");
            return change;
        }
        if (verb.starts_with("schedule")) return schedule(verb, subject, given);
        const LeaseRef lease{id(subject), LeaseEpoch{std::stoull(given.at("epoch"))}};
        if (verb == "complete")
            return Complete{
                lease, Blob{given.at("result")},
                given.contains("took") ? parse_duration(given.at("took")) : std::nullopt};
        if (verb == "fail")
            return Fail{lease,
                        {given.at("code"), "said so", given.contains("permanent")},
                        {},
                        given.contains("after") ? parse_duration(given.at("after")) : std::nullopt};
        if (verb == "release") return Release{lease};
        if (verb == "confirm") return ConfirmRevoked{lease};
        if (verb == "renew") return Renew{given.at("worker"), {lease}};
        throw std::runtime_error("unknown verb " + verb);
    }

    MakeGroup group(const std::string& name, const Arguments& given) {
        MakeGroup made;
        made.group.id = id(name);
        made.open = !given.contains("tasks");
        if (given.contains("then")) {
            made.group.completion.emplace();
            made.group.completion->type = given.at("then");
            made.group.completion->payload = Blob{"\"done\""};
        }
        if (!made.open)
            for (const std::string& each : words(given.at("tasks"))) {
                made.submit.tasks.push_back(spec(each, given));
                made.submit.tasks.back().group = made.group.id;
            }
        return made;
    }

    StartOperation begin(const std::string& name, const Arguments& given) {
        Operation operation;
        operation.id = id(name);
        operation.action = *parse_operation_action(given.at("action"));
        operation.search = given.at("q");
        operation.started_at = now_.wall;
        return {operation};
    }

    // As they are now, or (`as=`) as they were.
    std::vector<StepOperation::Target> targets(const Arguments& given) {
        std::vector<StepOperation::Target> made;
        for (const std::string& each : words(given.at("on"))) {
            const Task* task = engine_.find(id(each));
            Sequence as = task == nullptr ? Sequence{} : task->changed_as;
            if (given.contains("as")) as = Sequence{std::stoull(given.at("as"))};
            made.push_back({id(each), as});
        }
        return made;
    }

    StepOperation step(const std::string& name, const Arguments& given) {
        StepOperation made{.id = id(name), .targets = targets(given)};
        made.last = given.contains("last");
        made.fetched = true;
        return made;
    }

    Command schedule(const std::string& verb, const std::string& name, const Arguments& given) {
        if (verb == "schedule-remove") return RemoveSchedule{name};
        if (verb == "schedule-pause") return PauseSchedule{name, false, given.at("by"), ""};
        if (verb == "schedule-resume") return PauseSchedule{name, true};
        if (verb == "schedule") {
            ScheduleSpec asked;
            asked.name = name;
            asked.every = *parse_duration(given.at("every"));
            asked.task.type = given.at("type");
            asked.task.payload = Blob{"null"};
            if (given.contains("key")) asked.task.key = given.at("key");
            if (given.contains("overlap")) asked.overlap = *parse_overlap(given.at("overlap"));
            if (given.contains("misfire")) asked.misfire = *parse_misfire(given.at("misfire"));
            return SetSchedule{std::move(asked)};
        }
        FireSchedule fire;
        fire.name = name;
        if (verb == "schedule-run") {
            fire.why = FireSchedule::Why::by_hand;
            fire.id = TaskId::make(now_.wall, ids_random_);
            return fire;
        }
        if (verb == "schedule-backfill") fire.why = FireSchedule::Why::backfill;
        if (const Schedule* there = engine_.schedule(name)) fire.changed_as = there->changed_as;
        for (const std::string& time : words(given.at("at")))
            fire.times.push_back(start + *parse_duration(time));
        if (given.contains("older")) fire.older = std::stoull(given.at("older"));
        return fire;
    }

    static ChangeQueue rules(const std::string& type, const Arguments& given) {
        ChangeQueue change;
        change.type = type;
        const auto number = [&](const char* name) {
            return given.contains(name) ? static_cast<std::uint32_t>(std::stoul(given.at(name)))
                                        : 0;
        };
        change.rules.concurrency = number("concurrency");
        change.rules.key_concurrency = number("key_concurrency");
        change.rules.key_backlog_max = number("key_backlog_max");
        change.rules.rate = {number("rate"), std::chrono::seconds{10},
                             std::max(1U, number("burst"))};
        change.rules.key_rate = {number("key_rate"), std::chrono::seconds{10}, 1};
        if (given.contains("gold")) change.rules.weights["gold"] = number("gold");
        return change;
    }

    TaskSpec spec(const std::string& name, const Arguments& given) {
        TaskSpec made;
        made.id = id(name);
        made.type = given.at("type");
        made.payload = Blob{given.contains("payload") ? given.at("payload") : "null"};
        if (given.contains("priority"))
            made.priority = static_cast<std::uint8_t>(std::stoi(given.at("priority")));
        if (given.contains("attempts_max"))
            made.attempts_max = static_cast<std::uint32_t>(std::stoul(given.at("attempts_max")));
        if (given.contains("crashes_max"))
            made.crashes_max = static_cast<std::uint32_t>(std::stoul(given.at("crashes_max")));
        if (given.contains("backoff")) made.backoff.initial = *parse_duration(given.at("backoff"));
        if (given.contains("backoff_max"))
            made.backoff.max = *parse_duration(given.at("backoff_max"));
        if (given.contains("kind")) made.backoff.kind = *parse_backoff_kind(given.at("kind"));
        if (given.contains("jitter"))
            made.backoff.jitter = static_cast<std::uint8_t>(std::stoi(given.at("jitter")));
        if (given.contains("key")) made.key = given.at("key");
        if (given.contains("once")) made.idempotency_key = given.at("once");
        if (given.contains("in")) made.group = id(given.at("in"));
        if (given.contains("no_retry")) made.no_retry = {given.at("no_retry")};
        if (given.contains("delay")) made.delay = *parse_duration(given.at("delay"));
        if (given.contains("run_in")) made.run_at = now_.wall + *parse_duration(given.at("run_in"));
        if (given.contains("timeout")) made.timeout = *parse_duration(given.at("timeout"));
        if (given.contains("queue_timeout"))
            made.queue_timeout = *parse_duration(given.at("queue_timeout"));
        if (given.contains("total_timeout"))
            made.total_timeout = *parse_duration(given.at("total_timeout"));
        return made;
    }

    TaskId id(const std::string& name) {
        const auto found = ids_.find(name);
        if (found != ids_.end()) return found->second;
        const TaskId made = TaskId::make(now_.wall, ids_random_);
        names_[made] = name;
        return ids_[name] = made;
    }

    void turn(const Command& asked) {
        settle(engine_.decide(now_, asked, random_));
        while (engine_.can_match())
            settle(engine_.decide(now_, Match{}, random_));
    }

    void settle(const Decision& decision) {
        if (decision.refused)
            out_ << "error " << decision.refused->name() << " (" << decision.refused->detail
                 << ")\n";
        for (const auto& [index, existing] : decision.existing)
            out_ << "it is " << names_[existing] << "\n";
        for (const Record& record : decision.records) {
            sequence_ = sequence_.next();
            engine_.apply(sequence_, record);
            std::visit([&](const auto& each) { tell(each); }, record);
        }
        for (const Note& note : decision.notes) {
            engine_.apply(note);
            if (const auto* renewed = std::get_if<LeaseRenewed>(&note))
                out_ << names_[renewed->lease.id] << " renewed until=" << since(renewed->until)
                     << "\n";
        }
        for (const Output& output : decision.outputs) {
            if (const auto* revoke = std::get_if<SendRevoke>(&output))
                out_ << "  tell " << revoke->worker << " to stop " << names_[revoke->lease.id]
                     << "\n";
        }
    }

    // Moves the clock from deadline to deadline, as the dispatcher's timer does.
    void advance(Duration by) {
        const EngineTime end = now_.engine + by;
        while (engine_.next_deadline(now_) && *engine_.next_deadline(now_) <= end) {
            set_time(std::max(now_.engine, *engine_.next_deadline(now_)));
            turn(Tick{});
        }
        set_time(end);
    }

    void set_time(EngineTime to) {
        now_.wall += to - now_.engine;
        now_.engine = to;
    }

    void show(const std::string& name) {
        const Task& task = *engine_.find(id(name));
        state_of(task);
        if (task.redrives > 0) out_ << " attempts=" << task.attempts.size();
        if (const Progress* progress = engine_.progress_of(task.spec.id))
            out_ << " progress=" << int{*progress->percent} << "%";
        out_ << " failures=" << task.failures << " crashes=" << task.crashes;
        if (task.state == TaskState::queued || task.state == TaskState::scheduled)
            out_ << "\n  waits: " << engine_.explain(now_, task).text;
        out_ << "\n";
    }

    void explain(const std::string& name) {
        const auto why = engine_.explain(now_, *engine_.find(id(name)));
        out_ << name << " " << why.rule << ": " << why.text << "\n";
        if (!why.release.empty()) out_ << "  until " << why.release << "\n";
        for (const auto& phase : why.spent)
            out_ << "  " << phase.name << " " << to_text(phase.took) << "\n";
    }

    void state_of(const Task& task) { out_ << names_[task.spec.id] << " " << to_text(task.state); }

    void tell(const TaskLeased& record) {
        const Task& task = *engine_.find(record.id);
        state_of(task);
        out_ << " worker=" << record.worker << " attempt=" << task.attempts_made
             << " epoch=" << record.epoch.value << " until=" << since(record.until) << "\n";
    }
    void tell(const TaskCompleted& record) {
        state_of(*engine_.find(record.id));
        out_ << " result=" << record.result.view() << "\n";
    }
    void tell(const AttemptFailed& record) { ended_badly(record.id, record.error.code); }
    void tell(const AttemptCrashed& record) { ended_badly(record.id, "lease_expired"); }
    void tell(const AttemptTimedOut& record) { ended_badly(record.id, "attempt_timeout"); }
    void tell(const TimedOutLeaseEnded& record) { ended_badly(record.id, "slot free"); }
    void tell(const TaskExpired& record) {
        ended_badly(record.id, engine_.find(record.id)->error->code);
    }
    void tell(const PriorityChanged& record) {
        out_ << names_[record.id] << " priority " << int{record.priority} << "\n";
    }
    void tell(const QueueChanged& record) { out_ << "queue " << record.rules.type << " changed\n"; }
    void tell(const TaskRedriven& record) {
        state_of(*engine_.find(record.id));
        out_ << " redrives=" << engine_.find(record.id)->redrives
             << (record.holds_key ? " with its key" : "") << "\n";
    }
    void tell(const PayloadEdited& record) {
        state_of(*engine_.find(record.id));
        out_ << " payload=" << record.payload.view() << "\n";
    }
    void tell(const TaskDeleted& record) { out_ << names_[record.id] << " deleted\n"; }
    void tell(const WorkerHeld& record) {
        const WorkerHold& hold = record.hold;
        out_ << hold.instance
             << (!hold.pause     ? " takes tasks"
                 : hold.draining ? " draining"
                                 : " paused")
             << "\n";
    }
    void tell(const GroupMade& record) { tell_group(record.group->id); }
    void tell(const GroupClosed& record) { tell_group(record.id); }
    void tell(const GroupEnded& record) {
        if (record.completed_by) names_[*record.completed_by] = "then-" + names_[record.id];
        tell_group(record.id);
    }
    void tell_group(const GroupId& name) {
        const Group& now = engine_.groups().at(name);
        out_ << names_[name] << " " << to_text(now.state) << " tasks=" << now.tasks
             << " succeeded=" << now.succeeded << " failed=" << now.failed.size() << "\n";
    }
    void tell(const OperationStarted& record) { operation(record.operation.id); }
    void tell(const OperationAdvanced& record) { operation(record.id); }
    void tell(const OperationEnded& record) { operation(record.id); }
    void operation(const OperationId& name) {
        const Operation& now = engine_.operations().at(name);
        out_ << names_[name] << " " << to_text(now.action) << " " << to_text(now.state)
             << " changed=" << now.changed << " passed_over=" << now.passed_over << "\n";
    }
    void tell(const RevokedLeaseEnded& record) { out_ << names_[record.id] << " slot free\n"; }
    void tell(const TaskSubmitted& record) {
        if (const auto& planned = record.spec.planned_for)
            if (!names_.contains(record.spec.id)) {
                names_[record.spec.id] = planned->schedule + "@" + since(planned->at);
                ids_[names_[record.spec.id]] = record.spec.id;
            }
        const bool follows = record.spec.payload.view().starts_with("{\"group\":");
        if (!follows) return plain(record.spec.id);
        state_of(*engine_.find(record.spec.id));
        std::string payload{record.spec.payload.view()};
        for (const auto& [made, name] : names_)
            for (auto at = payload.find(made.to_string()); at != std::string::npos;
                 at = payload.find(made.to_string()))
                payload.replace(at, 36, name);
        const std::size_t half = payload.find(",\"cancelled\"");
        out_ << " " << payload.substr(0, half) << "\n  " << payload.substr(half) << "\n";
    }
    void tell(const ScheduleChanged& record) {
        const Schedule& schedule = *record.schedule;
        out_ << "schedule " << schedule.spec.name << (schedule.paused ? " paused" : " set") << "\n";
    }
    void tell(const ScheduleRemoved& record) { out_ << "schedule " << record.name << " removed\n"; }
    void tell(const ScheduleFired& record) {
        out_ << "schedule " << record.name;
        if (record.fire) {
            out_ << " " << since(record.fire->planned) << " " << to_text(record.fire->outcome);
            if (record.fire->outcome == FireOutcome::overlapped)
                out_ << " by " << names_[*record.fire->task];
            if (!record.fire->reason.empty()) out_ << " " << record.fire->reason;
        }
        if (record.settled) out_ << " settled=" << since(*record.settled);
        if (record.missed > 0) out_ << " missed=" << record.missed;
        out_ << "\n";
    }
    void tell(const EngineResumed& record) {
        out_ << "resumed leases_until=" << since(record.leases_until) << "\n";
    }
    template <OfTopics Topical>
    void tell(const Topical&) {}
    // What workflows do is told by their own tests; here stands that they do.
    void tell(const WorkflowStarted& record) {
        out_ << "workflow " << record.workflow.name << " began\n";
    }
    template <class Other>
    void tell(const Other& record) {
        if (workflow_of(Record{record}))
            out_ << "its workflow went on\n";
        else
            plain(record.id);
    }

    void plain(TaskId task) {
        state_of(*engine_.find(task));
        out_ << "\n";
    }

    void ended_badly(TaskId name, const std::string& reason) {
        const Task& task = *engine_.find(name);
        state_of(task);
        out_ << " reason=" << reason;
        if (task.due_at) out_ << " due=" << since(*task.due_at);
        out_ << "\n";
    }

    static std::string since(EngineTime time) {
        return to_text(std::chrono::floor<std::chrono::milliseconds>(time.time_since_epoch()));
    }

    static std::string since(WallTime time) {
        return to_text(std::chrono::floor<std::chrono::milliseconds>(time - start));
    }

    static constexpr WallTime start{std::chrono::seconds{1'700'000'000}};
    Engine engine_{EngineSettings{.lease_duration = std::chrono::seconds{30}}};
    Random random_{1};
    Random ids_random_{2};
    Now now_{start, EngineTime{}};
    Sequence sequence_;
    std::map<std::string, TaskId> ids_;
    std::map<TaskId, std::string> names_;
    std::ostringstream out_;
};

}  // namespace

TEST_CASE("every story ends as it is told") {
    CHECK(test::play_all<Stage>(TASKD_SOURCE_DIR "/tests/stories") >= 8);
}

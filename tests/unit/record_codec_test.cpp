// Records and task rows to bytes and back: golden bytes, every kind, and bytes that are none.
#include <chrono>
#include <fstream>
#include <map>
#include <sstream>

#include "catch.hpp"
#include "golden_topics.hpp"
#include "random_model.hpp"
#include "taskd/protocol/record_codec.hpp"

using namespace taskd;
using namespace taskd::protocol;
using namespace std::chrono_literals;

namespace {

std::string to_hex(std::string_view bytes) {
    std::string text;
    for (const char each : bytes) {
        constexpr char digits[] = "0123456789abcdef";
        const auto byte = static_cast<unsigned char>(each);
        text += digits[byte >> 4];
        text += digits[byte & 15];
    }
    return text;
}

std::string encoded(const RecordBatch& batch) {
    std::string bytes;
    encode_batch(batch, bytes);
    return bytes;
}

std::string encoded(const Task& task) {
    std::string bytes;
    encode_task_row(task, bytes);
    return bytes;
}

TaskId golden_id() {
    return *TaskId::parse("018bcfe5-687b-7000-8000-0123456789ab");
}

Task golden_task() {
    Task task;
    task.spec.id = golden_id();
    task.spec.type = "email";
    task.spec.payload = Blob{"{}"};
    task.spec.priority = 9;
    task.spec.attempts_max = 5;
    task.spec.crashes_max = 10;
    task.spec.backoff = {1s, 5min, BackoffKind::linear, 10};
    task.spec.timeout = 1min;
    task.spec.queue_timeout = 2min;
    task.spec.total_timeout = 3min;
    task.spec.delay = 4s;
    task.spec.run_at = WallTime{5s};
    task.spec.expires_at = WallTime{6s};
    task.spec.no_retry = {"bad"};
    task.spec.idempotency_key = "order-7";
    task.spec.key = "acme";
    task.state = TaskState::running;
    task.priority = 8;
    task.submitted_at = WallTime{1'700'000'000s};
    task.due_at = EngineTime{3s};
    task.due_by_wall = true;
    task.expires = EngineTime{4s};
    task.ends_by = EngineTime{5s};
    task.queued_as = Sequence{7};
    task.changed_as = Sequence{9};
    task.epoch = LeaseEpoch{2};
    task.lease = Lease{LeaseEpoch{2}, "w1", EngineTime{15s}, true, EngineTime{60s}};
    task.failures = 1;
    task.attempts_made = 2;
    task.attempts = {{1, LeaseEpoch{1}, "w0", WallTime{1s}, WallTime{2s}, AttemptOutcome::failed,
                      TaskError{"bad", "no", true}, 7ms}};
    task.error = TaskError{"bad", "no", true};
    return task;
}

QueueRules golden_rules() {
    QueueRules rules;
    rules.type = "email";
    rules.concurrency = 10;
    rules.key_concurrency = 2;
    rules.rate = {100, 1s, 5};
    rules.key_rate = {3, 1min, 1};
    rules.key_backlog_max = 1000;
    rules.weights = {{"gold", 5}};
    rules.paused = Pause{"ann", "smtp down", WallTime{1s}};
    rules.paused_keys = {{"acme", Pause{"bob", "unpaid", WallTime{2s}}}};
    return rules;
}

Operation golden_operation() {
    return {.id = golden_id(),
            .action = OperationAction::redrive,
            .search = "state:dead",
            .by = "ann",
            .reason = "smtp is back",
            .rate = 50,
            .started_at = WallTime{1'700'000'000s},
            .state = OperationState::done,
            .ended_at = WallTime{1'700'000'001s},
            .cursor = golden_id(),
            .changed = 300,
            .passed_over = 2};
}

Group golden_group() {
    Group group{.id = golden_id(),
                .name = "nightly",
                .completion = golden_task().spec,
                .state = GroupState::done,
                .made_at = WallTime{1'700'000'000s},
                .ended_at = WallTime{1'700'000'001s},
                .completed_by = golden_id(),
                .tasks = 300};
    group.succeeded = 299;
    group.dead = 1;
    group.failed = {golden_id()};
    return group;
}

Schedule golden_schedule() {
    Schedule schedule;
    schedule.spec = {"nightly",    "30 3 * * *", 10s,          "Europe/Berlin",   Overlap::replace,
                     Misfire::all, WallTime{1s}, WallTime{2s}, golden_task().spec};
    schedule.spec.task.planned_for = PlannedFor{"nightly", WallTime{5s}};
    schedule.made_at = WallTime{3s};
    schedule.made_as = Sequence{4};
    schedule.changed_as = Sequence{5};
    schedule.settled = WallTime{6s};
    schedule.last_task = golden_id();
    schedule.paused = Pause{"ann", "moving", WallTime{7s}};
    schedule.submitted = 8;
    schedule.overlapped = 9;
    schedule.refused = 10;
    schedule.missed = 11;
    schedule.fires = {{WallTime{12s}, WallTime{13s}, FireOutcome::refused, golden_id(), "no"}};
    return schedule;
}

// What was added since and would change the bytes of those above.
std::map<std::string, std::string> golden_additions() {
    Task task = golden_task();
    task.spec.labels = {{"env", ""}, {"team", "red"}};
    task.redrives = 2;
    task.edited_at = WallTime{7s};
    const std::string redriven = to_hex(encoded(task));
    task.spec.group = golden_id();
    QueueRules rules = golden_rules();
    rules.schema = Blob{R"({"type":"string"})"};
    std::string queue;
    encode_queue_row(rules, queue);
    return {{"task_row_redriven", redriven},
            {"task_row_grouped", to_hex(encoded(task))},
            {"queue_row_2", to_hex(queue)},
            {"queue_changed_2",
             to_hex(encoded(RecordBatch{Sequence{200}, EngineTime{1us}, {QueueChanged{rules}}}))}};
}

std::shared_ptr<const WorkflowPlan> golden_plan() {
    auto inner = std::make_shared<WorkflowPlan>();
    inner->name = "inner";
    inner->steps.resize(1);
    inner->steps[0].name = "nap";
    inner->steps[0].kind = StepKind::sleep;
    inner->steps[0].wait = 5s;
    auto plan = std::make_shared<WorkflowPlan>();
    plan->name = "nightly";
    plan->description = "all of it";
    plan->labels = {{"team", "red"}};
    plan->steps.resize(3);
    plan->steps[0].name = "load";
    plan->steps[0].task = golden_task().spec;
    plan->steps[0].for_each = Blob{"[1,2]"};
    plan->steps[0].in_flight = 2;
    plan->steps[0].compensated_by = 2;
    plan->steps[1] = {.name = "in", .kind = StepKind::workflow};
    plan->steps[1].after = {{0, OnFailure::skip}};
    plan->steps[1].when = "${load}";
    plan->steps[1].inputs = Blob{"{}"};
    plan->steps[1].child = inner;
    plan->steps[2] = {.name = "undo", .kind = StepKind::approval};
    plan->steps[2].question = "sure?";
    plan->steps[2].awaits = "word";
    plan->steps[2].on_failure = OnFailure::go_on;
    plan->steps[2].compensates = true;
    plan->output = Blob{"1"};
    plan->timeout = 60s;
    plan->tasks_max = 7;
    return plan;
}

Workflow golden_workflow() {
    Workflow workflow;
    workflow.id = golden_id();
    workflow.name = "nightly";
    workflow.inputs = Blob{"{\"a\":1}"};
    workflow.env = Blob{"{}"};
    workflow.parent = ParentStep{golden_id(), 3};
    workflow.depth = 1;
    workflow.state = WorkflowState::failing;
    workflow.made_at = WallTime{1s};
    workflow.ended_at = WallTime{2s};
    workflow.ends_by = EngineTime{3s};
    workflow.retries = 4;
    workflow.error = TaskError{"bad", "no", true};
    workflow.output = Blob{"2"};
    workflow.signals = {{"go", Blob{"3"}}};
    workflow.steps = 15;
    workflow.succeeded = 5;
    workflow.failed = 4;
    workflow.skipped = 3;
    workflow.cancelled = 2;
    workflow.active = 1;
    return workflow;
}

Step golden_step() {
    Step step;
    step.state = StepState::failed;
    step.tries = 2;
    step.began_at = WallTime{1s};
    step.ended_at = WallTime{2s};
    step.until = EngineTime{3s};
    step.list = Blob{"[4]"};
    step.items = {ItemState::failed};
    step.child = golden_id();
    step.result = Blob{"5"};
    step.result_bytes = 6;
    step.error = TaskError{"bad", "no", false};
    return step;
}

std::string golden_bytes(const Record& record) {
    return to_hex(encoded(RecordBatch{Sequence{200}, EngineTime{1us}, {record}}));
}

std::map<std::string, std::string> golden_workflow_rows() {
    std::map<std::string, std::string> golden;
    std::string workflow, plan, step;
    encode_workflow_row(golden_workflow(), workflow);
    golden["workflow_row"] = to_hex(workflow);
    encode_plan_row(*golden_plan(), plan);
    golden["plan_row"] = to_hex(plan);
    encode_step_row(golden_step(), step);
    golden["step_row"] = to_hex(step);
    return golden;
}

std::map<std::string, Record> golden_records() {
    const TaskId id = golden_id();
    const LeaseEpoch epoch{300};
    const WallTime at{1'700'000'000s};
    return {
        {"task_submitted",
         TaskSubmitted{golden_task().spec, at, WallTime{1s}, EngineTime{2s}, EngineTime{3s}}},
        {"task_leased", TaskLeased{id, epoch, "w1", EngineTime{15s}, at, EngineTime{60s}}},
        {"task_completed", TaskCompleted{id, epoch, Blob{"42"}, at, 7ms}},
        {"attempt_failed",
         AttemptFailed{id, epoch, {"bad", "no", true}, EngineTime{1s}, WallTime{2s}, at, 7ms}},
        {"attempt_crashed", AttemptCrashed{id, epoch, std::nullopt, std::nullopt, at}},
        {"attempt_released", AttemptReleased{id, epoch, at}},
        {"task_due", TaskDue{id}},
        {"task_cancelled", TaskCancelled{id, "asked", at}},
        {"revoked_lease_ended", RevokedLeaseEnded{id, epoch}},
        {"engine_resumed", EngineResumed{EngineTime{-1us}}},
        {"attempt_timed_out", AttemptTimedOut{id, epoch, at}},
        {"timed_out_lease_ended", TimedOutLeaseEnded{id, epoch, EngineTime{1s}, WallTime{2s}, at}},
        {"task_expired", TaskExpired{id, true, at}},
        {"priority_changed", PriorityChanged{id, 9}},
        {"queue_changed", QueueChanged{golden_rules()}},
        {"task_redriven", TaskRedriven{id, at, EngineTime{1s}, EngineTime{2s}, true}},
        {"payload_edited", PayloadEdited{id, Blob{"[1]"}, at}},
        {"task_deleted", TaskDeleted{id}},
        {"operation_started", OperationStarted{golden_operation()}},
        {"operation_advanced", OperationAdvanced{id, id, 500, 3}},
        {"operation_ended", OperationEnded{id, true, at}},
        {"group_made", GroupMade{golden_group()}},
        {"group_closed", GroupClosed{id}},
        {"group_ended", GroupEnded{id, id, at}},
        {"worker_held", WorkerHeld{{"sum-1", Pause{"ann", "new disk", at}, true}}},
        {"schedule_changed", ScheduleChanged{golden_schedule()}},
        {"schedule_removed", ScheduleRemoved{"nightly"}},
        {"schedule_fired",
         ScheduleFired{"nightly", golden_schedule().fires.front(), WallTime{60s}, 3, true}},
        {"workflow_started", WorkflowStarted{golden_workflow(), golden_plan()}},
        {"step_began", StepBegan{id, 3, EngineTime{1s}, id, Blob{"[1]"}, 1, at}},
        {"step_ended",
         StepEnded{id, 3, 7, StepState::failed, Blob{"1"}, TaskError{"bad", "no", true}, at}},
        {"workflow_turned",
         WorkflowTurned{id, WorkflowState::cancelling, {"cancelled", "enough", true}, at}},
        {"workflow_ended", WorkflowEnded{id, WorkflowState::succeeded, Blob{"1"}, at}},
        {"workflow_retried", WorkflowRetried{id, EngineTime{1s}, at}},
        {"signal_received", SignalReceived{id, {"go", Blob{"1"}}}},
        {"workflow_deleted", WorkflowDeleted{id}}};
}

// Name to the encoded value, one of every kind.
std::map<std::string, std::string> golden_now() {
    const WallTime at{1'700'000'000s};
    std::map<std::string, std::string> golden;
    for (const auto& [name, record] : golden_records())
        golden[name] = golden_bytes(record);
    for (const auto& [name, record] : golden_topic_records())
        golden[name] = golden_bytes(record);
    golden["task_row"] = to_hex(encoded(golden_task()));
    std::string head;
    encode_task_head(head_of(golden_task()), head);
    golden["task_head"] = to_hex(head);
    std::string queue;
    encode_queue_row(golden_rules(), queue);
    golden["queue_row"] = to_hex(queue);
    std::string operation;
    encode_operation_row(golden_operation(), operation);
    golden["operation_row"] = to_hex(operation);
    std::string hold;
    encode_hold_row({"sum-1", Pause{"ann", "new disk", at}, false}, hold);
    golden["hold_row"] = to_hex(hold);
    std::string group;
    encode_group_row(golden_group(), group);
    golden["group_row"] = to_hex(group);
    std::string schedule;
    encode_schedule_row(golden_schedule(), schedule);
    golden["schedule_row"] = to_hex(schedule);
    for (const auto& [name, bytes] : golden_topic_rows())
        golden[name] = to_hex(bytes);
    golden.merge(golden_workflow_rows());
    return golden;
}

std::map<std::string, std::string> kept_bytes(const std::string& file_name) {
    std::ifstream file{TASKD_SOURCE_DIR "/tests/unit/golden/" + file_name};
    REQUIRE(file);
    std::map<std::string, std::string> kept;
    std::string name;
    std::string hex;
    while (file >> name >> hex)
        kept[name] = hex;
    return kept;
}

std::string from_hex(const std::string& hex) {
    std::string bytes;
    for (std::size_t i = 0; i < hex.size(); i += 2)
        bytes += static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16));
    return bytes;
}

}  // namespace

TEST_CASE("what version 1 wrote is still read") {
    auto all = kept_bytes("records_v1.txt");
    for (auto& [name, hex] : kept_bytes("records_v2.txt"))
        if (name != "task_head") all.emplace("2: " + name, hex);
    all.emplace("3: task_row", kept_bytes("records_v3.txt")["task_row"]);
    for (const auto& [name, hex] : all) {
        INFO(name);
        if (name.ends_with("task_row")) {
            const auto row = decode_task_row(from_hex(hex), Blob{"{}"}, {});
            REQUIRE(row);
            CHECK(row->spec.id == golden_id());
            CHECK(row->attempts.size() == 1);
            continue;
        }
        const auto batch = decode_batch(from_hex(hex));
        REQUIRE(batch);
        CHECK(batch->records.size() == 1);
        if (const auto* submitted = std::get_if<TaskSubmitted>(&batch->records[0]))
            CHECK(submitted->spec.timeout > 0s);
    }
}

TEST_CASE("each kind of record still has the bytes it once had") {
    auto kept = kept_bytes("records_v4.txt");
    kept.merge(kept_bytes("records_v3.txt"));
    auto now = golden_now();
    CHECK(now.size() == support::record_kinds + 14);
    now.merge(golden_additions());
    for (const auto& [each, bytes] : now) {
        INFO(each << " " << bytes);
        CHECK(kept[each] == bytes);
    }
}

TEST_CASE("every record reads back as written and fits its bound") {
    for (std::uint64_t seed = 0; seed < 2'000; ++seed) {
        INFO("seed " << seed);
        Random random{seed};
        const Record record = support::random_record(random, seed % support::record_kinds);
        const RecordBatch batch{Sequence{1 + seed}, EngineTime{Duration{-5}}, {record}};
        const std::string bytes = encoded(batch);
        const auto again = decode_batch(bytes);
        REQUIRE(again.has_value());
        CHECK(*again == batch);
        CHECK(bytes.size() <= batch_bytes_overhead_max + encoded_bytes_max(record));
        CHECK(peek_first_sequence(std::string_view{bytes}.substr(0, 11)) == batch.first);
    }
}

TEST_CASE("a batch of many records reads back whole") {
    Random random{3};
    const RecordBatch batch = support::random_batch(random, Sequence{5}, 1'000);
    const auto again = decode_batch(encoded(batch));
    REQUIRE(again.has_value());
    CHECK(*again == batch);
    CHECK(again->last() == Sequence{1'004});
}

TEST_CASE("every task row reads back as written") {
    for (std::uint64_t seed = 0; seed < 1'000; ++seed) {
        INFO("seed " << seed);
        Random random{seed};
        const Task task = support::random_task(random);
        const auto again = decode_task_row(encoded(task), task.spec.payload, task.result);
        REQUIRE(again.has_value());
        CHECK(*again == task);
    }
}

TEST_CASE("every task head reads back as written, and no part of it passes for it") {
    for (std::uint64_t seed = 0; seed < 500; ++seed) {
        INFO("seed " << seed);
        Random random{seed};
        TaskHead head = head_of(support::random_task(random));
        std::string bytes;
        encode_task_head(head, bytes);
        head.id = {};  // stands beside it
        CHECK(decode_task_head(bytes).value() == head);
        const auto part = decode_task_head(std::string_view{bytes}.substr(0, bytes.size() - 1));
        CHECK(part.error().code == ErrorCode::view_corrupt);
        bytes[0] = task_head_version + 1;
        CHECK(decode_task_head(bytes).error().code == ErrorCode::store_too_new);
    }
}

TEST_CASE("every queue row reads back as written") {
    for (std::uint64_t seed = 0; seed < 500; ++seed) {
        Random random{seed};
        const QueueRules rules = support::random_rules(random);
        std::string bytes;
        encode_queue_row(rules, bytes);
        INFO("seed " << seed);
        CHECK(decode_queue_row(bytes).value() == rules);
        CHECK(decode_queue_row(bytes + '\0').error().code == ErrorCode::view_corrupt);
    }
}

TEST_CASE("every operation row reads back as written") {
    for (std::uint64_t seed = 0; seed < 500; ++seed) {
        Random random{seed};
        const Operation operation = support::random_operation(random);
        std::string bytes;
        encode_operation_row(operation, bytes);
        INFO("seed " << seed);
        CHECK(decode_operation_row(bytes).value() == operation);
        CHECK(decode_operation_row(bytes + '\0').error().code == ErrorCode::view_corrupt);
        bytes[0] = operation_row_version + 1;
        CHECK(decode_operation_row(bytes).error().code == ErrorCode::store_too_new);
    }
}

TEST_CASE("every hold row reads back as written") {
    for (std::uint64_t seed = 0; seed < 500; ++seed) {
        Random random{seed};
        const WorkerHold hold = support::random_hold(random);
        std::string bytes;
        encode_hold_row(hold, bytes);
        INFO("seed " << seed);
        CHECK(decode_hold_row(bytes).value() == hold);
        CHECK(decode_hold_row(bytes + '\0').error().code == ErrorCode::view_corrupt);
        bytes[0] = hold_row_version + 1;
        CHECK(decode_hold_row(bytes).error().code == ErrorCode::store_too_new);
    }
}

TEST_CASE("every group row reads back as written") {
    for (std::uint64_t seed = 0; seed < 500; ++seed) {
        Random random{seed};
        const Group group = support::random_group(random);
        std::string bytes;
        encode_group_row(group, bytes);
        INFO("seed " << seed);
        CHECK(decode_group_row(bytes).value() == group);
        CHECK(decode_group_row(bytes + '\0').error().code == ErrorCode::view_corrupt);
        bytes[0] = group_row_version + 1;
        CHECK(decode_group_row(bytes).error().code == ErrorCode::store_too_new);
    }
}

TEST_CASE("every schedule row reads back as written") {
    for (std::uint64_t seed = 0; seed < 500; ++seed) {
        Random random{seed};
        const Schedule schedule = support::random_schedule(random);
        std::string bytes;
        encode_schedule_row(schedule, bytes);
        INFO("seed " << seed);
        CHECK(decode_schedule_row(bytes).value() == schedule);
        CHECK(decode_schedule_row(bytes + '\0').error().code == ErrorCode::view_corrupt);
        bytes[0] = schedule_row_version + 1;
        CHECK(decode_schedule_row(bytes).error().code == ErrorCode::store_too_new);
    }
}

TEST_CASE("no part of a batch or a row passes for the whole") {
    Random random{11};
    const std::string batch = encoded(support::random_batch(random, Sequence{9}, 20));
    for (std::size_t size = 0; size < batch.size(); ++size) {
        const auto part = decode_batch(std::string_view{batch}.substr(0, size));
        REQUIRE_FALSE(part.has_value());
        REQUIRE(part.error().code == ErrorCode::journal_corrupt);
    }
    CHECK_FALSE(decode_batch(batch + '\0').has_value());
    const std::string row = encoded(golden_task());
    for (std::size_t size = 0; size < row.size(); ++size) {
        const auto part = decode_task_row(std::string_view{row}.substr(0, size), {}, {});
        REQUIRE_FALSE(part.has_value());
        REQUIRE(part.error().code == ErrorCode::view_corrupt);
    }
}

TEST_CASE("damaged bytes are refused, or are exactly what the value they decode to encodes to") {
    std::size_t refused = 0;
    std::size_t taken = 0;
    std::size_t older = 0;
    const auto row_version_of = [](const std::string& bytes) { return bytes[0]; };
    for (std::uint64_t seed = 0; seed < 20'000; ++seed) {
        Random random{seed};
        std::string bytes = encoded(support::random_batch(random, Sequence{1 + seed}, 3));
        for (std::uint64_t flips = 1 + random.below(4); flips > 0; --flips)
            bytes[random.below(bytes.size())] = static_cast<char>(random.below(256));
        const auto batch = decode_batch(bytes);
        ++(batch ? taken : refused);
        INFO("seed " << seed);
        // What is read and no longer written comes back in its newer form.
        if (batch && encoded(*batch) != bytes) {
            ++older;
            REQUIRE(decode_batch(encoded(*batch)).value() == *batch);
        }
        const auto row = decode_task_row(bytes, {}, {});
        if (row && row_version_of(bytes) == task_row_version) REQUIRE(encoded(*row) == bytes);
    }
    CHECK(older < taken / 20);
    CHECK(refused > 1'000);
    CHECK(taken > 1'000);
}

TEST_CASE("random bytes are refused by name") {
    for (std::uint64_t seed = 0; seed < 20'000; ++seed) {
        Random random{seed};
        const std::string bytes = support::random_text(random, 60);
        const auto batch = decode_batch(bytes);
        if (!batch) {
            const ErrorCode code = batch.error().code;
            REQUIRE((code == ErrorCode::journal_corrupt || code == ErrorCode::journal_too_new));
        }
        const auto row = decode_task_row(bytes, {}, {});
        if (!row) {
            const ErrorCode code = row.error().code;
            REQUIRE((code == ErrorCode::view_corrupt || code == ErrorCode::store_too_new));
        }
        static_cast<void>(peek_first_sequence(bytes));
    }
}

TEST_CASE("what a newer version wrote is said to be so") {
    Random random{1};
    std::string batch = encoded(support::random_batch(random, Sequence{1}, 1));
    batch[0] = batch_version + 1;
    CHECK(decode_batch(batch).error().code == ErrorCode::journal_too_new);
    CHECK(peek_first_sequence(batch).error().code == ErrorCode::journal_too_new);
    std::string kind = encoded(RecordBatch{Sequence{1}, {}, {TaskDue{golden_id()}}});
    kind[4] = 99;  // after version, sequence, time and count
    CHECK(decode_batch(kind).error().code == ErrorCode::journal_too_new);
    std::string row = encoded(golden_task());
    row[0] = task_row_version + 1;
    CHECK(decode_task_row(row, {}, {}).error().code == ErrorCode::store_too_new);
}

TEST_CASE("a count of records beyond the bytes takes no memory") {
    const std::string bytes{"\x01\x01\x00\xff\xff\xff\xff\xff\xff\xff\xff\x7f", 12};
    CHECK(decode_batch(bytes).error().code == ErrorCode::journal_corrupt);
}

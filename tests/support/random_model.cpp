#include "random_model.hpp"

namespace taskd::support {
namespace {

template <class Instant>
Instant random_instant(Random& random) {
    return Instant{Duration{static_cast<std::int64_t>(random_number(random))}};
}

template <class Instant>
std::optional<Instant> random_optional(Random& random) {
    if (random.chance(1, 2)) return std::nullopt;
    return random_instant<Instant>(random);
}

std::uint32_t random_number32(Random& random) {
    return static_cast<std::uint32_t>(random_number(random));
}

LeaseEpoch random_epoch(Random& random) {
    return LeaseEpoch{random_number(random)};
}
WallTime random_wall(Random& random) {
    return random_instant<WallTime>(random);
}
EngineTime random_engine(Random& random) {
    return random_instant<EngineTime>(random);
}

Duration random_duration(Random& random) {
    return Duration{static_cast<std::int64_t>(random_number(random))};
}
std::optional<Duration> random_took(Random& random) {
    if (random.chance(1, 2)) return std::nullopt;
    return random_duration(random);
}

TaskError random_error(Random& random) {
    return {random_text(random, 20), random_text(random, 60), random.chance(1, 2)};
}

TaskSpec random_spec(Random& random) {
    TaskSpec spec;
    spec.id = random_id(random);
    spec.type = random_text(random, 128);
    spec.payload = Blob{random_text(random, 300)};
    spec.priority = static_cast<std::uint8_t>(random.below(10));
    spec.attempts_max = random_number32(random);
    spec.crashes_max = random_number32(random);
    spec.backoff = {Duration{static_cast<std::int64_t>(random_number(random))},
                    random_duration(random), static_cast<BackoffKind>(random.below(3)),
                    static_cast<std::uint8_t>(random.below(101))};
    spec.timeout = random_duration(random);
    spec.queue_timeout = random_duration(random);
    spec.total_timeout = random_duration(random);
    if (random.chance(1, 3)) spec.delay = random_duration(random);
    spec.run_at = random_optional<WallTime>(random);
    spec.expires_at = random_optional<WallTime>(random);
    if (random.chance(1, 2)) spec.key = random_text(random, 40);
    if (random.chance(1, 4))
        spec.step = StepOf{random_id(random), random_number32(random), random_number32(random),
                           random_text(random, 20)};
    if (random.chance(1, 2)) spec.idempotency_key = random_text(random, 40);
    if (random.chance(1, 3)) spec.group = random_id(random);
    if (random.chance(1, 3))
        spec.planned_for = PlannedFor{random_text(random, 40), random_wall(random)};
    for (std::uint64_t n = random.below(3); n > 0; --n)
        spec.labels[random_text(random, 20)] = random_text(random, 20);
    for (std::uint64_t n = random.below(3); n > 0; --n)
        spec.no_retry.push_back(random_text(random, 10));
    return spec;
}

Pause random_pause(Random& random) {
    return {random_text(random, 20), random_text(random, 40), random_wall(random)};
}

Rate random_rate(Random& random) {
    return {random_number32(random), random_duration(random), random_number32(random)};
}

Fire random_fire(Random& random) {
    Fire fire{random_wall(random), random_wall(random), static_cast<FireOutcome>(random.below(3)),
              std::nullopt, random_text(random, 20)};
    if (random.chance(1, 2)) fire.task = random_id(random);
    return fire;
}

}  // namespace

Schedule random_schedule(Random& random) {
    Schedule schedule;
    ScheduleSpec& spec = schedule.spec;
    spec.name = random_text(random, 60);
    spec.cron = random_text(random, 20);
    spec.every = random_duration(random);
    spec.zone = random_text(random, 20);
    spec.overlap = static_cast<Overlap>(random.below(3));
    spec.misfire = static_cast<Misfire>(random.below(3));
    spec.start_at = random_optional<WallTime>(random);
    spec.end_at = random_optional<WallTime>(random);
    spec.task = random_spec(random);
    schedule.made_at = random_wall(random);
    schedule.made_as = Sequence{random_number(random)};
    schedule.changed_as = Sequence{random_number(random)};
    schedule.settled = random_wall(random);
    if (random.chance(1, 2)) schedule.last_task = random_id(random);
    if (random.chance(1, 2)) schedule.paused = random_pause(random);
    schedule.submitted = random_number(random);
    schedule.overlapped = random_number(random);
    schedule.refused = random_number(random);
    schedule.missed = random_number(random);
    for (std::uint64_t n = random.below(4); n > 0; --n)
        schedule.fires.push_back(random_fire(random));
    return schedule;
}

QueueRules random_rules(Random& random) {
    QueueRules rules;
    rules.type = random_text(random, 60);
    rules.concurrency = random_number32(random);
    rules.key_concurrency = random_number32(random);
    rules.rate = random_rate(random);
    rules.key_rate = random_rate(random);
    rules.key_backlog_max = random_number32(random);
    for (std::uint64_t n = random.below(4); n > 0; --n)
        rules.weights[random_text(random, 30)] = random_number32(random);
    if (random.chance(1, 2)) rules.paused = random_pause(random);
    if (random.chance(1, 2)) rules.draining = random_pause(random);
    for (std::uint64_t n = random.below(4); n > 0; --n)
        rules.paused_keys[random_text(random, 30)] = random_pause(random);
    if (random.chance(1, 4))
        rules.schema = Blob{"{\"maximum\":" + std::to_string(random.below(9)) + "}"};
    return rules;
}

Group random_group(Random& random) {
    Group group;
    group.id = random_id(random);
    group.name = random_text(random, 20);
    if (random.chance(1, 2)) group.completion = random_spec(random);
    group.state = static_cast<GroupState>(1 + random.below(3));
    group.made_at = random_wall(random);
    group.ended_at = random_optional<WallTime>(random);
    if (random.chance(1, 2)) group.completed_by = random_id(random);
    group.tasks = random_number(random);
    group.succeeded = random_number(random);
    group.dead = random_number(random);
    group.cancelled = random_number(random);
    group.expired = random_number(random);
    for (std::uint64_t n = random.below(4); n > 0; --n)
        group.failed.push_back(random_id(random));
    return group;
}

WorkerHold random_hold(Random& random) {
    WorkerHold hold{random_text(random, 60), std::nullopt, random.chance(1, 2)};
    if (random.chance(1, 2)) hold.pause = random_pause(random);
    return hold;
}

Operation random_operation(Random& random) {
    Operation operation;
    operation.id = random_id(random);
    operation.action = static_cast<OperationAction>(1 + random.below(3));
    operation.search = random_text(random, 100);
    operation.by = random_text(random, 20);
    operation.reason = random_text(random, 20);
    operation.rate = random_number32(random);
    operation.started_at = random_wall(random);
    operation.state = static_cast<OperationState>(1 + random.below(3));
    operation.ended_at = random_optional<WallTime>(random);
    if (random.chance(1, 2)) operation.cursor = random_id(random);
    operation.changed = random_number(random);
    operation.passed_over = random_number(random);
    return operation;
}

Topic random_topic(Random& random) {
    return {
        random_text(random, 40),
        {random_took(random).value_or(Duration{1}), random_number(random), random_number(random)},
        random_wall(random),
        EventSequence{random_number(random)},
        EventSequence{random_number(random)},
        random_number(random),
        random_number(random)};
}

TopicEvent random_event(Random& random) {
    TopicEvent event;
    event.topic = random_text(random, 40);
    event.sequence = EventSequence{random_number(random)};
    event.id = random_text(random, 36);
    event.id_given = random.chance(1, 2);
    event.source = random_text(random, 20);
    event.type = random_text(random, 20);
    event.key = random_text(random, 20);
    event.trace = random_text(random, 55);
    event.content_type = random_text(random, 20);
    for (std::uint64_t n = random.below(4); n > 0; --n)
        event.headers[random_text(random, 10)] = random_text(random, 20);
    event.time = random_optional<WallTime>(random);
    event.at = random_wall(random);
    event.total_bytes = random_number(random);
    event.body = Blob{random_text(random, 200)};
    return event;
}

DeadLetter random_letter(Random& random) {
    return {random_number32(random), random_error(random), random_wall(random)};
}

std::string random_text(Random& random, std::size_t size_max) {
    std::string text(random.below(size_max + 1), '\0');
    for (char& each : text)
        each = static_cast<char>(random.below(256));
    return text;
}

std::uint64_t random_number(Random& random) {
    return random.next() >> random.below(64);
}

TaskId random_id(Random& random) {
    return TaskId::make(WallTime{Duration{static_cast<std::int64_t>(random.below(1ULL << 50))}},
                        random);
}

namespace {

TopicRules random_topic_rules(Random& random) {
    return {random_took(random).value_or(Duration{1}), random_number(random),
            random_number(random)};
}

SubscriptionSpec random_subscription_spec(Random& random) {
    constexpr const char* patterns[] = {"a.b", "**", "order.*", "(a|b).c-d.**"};
    SubscriptionSpec spec;
    spec.group = random_text(random, 64);
    spec.pattern = patterns[random.below(std::size(patterns))];
    spec.start.from = static_cast<StartAt::From>(random.below(4));
    spec.start.sequence = EventSequence{random_number(random)};
    spec.start.time = random_wall(random);
    spec.ordered = random.chance(1, 2);
    spec.attempts_max = random_number32(random);
    spec.backoff = random_spec(random).backoff;
    spec.ack_timeout = random_took(random).value_or(Duration{1});
    if (random.chance(1, 2))
        spec.webhook = Webhook{random_text(random, 40), random_text(random, 20)};
    return spec;
}

DeliveryKey random_key(Random& random) {
    return {random_text(random, 40), EventSequence{random_number(random)}};
}

Gap random_gap(Random& random) {
    return {random_text(random, 40), EventSequence{random_number(random)},
            EventSequence{random_number(random)}, random_number(random), random_wall(random)};
}

DeliveriesEnded::Item random_end(Random& random) {
    DeliveriesEnded::Item item{random_key(random), static_cast<DeliveryEnd>(1 + random.below(4))};
    const bool failed = item.end == DeliveryEnd::failed || item.end == DeliveryEnd::timed_out;
    if (!failed) return item;
    item.due_at = random_optional<EngineTime>(random);
    item.due_shown = random_optional<WallTime>(random);
    item.error = random_error(random);
    return item;
}

Record random_delivery_record(Random& random, std::size_t kind) {
    const std::uint64_t items = random.below(4);
    if (kind == 42) {
        DeliveriesLeased record{random_text(random, 64),
                                random_epoch(random),
                                random_text(random, 64),
                                random_engine(random),
                                {}};
        for (std::uint64_t n = items; n > 0; --n)
            record.items.push_back(
                {random_key(random), random_text(random, 20), random.chance(1, 2)});
        return record;
    }
    if (kind == 43) {
        DeliveriesEnded record{random_text(random, 64), random_wall(random), {}};
        for (std::uint64_t n = items; n > 0; --n)
            record.items.push_back(random_end(random));
        return record;
    }
    DeadLettersChanged record{random_text(random, 64), random.chance(1, 2), {}};
    for (std::uint64_t n = items; n > 0; --n)
        record.items.push_back({random_key(random), random_text(random, 20)});
    return record;
}

Record random_topic_record(Random& random, std::size_t kind) {
    switch (kind) {
        case 36:
            return TopicChanged{random_text(random, 40), random_topic_rules(random),
                                random_wall(random)};
        case 37:
            return TopicRemoved{random_text(random, 40)};
        case 38:
            return TopicTrimmed{random_text(random, 40), EventSequence{random_number(random)},
                                random_number(random), random_wall(random)};
        case 39:
            return EventPublished{random_event(random)};
        case 40: {
            SubscriptionChanged record{random_subscription_spec(random), {}, random_wall(random)};
            for (std::uint64_t n = random.below(4); n > 0; --n)
                record.starts.emplace_back(random_text(random, 40),
                                           EventSequence{random_number(random)});
            return record;
        }
        case 41:
            return SubscriptionRemoved{random_text(random, 64)};
        case 45:
            return GapsTold{random_text(random, 64)};
        default:
            return random_delivery_record(random, kind);
    }
}

// What people do to ended tasks and to many tasks.
Record random_task_action(Random& random, std::size_t kind, TaskId id) {
    switch (kind) {
        case 15:
            return TaskRedriven{id, random_wall(random), random_engine(random),
                                random_engine(random), random.chance(1, 2)};
        case 16:
            return PayloadEdited{id, Blob{random_text(random, 200)}, random_wall(random)};
        case 17:
            return TaskDeleted{id};
        case 18:
            return OperationStarted{random_operation(random)};
        case 19:
            return OperationAdvanced{
                id, random.chance(1, 2) ? std::optional{random_id(random)} : std::nullopt,
                random_number(random), random_number(random)};
        case 20:
            return OperationEnded{id, random.chance(1, 2), random_wall(random)};
        case 21:
            return GroupMade{random_group(random)};
        case 22:
            return GroupClosed{id};
        case 23:
            return GroupEnded{id,
                              random.chance(1, 2) ? std::optional{random_id(random)} : std::nullopt,
                              random_wall(random)};
        case 24:
            return ScheduleChanged{random_schedule(random)};
        case 25:
            return ScheduleRemoved{random_text(random, 60)};
        case 26: {
            ScheduleFired record{random_text(random, 60),
                                 {},
                                 random_optional<WallTime>(random),
                                 random_number(random),
                                 random.chance(1, 2)};
            if (random.chance(1, 2)) record.fire = random_fire(random);
            return record;
        }
        case 27:
            return WorkerHeld{random_hold(random)};
        default:
            return kind < 36 ? random_workflow_record(random, kind)
                             : random_topic_record(random, kind);
    }
}

}  // namespace

Record random_record(Random& random, std::size_t kind) {
    const TaskId id = random_id(random);
    const LeaseEpoch epoch = random_epoch(random);
    switch (kind) {
        case 0:
            return TaskSubmitted{
                random_spec(random), random_wall(random), random_optional<WallTime>(random),
                random_optional<EngineTime>(random), random_optional<EngineTime>(random)};
        case 1:
            return TaskLeased{id,
                              epoch,
                              random_text(random, 64),
                              random_engine(random),
                              random_wall(random),
                              random_optional<EngineTime>(random)};
        case 2:
            return TaskCompleted{id, epoch, Blob{random_text(random, 200)}, random_wall(random),
                                 random_took(random)};
        case 3:
            return AttemptFailed{id,
                                 epoch,
                                 random_error(random),
                                 random_optional<EngineTime>(random),
                                 random_optional<WallTime>(random),
                                 random_wall(random),
                                 random_took(random)};
        case 4:
            return AttemptCrashed{id, epoch, random_optional<EngineTime>(random),
                                  random_optional<WallTime>(random), random_wall(random)};
        case 5:
            return AttemptReleased{id, epoch, random_wall(random)};
        case 6:
            return TaskDue{id};
        case 7:
            return TaskCancelled{id, random_text(random, 40), random_wall(random)};
        case 8:
            return RevokedLeaseEnded{id, epoch};
        case 9:
            return EngineResumed{random_engine(random)};
        case 10:
            return AttemptTimedOut{id, epoch, random_wall(random)};
        case 11:
            return TimedOutLeaseEnded{id, epoch, random_optional<EngineTime>(random),
                                      random_optional<WallTime>(random), random_wall(random)};
        case 12:
            return TaskExpired{id, random.chance(1, 2), random_wall(random)};
        case 13:
            return PriorityChanged{id, static_cast<std::uint8_t>(random.below(10))};
        case 14:
            return QueueChanged{random_rules(random)};
        default:
            return random_task_action(random, kind, id);
    }
}

Subscription random_subscription(Random& random) {
    Subscription subscription;
    subscription.spec = random_subscription_spec(random);
    subscription.made_at = random_wall(random);
    subscription.epoch = random_epoch(random);
    for (std::uint64_t n = random.below(4); n > 0; --n)
        subscription.next[random_text(random, 40)] = EventSequence{random_number(random)};
    for (std::uint64_t n = random.below(4); n > 0; --n) {
        Delivery& delivery = subscription.open[random_key(random)];
        delivery.key = random_text(random, 20);
        delivery.attempts = random_number32(random);
        delivery.epoch = random_epoch(random);
        delivery.leased = random.chance(1, 2);
        delivery.consumer = random_text(random, 20);
        delivery.until = random_engine(random);
        delivery.due_at = random_optional<EngineTime>(random);
        delivery.due_shown = random_optional<WallTime>(random);
        delivery.redriven = random.chance(1, 2);
        delivery.error = random_error(random);
    }
    subscription.acknowledged = random_number(random);
    subscription.failed = random_number(random);
    subscription.timed_out = random_number(random);
    subscription.dead = random_number(random);
    subscription.lost = random_number(random);
    for (std::uint64_t n = random.below(3); n > 0; --n)
        subscription.gaps.push_back(random_gap(random));
    if (random.chance(1, 2)) subscription.last_gap = random_gap(random);
    return subscription;
}

RecordBatch random_batch(Random& random, Sequence first, std::size_t records) {
    RecordBatch batch{first, random_engine(random), {}};
    for (std::size_t i = 0; i < records; ++i)
        batch.records.push_back(random_record(random, random.below(record_kinds)));
    return batch;
}

Task random_task(Random& random) {
    constexpr TaskState states[] = {TaskState::scheduled, TaskState::queued, TaskState::running,
                                    TaskState::succeeded, TaskState::dead,   TaskState::cancelled,
                                    TaskState::expired};
    Task task;
    task.spec = random_spec(random);
    task.state = states[random.below(std::size(states))];
    task.priority = static_cast<std::uint8_t>(random.below(10));
    task.submitted_at = random_wall(random);
    task.ended_at = random_optional<WallTime>(random);
    task.due_at = random_optional<EngineTime>(random);
    task.due_shown = random_optional<WallTime>(random);
    task.due_by_wall = random.chance(1, 4);
    task.expires = random_optional<EngineTime>(random);
    task.ends_by = random_optional<EngineTime>(random);
    task.queued_as = Sequence{random_number(random)};
    task.changed_as = Sequence{random_number(random)};
    task.epoch = random_epoch(random);
    if (random.chance(1, 3))
        task.lease = Lease{random_epoch(random), random_text(random, 64), random_engine(random),
                           random.chance(1, 2), random_optional<EngineTime>(random)};
    task.failures = random_number32(random);
    task.crashes = random_number32(random);
    task.attempts_made = random_number32(random);
    if (random.chance(1, 3)) task.redrives = random_number32(random);
    if (random.chance(1, 3)) task.edited_at = random_wall(random);
    for (std::uint64_t n = random.below(4); n > 0; --n) {
        Attempt attempt{random_number32(random), random_epoch(random), random_text(random, 64),
                        random_wall(random), random_optional<WallTime>(random)};
        attempt.outcome = static_cast<AttemptOutcome>(random.below(8));
        attempt.took = random_took(random);
        if (random.chance(1, 2)) attempt.error = random_error(random);
        task.attempts.push_back(std::move(attempt));
    }
    task.result = Blob{random_text(random, 100)};
    if (random.chance(1, 3)) task.error = random_error(random);
    return task;
}

}  // namespace taskd::support

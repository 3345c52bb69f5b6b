#include "protocol/value_codec.hpp"

namespace taskd::protocol {
namespace {

// What a task may say beside what every task says; in this order, numbers never reused.
enum class SpecField : std::uint8_t {
    end = 0,
    run_at = 1,
    delay = 2,
    expires_at = 3,
    no_retry = 4,
    idempotency_key = 5,
    key = 6,
    labels = 20,
    group = 21,
    planned_for = 30,
    step = 33,
};

}  // namespace

void write(ByteWriter& out, const TaskError& error) {
    out.text(error.code);
    out.text(error.message);
    out.flag(error.permanent);
}

TaskError read_error(ByteReader& in) {
    TaskError error;
    error.code = in.text();
    error.message = in.text();
    error.permanent = in.flag();
    return error;
}

std::size_t bytes_max(const TaskError& error) {
    return 2 * number_max + 1 + error.code.size() + error.message.size();
}

static void write(ByteWriter& out, SpecField field) {
    out.byte(static_cast<std::uint8_t>(field));
}

void write(ByteWriter& out, const TaskSpec& spec) {
    out.id(spec.id);
    out.text(spec.type);
    out.number(spec.priority);
    out.number(spec.attempts_max);
    out.number(spec.crashes_max);
    out.duration(spec.backoff.initial);
    out.duration(spec.backoff.max);
    out.byte(static_cast<std::uint8_t>(spec.backoff.kind));
    out.byte(spec.backoff.jitter);
    out.duration(spec.timeout);
    out.duration(spec.queue_timeout);
    out.duration(spec.total_timeout);
    if (spec.run_at) {
        write(out, SpecField::run_at);
        out.instant(*spec.run_at);
    }
    if (spec.delay != Duration{0}) {
        write(out, SpecField::delay);
        out.duration(spec.delay);
    }
    if (spec.expires_at) {
        write(out, SpecField::expires_at);
        out.instant(*spec.expires_at);
    }
    if (!spec.no_retry.empty()) {
        write(out, SpecField::no_retry);
        out.number(spec.no_retry.size());
        for (const std::string& code : spec.no_retry)
            out.text(code);
    }
    if (!spec.idempotency_key.empty()) {
        write(out, SpecField::idempotency_key);
        out.text(spec.idempotency_key);
    }
    if (!spec.key.empty()) {
        write(out, SpecField::key);
        out.text(spec.key);
    }
    if (!spec.labels.empty()) {
        write(out, SpecField::labels);
        out.number(spec.labels.size());
        for (const auto& [name, value] : spec.labels) {
            out.text(name);
            out.text(value);
        }
    }
    if (spec.group) {
        write(out, SpecField::group);
        out.id(*spec.group);
    }
    if (spec.planned_for) {
        write(out, SpecField::planned_for);
        out.text(spec.planned_for->schedule);
        out.instant(spec.planned_for->at);
    }
    if (spec.step) {
        write(out, SpecField::step);
        out.id(spec.step->workflow);
        out.number(spec.step->step);
        out.number(spec.step->item);
        out.text(spec.step->name);
    }
    write(out, SpecField::end);
}

// The next key of a map: in order, so that there is one form.
static std::string read_map_key(ByteReader& in, std::string_view last, bool first) {
    std::string key{in.text()};
    if (!first && key <= last) in.fail();
    return key;
}

static void read_labels(ByteReader& in, TaskSpec& spec) {
    std::uint64_t left = in.number_to(in.left());
    if (left == 0) in.fail();
    std::string last;
    for (; left > 0 && !in.failed(); --left) {
        last = read_map_key(in, last, spec.labels.empty());
        spec.labels[last] = in.text();
    }
}

// A field that says what is meant without it does not pass: one form of each value.
static void read_spec_field(ByteReader& in, SpecField field, TaskSpec& spec) {
    switch (field) {
        case SpecField::run_at:
            spec.run_at = in.instant<WallTime>();
            return;
        case SpecField::delay:
            spec.delay = in.duration();
            if (spec.delay == Duration{0}) in.fail();
            return;
        case SpecField::expires_at:
            spec.expires_at = in.instant<WallTime>();
            return;
        case SpecField::no_retry: {
            const std::uint64_t count = in.number_to(in.left());
            if (count == 0) in.fail();
            for (std::uint64_t i = 0; i < count && !in.failed(); ++i)
                spec.no_retry.emplace_back(in.text());
            return;
        }
        case SpecField::idempotency_key:
            spec.idempotency_key = in.text();
            if (spec.idempotency_key.empty()) in.fail();
            return;
        case SpecField::key:
            spec.key = in.text();
            if (spec.key.empty()) in.fail();
            return;
        case SpecField::labels:
            return read_labels(in, spec);
        case SpecField::group:
            spec.group = in.id();
            return;
        case SpecField::planned_for:
            spec.planned_for = PlannedFor{std::string{in.text()}, in.instant<WallTime>()};
            return;
        case SpecField::step:
            spec.step = StepOf{in.id(), in.number32(), in.number32(), std::string{in.text()}};
            return;
        case SpecField::end:
            break;
    }
    in.fail();
}

constexpr std::uint8_t jitter_max = 100;

TaskSpec read_spec(ByteReader& in) {
    TaskSpec spec;
    spec.id = in.id();
    spec.type = in.text();
    spec.priority = static_cast<std::uint8_t>(in.number_to(priority_max));
    spec.attempts_max = in.number32();
    spec.crashes_max = in.number32();
    spec.backoff.initial = in.duration();
    spec.backoff.max = in.duration();
    const std::uint8_t kind = in.byte();
    if (kind > static_cast<std::uint8_t>(BackoffKind::exponential)) in.fail();
    spec.backoff.kind = static_cast<BackoffKind>(kind);
    spec.backoff.jitter = in.byte();
    if (spec.backoff.jitter > jitter_max) in.fail();
    spec.timeout = in.duration();
    spec.queue_timeout = in.duration();
    spec.total_timeout = in.duration();
    for (std::uint8_t last = 0;;) {
        const std::uint8_t field = in.byte();
        if (in.failed() || field == 0) return spec;
        if (field <= last) in.fail();
        read_spec_field(in, static_cast<SpecField>(field), spec);
        last = field;
    }
}

std::size_t bytes_max(const TaskSpec& spec) {
    constexpr std::size_t numbers = 20;
    std::size_t bytes = 2 * id_bytes + numbers * number_max + spec.type.size() +
                        spec.payload.size() + spec.idempotency_key.size() + spec.key.size();
    if (spec.step) bytes += 1 + id_bytes + 3 * number_max + spec.step->name.size();
    if (spec.planned_for) bytes += 1 + 2 * number_max + spec.planned_for->schedule.size();
    for (const std::string& code : spec.no_retry)
        bytes += number_max + code.size();
    for (const auto& [name, value] : spec.labels)
        bytes += 2 * number_max + name.size() + value.size();
    return bytes;
}

TaskSpec read_spec_1(ByteReader& in) {
    TaskSpec spec;
    spec.id = in.id();
    spec.type = in.text();
    spec.priority = static_cast<std::uint8_t>(in.number_to(priority_max));
    spec.attempts_max = in.number32();
    spec.crashes_max = in.number32();
    spec.backoff.initial = in.duration();
    spec.backoff.max = in.duration();
    return spec;
}

namespace {

void write(ByteWriter& out, const Rate& rate) {
    out.number(rate.count);
    out.duration(rate.per);
    out.number(rate.burst);
}

Rate read_rate(ByteReader& in) {
    return {in.number32(), in.duration(), in.number32()};
}

void write(ByteWriter& out, const Pause& pause) {
    out.text(pause.by);
    out.text(pause.reason);
    out.instant(pause.since);
}

Pause read_pause(ByteReader& in) {
    return {std::string{in.text()}, std::string{in.text()}, in.instant<WallTime>()};
}

}  // namespace

void write(ByteWriter& out, const std::optional<Pause>& pause) {
    out.flag(pause.has_value());
    if (pause) write(out, *pause);
}

std::optional<Pause> read_optional_pause(ByteReader& in) {
    if (!in.flag()) return std::nullopt;
    return read_pause(in);
}

std::size_t bytes_max(const std::optional<Pause>& pause) {
    return 1 + (pause ? 3 * number_max + pause->by.size() + pause->reason.size() : 0);
}

void write(ByteWriter& out, const QueueRules& rules) {
    out.text(rules.type);
    out.number(rules.concurrency);
    out.number(rules.key_concurrency);
    write(out, rules.rate);
    write(out, rules.key_rate);
    out.number(rules.key_backlog_max);
    out.number(rules.weights.size());
    for (const auto& [key, weight] : rules.weights) {
        out.text(key);
        out.number(weight);
    }
    write(out, rules.paused);
    write(out, rules.draining);
    out.number(rules.paused_keys.size());
    for (const auto& [key, pause] : rules.paused_keys) {
        out.text(key);
        write(out, pause);
    }
}

QueueRules read_queue_rules(ByteReader& in) {
    QueueRules rules;
    rules.type = in.text();
    rules.concurrency = in.number32();
    rules.key_concurrency = in.number32();
    rules.rate = read_rate(in);
    rules.key_rate = read_rate(in);
    rules.key_backlog_max = in.number32();
    std::string last;
    for (std::uint64_t left = in.number_to(in.left()); left > 0 && !in.failed(); --left) {
        last = read_map_key(in, last, rules.weights.empty());
        rules.weights[last] = in.number32();
    }
    rules.paused = read_optional_pause(in);
    rules.draining = read_optional_pause(in);
    for (std::uint64_t left = in.number_to(in.left()); left > 0 && !in.failed(); --left) {
        last = read_map_key(in, last, rules.paused_keys.empty());
        rules.paused_keys[last] = read_pause(in);
    }
    return rules;
}

QueueRules read_queue_rules_2(ByteReader& in) {
    QueueRules rules = read_queue_rules(in);
    rules.schema = Blob{std::string{in.text()}};
    if (rules.schema.empty()) in.fail();  // then it would stand without
    return rules;
}

std::size_t bytes_max(const QueueRules& rules) {
    constexpr std::size_t numbers = 15;
    std::size_t bytes = numbers * number_max + rules.type.size() + bytes_max(rules.paused) +
                        bytes_max(rules.draining) + rules.schema.size();
    for (const auto& [key, weight] : rules.weights)
        bytes += 2 * number_max + key.size();
    for (const auto& [key, pause] : rules.paused_keys)
        bytes += number_max + key.size() + bytes_max(std::optional{pause});
    return bytes;
}

void write(ByteWriter& out, const WorkerHold& hold) {
    out.text(hold.instance);
    write(out, hold.pause);
    out.flag(hold.draining);
}

WorkerHold read_hold(ByteReader& in) {
    return {std::string{in.text()}, read_optional_pause(in), in.flag()};
}

std::size_t bytes_max(const WorkerHold& hold) {
    const std::size_t pause =
        hold.pause ? 3 * number_max + hold.pause->by.size() + hold.pause->reason.size() : 0;
    return 2 * number_max + hold.instance.size() + pause;
}

void write(ByteWriter& out, const Operation& operation) {
    out.id(operation.id);
    out.byte(static_cast<std::uint8_t>(operation.action));
    out.text(operation.search);
    out.text(operation.by);
    out.text(operation.reason);
    out.number(operation.rate);
    out.instant(operation.started_at);
    out.byte(static_cast<std::uint8_t>(operation.state));
    write_optional(out, operation.ended_at);
    write_optional(out, operation.cursor);
    out.number(operation.changed);
    out.number(operation.passed_over);
}

Operation read_operation(ByteReader& in) {
    Operation operation;
    operation.id = in.id();
    const std::uint8_t action = in.byte();
    if (action < 1 || action > static_cast<std::uint8_t>(OperationAction::remove)) in.fail();
    operation.action = static_cast<OperationAction>(action);
    operation.search = in.text();
    operation.by = in.text();
    operation.reason = in.text();
    operation.rate = in.number32();
    operation.started_at = in.instant<WallTime>();
    const std::uint8_t state = in.byte();
    if (state < 1 || state > static_cast<std::uint8_t>(OperationState::stopped)) in.fail();
    operation.state = static_cast<OperationState>(state);
    operation.ended_at = read_optional<WallTime>(in);
    operation.cursor = read_optional_id(in);
    operation.changed = in.number();
    operation.passed_over = in.number();
    return operation;
}

std::size_t bytes_max(const Operation& operation) {
    constexpr std::size_t numbers = 8, flags = 4;
    return 2 * id_bytes + numbers * number_max + flags + operation.search.size() +
           operation.by.size() + operation.reason.size();
}

void write(ByteWriter& out, const Group& group) {
    out.id(group.id);
    out.text(group.name);
    out.flag(group.completion.has_value());
    if (group.completion) {
        write(out, *group.completion);
        out.text(group.completion->payload.view());
    }
    out.byte(static_cast<std::uint8_t>(group.state));
    out.instant(group.made_at);
    write_optional(out, group.ended_at);
    write_optional(out, group.completed_by);
    for (const std::uint64_t count :
         {group.tasks, group.succeeded, group.dead, group.cancelled, group.expired})
        out.number(count);
    out.number(group.failed.size());
    for (const TaskId& id : group.failed)
        out.id(id);
}

Group read_group(ByteReader& in) {
    Group group;
    group.id = in.id();
    group.name = in.text();
    if (in.flag()) {
        group.completion = read_spec(in);
        group.completion->payload = Blob{std::string{in.text()}};
    }
    const std::uint8_t state = in.byte();
    if (state < 1 || state > static_cast<std::uint8_t>(GroupState::done)) in.fail();
    group.state = static_cast<GroupState>(state);
    group.made_at = in.instant<WallTime>();
    group.ended_at = read_optional<WallTime>(in);
    group.completed_by = read_optional_id(in);
    for (std::uint64_t* count :
         {&group.tasks, &group.succeeded, &group.dead, &group.cancelled, &group.expired})
        *count = in.number();
    for (std::uint64_t left = in.number_to(limits::group_failed_shown_max);
         left > 0 && !in.failed(); --left)
        group.failed.push_back(in.id());
    return group;
}

std::size_t bytes_max(const Group& group) {
    constexpr std::size_t numbers = 10, flags = 4;
    return (2 + group.failed.size()) * id_bytes + numbers * number_max + flags + group.name.size() +
           (group.completion ? bytes_max(*group.completion) : 0);
}

}  // namespace taskd::protocol

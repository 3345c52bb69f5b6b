#include "taskd/protocol/task_json.hpp"

#include <algorithm>
#include <charconv>
#include <tuple>

#include "protocol/json_parts.hpp"
#include "taskd/base/limits.hpp"
#include "taskd/protocol/json.hpp"
#include "taskd/protocol/lease_json.hpp"

namespace taskd::protocol {
namespace {

constexpr std::int64_t backoff_ms_max = limits::backoff_most / std::chrono::milliseconds{1};
constexpr std::int64_t timeout_ms_max = limits::timeout_most / std::chrono::milliseconds{1};
constexpr std::int64_t delay_ms_max = limits::delay_most / std::chrono::milliseconds{1};

std::int64_t to_ms(Duration duration) {
    return duration / std::chrono::milliseconds{1};
}

template <class Value, class Target>
Result<void> take(Result<Value>&& value, Target& target) {
    if (!value) return fail(std::move(value));
    target = static_cast<Target>(std::move(*value));
    return {};
}

Result<void> take_ms(std::string_view raw, std::string_view name, std::int64_t least,
                     std::int64_t most, Duration& target) {
    auto ms = read_integer(raw, name, least, most);
    if (!ms) return fail(std::move(ms));
    target = std::chrono::milliseconds{*ms};
    return {};
}

Result<BackoffKind> parse_kind(std::string_view raw) {
    auto text = read_string(raw, "backoff.kind");
    if (!text) return fail(std::move(text));
    const auto kind = parse_backoff_kind(*text);
    if (!kind)
        return fail(ErrorCode::invalid_field, "backoff.kind is fixed, linear or exponential");
    return *kind;
}

Result<std::string> parse_key(std::string_view raw, std::string_view name) {
    auto key = read_string(raw, name);
    if (!key) return fail(std::move(key));
    if (!key->empty() && key->size() <= limits::key_bytes_max) return key;
    std::string why{name};
    why += " must have 1 to 256 bytes";
    return fail(ErrorCode::invalid_field, std::move(why));
}

Result<std::vector<std::string>> parse_codes(std::string_view raw) {
    const auto elements = split_array(raw);
    if (!elements || elements->size() > limits::no_retry_max)
        return fail(ErrorCode::invalid_field, "no_retry must be an array of up to " +
                                                  std::to_string(limits::no_retry_max) + " codes");
    std::vector<std::string> codes;
    for (const std::string_view element : *elements) {
        auto code = read_string(element, "no_retry");
        if (!code) return fail(std::move(code));
        if (code->empty() || code->size() > limits::error_code_bytes_max)
            return fail(ErrorCode::invalid_field, "no_retry: codes have 1 to 128 bytes");
        codes.push_back(std::move(*code));
    }
    return codes;
}

Result<std::map<std::string, std::string>> parse_labels(std::string_view raw) {
    const auto fields = split_object(raw);
    if (!fields || fields->size() > limits::labels_max)
        return fail(ErrorCode::invalid_field, "labels must be an object of up to " +
                                                  std::to_string(limits::labels_max) + " texts");
    std::map<std::string, std::string> labels;
    for (const auto& [name, value] : *fields) {
        if (!is_label_name(name))
            return fail(ErrorCode::invalid_field,
                        "labels: a name has 1 to 64 of A-Z a-z 0-9 . _ / -, not '" + name + "'");
        auto text = read_string(value, "labels." + name);
        if (!text) return fail(std::move(text));
        if (text->size() > limits::label_value_bytes_max)
            return fail(ErrorCode::invalid_field, "labels." + name + " is longer than 256 bytes");
        labels[name] = std::move(*text);
    }
    return labels;
}

}  // namespace

Result<Backoff> parse_backoff(std::string_view raw) {
    auto fields = split_object(raw);
    if (!fields) return fail(ErrorCode::invalid_field, "backoff must be an object");
    Backoff backoff;
    for (const auto& [key, value] : *fields) {
        Result<void> taken;
        if (key == "initial_ms" || key == "max_ms")
            taken = take_ms(value, "backoff." + key, 0, backoff_ms_max,
                            key == "max_ms" ? backoff.max : backoff.initial);
        else if (key == "kind")
            taken = take(parse_kind(value), backoff.kind);
        else if (key == "jitter_percent")
            taken = take(read_integer(value, "backoff." + key, 0, 100), backoff.jitter);
        else
            return fail(ErrorCode::unknown_field, "backoff." + key);
        if (!taken) return fail(std::move(taken));
    }
    if (backoff.initial > backoff.max)
        return fail(ErrorCode::invalid_field, "backoff.initial_ms is above backoff.max_ms");
    return backoff;
}

namespace {

Result<TaskId> parse_id(std::string_view raw) {
    auto text = read_string(raw, "id");
    if (!text) return fail(std::move(text));
    const auto id = TaskId::parse(*text);
    if (!id) return fail(ErrorCode::invalid_id, *text);
    return *id;
}

// Instants and durations; none when the key is another.
std::optional<Result<void>> take_time(TaskSpec& spec, std::string_view key, std::string_view raw) {
    if (key == "delay_ms") return take_ms(raw, key, 0, delay_ms_max, spec.delay);
    if (key == "run_at") return take(read_instant(raw, key), spec.run_at);
    if (key == "expires_at") return take(read_instant(raw, key), spec.expires_at);
    if (key == "timeout_ms") return take_ms(raw, key, 1, timeout_ms_max, spec.timeout);
    if (key == "queue_timeout_ms") return take_ms(raw, key, 1, timeout_ms_max, spec.queue_timeout);
    if (key == "total_timeout_ms") return take_ms(raw, key, 1, timeout_ms_max, spec.total_timeout);
    return std::nullopt;
}

// What fields say that cannot be together; empty when there is nothing.
std::string_view clash_of(const TaskSpec& spec) {
    if (spec.run_at && spec.delay != Duration{0}) return "run_at and delay_ms exclude each other";
    if (spec.run_at && spec.expires_at && *spec.expires_at <= *spec.run_at)
        return "expires_at is not after run_at";
    return {};
}

Result<void> take_field(TaskSpec& spec, bool& has_id, std::string_view key, std::string_view raw) {
    if (key == "id") {
        has_id = true;
        return take(parse_id(raw), spec.id);
    }
    if (key == "type") return take(read_string(raw, key), spec.type);
    if (key == "payload") {
        spec.payload = Blob{std::string{raw}};
        return {};
    }
    if (key == "priority") return take(read_integer(raw, key, 0, 9), spec.priority);
    if (key == "attempts_max")
        return take(read_integer(raw, key, 1, limits::attempts_max_max), spec.attempts_max);
    if (key == "crashes_max")
        return take(read_integer(raw, key, 1, limits::attempts_max_max), spec.crashes_max);
    if (key == "backoff") return take(parse_backoff(raw), spec.backoff);
    if (key == "key") return take(parse_key(raw, key), spec.key);
    if (key == "idempotency_key") return take(parse_key(raw, key), spec.idempotency_key);
    if (key == "no_retry") return take(parse_codes(raw), spec.no_retry);
    if (key == "labels") return take(parse_labels(raw), spec.labels);
    if (key == "group") return take(parse_id(raw), spec.group);
    if (auto taken = take_time(spec, key, raw)) return *taken;
    return fail(ErrorCode::unknown_field, std::string{key});
}

Result<TaskSpec> parse_spec(const JsonItem& item, const std::function<TaskId()>& make_id) {
    if (item.raw.size() > limits::task_bytes_max)
        return fail(ErrorCode::task_too_large, std::to_string(item.raw.size()) + " of " +
                                                   std::to_string(limits::task_bytes_max) +
                                                   " bytes");
    if (kind_of(item.raw) != JsonKind::object)
        return fail(ErrorCode::invalid_field, "a task must be an object");
    if (auto checked = check_names(item.fields); !checked) return fail(std::move(checked));
    TaskSpec spec;
    spec.payload = Blob{"null"};
    bool has_id = false;
    for (const auto& [key, value] : item.fields)
        if (auto taken = take_field(spec, has_id, key, value); !taken)
            return fail(std::move(taken));
    if (spec.type.empty()) return fail(ErrorCode::missing_field, "type");
    if (!is_type_name(spec.type)) return fail(ErrorCode::invalid_field, "type '" + spec.type + "'");
    if (const auto clash = clash_of(spec); !clash.empty())
        return fail(ErrorCode::invalid_field, std::string{clash});
    if (!has_id) spec.id = make_id();
    return spec;
}

}  // namespace

void put_backoff(JsonWriter& json, const Backoff& backoff) {
    json.begin_object()
        .field("kind", to_text(backoff.kind))
        .field("initial_ms", to_ms(backoff.initial))
        .field("max_ms", to_ms(backoff.max))
        .field("jitter_percent", backoff.jitter)
        .end_object();
}

namespace {

// What not every task says.
void put_options(JsonWriter& json, const TaskSpec& spec) {
    if (spec.delay != Duration{0}) json.field("delay_ms", to_ms(spec.delay));
    if (spec.run_at) json.field("run_at", *spec.run_at);
    if (spec.expires_at) json.field("expires_at", *spec.expires_at);
    if (!spec.key.empty()) json.field("key", spec.key);
    if (!spec.idempotency_key.empty()) json.field("idempotency_key", spec.idempotency_key);
    if (spec.group) json.field("group", *spec.group);
    if (!spec.labels.empty()) {
        json.key("labels").begin_object();
        for (const auto& [label, value] : spec.labels)
            json.field(label, value);
        json.end_object();
    }
    if (spec.no_retry.empty()) return;
    json.key("no_retry").begin_array();
    for (const std::string& code : spec.no_retry)
        json.string(code);
    json.end_array();
}

void write_spec(JsonWriter& json, const TaskSpec& spec) {
    const TaskSpec usual;
    json.begin_object();
    if (spec.id != TaskId{}) json.field("id", spec.id);
    json.field("type", spec.type);
    if (!spec.payload.view().empty()) json.key("payload").raw(spec.payload.view());
    if (spec.priority != usual.priority) json.field("priority", spec.priority);
    if (spec.attempts_max != usual.attempts_max) json.field("attempts_max", spec.attempts_max);
    if (spec.crashes_max != usual.crashes_max) json.field("crashes_max", spec.crashes_max);
    if (spec.backoff != usual.backoff) put_backoff(json.key("backoff"), spec.backoff);
    if (spec.timeout != usual.timeout) json.field("timeout_ms", to_ms(spec.timeout));
    if (spec.queue_timeout != usual.queue_timeout)
        json.field("queue_timeout_ms", to_ms(spec.queue_timeout));
    if (spec.total_timeout != usual.total_timeout)
        json.field("total_timeout_ms", to_ms(spec.total_timeout));
    put_options(json, spec);
    json.end_object();
}

// What bounds a task, as fields. Most tasks have the bounds of the one before.
std::string_view limits_text(const TaskSpec& spec) {
    const auto bounds = [](auto& of) {
        return std::tie(of.attempts_max, of.crashes_max, of.backoff, of.timeout, of.queue_timeout,
                        of.total_timeout);
    };
    struct Last {
        TaskSpec spec;
        std::string text;
    };
    thread_local Last last;
    if (!last.text.empty() && bounds(last.spec) == bounds(spec)) return last.text;
    bounds(last.spec) = bounds(spec);
    last.text.clear();
    JsonWriter json{last.text};
    json.field("attempts_max", spec.attempts_max).field("crashes_max", spec.crashes_max);
    put_backoff(json.key("backoff"), spec.backoff);
    json.field("timeout_ms", to_ms(spec.timeout))
        .field("queue_timeout_ms", to_ms(spec.queue_timeout))
        .field("total_timeout_ms", to_ms(spec.total_timeout));
    return last.text;
}

void put_error(JsonWriter& json, const TaskError& error) {
    json.begin_object()
        .field("code", error.code)
        .field("message", error.message)
        .field("permanent", error.permanent)
        .end_object();
}

void put_outcome(JsonWriter& json, const Task& task) {
    if (task.state == TaskState::succeeded)
        json.key("result").raw(task.result.view());
    else if (task.error)
        put_error(json.key("error"), *task.error);
}

void put_attempt(JsonWriter& json, const Attempt& attempt) {
    json.begin_object()
        .field("number", attempt.number)
        .field("epoch", attempt.epoch.value)
        .field("worker", attempt.worker)
        .field("outcome", to_text(attempt.outcome))
        .field("started_at", attempt.started_at);
    if (attempt.ended_at) json.field("ended_at", *attempt.ended_at);
    if (attempt.took) json.field("took_ms", to_ms(*attempt.took));
    if (attempt.error) put_error(json.key("error"), *attempt.error);
    json.end_object();
}

}  // namespace

std::expected<SubmitBody, BodyError> parse_submit(std::string_view body,
                                                  const std::function<TaskId()>& make_id) {
    const auto refuse = [](Error error, std::optional<std::size_t> index = {}) {
        return std::unexpected<BodyError>{BodyError{std::move(error), index}};
    };
    auto read = read_items(body, limits::submit_tasks_max);
    if (!read) return refuse(read.error());
    if (read->count > limits::submit_tasks_max)
        return refuse({ErrorCode::too_many_tasks, std::to_string(read->count) + " of " +
                                                      std::to_string(limits::submit_tasks_max)});
    SubmitBody submit;
    submit.is_array = read->is_array;
    submit.tasks.reserve(read->items.size());
    for (std::size_t i = 0; i < read->items.size(); ++i) {
        auto spec = parse_spec(read->items[i], make_id);
        if (!spec) return refuse(spec.error(), submit.is_array ? std::optional{i} : std::nullopt);
        submit.tasks.push_back(std::move(*spec));
    }
    return submit;
}

Result<TaskSpec> parse_template(std::string_view raw) {
    JsonItem item{raw, {}};
    if (kind_of(raw) == JsonKind::object) {
        auto fields = split_object(raw);
        if (!fields) return fail(std::move(fields));
        item.fields = std::move(*fields);
    }
    auto spec = parse_spec(item, [] { return TaskId{}; });
    if (!spec) return spec;
    for (const auto& [said, name] :
         {std::pair{spec->id != TaskId{}, "id"}, std::pair{spec->run_at.has_value(), "run_at"},
          std::pair{spec->expires_at.has_value(), "expires_at"},
          std::pair{!spec->idempotency_key.empty(), "idempotency_key"}})
        if (said) {
            std::string why{"task."};
            why += name;
            why += ": one task alone can have it";
            return fail(ErrorCode::invalid_field, std::move(why));
        }
    return spec;
}

void write_template(std::string& out, const TaskSpec& spec) {
    JsonWriter json{out};
    write_spec(json, spec);
}

std::string write_submit(const std::vector<TaskSpec>& tasks, bool as_array) {
    std::string out;
    JsonWriter json{out};
    if (as_array) json.begin_array();
    for (const TaskSpec& spec : tasks)
        write_spec(json, spec);
    if (as_array) json.end_array();
    return out;
}

void write_task(std::string& out, const Task& task, const TaskExtras& extras) {
    JsonWriter json{out};
    json.begin_object().field("id", task.spec.id).field("type", task.spec.type);
    json.key("payload").raw(task.spec.payload.view());
    json.field("state", to_text(task.state)).field("priority", task.priority);
    put_outcome(json, task);
    json.key("attempts").begin_array();
    for (const Attempt& attempt : task.attempts)
        put_attempt(json, attempt);
    json.end_array()
        .field("attempts_made", task.attempts_made)
        .field("failures", task.failures)
        .field("crashes", task.crashes)
        .raw(limits_text(task.spec));
    put_options(json, task.spec);
    if (task.redrives > 0) json.field("redrives", task.redrives);
    if (task.spec.planned_for)
        json.field("schedule", task.spec.planned_for->schedule)
            .field("planned_at", task.spec.planned_for->at);
    if (task.spec.step)
        json.field("workflow", task.spec.step->workflow)
            .field("step", task.spec.step->name)
            .field("item", task.spec.step->item);
    json.field("submitted_at", task.submitted_at);
    if (task.edited_at) json.field("edited_at", *task.edited_at);
    if (task.ended_at) json.field("ended_at", *task.ended_at);
    if (task.due_shown) json.field("due_at", *task.due_shown);
    if (extras.progress != nullptr) {
        std::string progress;
        write_progress(progress, *extras.progress);
        json.key("progress").raw(progress);
    }
    if (!extras.waiting_rule.empty())
        json.key("waiting_for")
            .begin_object()
            .field("rule", extras.waiting_rule)
            .field("text", extras.waiting_text)
            .end_object();
    json.end_object();
}

void write_brief(std::string& out, const Task& task, bool with_outcome) {
    JsonWriter json{out};
    json.begin_object().field("id", task.spec.id).field("state", to_text(task.state));
    if (with_outcome && is_terminal(task.state)) put_outcome(json, task);
    json.end_object();
}

void write_task_error(std::string& out, const TaskError& error) {
    JsonWriter json{out};
    put_error(json, error);
}

Result<TaskError> parse_task_error(std::string_view raw) {
    auto fields = split_object(raw);
    if (!fields) return fail(ErrorCode::invalid_field, "error must be an object");
    TaskError error;
    for (const auto& [key, value] : *fields) {
        Result<void> taken;
        if (key == "code")
            taken = take(read_string(value, "error.code"), error.code);
        else if (key == "message")
            taken = take(read_string(value, "error.message"), error.message);
        else if (key == "permanent")
            taken = take(read_boolean(value, "error.permanent"), error.permanent);
        else
            return fail(ErrorCode::unknown_field, "error." + key);
        if (!taken) return fail(std::move(taken));
    }
    if (error.code.size() > limits::error_code_bytes_max)
        return fail(ErrorCode::invalid_field, "error.code is longer than 128 bytes");
    if (error.code.empty()) return fail(ErrorCode::missing_field, "error.code");
    return error;
}

std::string write_session(SessionId session) {
    static constexpr char hex[] = "0123456789abcdef";
    std::string text(16, '0');
    for (std::size_t i = 0; i < 16; ++i)
        text[i] = hex[session.value >> (60 - 4 * i) & 0x0f];
    return text;
}

Result<SessionId> parse_session(std::string_view text) {
    SessionId session;
    const auto [end, error] =
        std::from_chars(text.data(), text.data() + text.size(), session.value, 16);
    if (text.size() != 16 || error != std::errc{} || end != text.data() + text.size() ||
        session.value == 0)
        return fail(ErrorCode::invalid_field, "session must be 16 hex digits");
    return session;
}

}  // namespace taskd::protocol

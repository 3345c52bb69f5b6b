#include "taskd/protocol/schedule_json.hpp"

#include "protocol/json_parts.hpp"
#include "taskd/base/limits.hpp"
#include "taskd/protocol/json.hpp"
#include "taskd/protocol/task_json.hpp"

namespace taskd::protocol {
namespace {

template <class Value>
Result<void> take_choice(std::string_view raw, std::string_view name, std::string_view choices,
                         std::optional<Value> (*parse)(std::string_view), Value& target) {
    const auto text = read_string(raw, name);
    if (!text) return std::unexpected{text.error()};
    const auto value = parse(*text);
    if (!value) {
        std::string why{name};
        why += " is ";
        why += choices;
        return fail(ErrorCode::invalid_field, std::move(why));
    }
    target = *value;
    return {};
}

Result<void> take_text(std::string_view raw, std::string_view name, std::string& target) {
    auto text = read_string(raw, name);
    if (!text) return std::unexpected{text.error()};
    if (text->empty() || text->size() > limits::key_bytes_max) {
        std::string why{name};
        why += " must have 1 to 256 bytes";
        return fail(ErrorCode::invalid_field, std::move(why));
    }
    target = std::move(*text);
    return {};
}

Result<void> take_instant(std::string_view raw, std::string_view name,
                          std::optional<WallTime>& target) {
    const auto instant = read_instant(raw, name);
    if (!instant) return std::unexpected{instant.error()};
    target = *instant;
    return {};
}

Result<void> take_field(ScheduleSpec& spec, std::string_view key, std::string_view raw) {
    if (key == "cron") return take_text(raw, key, spec.cron);
    if (key == "zone") return take_text(raw, key, spec.zone);
    if (key == "every_ms") {
        constexpr Duration unit = std::chrono::milliseconds{1};
        const auto ms =
            read_integer(raw, key, limits::every_least / unit, limits::every_most / unit);
        if (!ms) return std::unexpected{ms.error()};
        spec.every = *ms * unit;
        return {};
    }
    if (key == "overlap")
        return take_choice(raw, key, "allow, skip or replace", parse_overlap, spec.overlap);
    if (key == "misfire")
        return take_choice(raw, key, "skip, once or all", parse_misfire, spec.misfire);
    if (key == "start_at") return take_instant(raw, key, spec.start_at);
    if (key == "end_at") return take_instant(raw, key, spec.end_at);
    if (key != "task") return fail(ErrorCode::unknown_field, std::string{key});
    auto task = parse_template(raw);
    if (!task) return std::unexpected{task.error()};
    spec.task = std::move(*task);
    return {};
}

void put_fire(JsonWriter& json, const Fire& fire) {
    json.begin_object()
        .field("planned_at", fire.planned)
        .field("at", fire.at)
        .field("outcome", to_text(fire.outcome));
    if (fire.task) json.field("task", *fire.task);
    if (!fire.reason.empty()) json.field("reason", fire.reason);
    json.end_object();
}

void put_spec(JsonWriter& json, const ScheduleSpec& spec) {
    json.field("name", spec.name);
    if (spec.cron.empty())
        json.field("every_ms", spec.every / std::chrono::milliseconds{1});
    else
        json.field("cron", spec.cron);
    json.field("zone", spec.zone)
        .field("overlap", to_text(spec.overlap))
        .field("misfire", to_text(spec.misfire));
    if (spec.start_at) json.field("start_at", *spec.start_at);
    if (spec.end_at) json.field("end_at", *spec.end_at);
    std::string task;
    write_template(task, spec.task);
    json.key("task").raw(task);
}

}  // namespace

Result<ScheduleSpec> parse_schedule(std::string_view body, std::string name) {
    if (auto checked = check_json(body); !checked) return fail(std::move(checked));
    const auto fields = split_object(body);
    if (!fields) return std::unexpected{fields.error()};
    ScheduleSpec spec;
    spec.name = std::move(name);
    for (const auto& [key, raw] : *fields)
        if (auto taken = take_field(spec, key, raw); !taken) return fail(std::move(taken));
    if (spec.task.type.empty()) return fail(ErrorCode::missing_field, "task");
    return spec;
}

std::string write_schedule(const Schedule& schedule, const std::vector<WallTime>& next) {
    std::string out;
    JsonWriter json{out};
    json.begin_object();
    put_spec(json, schedule.spec);
    json.field("made_at", schedule.made_at).field("settled", schedule.settled);
    json.key("next").begin_array();
    for (const WallTime& time : next)
        json.string(to_rfc3339(time));
    json.end_array();
    if (schedule.paused) put_pause(json.key("paused"), *schedule.paused);
    if (schedule.last_task) json.field("last_task", *schedule.last_task);
    json.field("submitted", schedule.submitted)
        .field("overlapped", schedule.overlapped)
        .field("refused", schedule.refused)
        .field("missed", schedule.missed);
    json.key("fires").begin_array();
    for (const Fire& fire : schedule.fires)
        put_fire(json, fire);
    json.end_array().end_object();
    return out;
}

Result<BackfillBody> parse_backfill(std::string_view body) {
    if (auto checked = check_json(body); !checked) return fail(std::move(checked));
    const auto fields = split_object(body);
    if (!fields) return std::unexpected{fields.error()};
    std::optional<WallTime> from, to;
    for (const auto& [key, raw] : *fields) {
        if (key != "from" && key != "to") return fail(ErrorCode::unknown_field, key);
        if (auto taken = take_instant(raw, key, key == "from" ? from : to); !taken)
            return fail(std::move(taken));
    }
    if (!from) return fail(ErrorCode::missing_field, "from");
    if (!to) return fail(ErrorCode::missing_field, "to");
    return BackfillBody{*from, *to};
}

}  // namespace taskd::protocol

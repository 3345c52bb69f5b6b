// Schedules and what came of their times, as records and rows keep them.
#include "protocol/value_codec.hpp"
#include "taskd/protocol/record_codec.hpp"

namespace taskd::protocol {
namespace {

template <class Value>
Value read_choice(ByteReader& in, Value last) {
    const std::uint8_t value = in.byte();
    if (value > static_cast<std::uint8_t>(last)) in.fail();
    return static_cast<Value>(value);
}

void write(ByteWriter& out, const ScheduleSpec& spec) {
    out.text(spec.name);
    out.text(spec.cron);
    out.duration(spec.every);
    out.text(spec.zone);
    out.byte(static_cast<std::uint8_t>(spec.overlap));
    out.byte(static_cast<std::uint8_t>(spec.misfire));
    write_optional(out, spec.start_at);
    write_optional(out, spec.end_at);
    write(out, spec.task);
    out.text(spec.task.payload.view());
}

ScheduleSpec read_schedule_spec(ByteReader& in) {
    ScheduleSpec spec;
    spec.name = in.text();
    spec.cron = in.text();
    spec.every = in.duration();
    spec.zone = in.text();
    spec.overlap = read_choice(in, Overlap::replace);
    spec.misfire = read_choice(in, Misfire::all);
    spec.start_at = read_optional<WallTime>(in);
    spec.end_at = read_optional<WallTime>(in);
    spec.task = read_spec(in);
    spec.task.payload = Blob{std::string{in.text()}};
    return spec;
}

void write_task_id(ByteWriter& out, const std::optional<TaskId>& id) {
    out.flag(id.has_value());
    if (id) out.id(*id);
}

std::optional<TaskId> read_task_id(ByteReader& in) {
    if (!in.flag()) return std::nullopt;
    return in.id();
}

}  // namespace

void write(ByteWriter& out, const Fire& fire) {
    out.instant(fire.planned);
    out.instant(fire.at);
    out.byte(static_cast<std::uint8_t>(fire.outcome));
    write_task_id(out, fire.task);
    out.text(fire.reason);
}

Fire read_fire(ByteReader& in) {
    Fire fire;
    fire.planned = in.instant<WallTime>();
    fire.at = in.instant<WallTime>();
    fire.outcome = read_choice(in, FireOutcome::refused);
    fire.task = read_task_id(in);
    fire.reason = in.text();
    return fire;
}

std::size_t bytes_max(const Fire& fire) {
    return 2 + 3 * number_max + id_bytes + fire.reason.size();
}

void write(ByteWriter& out, const Schedule& schedule) {
    write(out, schedule.spec);
    out.instant(schedule.made_at);
    out.number(schedule.made_as.value);
    out.number(schedule.changed_as.value);
    out.instant(schedule.settled);
    write_task_id(out, schedule.last_task);
    write(out, schedule.paused);
    out.number(schedule.submitted);
    out.number(schedule.overlapped);
    out.number(schedule.refused);
    out.number(schedule.missed);
    out.number(schedule.fires.size());
    for (const Fire& fire : schedule.fires)
        write(out, fire);
}

Schedule read_schedule(ByteReader& in) {
    Schedule schedule;
    schedule.spec = read_schedule_spec(in);
    schedule.made_at = in.instant<WallTime>();
    schedule.made_as = read_number<Sequence>(in);
    schedule.changed_as = read_number<Sequence>(in);
    schedule.settled = in.instant<WallTime>();
    schedule.last_task = read_task_id(in);
    schedule.paused = read_optional_pause(in);
    schedule.submitted = in.number();
    schedule.overlapped = in.number();
    schedule.refused = in.number();
    schedule.missed = in.number();
    const std::uint64_t count = in.number_to(limits::fires_shown_max);
    for (std::uint64_t i = 0; i < count && !in.failed(); ++i)
        schedule.fires.push_back(read_fire(in));
    return schedule;
}

std::size_t bytes_max(const Schedule& schedule) {
    constexpr std::size_t numbers = 20;
    const ScheduleSpec& spec = schedule.spec;
    std::size_t bytes = numbers * number_max + id_bytes + bytes_max(spec.task) + spec.name.size() +
                        spec.cron.size() + spec.zone.size() + bytes_max(schedule.paused);
    for (const Fire& fire : schedule.fires)
        bytes += bytes_max(fire);
    return bytes;
}

void encode_schedule_row(const Schedule& schedule, std::string& out) {
    ByteWriter writer{out};
    writer.byte(schedule_row_version);
    write(writer, schedule);
}

Result<Schedule> decode_schedule_row(std::string_view bytes) {
    ByteReader in{bytes};
    const std::uint8_t version = in.byte();
    if (version > schedule_row_version)
        return fail(ErrorCode::store_too_new, "schedule row version " + std::to_string(version));
    Schedule schedule = read_schedule(in);
    if (version == 0 || !in.finished())
        return fail(ErrorCode::view_corrupt, "a schedule row that does not decode");
    return schedule;
}

}  // namespace taskd::protocol

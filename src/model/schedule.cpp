#include "taskd/model/schedule.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "taskd/base/limits.hpp"

namespace taskd {
namespace {

constexpr std::array<std::string_view, 3> overlap_names{"allow", "skip", "replace"};
constexpr std::array<std::string_view, 3> misfire_names{"skip", "once", "all"};
constexpr std::array<std::string_view, 3> outcome_names{"submitted", "overlapped", "refused"};

template <class Value>
std::optional<Value> find_name(const std::array<std::string_view, 3>& names,
                               std::string_view text) {
    const auto found = std::ranges::find(names, text);
    if (found == names.end()) return std::nullopt;
    return static_cast<Value>(found - names.begin());
}

// FNV-1a, 64 bits.
constexpr std::uint64_t fnv_offset = 0xcbf29ce484222325;
constexpr std::uint64_t fnv_prime = 0x100000001b3;

std::uint64_t mix(std::uint64_t hash, std::string_view bytes) {
    for (const char byte : bytes)
        hash = (hash ^ static_cast<unsigned char>(byte)) * fnv_prime;
    return hash;
}

std::uint64_t mix(std::uint64_t hash, std::uint64_t number) {
    for (int shift = 0; shift < 64; shift += 8)
        hash = (hash ^ (number >> shift & 0xff)) * fnv_prime;
    return hash;
}

}  // namespace

std::string_view to_text(Overlap overlap) {
    return overlap_names[std::to_underlying(overlap)];
}
std::string_view to_text(Misfire misfire) {
    return misfire_names[std::to_underlying(misfire)];
}
std::string_view to_text(FireOutcome outcome) {
    return outcome_names[std::to_underlying(outcome)];
}
std::optional<Overlap> parse_overlap(std::string_view text) {
    return find_name<Overlap>(overlap_names, text);
}
std::optional<Misfire> parse_misfire(std::string_view text) {
    return find_name<Misfire>(misfire_names, text);
}

WallTime made_by(const Schedule& schedule, WallTime now) {
    const bool is_possible = schedule.made_at <= now + limits::misfire_after;
    return is_possible ? schedule.made_at : now - limits::misfire_after;
}

WallTime settled_by(const Schedule& schedule, WallTime now) {
    const bool is_possible = schedule.settled <= now + limits::misfire_after;
    if (is_possible) return schedule.settled;
    return std::max(now - limits::misfire_after, made_by(schedule, now));
}

TaskId fire_id(const Schedule& schedule, WallTime planned) {
    std::uint64_t seed = mix(fnv_offset, schedule.spec.name);
    seed = mix(seed, schedule.made_as.value);
    seed = mix(seed, static_cast<std::uint64_t>(schedule.made_at.time_since_epoch().count()));
    seed = mix(seed, static_cast<std::uint64_t>(planned.time_since_epoch().count()));
    Random random{seed};
    return TaskId::make(planned, random);
}

Result<Plan> Plan::make(const ScheduleSpec& spec, WallTime made_at) {
    Plan plan;
    if (spec.cron.empty() == (spec.every == Duration{0}))
        return fail(ErrorCode::invalid_field, "a schedule has either cron or every");
    if (spec.cron.empty()) {
        if (spec.every < limits::every_least || spec.every > limits::every_most)
            return fail(ErrorCode::invalid_field, "every is between 1 s and 366 days");
        plan.every_ = spec.every;
    } else {
        auto cron = Cron::parse(spec.cron);
        if (!cron) return fail(std::move(cron));
        plan.cron_ = std::move(*cron);
    }
    if (spec.start_at && spec.end_at && *spec.end_at <= *spec.start_at)
        return fail(ErrorCode::invalid_field, "end_at is not after start_at");
    plan.origin_ = spec.start_at.value_or(made_at);
    plan.end_ = spec.end_at;
    return plan;
}

std::optional<WallTime> Plan::next(WallTime after, const ZoneSpans& zone) const {
    std::optional<WallTime> found;
    if (cron_) {
        found = cron_->next(std::max(after, origin_ - Duration{1}), zone);
    } else {
        const Duration passed = after - origin_;
        found = passed < Duration{0} ? origin_ : origin_ + (passed / every_ + 1) * every_;
    }
    return found && end_ && *found >= *end_ ? std::nullopt : found;
}

}  // namespace taskd

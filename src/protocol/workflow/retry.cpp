// How often a task is tried, and how urgent it is.
#include <algorithm>
#include <array>
#include <cmath>

#include "protocol/workflow/fields.hpp"
#include "protocol/workflow/steps.hpp"

namespace taskd::protocol::workflow {
namespace {

using namespace std::chrono_literals;

// What a block that says nothing of them means, and the bounds of its names (Gleitzeit's).
constexpr std::uint32_t attempts_default = 3;
constexpr std::int64_t max_attempts_most = 10;
constexpr Duration base_delay_least = 100ms;
constexpr Duration base_delay_most = 60s;
constexpr std::uint8_t jitter_percent = 30;

constexpr std::array<std::string_view, 11> retry_fields{
    "max_attempts", "attempts", "backoff", "backoff_strategy", "base_delay", "initial",
    "max_delay",    "max",      "jitter",  "no_retry",         "crashes"};

Result<void> read_attempts(const Document& map, TaskSpec& task) {
    const auto field = find_one(map, {"max_attempts", "attempts"});
    if (!field) return std::unexpected{field.error()};
    task.attempts_max = attempts_default;
    if (*field == nullptr) return {};
    const std::int64_t most =
        (*field)->name == "attempts" ? limits::attempts_max_max : max_attempts_most;
    const auto attempts = read_whole((*field)->value, (*field)->name, 1, most);
    if (!attempts) return std::unexpected{attempts.error()};
    task.attempts_max = static_cast<std::uint32_t>(*attempts);
    return {};
}

Result<void> read_delays(const Document& map, Backoff& backoff) {
    const auto first = find_one(map, {"base_delay", "initial"});
    const auto last = find_one(map, {"max_delay", "max"});
    if (!first) return std::unexpected{first.error()};
    if (!last) return std::unexpected{last.error()};
    if (*first != nullptr) {
        const bool is_base = (*first)->name == "base_delay";
        const auto delay =
            read_duration((*first)->value, (*first)->name, is_base ? base_delay_least : Duration{0},
                          is_base ? base_delay_most : limits::backoff_most);
        if (!delay) return std::unexpected{delay.error()};
        backoff.initial = *delay;
    }
    if (*last == nullptr) {
        backoff.max = std::max(backoff.max, backoff.initial);
        return {};
    }
    const auto delay =
        read_duration((*last)->value, (*last)->name, backoff.initial, limits::backoff_most);
    if (!delay) return std::unexpected{delay.error()};
    backoff.max = *delay;
    return {};
}

Result<void> read_kind(const Document& map, Backoff& backoff) {
    const auto field = find_one(map, {"backoff", "backoff_strategy"});
    if (!field) return std::unexpected{field.error()};
    if (*field == nullptr) return {};
    const auto kind = parse_backoff_kind((*field)->value.text);
    if (!kind)
        return fault((*field)->value.place, (*field)->name + " is fixed, linear or exponential");
    backoff.kind = *kind;
    return {};
}

Result<void> read_jitter(const Document& map, Backoff& backoff) {
    backoff.jitter = jitter_percent;
    const DocumentField* field = find_field(map, "jitter");
    if (field == nullptr) return {};
    if (const auto truth = read_truth(field->value, "jitter")) {
        if (!*truth) backoff.jitter = 0;
        return {};
    }
    const auto percent = read_whole(field->value, "jitter (true, false or percent)", 0, 100);
    if (!percent) return std::unexpected{percent.error()};
    backoff.jitter = static_cast<std::uint8_t>(*percent);
    return {};
}

Result<void> read_codes(const Document& map, TaskSpec& task) {
    const DocumentField* field = find_field(map, "no_retry");
    if (field == nullptr) return {};
    if (field->value.kind != DocumentKind::list || field->value.items.size() > limits::no_retry_max)
        return fault(field->value.place, "no_retry is a list of up to " +
                                             std::to_string(limits::no_retry_max) + " codes");
    for (const Document& each : field->value.items) {
        auto code = read_text(each, "a code", limits::error_code_bytes_max);
        if (!code) return fail(std::move(code));
        task.no_retry.push_back(std::move(*code));
    }
    return {};
}

}  // namespace

Result<void> read_retry(const Document& value, TaskSpec& task) {
    if (value.kind == DocumentKind::scalar) {
        const auto attempts =
            read_whole(value, "retry (attempts, or a map)", 1, limits::attempts_max_max);
        if (!attempts) return std::unexpected{attempts.error()};
        task.attempts_max = static_cast<std::uint32_t>(*attempts);
        return {};
    }
    Result<void> done = check_fields(value, "retry", retry_fields);
    if (done) done = read_attempts(value, task);
    if (done) done = read_kind(value, task.backoff);
    if (done) done = read_delays(value, task.backoff);
    if (done) done = read_jitter(value, task.backoff);
    if (done) done = read_codes(value, task);
    const DocumentField* crashes = done ? find_field(value, "crashes") : nullptr;
    if (crashes == nullptr) return done;
    const auto most = read_whole(crashes->value, "crashes", 1, limits::attempts_max_max);
    if (!most) return std::unexpected{most.error()};
    task.crashes_max = static_cast<std::uint32_t>(*most);
    return {};
}

Result<std::uint8_t> read_priority(Scope& scope, const Document& value) {
    struct Level {
        std::string_view name;
        std::string_view number;  // of Gleitzeit's files
        std::uint8_t priority;
    };
    constexpr std::array<Level, 4> levels{
        {{"low", "3", 2}, {"normal", "2", 5}, {"high", "1", 7}, {"urgent", {}, 9}}};
    if (value.kind == DocumentKind::map) {
        constexpr std::array<std::string_view, 1> fields{"level"};
        if (auto known = check_fields(value, "priority", fields); !known)
            return fail(std::move(known));
        const DocumentField* level = find_field(value, "level");
        if (level == nullptr) return fault(value.place, "priority: a level is missing");
        const auto number = read_whole(level->value, "priority.level", 0, 9);
        if (!number) return std::unexpected{number.error()};
        return static_cast<std::uint8_t>(*number);
    }
    for (const Level& level : levels) {
        if (value.text == level.name) return level.priority;
        if (level.number.empty() || value.quoted || value.text != level.number) continue;
        scope.all.notes.push_back(scope.all.options.file + value.place + ": priority " +
                                  value.text + " is read as " + std::string{level.name} +
                                  ", as Gleitzeit reads it in files");
        return level.priority;
    }
    return fault(value.place,
                 "priority is low, normal, high or urgent, or 1 (high), 2 (normal) or 3 (low) as "
                 "in Gleitzeit's files; 0 to 9, 9 first, is written {level: N}");
}

}  // namespace taskd::protocol::workflow

#include "arguments.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "taskd/base/duration_text.hpp"

namespace taskd::lua {

Value seconds_value(Duration time) {
    return Value::of_number(
        fmt::format("{}.{:06}", time.count() / 1'000'000, time.count() % 1'000'000));
}

namespace {

// As programs reckon them: what is left of a time may be next to nothing, or less.
std::optional<Duration> of_seconds(const std::string& number) {
    constexpr double most = 9e12;
    double seconds = 0;
    const char* end = number.data() + number.size();
    if (std::from_chars(number.data(), end, seconds).ptr != end || seconds > most)
        return std::nullopt;
    return Duration{std::llround(std::max(seconds, 0.0) * 1e6)};
}

}  // namespace

Result<Duration> read_duration(const Value& value, std::string_view name) {
    std::optional<Duration> read;
    if (value.kind == ValueKind::text) read = parse_duration(value.text);
    if (value.kind == ValueKind::number) read = of_seconds(value.text);
    if (!read)
        return fail(ErrorCode::invalid_field,
                    fmt::format("'{}' takes seconds, or a time such as \"1m30s\"", name));
    return *read;
}

Result<std::string> Arguments::text(std::size_t at, std::string_view name) const {
    if (!has(at))
        return fail(ErrorCode::missing_field, fmt::format("argument {}, '{}'", at + 1, name));
    if (values_[at].kind != ValueKind::text)
        return fail(ErrorCode::invalid_field,
                    fmt::format("argument {}, '{}', takes a text", at + 1, name));
    return values_[at].text;
}

Result<std::string> Arguments::optional_text(std::size_t at, std::string_view name) const {
    return has(at) ? text(at, name) : std::string{};
}

Result<Duration> Arguments::duration(std::size_t at, std::string_view name) const {
    if (!has(at))
        return fail(ErrorCode::missing_field, fmt::format("argument {}, '{}'", at + 1, name));
    return read_duration(values_[at], name);
}

const Value* Arguments::option(std::size_t at, std::string_view name) const {
    if (!is_map(at)) return nullptr;
    for (const ValueField& field : values_[at].fields)
        if (field.name == name && field.value.kind != ValueKind::null) return &field.value;
    return nullptr;
}

Result<std::string> Arguments::option_text(std::size_t at, std::string_view name) const {
    const Value* value = option(at, name);
    if (value == nullptr) return std::string{};
    if (value->kind != ValueKind::text)
        return fail(ErrorCode::invalid_field, fmt::format("'{}' takes a text", name));
    return value->text;
}

Result<std::optional<Duration>> Arguments::option_duration(std::size_t at,
                                                           std::string_view name) const {
    const Value* value = option(at, name);
    if (value == nullptr) return std::optional<Duration>{};
    const auto read = read_duration(*value, name);
    if (!read) return std::unexpected{read.error()};
    return std::optional{*read};
}

}  // namespace taskd::lua

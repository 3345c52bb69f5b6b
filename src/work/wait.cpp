// wait: asks its worker to sleep before it reports. Takes seconds as a number, as a numeric string,
// or as {"seconds": n}.
#include <fmt/format.h>

#include "taskd/work/work.hpp"
#include "work/decimal.hpp"
#include "work/payload.hpp"

namespace taskd::work {
namespace {

constexpr Int128 seconds_max = 86'400;  // a day: longer waits belong in a schedule

std::expected<Value, TaskError> seconds_of(const Payload& payload) {
    Value value = payload.value();
    if (value.kind == Kind::object) {
        if (payload.fields().size() != 1 || payload.fields()[0].name != "seconds")
            return refuse(ErrorCode::bad_payload,
                          "expected an object with the field seconds alone");
        value = payload.fields()[0].value;
    }
    if (value.kind != Kind::number && value.kind != Kind::string)
        return refuse(ErrorCode::bad_payload,
                      fmt::format("expected a number of seconds, got {}", to_text(value.kind)));
    return value;
}

}  // namespace

std::expected<Outcome, TaskError> wait(std::string_view payload_json) {
    const auto payload = Payload::read(payload_json);
    if (!payload) return std::unexpected{payload.error()};
    const auto value = seconds_of(*payload);
    if (!value) return std::unexpected{value.error()};
    const auto seconds = parse_decimal(value->text);
    if (!seconds && seconds.error() == DecimalFault::not_a_number)
        return refuse(ErrorCode::bad_payload,
                      fmt::format("expected a number of seconds, got {}", shown(value->text)));
    const bool beyond = !seconds || seconds->whole < 0 || seconds->whole > seconds_max ||
                        (seconds->whole == seconds_max && seconds->fraction != 0);
    if (beyond)
        return refuse(ErrorCode::out_of_range,
                      fmt::format("expected 0 to 86400 seconds, got {}", shown(value->text)));
    // Rounded up: never shorter than asked.
    constexpr UInt128 microsecond = fraction_unit / 1'000'000;
    const auto parts =
        static_cast<std::int64_t>((seconds->fraction + microsecond - 1) / microsecond);
    const Duration sleep =
        std::chrono::seconds{static_cast<std::int64_t>(seconds->whole)} + Duration{parts};
    return Outcome{.result_json = quote(fmt::format("Waited for {} seconds", value->text)),
                   .sleep_first = sleep};
}

}  // namespace taskd::work

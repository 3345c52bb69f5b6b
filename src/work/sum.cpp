// sum: adds numbers exactly, on their digits as written. Takes an array of numbers or numeric
// strings, one string with numbers between commas, or one number.
#include <fmt/format.h>

#include "taskd/work/work.hpp"
#include "work/decimal.hpp"
#include "work/payload.hpp"

namespace taskd::work {
namespace {

constexpr std::string_view range_text =
    "exact sums reach from -2^127 to 2^127 - 1 with 30 digits behind the point";

std::string_view trimmed(std::string_view text) {
    constexpr std::string_view blanks = " \t\r\n";
    const std::size_t begin = std::min(text.find_first_not_of(blanks), text.size());
    return text.substr(begin, text.find_last_not_of(blanks) + 1 - begin);
}

std::expected<void, TaskError> add(DecimalSum& sum, std::string_view text, std::size_t index) {
    text = trimmed(text);
    if (text.empty())
        return refuse(ErrorCode::bad_payload,
                      fmt::format("expected a number at index {}, got a blank", index));
    const auto number = parse_decimal(text);
    if (number) {
        sum.add(*number);
        return {};
    }
    if (number.error() == DecimalFault::out_of_range)
        return refuse(ErrorCode::out_of_range,
                      fmt::format("the number at index {} is out of range: {}; {}", index,
                                  shown(text), range_text));
    return refuse(ErrorCode::bad_payload,
                  fmt::format("expected a number at index {}, got {}", index, shown(text)));
}

std::expected<void, TaskError> add_list(DecimalSum& sum, std::string_view list) {
    for (std::size_t index = 0;; ++index) {
        const std::size_t comma = list.find(',');
        if (auto added = add(sum, list.substr(0, comma), index); !added) return added;
        if (comma == std::string_view::npos) return {};
        list.remove_prefix(comma + 1);
    }
}

std::expected<void, TaskError> add_items(DecimalSum& sum, std::span<const Value> items) {
    for (std::size_t i = 0; i < items.size(); ++i) {
        if (items[i].kind != Kind::number && items[i].kind != Kind::string)
            return refuse(
                ErrorCode::bad_payload,
                fmt::format("expected a number at index {}, got {}", i, to_text(items[i].kind)));
        if (auto added = add(sum, items[i].text, i); !added) return added;
    }
    return {};
}

std::expected<void, TaskError> add_all(DecimalSum& sum, const Payload& payload) {
    switch (payload.value().kind) {
        case Kind::number:
            return add(sum, payload.value().text, 0);
        case Kind::string:
            return add_list(sum, payload.value().text);
        case Kind::array:
            return add_items(sum, payload.items());
        default:
            return refuse(
                ErrorCode::bad_payload,
                fmt::format("expected an array of numbers, a string of numbers between commas or "
                            "a number, got {}",
                            to_text(payload.value().kind)));
    }
}

}  // namespace

std::expected<Outcome, TaskError> sum(std::string_view payload_json) {
    const auto payload = Payload::read(payload_json);
    if (!payload) return std::unexpected{payload.error()};
    DecimalSum sum;
    if (auto added = add_all(sum, *payload); !added)
        return std::unexpected{std::move(added).error()};
    const auto total = sum.total();
    if (!total)
        return refuse(ErrorCode::out_of_range,
                      fmt::format("the sum is out of range; {}", range_text));
    return Outcome{.result_json = to_text(*total)};
}

}  // namespace taskd::work

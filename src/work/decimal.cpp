// Exact decimals on the digits as written; no floating point anywhere.
#include "work/decimal.hpp"

#include <algorithm>

namespace taskd::work {
namespace {

constexpr Int128 whole_max = static_cast<Int128>(~UInt128{0} >> 1);
constexpr std::int64_t exponent_cap =
    1'000'000'000'000;  // far beyond any digits that could undo it

// 0.DIGITS * 10^point, digits without zeros at either end.
struct Scanned {
    bool negative = false;
    std::string digits;
    std::int64_t point = 0;
};

bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

std::string_view take_digits(std::string_view& text) {
    const auto end = std::ranges::find_if_not(text, is_digit);
    const std::string_view digits = text.substr(0, static_cast<std::size_t>(end - text.begin()));
    text.remove_prefix(digits.size());
    return digits;
}

// +1, -1 and 0 for none; takes the sign off.
int take_sign(std::string_view& text) {
    if (text.empty() || (text.front() != '+' && text.front() != '-')) return 0;
    const int sign = text.front() == '-' ? -1 : 1;
    text.remove_prefix(1);
    return sign;
}

std::optional<std::int64_t> take_exponent(std::string_view& text) {
    if (text.empty() || (text.front() != 'e' && text.front() != 'E')) return 0;
    text.remove_prefix(1);
    const bool negative = take_sign(text) < 0;
    const std::string_view digits = take_digits(text);
    if (digits.empty()) return std::nullopt;
    std::int64_t exponent = 0;
    for (const char digit : digits)
        exponent = std::min(exponent * 10 + (digit - '0'), exponent_cap);
    return negative ? -exponent : exponent;
}

std::optional<Scanned> scan(std::string_view text) {
    Scanned scanned;
    scanned.negative = take_sign(text) < 0;
    const std::string_view whole = take_digits(text);
    std::string_view fraction;
    if (text.starts_with('.')) {
        text.remove_prefix(1);
        fraction = take_digits(text);
    }
    if (whole.empty() && fraction.empty()) return std::nullopt;
    const auto exponent = take_exponent(text);
    if (!exponent || !text.empty()) return std::nullopt;

    scanned.digits.append(whole).append(fraction);
    scanned.point = static_cast<std::int64_t>(whole.size()) + *exponent;
    const std::size_t zeros =
        std::min(scanned.digits.find_first_not_of('0'), scanned.digits.size());
    scanned.digits.erase(0, zeros);
    scanned.point -= static_cast<std::int64_t>(zeros);
    scanned.digits.erase(scanned.digits.find_last_not_of('0') + 1);
    return scanned;
}

// `digits` and then zeros up to `width`; none when it does not fit.
std::optional<UInt128> number_of(std::string_view digits, std::size_t width) {
    UInt128 number = 0;
    for (std::size_t i = 0; i < width; ++i) {
        const auto digit = static_cast<unsigned>(i < digits.size() ? digits[i] - '0' : 0);
        if (number > (~UInt128{0} - digit) / 10) return std::nullopt;
        number = number * 10 + digit;
    }
    return number;
}

bool is_in_range(const Decimal& decimal) {
    return decimal.whole < whole_max || decimal.fraction == 0;
}

std::string digits_of(UInt128 number) {
    std::string digits;
    do {
        digits.push_back(static_cast<char>('0' + static_cast<int>(number % 10)));
        number /= 10;
    } while (number != 0);
    std::ranges::reverse(digits);
    return digits;
}

}  // namespace

std::expected<Decimal, DecimalFault> parse_decimal(std::string_view text) {
    constexpr std::int64_t whole_digits_max = 39;  // of 2^127
    const auto out_of_range = std::unexpected{DecimalFault::out_of_range};
    const auto scanned = scan(text);
    if (!scanned) return std::unexpected{DecimalFault::not_a_number};
    if (scanned->digits.empty()) return Decimal{};
    const auto length = static_cast<std::int64_t>(scanned->digits.size());
    if (scanned->point > whole_digits_max) return out_of_range;
    if (length - scanned->point > static_cast<std::int64_t>(fraction_digits_max))
        return out_of_range;

    const std::string_view digits = scanned->digits;
    const auto whole_width = static_cast<std::size_t>(std::max<std::int64_t>(scanned->point, 0));
    const auto whole =
        number_of(digits.substr(0, std::min(whole_width, digits.size())), whole_width);
    const std::size_t zeros = static_cast<std::size_t>(std::max<std::int64_t>(-scanned->point, 0));
    const std::string_view behind = digits.substr(std::min(whole_width, digits.size()));
    const auto fraction = number_of(behind, fraction_digits_max - zeros);
    const UInt128 bound = static_cast<UInt128>(whole_max) + (scanned->negative ? 1 : 0);
    if (!whole || !fraction || *whole > bound) return out_of_range;

    if (!scanned->negative) {
        const Decimal decimal{static_cast<Int128>(*whole), *fraction};
        if (!is_in_range(decimal)) return out_of_range;
        return decimal;
    }
    if (*fraction == 0) return Decimal{static_cast<Int128>(UInt128{0} - *whole), 0};
    if (*whole == bound) return out_of_range;
    return Decimal{-static_cast<Int128>(*whole) - 1, fraction_unit - *fraction};
}

std::string to_text(const Decimal& decimal) {
    UInt128 whole = static_cast<UInt128>(decimal.whole);
    UInt128 fraction = decimal.fraction;
    std::string text;
    if (decimal.whole < 0) {
        text = "-";
        whole = UInt128{0} - whole - (fraction != 0 ? 1 : 0);
        if (fraction != 0) fraction = fraction_unit - fraction;
    }
    text.append(digits_of(whole));
    if (fraction == 0) return text;
    std::string behind = digits_of(fraction);
    behind.insert(0, fraction_digits_max - behind.size(), '0');
    behind.erase(behind.find_last_not_of('0') + 1);
    return text.append(".").append(behind);
}

void DecimalSum::add(const Decimal& decimal) {
    fraction_ += decimal.fraction;
    const unsigned carry = fraction_ >= fraction_unit ? 1 : 0;
    if (carry != 0) fraction_ -= fraction_unit;

    const UInt128 low = static_cast<UInt128>(decimal.whole);
    UInt128 next = whole_low_ + low;
    whole_high_ += (decimal.whole < 0 ? -1 : 0) + (next < low ? 1 : 0);
    whole_low_ = next + carry;
    whole_high_ += whole_low_ < carry ? 1 : 0;
}

std::optional<Decimal> DecimalSum::total() const {
    const Decimal total{static_cast<Int128>(whole_low_), fraction_};
    if (whole_high_ != (total.whole < 0 ? -1 : 0) || !is_in_range(total)) return std::nullopt;
    return total;
}

}  // namespace taskd::work

// Exact decimals: a whole number of signed 128 bits and 30 digits behind the point. Nothing is ever
// rounded: what does not fit is out of range.
#pragma once

#include <expected>
#include <optional>
#include <string>
#include <string_view>

namespace taskd::work {

__extension__ typedef __int128 Int128;
__extension__ typedef unsigned __int128 UInt128;

inline constexpr unsigned fraction_digits_max = 30;

constexpr UInt128 power_of_ten(unsigned exponent) {
    return exponent == 0 ? 1 : 10 * power_of_ten(exponent - 1);
}
inline constexpr UInt128 fraction_unit = power_of_ten(fraction_digits_max);

// whole + fraction / fraction_unit, with fraction < fraction_unit: -0.5 is {-1, unit / 2}.
struct Decimal {
    Int128 whole = 0;
    UInt128 fraction = 0;

    friend bool operator==(const Decimal&, const Decimal&) = default;
};

enum class DecimalFault { not_a_number, out_of_range };

// JSON numbers and what people write besides: "+5", "007", ".5", "5.". Blanks are not taken.
// In range is -2^127 to 2^127 - 1 with at most 30 digits behind the point, however it is written.
std::expected<Decimal, DecimalFault> parse_decimal(std::string_view text);

// As short as can be without an exponent: "6", "-0.3".
std::string to_text(const Decimal& decimal);

// Adds up; only the end has to be in range, so the order does not matter.
class DecimalSum {
  public:
    void add(const Decimal& decimal);
    std::optional<Decimal> total() const;  // none when out of range

  private:
    // whole_ in two's complement of 192 bits: no payload holds 2^64 numbers.
    UInt128 whole_low_ = 0;
    long long whole_high_ = 0;
    UInt128 fraction_ = 0;
};

}  // namespace taskd::work

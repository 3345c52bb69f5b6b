#include "taskd/base/time.hpp"

#include <algorithm>
#include <charconv>
#include <cstdint>

namespace taskd {

namespace {

// Two digits, of a value below a hundred.
void put_two(char* at, std::uint64_t value) {
    at[0] = static_cast<char>('0' + value / 10);
    at[1] = static_cast<char>('0' + value % 10);
}

constexpr std::string_view form = "0000-00-00T00:00:00.000000Z";

// With the date alone.
std::array<char, form.size()> text_of_day(std::chrono::sys_days day) {
    const std::chrono::year_month_day date{day};
    const auto year = static_cast<std::uint64_t>(std::clamp(int{date.year()}, 0, 9999));
    std::array<char, form.size()> text;
    std::ranges::copy(form, text.begin());
    put_two(text.data(), year / 100);
    put_two(text.data() + 2, year % 100);
    put_two(text.data() + 5, unsigned{date.month()});
    put_two(text.data() + 8, unsigned{date.day()});
    return text;
}

}  // namespace

// Written out by hand, and the date made once a day: an answer about a task says five of them.
std::array<char, 27> rfc3339_text(WallTime time) {
    const auto days = std::chrono::floor<std::chrono::days>(time.time_since_epoch());
    struct Day {
        std::chrono::days number{};
        std::array<char, form.size()> text = text_of_day(std::chrono::sys_days{});
    };
    thread_local Day last;
    if (last.number != days) last = {days, text_of_day(std::chrono::sys_days{days})};
    const auto micros = static_cast<std::uint64_t>((time.time_since_epoch() - days).count());
    const std::uint64_t seconds = micros / 1'000'000, fraction = micros % 1'000'000;
    auto text = last.text;
    put_two(text.data() + 11, seconds / 3600);
    put_two(text.data() + 14, seconds / 60 % 60);
    put_two(text.data() + 17, seconds % 60);
    put_two(text.data() + 20, fraction / 10'000);
    put_two(text.data() + 22, fraction / 100 % 100);
    put_two(text.data() + 24, fraction % 100);
    return text;
}

std::string to_rfc3339(WallTime time) {
    const auto text = rfc3339_text(time);
    return {text.data(), text.size()};
}

namespace {

// Reads "2026-01-02T03:04:05" and its like: digits of a fixed count, then the sign behind them.
class Fields {
  public:
    explicit Fields(std::string_view text) : rest_{text} {}

    int number(std::size_t digits) {
        int value = -1;
        if (rest_.size() < digits) return fail();
        const char* end = rest_.data() + digits;
        const auto read = std::from_chars(rest_.data(), end, value);
        if (read.ec != std::errc{} || read.ptr != end || value < 0) return fail();
        rest_.remove_prefix(digits);
        return value;
    }
    char sign(std::string_view one_of) {
        if (rest_.empty() || one_of.find(rest_.front()) == std::string_view::npos)
            return static_cast<char>(fail());
        const char found = rest_.front();
        rest_.remove_prefix(1);
        return found;
    }
    // ".25" as microseconds.
    int fraction() {
        if (!rest_.starts_with('.')) return 0;
        rest_.remove_prefix(1);
        int micros = 0;
        std::size_t digits = 0;
        for (; !rest_.empty() && rest_.front() >= '0' && rest_.front() <= '9'; ++digits) {
            if (digits < 6) micros = micros * 10 + (rest_.front() - '0');
            rest_.remove_prefix(1);
        }
        if (digits == 0 || digits > 9) return fail();
        for (; digits < 6; ++digits)
            micros *= 10;
        return micros;
    }
    bool done() const { return !failed_ && rest_.empty(); }

  private:
    int fail() {
        failed_ = true;
        rest_ = {};
        return 0;
    }

    std::string_view rest_;
    bool failed_ = false;
};

}  // namespace

std::optional<WallTime> parse_rfc3339(std::string_view text) {
    using namespace std::chrono;
    Fields in{text};
    const int years = in.number(4);
    in.sign("-");
    const int months = in.number(2);
    in.sign("-");
    const int days = in.number(2);
    in.sign("Tt");
    const int hour = in.number(2);
    in.sign(":");
    const int minute = in.number(2);
    in.sign(":");
    const int second = in.number(2);
    const int micros = in.fraction();
    minutes offset{0};
    if (const char zone = in.sign("Zz+-"); zone == '+' || zone == '-') {
        const int offset_hour = in.number(2);
        in.sign(":");
        const int offset_minute = in.number(2);
        if (offset_hour > 23 || offset_minute > 59) return std::nullopt;
        offset = minutes{offset_hour * 60 + offset_minute} * (zone == '-' ? -1 : 1);
    }
    const year_month_day date{year{years}, month{static_cast<unsigned>(months)},
                              day{static_cast<unsigned>(days)}};
    if (!in.done() || !date.ok() || years < 1970 || hour > 23 || minute > 59 || second > 60)
        return std::nullopt;
    return WallTime{sys_days{date}.time_since_epoch() + hours{hour} + minutes{minute} +
                    seconds{second} + microseconds{micros} - offset};
}

}  // namespace taskd

// The characters and small rules of RFC 9110 and 9112.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <string_view>

namespace taskd::protocol::http {

enum CharClass : std::uint8_t { token_char = 1, target_char = 2, value_char = 4, host_char = 8 };

inline constexpr std::array<std::uint8_t, 256> char_classes = [] {
    std::array<std::uint8_t, 256> table{};
    const auto allow = [&](std::string_view chars, std::uint8_t what) {
        for (const char c : chars)
            table[static_cast<unsigned char>(c)] |= what;
    };
    for (unsigned c = 0; c < 256; ++c) {
        const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        const bool digit = c >= '0' && c <= '9';
        if (letter || digit) table[c] |= token_char | target_char | host_char;
        if (c == '\t' || (c >= ' ' && c != 0x7f)) table[c] |= value_char;
    }
    allow("!#$%&'*+-.^_`|~", token_char);
    allow("-._~:/?[]@!$&'()*+,;=%", target_char);
    allow("-._~:[]!$&'()*+;=%", host_char);
    return table;
}();

inline bool is(char c, CharClass what) {
    return (char_classes[static_cast<unsigned char>(c)] & what) != 0;
}
inline bool all(std::string_view text, CharClass what) {
    return std::ranges::all_of(text, [what](char c) { return is(c, what); });
}

inline std::string_view trim(std::string_view text) {
    while (!text.empty() && (text.front() == ' ' || text.front() == '\t'))
        text.remove_prefix(1);
    while (!text.empty() && (text.back() == ' ' || text.back() == '\t'))
        text.remove_suffix(1);
    return text;
}

// `lower` is in lower case.
inline bool same_without_case(std::string_view text, std::string_view lower) {
    return std::ranges::equal(text, lower, [](char a, char b) {
        return (a >= 'A' && a <= 'Z' ? static_cast<char>(a + ('a' - 'A')) : a) == b;
    });
}

// Calls `take` with each element of a comma-separated list, trimmed; empty ones too.
template <class Take>
void each_element(std::string_view list, Take take) {
    for (;;) {
        const auto comma = list.find(',');
        take(trim(list.substr(0, comma)));
        if (comma == list.npos) return;
        list.remove_prefix(comma + 1);
    }
}

}  // namespace taskd::protocol::http

#include "protocol/base64.hpp"

#include <algorithm>
#include <array>
#include <cstdint>

namespace taskd::protocol {
namespace {

constexpr std::string_view alphabet =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

constexpr auto values = [] {
    std::array<std::uint8_t, 256> made{};
    made.fill(0xff);
    for (std::size_t i = 0; i < alphabet.size(); ++i)
        made[static_cast<unsigned char>(alphabet[i])] = static_cast<std::uint8_t>(i);
    return made;
}();

}  // namespace

std::string encode_base64(std::string_view bytes) {
    std::string out;
    out.reserve((bytes.size() + 2) / 3 * 4);
    for (std::size_t i = 0; i < bytes.size(); i += 3) {
        std::uint32_t group = 0;
        const std::size_t there = std::min<std::size_t>(3, bytes.size() - i);
        for (std::size_t j = 0; j < 3; ++j)
            group = group << 8 | (j < there ? static_cast<unsigned char>(bytes[i + j]) : 0u);
        for (std::size_t j = 0; j < 4; ++j)
            out.push_back(j <= there ? alphabet[group >> (18 - 6 * j) & 63] : '=');
    }
    return out;
}

std::optional<std::string> decode_base64(std::string_view text) {
    if (text.size() % 4 != 0) return std::nullopt;
    std::string out;
    out.reserve(text.size() / 4 * 3);
    for (std::size_t i = 0; i < text.size(); i += 4) {
        const bool last = i + 4 == text.size();
        const std::size_t padding = last && text[i + 3] == '=' ? (text[i + 2] == '=' ? 2 : 1) : 0;
        std::uint32_t group = 0;
        for (std::size_t j = 0; j < 4; ++j) {
            const bool padded = j >= 4 - padding;
            const std::uint8_t value =
                padded ? std::uint8_t{0} : values[static_cast<unsigned char>(text[i + j])];
            if (value == 0xff) return std::nullopt;
            group = group << 6 | value;
        }
        // What the padding leaves over must be nothing.
        if (padding > 0 && (group & ((1u << 8 * padding) - 1)) != 0) return std::nullopt;
        for (std::size_t j = 0; j < 3 - padding; ++j)
            out.push_back(static_cast<char>(group >> (16 - 8 * j)));
    }
    return out;
}

}  // namespace taskd::protocol

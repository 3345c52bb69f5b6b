// Many files of one kind in 256 folders named by two digits of base 16, so that none grows long.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace taskd::io {

inline constexpr std::size_t hashed_folders = 256;

inline std::string hashed_folder_name(std::size_t number) {
    constexpr std::string_view digits = "0123456789abcdef";
    return {digits[number / 16], digits[number % 16]};
}

}  // namespace taskd::io

// Which known name somebody may have meant. Pure.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace taskd {

// The name that differs least from `text` (letters added, left out, changed or swapped); empty when
// none is near enough to be meant.
std::string_view nearest_name(std::string_view text, std::span<const std::string_view> names);

// "; did you mean 'NAME'?", or nothing.
std::string meant_instead(std::string_view text, std::span<const std::string_view> names);

}  // namespace taskd

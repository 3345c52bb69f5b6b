// One reference as it is written, "${name.field[0]["any text"]}", and a text cut into references
// and what stands between them. "$${" is how a text says "${" itself. Pure.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "taskd/base/result.hpp"

namespace taskd::protocol {

// A field by its name, or an element by its place.
using PathStep = std::variant<std::string, std::size_t>;

struct Reference {
    std::string_view written;  // all of it, "${a.b}"
    std::string_view name;     // what stands first
    std::vector<PathStep> path;
};

// The reference that begins with "${" at `at` of the text; unresolved_reference says what is wrong
// with it.
Result<Reference> parse_reference(std::string_view text, std::size_t at);

// A part of a text: words that stand for themselves, or a reference.
using TextPart = std::variant<std::string, Reference>;

// References are views into the text.
Result<std::vector<TextPart>> split_text(std::string_view text);

// A reference for a message: long ones are cut.
std::string shown(std::string_view written);
std::unexpected<Error> unresolved(std::string_view written, std::string_view why);

}  // namespace taskd::protocol

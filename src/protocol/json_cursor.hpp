// Steps through JSON that has been checked before, without a parser and without copies: one field
// or element of a large value costs what lies before it. Of what is no JSON it finds nothing. Pure.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace taskd::protocol {

std::size_t skip_blanks(std::string_view text, std::size_t at);
// Behind the string whose first quote stands at `at`; npos when it has no end.
std::size_t end_of_string(std::string_view text, std::size_t at);
// Behind the value that begins at `at`; npos when it has no end.
std::size_t end_of_value(std::string_view text, std::size_t at);

// The raw value of a field, none when the text is no object or has no such field.
std::optional<std::string_view> field_of(std::string_view object, std::string_view name);
// The raw element, from 0; none when the text is no array or has fewer.
std::optional<std::string_view> element_of(std::string_view array, std::size_t index);

// What a raw string says; nothing for what is none.
std::string text_of(std::string_view raw);

}  // namespace taskd::protocol

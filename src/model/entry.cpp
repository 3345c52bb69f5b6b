#include "taskd/model/entry.hpp"

#include <algorithm>

namespace taskd {

const Value* Entry::find(std::string_view field) const {
    const auto found = std::ranges::find(body.fields, field, &ValueField::name);
    return found == body.fields.end() ? nullptr : &found->value;
}

bool is_entry_name(std::string_view text) {
    constexpr std::size_t most = 64;
    const auto is_plain = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    };
    return !text.empty() && text.size() <= most && is_plain(text.front()) &&
           std::ranges::all_of(
               text, [&](char c) { return is_plain(c) || c == '_' || c == '-' || c == '.'; });
}

}  // namespace taskd

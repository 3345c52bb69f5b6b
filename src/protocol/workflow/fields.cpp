#include "protocol/workflow/fields.hpp"

#include <algorithm>
#include <charconv>
#include <vector>

#include "protocol/json_parts.hpp"
#include "protocol/reference.hpp"
#include "taskd/base/duration_text.hpp"
#include "taskd/base/limits.hpp"
#include "taskd/base/nearest.hpp"

namespace taskd::protocol::workflow {
namespace {

std::string_view kind_name(const Document& value) {
    switch (value.kind) {
        case DocumentKind::null:
            return "nothing";
        case DocumentKind::list:
            return "a list";
        case DocumentKind::map:
            return "a map";
        case DocumentKind::scalar:
            break;
    }
    return "a text or number";
}

std::unexpected<Error> wrong(const Document& value, std::string_view name,
                             std::string_view wanted) {
    std::string what{name};
    what.append(" must be ").append(wanted).append(", not ");
    if (value.kind == DocumentKind::scalar)
        what.append("'").append(shown(value.text)).append("'");
    else
        what += kind_name(value);
    return fault(value.place, what);
}

}  // namespace

std::unexpected<Error> fault(const std::string& place, const std::string& what, ErrorCode code) {
    return fail(code, place + ": " + what);
}

const DocumentField* find_field(const Document& map, std::string_view name) {
    const auto found = std::ranges::find(map.fields, name, &DocumentField::name);
    return found == map.fields.end() ? nullptr : &*found;
}

Result<const DocumentField*> find_one(const Document& map,
                                      std::initializer_list<std::string_view> names) {
    const DocumentField* found = nullptr;
    for (const DocumentField& field : map.fields) {
        if (std::ranges::find(names, field.name) == names.end()) continue;
        if (found != nullptr)
            return fault(field.place,
                         "'" + found->name + "' and '" + field.name + "' say the same: leave one");
        found = &field;
    }
    return found;
}

Result<void> check_fields(const Document& map, std::string_view what,
                          std::span<const std::string_view> known) {
    if (map.kind != DocumentKind::map) return wrong(map, what, "a map");
    for (const DocumentField& field : map.fields) {
        if (std::ranges::find(known, field.name) != known.end()) continue;
        std::string why{what};
        why.append(" has no field '").append(shown(field.name)).append("'");
        return fault(field.place, why + meant_instead(field.name, known));
    }
    return {};
}

Result<std::string> read_text(const Document& value, std::string_view name, std::size_t bytes_max) {
    if (value.kind != DocumentKind::scalar || value.text.empty())
        return wrong(value, name, "a text");
    if (value.text.size() <= bytes_max) return value.text;
    return fault(value.place,
                 std::string{name} + " has more than " + std::to_string(bytes_max) + " bytes");
}

Result<std::int64_t> read_whole(const Document& value, std::string_view name, std::int64_t least,
                                std::int64_t most) {
    std::int64_t number = 0;
    const char* const end = value.text.data() + value.text.size();
    const auto [last, error] = std::from_chars(value.text.data(), end, number);
    if (value.kind == DocumentKind::scalar && !value.quoted && error == std::errc{} &&
        last == end && number >= least && number <= most)
        return number;
    return wrong(value, name,
                 "a whole number from " + std::to_string(least) + " to " + std::to_string(most));
}

Result<bool> read_truth(const Document& value, std::string_view name) {
    if (value.kind == DocumentKind::scalar && !value.quoted) {
        if (value.text == "true" || value.text == "True" || value.text == "TRUE") return true;
        if (value.text == "false" || value.text == "False" || value.text == "FALSE") return false;
    }
    return wrong(value, name, "true or false");
}

Result<Duration> read_duration(const Document& value, std::string_view name, Duration least,
                               Duration most) {
    if (value.kind == DocumentKind::scalar)
        if (const auto duration = parse_duration(value.text);
            duration && *duration >= least && *duration <= most)
            return *duration;
    return wrong(
        value, name,
        "seconds, or with a unit like 90s or 5m, from " + to_text(least) + " to " + to_text(most));
}

Result<std::map<std::string, std::string>> read_labels(const Document& value) {
    if (value.kind != DocumentKind::map) return wrong(value, "labels", "a map");
    if (value.fields.size() > limits::labels_max)
        return fault(value.place,
                     "there are more than " + std::to_string(limits::labels_max) + " labels");
    std::map<std::string, std::string> labels;
    for (const DocumentField& field : value.fields) {
        if (!is_label_name(field.name))
            return fault(field.place, "a label's name has 1 to 64 of A-Z a-z 0-9 . _ / -, not '" +
                                          shown(field.name) + "'");
        if (field.value.text.find("${") != std::string::npos)
            return fault(field.value.place, "a label cannot refer to anything");
        auto text = read_text(field.value, "labels." + field.name, limits::label_value_bytes_max);
        if (!text) return fail(std::move(text));
        labels[field.name] = std::move(*text);
    }
    return labels;
}

bool is_list_or_map(const Document& value) {
    return value.kind == DocumentKind::list || value.kind == DocumentKind::map;
}

}  // namespace taskd::protocol::workflow

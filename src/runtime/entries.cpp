#include "taskd/runtime/entries.hpp"

#include <algorithm>

#include "taskd/model/document_value.hpp"

namespace taskd::runtime {
namespace {

constexpr std::string_view version = "1.0";

std::unexpected<Error> wrong(std::string_view place, std::string_view what) {
    return fail(ErrorCode::config_invalid, std::string{place} + ": " + std::string{what});
}

const DocumentField* field_of(const Document& map, std::string_view name) {
    const auto found = std::ranges::find(map.fields, name, &DocumentField::name);
    return found == map.fields.end() ? nullptr : &*found;
}

// A scalar field that must be there.
Result<std::string> read_text(const Document& map, std::string_view name) {
    const DocumentField* field = field_of(map, name);
    if (field == nullptr) return wrong(map.place, std::string{name} + " is missing");
    if (field->value.kind != DocumentKind::scalar)
        return wrong(field->value.place, std::string{name} + " must be a text");
    return field->value.text;
}

Result<Entry> parse_entry(const Document& document, const std::string& ns) {
    if (document.kind != DocumentKind::map) return wrong(document.place, "an entry must be a map");
    auto name = read_text(document, "name");
    if (!name) return fail(std::move(name));
    if (!is_entry_name(*name))
        return wrong(field_of(document, "name")->value.place, "'" + *name + "' is no name");
    auto kind = read_text(document, "kind");
    if (!kind) return fail(std::move(kind));
    Entry entry{ns + ":" + *name, std::move(*kind), {}, document.place};
    entry.body.kind = ValueKind::map;
    for (const DocumentField& field : document.fields) {
        entry.field_places.emplace(field.name, field.place);
        if (field.name == "name" || field.name == "kind") continue;
        auto value = value_of(field.value);
        if (!value) return wrong(field.value.place, value.error().detail);
        entry.body.fields.push_back({field.name, std::move(*value)});
    }
    return entry;
}

Result<void> check_header(const Document& document) {
    if (document.kind != DocumentKind::map)
        return wrong(document.place, "expected version, namespace and entries");
    for (const DocumentField& field : document.fields)
        if (field.name != "version" && field.name != "namespace" && field.name != "entries")
            return wrong(field.place,
                         "'" + field.name + "' is none of version, namespace, entries");
    const auto told = read_text(document, "version");
    if (!told) return std::unexpected{told.error()};
    if (*told != version)
        return wrong(field_of(document, "version")->value.place,
                     "version '" + *told + "' is not known here, '1.0' is");
    return {};
}

}  // namespace

Result<std::vector<Entry>> parse_entries(const Document& document) {
    if (auto header = check_header(document); !header) return fail(std::move(header));
    const auto ns = read_text(document, "namespace");
    if (!ns) return std::unexpected{ns.error()};
    if (!is_entry_name(*ns))
        return wrong(field_of(document, "namespace")->value.place, "'" + *ns + "' is no name");
    std::vector<Entry> entries;
    const DocumentField* list = field_of(document, "entries");
    if (list == nullptr || list->value.kind == DocumentKind::null) return entries;
    if (list->value.kind != DocumentKind::list)
        return wrong(list->value.place, "entries must be a list");
    for (const Document& each : list->value.items) {
        auto entry = parse_entry(each, *ns);
        if (!entry) return fail(std::move(entry));
        const auto other = std::ranges::find(entries, entry->id, &Entry::id);
        if (other != entries.end())
            return wrong(entry->place, entry->id + " stands there twice, first at " + other->place);
        entries.push_back(std::move(*entry));
    }
    return entries;
}

bool matches_glob(std::string_view pattern, std::string_view text) {
    std::size_t at = 0;
    std::size_t star = std::string_view::npos;
    std::size_t reach = 0;
    std::size_t i = 0;
    while (i < text.size()) {
        if (at < pattern.size() && pattern[at] == '*') {
            star = at++;
            reach = i;
        } else if (at < pattern.size() && pattern[at] == text[i]) {
            ++at;
            ++i;
        } else if (star != std::string_view::npos) {
            at = star + 1;
            i = ++reach;
        } else {
            return false;
        }
    }
    return pattern.find_first_not_of('*', at) == std::string_view::npos;
}

}  // namespace taskd::runtime

// The stages that entries pass: override, disable, link, validation; embed has a file of its own.
#include <algorithm>
#include <array>

#include "runtime/embed_stage.hpp"
#include "taskd/model/document_value.hpp"
#include "taskd/runtime/entries.hpp"
#include "taskd/runtime/levels.hpp"

namespace taskd::runtime {
namespace {

constexpr std::array<FieldRule, 4> common{{
    {"meta", FieldType::map},
    {"needs", FieldType::texts},
    {"embed", FieldType::texts},
    {"embedded", FieldType::map},
}};

std::string place_of(const Entry& entry, std::string_view field = {}) {
    const auto found = entry.field_places.find(field);
    const std::string& place = found == entry.field_places.end() ? entry.place : found->second;
    return place.empty() ? entry.id : place;
}

std::unexpected<Error> wrong(const Entry& entry, std::string_view field, const std::string& what) {
    return fail(ErrorCode::config_invalid, place_of(entry, field) + ": " + entry.id + ": " + what);
}

// ---- override
// ------------------------------------------------------------------------------------

Value& field_of(Value& map, const std::string& name) {
    const auto found = std::ranges::find(map.fields, name, &ValueField::name);
    if (found != map.fields.end()) return found->value;
    return map.fields.emplace_back(ValueField{name, {}}).value;
}

Result<void> override_entry(Entry& entry, const Override& change) {
    Value* at = &entry.body;
    for (const std::string& name : change.path) {
        if (at->kind == ValueKind::null) at->kind = ValueKind::map;
        if (at->kind != ValueKind::map)
            return wrong(entry, change.path.front(), "an override leads into what is no map");
        at = &field_of(*at, name);
    }
    *at = change.value;
    return {};
}

Result<void> override_all(std::vector<Entry>& entries, const std::vector<Override>& overrides) {
    for (const Override& change : overrides) {
        const auto found = std::ranges::find(entries, change.id, &Entry::id);
        if (found == entries.end())
            return fail(ErrorCode::config_invalid,
                        "an override is of " + change.id + ", which is not there");
        if (auto done = override_entry(*found, change); !done) return done;
    }
    return {};
}

// ---- disable
// -------------------------------------------------------------------------------------

bool is_disabled(const Entry& entry, const std::vector<std::string>& patterns) {
    if (const Value* meta = entry.find("meta")) {
        const auto found = std::ranges::find(meta->fields, "disabled", &ValueField::name);
        if (found != meta->fields.end() && found->value.boolean) return true;
    }
    return std::ranges::any_of(
        patterns, [&](const std::string& pattern) { return matches_glob(pattern, entry.id); });
}

// ---- link
// ----------------------------------------------------------------------------------------

Result<void> link(std::vector<Entry>& entries) {
    std::vector<Node> nodes;
    for (Entry& entry : entries) {
        Node& node = nodes.emplace_back(Node{entry.id, {}});
        const auto needs = std::ranges::find(entry.body.fields, "needs", &ValueField::name);
        if (needs == entry.body.fields.end()) continue;
        for (Value& need : needs->value.items) {
            if (need.kind != ValueKind::text) return wrong(entry, "needs", "needs must be texts");
            if (need.text.find(':') == std::string::npos)
                need.text = std::string{entry.ns()} + ":" + need.text;
            node.needs.push_back(need.text);
        }
    }
    if (auto levels = levels_of(nodes); !levels) return fail(std::move(levels));
    return {};
}

// ---- validation
// ----------------------------------------------------------------------------------

bool suits(const Value& value, FieldType type) {
    const auto all_texts = [](const auto& values, auto get) {
        return std::ranges::all_of(
            values, [&](const auto& each) { return get(each).kind == ValueKind::text; });
    };
    switch (type) {
        case FieldType::text:
            return value.kind == ValueKind::text;
        case FieldType::number:
            return value.kind == ValueKind::number;
        case FieldType::boolean:
            return value.kind == ValueKind::boolean;
        case FieldType::texts:
            return value.kind == ValueKind::list &&
                   all_texts(value.items, [](const Value& each) { return each; });
        case FieldType::map:
            return value.kind == ValueKind::map;
        case FieldType::any:
            return true;
    }
    return false;
}

constexpr std::array<std::string_view, 6> type_names = {
    "a text", "a number", "true or false", "a list of texts", "a map", "anything"};

Result<void> validate(const Entry& entry, std::span<const EntryKind> kinds) {
    const auto kind = std::ranges::find(kinds, entry.kind, &EntryKind::name);
    if (kind == kinds.end()) {
        std::string known;
        for (const EntryKind& each : kinds)
            known.append(known.empty() ? "" : ", ").append(each.name);
        return wrong(entry, "kind", "'" + entry.kind + "' is no kind; there are " + known);
    }
    for (const ValueField& field : entry.body.fields) {
        const FieldRule* rule = nullptr;
        for (const std::span<const FieldRule> rules : {common_fields(), std::span{kind->fields}})
            for (const FieldRule& each : rules)
                if (each.name == field.name) rule = &each;
        if (rule == nullptr)
            return wrong(entry, field.name, "'" + field.name + "' is no field of " + entry.kind);
        if (!suits(field.value, rule->type))
            return wrong(entry, field.name,
                         field.name + " must be " +
                             std::string{type_names[static_cast<std::size_t>(rule->type)]});
    }
    for (const FieldRule& rule : kind->fields)
        if (rule.required && entry.find(rule.name) == nullptr)
            return wrong(entry, {}, std::string{rule.name} + " is missing");
    if (!kind->check) return {};
    if (auto checked = kind->check(entry); !checked)
        return wrong(entry, {}, checked.error().to_string());
    return {};
}

}  // namespace

std::span<const FieldRule> common_fields() {
    return common;
}

bool is_common_field(std::string_view name) {
    return std::ranges::find(common, name, &FieldRule::name) != common.end();
}

Result<Override> parse_override(std::string_view text) {
    const auto bad = [&] {
        return fail(ErrorCode::bad_usage,
                    "an override is NAMESPACE:NAME:FIELD=VALUE, not '" + std::string{text} + "'");
    };
    const std::size_t sign = text.find('=');
    const std::size_t first = text.find(':');
    const std::size_t second = first == std::string_view::npos ? first : text.find(':', first + 1);
    if (second == std::string_view::npos || sign == std::string_view::npos || second > sign)
        return bad();
    Override change;
    change.id = text.substr(0, second);
    std::string_view path = text.substr(second + 1, sign - second - 1);
    for (;;) {
        const std::size_t dot = path.find('.');
        change.path.emplace_back(path.substr(0, dot));
        if (change.path.back().empty()) return bad();
        if (dot == std::string_view::npos) break;
        path.remove_prefix(dot + 1);
    }
    if (change.path.front() == "name" || change.path.front() == "kind") return bad();
    const Document scalar{.kind = DocumentKind::scalar,
                          .text = std::string{text.substr(sign + 1)},
                          .place = change.id};
    auto value = value_of(scalar);
    if (!value) return fail(ErrorCode::bad_usage, value.error().detail);
    change.value = std::move(*value);
    return change;
}

Result<std::vector<Entry>> run_stages(std::vector<Entry> entries, const StageSettings& settings,
                                      std::span<const EntryKind> kinds) {
    if (entries.size() > entries_max)
        return fail(ErrorCode::config_invalid, "there may be " + std::to_string(entries_max) +
                                                   " entries, not " +
                                                   std::to_string(entries.size()));
    std::ranges::sort(entries, {}, &Entry::id);
    const auto twice = std::ranges::adjacent_find(entries, {}, &Entry::id);
    if (twice != entries.end())
        return wrong(*std::next(twice), {}, "stands twice, also at " + place_of(*twice));
    if (auto done = override_all(entries, settings.overrides); !done) return fail(std::move(done));
    std::erase_if(entries,
                  [&](const Entry& entry) { return is_disabled(entry, settings.disabled); });
    if (auto linked = link(entries); !linked) return fail(std::move(linked));
    if (auto embedded = embed_files(entries, settings, kinds); !embedded)
        return fail(std::move(embedded));
    for (const Entry& entry : entries)
        if (auto valid = validate(entry, kinds); !valid) return fail(std::move(valid));
    return entries;
}

}  // namespace taskd::runtime

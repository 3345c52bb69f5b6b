#include "taskd/protocol/entry_json.hpp"

#include <algorithm>

#include "taskd/base/limits.hpp"
#include "taskd/protocol/json.hpp"
#include "taskd/protocol/value_json.hpp"

namespace taskd::protocol {
namespace {

bool is_id(std::string_view text) {
    const std::size_t colon = text.find(':');
    return colon != std::string_view::npos && is_entry_name(text.substr(0, colon)) &&
           is_entry_name(text.substr(colon + 1));
}

Result<Entry> read_entry(Value&& value) {
    if (value.kind != ValueKind::map) return fail(ErrorCode::invalid_field, "an entry is a map");
    Entry entry;
    for (const auto& [name, to] : {std::pair{"id", &entry.id}, std::pair{"kind", &entry.kind}}) {
        const auto found = std::ranges::find(value.fields, name, &ValueField::name);
        if (found == value.fields.end()) return fail(ErrorCode::missing_field, name);
        if (found->value.kind != ValueKind::text)
            return fail(ErrorCode::invalid_field, std::string{name} + ": a text");
        *to = std::move(found->value.text);
        value.fields.erase(found);
    }
    if (!is_id(entry.id)) return fail(ErrorCode::invalid_field, "'" + entry.id + "' is no id");
    entry.body = std::move(value);
    return entry;
}

Result<std::vector<Entry>> read_entries(Value&& list) {
    if (list.kind != ValueKind::list) return fail(ErrorCode::invalid_field, "entries: a list");
    std::vector<Entry> entries;
    for (Value& each : list.items) {
        auto entry = read_entry(std::move(each));
        if (!entry) return fail(std::move(entry));
        entries.push_back(std::move(*entry));
    }
    std::ranges::sort(entries, {}, &Entry::id);
    const auto twice = std::ranges::adjacent_find(entries, {}, &Entry::id);
    if (twice != entries.end())
        return fail(ErrorCode::invalid_field, twice->id + " stands there twice");
    return entries;
}

}  // namespace

Value value_of(const Entry& entry) {
    Value value = entry.body;
    value.fields.insert(value.fields.begin(),
                        {{"id", Value::of_text(entry.id)}, {"kind", Value::of_text(entry.kind)}});
    return value;
}

Result<RegistryAsked> parse_registry_asked(std::string_view body) {
    auto value = read_json_value(body);
    if (!value) return fail(std::move(value));
    if (value->kind != ValueKind::map) return fail(ErrorCode::invalid_field, "expected an object");
    RegistryAsked asked;
    bool has_entries = false;
    for (ValueField& field : value->fields) {
        if (field.name == "entries") {
            auto entries = read_entries(std::move(field.value));
            if (!entries) return fail(std::move(entries));
            asked.entries = std::move(*entries);
            has_entries = true;
        } else if (field.name == "restore") {
            if (field.value.kind != ValueKind::number)
                return fail(ErrorCode::invalid_field, "restore: a number");
            const auto version = read_integer(field.value.text, "restore", 0, INT64_MAX);
            if (!version) return std::unexpected{version.error()};
            asked.restore = static_cast<std::uint64_t>(*version);
        } else if (field.name == "note") {
            if (field.value.kind != ValueKind::text ||
                field.value.text.size() > limits::reason_bytes_max)
                return fail(ErrorCode::invalid_field, "note: a text of up to 1000 bytes");
            asked.note = std::move(field.value.text);
        } else {
            return fail(ErrorCode::unknown_field, field.name);
        }
    }
    if (has_entries == asked.restore.has_value())
        return fail(ErrorCode::missing_field, "either entries or restore");
    return asked;
}

std::string write_registry_asked(const RegistryAsked& asked) {
    std::string out;
    JsonWriter json{out};
    json.begin_object();
    if (asked.restore) {
        json.field("restore", *asked.restore);
    } else {
        json.key("entries").begin_array();
        for (const Entry& entry : asked.entries)
            json.raw(write_json_value(value_of(entry)));
        json.end_array();
    }
    if (!asked.note.empty()) json.field("note", asked.note);
    json.end_object();
    return out;
}

}  // namespace taskd::protocol

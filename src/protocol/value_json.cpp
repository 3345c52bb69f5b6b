#include "taskd/protocol/value_json.hpp"

#include "taskd/protocol/json.hpp"

namespace taskd::protocol {
namespace {

// Of a text that passed check_json; what may still be wrong with it are doubled names.
Result<Value> read(std::string_view raw) {
    Value value;
    switch (kind_of(raw)) {
        case JsonKind::null:
            return value;
        case JsonKind::boolean:
            return Value::of_boolean(raw == "true");
        case JsonKind::number:
            return Value::of_number(std::string{raw});
        case JsonKind::string: {
            auto text = read_string(raw, "value");
            if (!text) return fail(std::move(text));
            return Value::of_text(std::move(*text));
        }
        case JsonKind::array: {
            value.kind = ValueKind::list;
            const auto items = split_array(raw);
            if (!items) return std::unexpected{items.error()};
            for (const std::string_view each : *items) {
                auto item = read(each);
                if (!item) return item;
                value.items.push_back(std::move(*item));
            }
            return value;
        }
        case JsonKind::object: {
            value.kind = ValueKind::map;
            auto fields = split_object(raw);
            if (!fields) return fail(std::move(fields));
            for (auto& [name, each] : *fields) {
                auto field = read(each);
                if (!field) return field;
                value.fields.push_back({std::move(name), std::move(*field)});
            }
            return value;
        }
    }
    return value;
}

void write(JsonWriter& json, const Value& value) {
    switch (value.kind) {
        case ValueKind::null:
            json.null();
            return;
        case ValueKind::boolean:
            json.boolean(value.boolean);
            return;
        case ValueKind::number:
            json.raw(value.text);
            return;
        case ValueKind::text:
            json.string(value.text);
            return;
        case ValueKind::list:
            json.begin_array();
            for (const Value& item : value.items)
                write(json, item);
            json.end_array();
            return;
        case ValueKind::map:
            json.begin_object();
            for (const ValueField& field : value.fields) {
                std::string name;
                append_json_string(name, field.name);
                json.key(std::string_view{name}.substr(1, name.size() - 2));
                write(json, field.value);
            }
            json.end_object();
            return;
    }
}

}  // namespace

Result<Value> read_json_value(std::string_view text) {
    if (auto checked = check_json(text); !checked) return fail(std::move(checked));
    const auto begin = text.find_first_not_of(" \t\r\n");
    const auto end = text.find_last_not_of(" \t\r\n");
    return read(text.substr(begin, end - begin + 1));
}

std::string write_json_value(const Value& value) {
    std::string out;
    JsonWriter json{out};
    write(json, value);
    return out;
}

}  // namespace taskd::protocol

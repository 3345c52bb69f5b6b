// A value as JSON, YAML and Lua all know it: what payloads, entries and settings are made of. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace taskd {

enum class ValueKind : std::uint8_t { null, boolean, number, text, list, map };

struct ValueField;

struct Value {
    ValueKind kind = ValueKind::null;
    bool boolean = false;
    std::string text;  // of a text, UTF-8; of a number, as JSON writes it: no digit is lost
    std::vector<Value> items;
    std::vector<ValueField> fields;  // in their order, each name once

    static Value of_boolean(bool value);
    static Value of_number(std::string json);
    static Value of_text(std::string text);

    friend bool operator==(const Value&, const Value&);
};

struct ValueField {
    std::string name;
    Value value;

    friend bool operator==(const ValueField&, const ValueField&) = default;
};

}  // namespace taskd

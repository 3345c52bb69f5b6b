#include "taskd/lua/table_text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "taskd/lua/machine.hpp"
#include "values.hpp"

namespace taskd::lua {
namespace {

constexpr std::uint64_t instructions_max = 1'000'000;

constexpr std::array<std::string_view, 22> keywords{
    "and",      "break",  "do",   "else", "elseif", "end",  "false", "for",
    "function", "goto",   "if",   "in",   "local",  "nil",  "not",   "or",
    "repeat",   "return", "then", "true", "until",  "while"};

// What is read takes no time that counts: its instructions are bounded.
class NoTime final : public port::Clock {
  public:
    WallTime wall() const override { return {}; }
    SteadyTime steady() const override { return {}; }
};

bool is_name(std::string_view text) {
    const auto is_letter = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
    };
    const auto is_part = [&](char c) { return is_letter(c) || (c >= '0' && c <= '9'); };
    return !text.empty() && is_letter(text.front()) && std::ranges::all_of(text, is_part) &&
           std::ranges::find(keywords, text) == keywords.end();
}

void add_text(std::string& out, std::string_view text) {
    out.push_back('"');
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (c == '"' || c == '\\')
            out.append(1, '\\').push_back(c);
        else if (c == '\n')
            out += "\\n";
        else if (byte < 0x20 || byte == 0x7f)
            out += fmt::format("\\{:03}", byte);
        else
            out.push_back(c);
    }
    out.push_back('"');
}

Result<void> add(std::string& out, const Value& value, std::size_t depth);

Result<void> add_list(std::string& out, const Value& value, std::size_t depth) {
    if (value.items.empty()) {
        out += "list{}";
        return {};
    }
    out.push_back('{');
    for (const Value& item : value.items) {
        if (&item != &value.items.front()) out += ", ";
        if (auto added = add(out, item, depth); !added) return added;
    }
    out.push_back('}');
    return {};
}

Result<void> add_map(std::string& out, const Value& value, std::size_t depth) {
    out.push_back('{');
    for (const ValueField& field : value.fields) {
        if (&field != &value.fields.front()) out += ", ";
        if (is_name(field.name)) {
            out += field.name;
        } else {
            out.push_back('[');
            add_text(out, field.name);
            out.push_back(']');
        }
        out += " = ";
        if (auto added = add(out, field.value, depth); !added) return added;
    }
    out.push_back('}');
    return {};
}

Result<void> add(std::string& out, const Value& value, std::size_t depth) {
    if (depth > limits::program_value_depth_max)
        return fail(ErrorCode::not_convertible, "a table this deep");
    switch (value.kind) {
        case ValueKind::null:
            out += "null";
            return {};
        case ValueKind::boolean:
            out += value.boolean ? "true" : "false";
            return {};
        case ValueKind::number: {
            const auto number = number_text(value.text);
            if (!number) return std::unexpected{number.error()};
            out += *number;
            return {};
        }
        case ValueKind::text:
            add_text(out, value.text);
            return {};
        case ValueKind::list:
            return add_list(out, value, depth + 1);
        case ValueKind::map:
            return add_map(out, value, depth + 1);
    }
    return {};
}

Error not_lua(const Error& error) {
    if (error.code == ErrorCode::memory_limit || error.code == ErrorCode::instruction_limit)
        return error;
    return {ErrorCode::not_convertible, error.detail};
}

}  // namespace

Result<Value> read_table_text(const std::string& text) {
    // By itself first, so that it cannot end the function around it.
    if (const auto alone = Program::compile("value", text); !alone)
        return std::unexpected{not_lua(alone.error())};
    const auto program = Program::compile("value", "return function() " + text + "\nend");
    if (!program) return std::unexpected{not_lua(program.error())};
    const NoTime clock;
    const MachineLimits limits{.instructions = instructions_max, .slice = instructions_max};
    const auto machine = Machine::make({.program = *program, .limits = limits, .clock = &clock});
    if (!machine) return std::unexpected{machine.error()};
    Turn turn = (*machine)->call({}, {});
    while (turn.standing == Standing::slice)
        turn = (*machine)->go_on();
    if (turn.standing != Standing::done) return std::unexpected{not_lua(turn.error)};
    if (turn.values.size() != 1)
        return fail(ErrorCode::not_convertible,
                    fmt::format("it returns {} values, not one", turn.values.size()));
    return std::move(turn.values.front());
}

Result<std::string> write_table_text(const Value& value) {
    std::string out = "return ";
    if (auto added = add(out, value, 0); !added) return fail(std::move(added));
    out.push_back('\n');
    return out;
}

}  // namespace taskd::lua

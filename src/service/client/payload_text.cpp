#include "taskd/service/payload_text.hpp"

#include "taskd/protocol/json.hpp"

namespace taskd::service {
namespace {

Result<std::string> quoted(std::string_view text) {
    std::string out;
    protocol::append_json_string(out, text);
    if (auto valid = protocol::check_json(out); !valid)
        return fail(ErrorCode::bad_json, "an argument is not UTF-8");
    return out;
}

Result<std::string> value_of(const std::string& argument) {
    const bool may_stand =
        !argument.empty() && argument.find_first_of(" \t\r\n\"[{") == std::string::npos;
    if (may_stand && protocol::check_json(argument)) return argument;
    return quoted(argument);
}

}  // namespace

Result<std::string> payload_of_arguments(std::span<const std::string> arguments) {
    if (arguments.empty()) return std::string{};
    if (arguments.size() == 1) return value_of(arguments.front());
    std::string out = "[";
    for (const std::string& argument : arguments) {
        auto value = value_of(argument);
        if (!value) return value;
        if (out.size() > 1) out.push_back(',');
        out.append(*value);
    }
    out.push_back(']');
    return out;
}

Result<std::string> payload_of_file(std::string content) {
    const auto json = protocol::check_json(content);
    if (json) return content;
    const std::size_t first = content.find_first_not_of(" \t\r\n");
    if (first != std::string::npos && std::string_view{"{[\""}.contains(content[first]))
        return fail(ErrorCode::bad_json, json.error().detail);
    if (content.ends_with('\n')) content.pop_back();
    if (content.ends_with('\r')) content.pop_back();
    return quoted(content);
}

std::string shown_result(std::string_view raw) {
    if (protocol::check_json(raw) && protocol::kind_of(raw) == protocol::JsonKind::string)
        if (auto text = protocol::read_string(raw, "result")) return std::move(*text);
    return std::string{raw};
}

}  // namespace taskd::service

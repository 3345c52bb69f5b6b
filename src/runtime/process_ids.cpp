#include "taskd/runtime/process_ids.hpp"

#include <charconv>

namespace taskd::runtime {

std::string to_text(const ProcessId& id) {
    return "{" + id.node + "@" + id.host + "|" + std::to_string(id.number) + "}";
}

Result<ProcessId> parse_process_id(std::string_view text) {
    const auto at = text.find('@');
    const auto bar = text.rfind('|');
    const auto refuse = [&] {
        return fail(ErrorCode::invalid_field,
                    "'" + std::string{text} + "' is no process id, such as {node@host|7}");
    };
    if (!text.starts_with('{') || !text.ends_with('}') || at == std::string_view::npos ||
        bar == std::string_view::npos || at < 2 || bar < at + 2)
        return refuse();
    ProcessId id{std::string{text.substr(1, at - 1)},
                 std::string{text.substr(at + 1, bar - at - 1)}, 0};
    const std::string_view number = text.substr(bar + 1, text.size() - bar - 2);
    const auto [end, error] =
        std::from_chars(number.data(), number.data() + number.size(), id.number);
    if (error != std::errc{} || end != number.data() + number.size() || id.number == 0)
        return refuse();
    return id;
}

}  // namespace taskd::runtime

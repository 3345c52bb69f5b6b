#include "taskd/protocol/trace.hpp"

#include <algorithm>

namespace taskd::protocol {
namespace {

constexpr std::string_view digits = "0123456789abcdef";

bool is_hex(std::string_view text) {
    return text.find_first_not_of(digits) == std::string_view::npos;
}

bool is_zero(std::string_view text) {
    return text.find_first_not_of('0') == std::string_view::npos;
}

}  // namespace

// A later version may say more behind what version 00 says; "ff" is none.
std::optional<std::string> parse_trace_id(std::string_view text) {
    if (text.size() < traceparent_bytes) return std::nullopt;
    const std::string_view version = text.substr(0, 2);
    const std::string_view trace = text.substr(3, 32);
    const std::string_view parent = text.substr(36, 16);
    if (text[2] != '-' || text[35] != '-' || text[52] != '-') return std::nullopt;
    if (!is_hex(version) || version == "ff" || !is_hex(text.substr(53, 2))) return std::nullopt;
    if (!is_hex(trace) || is_zero(trace) || !is_hex(parent) || is_zero(parent)) return std::nullopt;
    const bool has_more = text.size() > traceparent_bytes;
    if (has_more && (version == "00" || text[traceparent_bytes] != '-')) return std::nullopt;
    return std::string{trace};
}

std::string make_trace_id(Random& random) {
    std::string id;
    for (int half = 0; half < 2; ++half) {
        std::uint64_t bits = random.next() | 1;  // never all zero
        for (int i = 0; i < 16; ++i, bits >>= 4)
            id.push_back(digits[bits & 15]);
    }
    return id;
}

std::string traceparent_of(const TaskId& task, LeaseEpoch epoch) {
    std::string trace = task.to_string();
    std::erase(trace, '-');
    std::string parent(16, '0');
    for (std::size_t i = 0; i < parent.size(); ++i)
        parent[i] = digits[epoch.value >> (60 - 4 * i) & 15];
    return "00-" + trace + "-" + parent + "-01";
}

}  // namespace taskd::protocol

// words: counts the words of a text. A built-in type as anyone would add one; built into an
// executable of its own for tests/system/extra_type.py.
#include <string>

#include "taskd/work/work.hpp"
#include "work/payload.hpp"

namespace taskd::work {

std::expected<Outcome, TaskError> words(std::string_view payload_json) {
    const auto payload = Payload::read(payload_json);
    if (!payload) return std::unexpected{payload.error()};
    const auto text = text_of(*payload);
    if (!text) return std::unexpected{text.error()};
    std::size_t count = 0;
    bool in_word = false;
    for (const char c : *text) {
        const bool blank = c == ' ' || c == '\t' || c == '\r' || c == '\n';
        if (!blank && !in_word) ++count;
        in_word = !blank;
    }
    return Outcome{.result_json = std::to_string(count)};
}

}  // namespace taskd::work

// upper: a text in upper case by the full mapping of Unicode, in no particular language.
#include <unicode/bytestream.h>
#include <unicode/casemap.h>

#include "taskd/work/work.hpp"
#include "work/payload.hpp"

namespace taskd::work {

std::expected<Outcome, TaskError> upper(std::string_view payload_json) {
    const auto payload = Payload::read(payload_json);
    if (!payload) return std::unexpected{payload.error()};
    const auto text = text_of(*payload);
    if (!text) return std::unexpected{text.error()};
    std::string result;
    icu::StringByteSink<std::string> sink{&result, static_cast<std::int32_t>(text->size())};
    UErrorCode status = U_ZERO_ERROR;
    const icu::StringPiece source{text->data(), static_cast<std::int32_t>(text->size())};
    icu::CaseMap::utf8ToUpper("", 0, source, sink, nullptr, status);
    if (U_FAILURE(status))
        return refuse(ErrorCode::worker_failed, "the Unicode library cannot change the case");
    return Outcome{.result_json = quote(result)};
}

}  // namespace taskd::work

// reverse: a text backwards, by grapheme clusters, so that what people see as one character stays
// whole: an emoji with a skin tone, a flag, a family, a letter with its accents, CR LF.
#include <unicode/brkiter.h>
#include <unicode/utext.h>

#include <algorithm>
#include <memory>

#include "taskd/work/work.hpp"
#include "work/payload.hpp"

namespace taskd::work {
namespace {

// Characters of ASCII are clusters of their own, but for CR LF.
bool is_plain(std::string_view text) {
    return std::ranges::all_of(
        text, [](char c) { return static_cast<signed char>(c) >= 0 && c != '\r'; });
}

struct CloseText {
    void operator()(UText* text) const { utext_close(text); }
};

// None when ICU's data cannot be used.
std::optional<std::string> reversed_by_clusters(const std::string& text) {
    UErrorCode status = U_ZERO_ERROR;
    const std::unique_ptr<icu::BreakIterator> clusters{
        icu::BreakIterator::createCharacterInstance(icu::Locale::getRoot(), status)};
    const std::unique_ptr<UText, CloseText> source{
        utext_openUTF8(nullptr, text.data(), static_cast<std::int64_t>(text.size()), &status)};
    if (U_FAILURE(status)) return std::nullopt;
    clusters->setText(source.get(), status);
    if (U_FAILURE(status)) return std::nullopt;

    std::string reversed(text.size(), '\0');
    std::size_t begin = 0;
    for (std::int32_t next = clusters->next(); next != icu::BreakIterator::DONE;
         next = clusters->next()) {
        const auto end = static_cast<std::size_t>(next);
        text.copy(reversed.data() + (text.size() - end), end - begin, begin);
        begin = end;
    }
    return reversed;
}

}  // namespace

std::expected<Outcome, TaskError> reverse(std::string_view payload_json) {
    const auto payload = Payload::read(payload_json);
    if (!payload) return std::unexpected{payload.error()};
    const auto text = text_of(*payload);
    if (!text) return std::unexpected{text.error()};
    if (is_plain(*text))
        return Outcome{.result_json = quote(std::string{text->rbegin(), text->rend()})};
    const auto reversed = reversed_by_clusters(*text);
    if (!reversed)
        return refuse(ErrorCode::worker_failed, "the Unicode library cannot find its data");
    return Outcome{.result_json = quote(*reversed)};
}

}  // namespace taskd::work

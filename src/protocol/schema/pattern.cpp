// ICU's regular expressions, with bounds on time and stack.
#include <unicode/regex.h>

#include "protocol/schema/schema.hpp"

namespace taskd::protocol::schema {
namespace {

constexpr int time_max = 100;               // of ICU's units, of about a millisecond
constexpr int stack_bytes_max = 8'000'000;  // on the heap

class IcuPattern final : public Pattern {
  public:
    explicit IcuPattern(std::unique_ptr<icu::RegexPattern> pattern)
        : pattern_{std::move(pattern)} {}

    std::optional<bool> found_in(std::string_view text) const override {
        UErrorCode status = U_ZERO_ERROR;
        const auto input = icu::UnicodeString::fromUTF8(
            icu::StringPiece{text.data(), static_cast<int>(text.size())});
        const std::unique_ptr<icu::RegexMatcher> matcher{pattern_->matcher(input, status)};
        if (U_FAILURE(status)) return std::nullopt;
        matcher->setTimeLimit(time_max, status);
        matcher->setStackLimit(stack_bytes_max, status);
        const bool found = matcher->find(status) != 0;
        if (U_FAILURE(status)) return std::nullopt;
        return found;
    }

  private:
    std::unique_ptr<icu::RegexPattern> pattern_;
};

}  // namespace

Result<PatternPtr> Pattern::compile(const std::string& text) {
    UErrorCode status = U_ZERO_ERROR;
    UParseError where{};
    std::unique_ptr<icu::RegexPattern> pattern{
        icu::RegexPattern::compile(icu::UnicodeString::fromUTF8(text), 0, where, status)};
    if (U_FAILURE(status) || pattern == nullptr)
        return fail(ErrorCode::bad_schema, "'" + text + "' is no regular expression");
    return std::make_shared<const IcuPattern>(std::move(pattern));
}

}  // namespace taskd::protocol::schema

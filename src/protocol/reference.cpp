#include "protocol/reference.hpp"

#include <algorithm>

namespace taskd::protocol {
namespace {

constexpr auto npos = std::string_view::npos;
constexpr std::size_t shown_bytes_max = 100;
constexpr std::size_t index_digits_max = 9;

std::string_view trimmed(std::string_view text) {
    while (!text.empty() && text.front() == ' ')
        text.remove_prefix(1);
    while (!text.empty() && text.back() == ' ')
        text.remove_suffix(1);
    return text;
}

// Reads one reference from its "${" to its "}".
class Reader {
  public:
    Reader(std::string_view text, std::size_t at) : text_{text}, begin_{at}, at_{at + 2} {}

    Result<Reference> read() {
        Reference found;
        found.name = word();
        if (found.name.empty()) return refuse("it names nothing");
        while (at_ < text_.size() && text_[at_] != '}') {
            auto step = text_[at_] == '.' ? field() : bracket();
            if (!step) return fail(std::move(step));
            found.path.push_back(std::move(*step));
            while (at_ < text_.size() && text_[at_] == ' ')
                ++at_;
        }
        if (at_ == text_.size()) return refuse("it is not closed with }");
        found.written = text_.substr(begin_, at_ + 1 - begin_);
        return found;
    }

  private:
    std::unexpected<Error> refuse(std::string_view why) const {
        return unresolved(text_.substr(begin_, at_ - begin_), why);
    }

    std::string_view word() {
        const std::size_t end = std::min(text_.find_first_of(".[]{}\"\n", at_), text_.size());
        const std::string_view found = trimmed(text_.substr(at_, end - at_));
        at_ = end;
        return found;
    }

    Result<PathStep> field() {
        ++at_;
        const std::string_view name = word();
        if (name.empty()) return refuse("a name is missing behind '.'");
        return PathStep{std::string{name}};
    }

    Result<PathStep> bracket() {
        if (text_[at_] != '[') return refuse("'.', '[' or '}' is missing here");
        ++at_;
        if (at_ < text_.size() && (text_[at_] == '"' || text_[at_] == '\'')) return quoted();
        const std::size_t begin = at_;
        while (at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9')
            ++at_;
        const std::string_view digits = text_.substr(begin, at_ - begin);
        if (digits.empty() || digits.size() > index_digits_max)
            return refuse("a number or a quoted name is missing behind '['");
        if (at_ == text_.size() || text_[at_] != ']') return refuse("']' is missing");
        ++at_;
        std::size_t index = 0;
        for (const char digit : digits)
            index = index * 10 + static_cast<std::size_t>(digit - '0');
        return PathStep{index};
    }

    Result<PathStep> quoted() {
        const std::size_t end = text_.find(text_[at_], at_ + 1);
        if (end == npos || end + 1 == text_.size() || text_[end + 1] != ']')
            return refuse("the quoted name is not closed");
        std::string name{text_.substr(at_ + 1, end - at_ - 1)};
        at_ = end + 2;
        return PathStep{std::move(name)};
    }

    std::string_view text_;
    std::size_t begin_;
    std::size_t at_;
};

}  // namespace

Result<Reference> parse_reference(std::string_view text, std::size_t at) {
    return Reader{text, at}.read();
}

Result<std::vector<TextPart>> split_text(std::string_view text) {
    std::vector<TextPart> parts;
    std::string words;
    std::size_t at = 0;
    while (at < text.size()) {
        const std::size_t found = std::min(text.find('$', at), text.size());
        words.append(text.substr(at, found - at));
        at = found;
        const std::string_view rest = text.substr(at);
        if (rest.starts_with("$${")) {
            words += "${";
            at += 3;
        } else if (rest.starts_with("${")) {
            auto reference = parse_reference(text, at);
            if (!reference) return fail(std::move(reference));
            at += reference->written.size();
            if (!words.empty()) parts.emplace_back(std::move(words));
            words.clear();
            parts.emplace_back(std::move(*reference));
        } else if (!rest.empty()) {
            words += '$';
            ++at;
        }
    }
    if (!words.empty()) parts.emplace_back(std::move(words));
    return parts;
}

std::string shown(std::string_view written) {
    if (written.size() <= shown_bytes_max) return std::string{written};
    std::size_t end = shown_bytes_max;
    while (end > 0 && (static_cast<unsigned char>(written[end]) & 0xc0U) == 0x80U)
        --end;  // not inside a character
    return std::string{written.substr(0, end)} + "…";
}

std::unexpected<Error> unresolved(std::string_view written, std::string_view why) {
    return fail(ErrorCode::unresolved_reference, shown(written) + ": " + std::string{why});
}

}  // namespace taskd::protocol

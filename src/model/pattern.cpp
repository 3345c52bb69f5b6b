#include "taskd/model/pattern.hpp"

#include <algorithm>

#include "taskd/base/limits.hpp"

namespace taskd {
namespace {

bool is_word(std::string_view text) {
    return !text.empty() && std::ranges::all_of(text, [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               c == '_' || c == '-';
    });
}

std::vector<std::string_view> split(std::string_view text, char at) {
    std::vector<std::string_view> parts;
    for (;;) {
        const auto end = text.find(at);
        parts.push_back(text.substr(0, end));
        if (end == std::string_view::npos) return parts;
        text.remove_prefix(end + 1);
    }
}

bool is_short(std::string_view text) {
    return text.size() <= limits::bus_topic_bytes_max &&
           static_cast<std::size_t>(std::ranges::count(text, '.')) < limits::bus_topic_words_max;
}

}  // namespace

bool is_topic(std::string_view text) {
    return is_short(text) && std::ranges::all_of(split(text, '.'), is_word);
}

Result<Pattern> Pattern::parse(std::string_view text) {
    if (!is_short(text)) return fail(ErrorCode::invalid_field, "the topic is too long");
    Pattern pattern;
    pattern.text_ = text;
    for (const std::string_view part : split(text, '.')) {
        auto parsed = parse_part(part);
        if (!parsed) return fail(std::move(parsed));
        pattern.parts_.push_back(std::move(*parsed));
    }
    return pattern;
}

Result<Pattern::Part> Pattern::parse_part(std::string_view text) {
    if (text == "*") return Part{Kind::one, {}};
    if (text == "**") return Part{Kind::any, {}};
    const bool is_choice = text.size() >= 2 && text.front() == '(' && text.back() == ')';
    Part part;
    for (const std::string_view word :
         is_choice ? split(text.substr(1, text.size() - 2), '|') : std::vector{text}) {
        if (!is_word(word))
            return fail(ErrorCode::invalid_field,
                        "'" + std::string{text} + "' is no word, '*', '**' or '(a|b)' of a topic");
        part.words.emplace_back(word);
    }
    return part;
}

bool Pattern::is_exact() const {
    return is_topic(text_);
}

bool Pattern::Part::takes(std::string_view word) const {
    return kind == Kind::one || std::ranges::find(words, word) != words.end();
}

// Goes back to the newest "**" alone: an older one could only take what the newer may take as well.
bool Pattern::matches(std::string_view topic) const {
    const auto words = split(topic, '.');
    std::size_t part = 0;
    std::size_t word = 0;
    std::size_t any = parts_.size();  // the newest "**" met, and how far it reaches
    std::size_t reach = 0;
    while (word < words.size()) {
        if (part < parts_.size() && parts_[part].kind == Kind::any) {
            any = part++;
            reach = word;
        } else if (part < parts_.size() && parts_[part].takes(words[word])) {
            ++part;
            ++word;
        } else if (any < parts_.size()) {
            part = any + 1;
            word = ++reach;
        } else {
            return false;
        }
    }
    while (part < parts_.size() && parts_[part].kind == Kind::any)
        ++part;
    return part == parts_.size();
}

}  // namespace taskd

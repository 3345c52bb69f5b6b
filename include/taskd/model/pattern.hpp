// Names of topics, and patterns that choose among them: of the event bus, and of durable
// subscriptions. Pure.
//
// A topic is words with dots between them: "supervisor.state.running". A word is letters, digits,
// '_' and '-'. In a pattern a word may also be
//     *        any one word
//     **       any number of words, none included
//     (a|b)    one of these words
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "taskd/base/result.hpp"

namespace taskd {

// At most limits::bus_topic_words_max words and limits::bus_topic_bytes_max bytes.
bool is_topic(std::string_view text);

// What the dispatcher itself tells stands in topics that begin so.
inline constexpr std::string_view own_topics = "taskd.";
inline bool is_own_topic(std::string_view topic) {
    return topic.starts_with(own_topics);
}

class Pattern {
  public:
    // invalid_field says what is wrong with it. It may be as long as a topic.
    static Result<Pattern> parse(std::string_view text);

    // The time it takes grows with the product of their words at most.
    bool matches(std::string_view topic) const;
    bool is_exact() const;  // it is a topic itself
    const std::string& text() const { return text_; }

  private:
    enum class Kind : std::uint8_t { words, one, any };
    struct Part {
        Kind kind = Kind::words;
        std::vector<std::string> words;  // of which one must stand there
        bool takes(std::string_view word) const;
    };
    static Result<Part> parse_part(std::string_view text);

    std::vector<Part> parts_;
    std::string text_;
};

}  // namespace taskd

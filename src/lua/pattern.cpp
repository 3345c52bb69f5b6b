#include "pattern.hpp"

#include <algorithm>
#include <cctype>
#include <cstring>
#include <utility>

namespace taskd::lua {
namespace {

bool in_class(unsigned char c, unsigned char name) {
    bool is = false;
    switch (std::tolower(name)) {
        case 'a':
            is = std::isalpha(c) != 0;
            break;
        case 'c':
            is = std::iscntrl(c) != 0;
            break;
        case 'd':
            is = std::isdigit(c) != 0;
            break;
        case 'g':
            is = std::isgraph(c) != 0;
            break;
        case 'l':
            is = std::islower(c) != 0;
            break;
        case 'p':
            is = std::ispunct(c) != 0;
            break;
        case 's':
            is = std::isspace(c) != 0;
            break;
        case 'u':
            is = std::isupper(c) != 0;
            break;
        case 'w':
            is = std::isalnum(c) != 0;
            break;
        case 'x':
            is = std::isxdigit(c) != 0;
            break;
        default:
            return name == c;  // an escaped character stands for itself
    }
    return std::isupper(name) != 0 ? !is : is;
}

}  // namespace

std::size_t find_text(std::string_view text, std::string_view wanted, std::size_t begin) {
    if (begin > text.size()) return std::string_view::npos;
    const void* found =
        ::memmem(text.data() + begin, text.size() - begin, wanted.data(), wanted.size());
    if (found == nullptr) return std::string_view::npos;
    return static_cast<std::size_t>(static_cast<const char*>(found) - text.data());
}

Pattern::Found Pattern::match(std::size_t at) {
    count_ = 0;
    depth_ = 0;
    return from(at, 0);
}

Pattern::Found Pattern::fault(std::string what) {
    if (error_.empty()) error_ = std::move(what);
    return std::nullopt;
}

bool Pattern::step() {
    if (steps_ == 0) {
        out_of_steps_ = true;
        fault("a pattern took too many steps");
        return false;
    }
    --steps_;
    return error_.empty();
}

// A set counts by its length: the next step says when it was too much.
void Pattern::take_steps(std::size_t set_bytes) const {
    steps_ -= std::min<std::uint64_t>(steps_, set_bytes / 8);
}

// ---- single characters --------------------------------------------------------------------------

// Behind the class that begins at `p`; an error leaves it at the end.
std::size_t Pattern::class_end(std::size_t p) {
    const std::size_t begin = p;
    const char first = pattern_[p++];
    if (first == '%') {
        if (p < pattern_.size()) return p + 1;
        fault("malformed pattern (ends with '%')");
        return pattern_.size();
    }
    if (first != '[') return p;
    if (p < pattern_.size() && pattern_[p] == '^') ++p;
    do {  // a ']' that comes first is one of the set
        if (p >= pattern_.size()) {
            fault("malformed pattern (missing ']')");
            return pattern_.size();
        }
        if (pattern_[p++] == '%') ++p;
    } while (p >= pattern_.size() || pattern_[p] != ']');
    take_steps(p - begin);
    return p + 1;
}

// `p` is at '[', `last` at ']'.
bool Pattern::in_set(unsigned char c, std::size_t p, std::size_t last) const {
    const bool negated = pattern_[p + 1] == '^';
    take_steps(last - p);
    for (p += negated ? 2 : 1; p < last; ++p) {
        if (pattern_[p] == '%') {
            ++p;
            if (in_class(c, static_cast<unsigned char>(pattern_[p]))) return !negated;
        } else if (p + 2 < last && pattern_[p + 1] == '-') {
            if (static_cast<unsigned char>(pattern_[p]) <= c &&
                c <= static_cast<unsigned char>(pattern_[p + 2]))
                return !negated;
            p += 2;
        } else if (static_cast<unsigned char>(pattern_[p]) == c) {
            return !negated;
        }
    }
    return negated;
}

bool Pattern::fits(std::size_t at, std::size_t p, std::size_t next) const {
    if (at >= subject_.size()) return false;
    const auto c = static_cast<unsigned char>(subject_[at]);
    switch (pattern_[p]) {
        case '.':
            return true;
        case '%':
            return in_class(c, static_cast<unsigned char>(pattern_[p + 1]));
        case '[':
            return in_set(c, p, next - 1);
        default:
            return static_cast<unsigned char>(pattern_[p]) == c;
    }
}

// ---- items --------------------------------------------------------------------------------------

// The rest of the pattern from `p` on. It calls itself only where it may have to come back.
Pattern::Found Pattern::from(std::size_t at, std::size_t p) {
    if (++depth_ > depth_max) return fault("pattern too complex");
    Found found = at;
    while (p < pattern_.size() && found) {
        if (!step()) return std::nullopt;
        const char item = pattern_[p];
        if (item == '(') {
            const bool is_position = p + 1 < pattern_.size() && pattern_[p + 1] == ')';
            found = open_capture(*found, p + (is_position ? 2 : 1), is_position);
            break;
        }
        if (item == ')') {
            found = close_capture(*found, p + 1);
            break;
        }
        if (item == '$' && p + 1 == pattern_.size()) {
            if (*found != subject_.size()) found = std::nullopt;
            break;
        }
        const char kind = item == '%' && p + 1 < pattern_.size() ? pattern_[p + 1] : '\0';
        if (kind == 'b') {
            found = balanced(*found, p + 2);
            p += 4;
        } else if (kind == 'f') {
            found = frontier(*found, p + 2, p);
        } else if (std::isdigit(static_cast<unsigned char>(kind)) != 0) {
            found = repeated_capture(*found, kind);
            p += 2;
        } else {
            const std::size_t next = class_end(p);
            if (!error_.empty()) return std::nullopt;
            const char repeat = next < pattern_.size() ? pattern_[next] : '\0';
            if (repeat == '*' || repeat == '+' || repeat == '-' || repeat == '?') {
                found = single(*found, p, next);
                break;
            }
            found = fits(*found, p, next) ? Found{*found + 1} : std::nullopt;
            p = next;
        }
    }
    --depth_;
    return error_.empty() ? found : std::nullopt;
}

// A class with a sign behind it, and all that follows.
Pattern::Found Pattern::single(std::size_t at, std::size_t p, std::size_t next) {
    switch (pattern_[next]) {
        case '?':
            if (fits(at, p, next))
                if (const Found found = from(at + 1, next + 1)) return found;
            return error_.empty() ? from(at, next + 1) : std::nullopt;
        case '+':
            return fits(at, p, next) ? longest(at + 1, p, next) : std::nullopt;
        case '*':
            return longest(at, p, next);
        default:
            return shortest(at, p, next);
    }
}

Pattern::Found Pattern::longest(std::size_t at, std::size_t p, std::size_t next) {
    std::size_t count = 0;
    while (fits(at + count, p, next)) {
        if (!step()) return std::nullopt;
        ++count;
    }
    for (;;) {
        if (const Found found = from(at + count, next + 1)) return found;
        if (count == 0 || !step()) return std::nullopt;
        --count;
    }
}

Pattern::Found Pattern::shortest(std::size_t at, std::size_t p, std::size_t next) {
    for (;;) {
        if (const Found found = from(at, next + 1)) return found;
        if (!step() || !fits(at, p, next)) return std::nullopt;
        ++at;
    }
}

Pattern::Found Pattern::open_capture(std::size_t at, std::size_t p, bool is_position) {
    if (count_ == captures_max) return fault("too many captures");
    captures_[count_++] = {at, 0, is_position, !is_position};
    const Found found = from(at, p);
    if (!found) --count_;
    return found;
}

Pattern::Found Pattern::close_capture(std::size_t at, std::size_t p) {
    std::size_t index = count_;
    while (index > 0 && !captures_[index - 1].open)
        --index;
    if (index == 0) return fault("invalid pattern capture");
    Capture& capture = captures_[index - 1];
    capture.length = at - capture.begin;
    capture.open = false;
    const Found found = from(at, p);
    if (!found) capture.open = true;
    return found;
}

// "%bxy": `p` is at x.
Pattern::Found Pattern::balanced(std::size_t at, std::size_t p) {
    if (p + 1 >= pattern_.size()) return fault("malformed pattern (missing arguments to '%b')");
    if (at >= subject_.size() || subject_[at] != pattern_[p]) return std::nullopt;
    std::size_t open = 1;
    while (++at < subject_.size()) {
        if (!step()) return std::nullopt;
        if (subject_[at] == pattern_[p + 1]) {
            if (--open == 0) return at + 1;
        } else if (subject_[at] == pattern_[p]) {
            ++open;
        }
    }
    return std::nullopt;
}

// "%f[set]": `p` is at '['; `next` becomes what is behind it.
Pattern::Found Pattern::frontier(std::size_t at, std::size_t p, std::size_t& next) {
    if (p >= pattern_.size() || pattern_[p] != '[')
        return fault("missing '[' after '%f' in pattern");
    next = class_end(p);
    if (!error_.empty()) return std::nullopt;
    const auto byte = [&](std::size_t index) {
        return static_cast<unsigned char>(index < subject_.size() ? subject_[index] : '\0');
    };
    const unsigned char before = at == 0 ? byte(subject_.size()) : byte(at - 1);
    if (!in_set(before, p, next - 1) && in_set(byte(at), p, next - 1)) return at;
    return std::nullopt;
}

Pattern::Found Pattern::repeated_capture(std::size_t at, char digit) {
    const auto index = static_cast<std::size_t>(digit - '1');
    if (digit == '0' || index >= count_ || captures_[index].open)
        return fault(std::string{"invalid capture index %"} + digit);
    const Capture& capture = captures_[index];
    if (capture.is_position) return std::nullopt;
    const std::string_view text = subject_.substr(capture.begin, capture.length);
    steps_ -= std::min<std::uint64_t>(steps_, text.size() / 8);
    if (!subject_.substr(at).starts_with(text)) return std::nullopt;
    return at + text.size();
}

}  // namespace taskd::lua

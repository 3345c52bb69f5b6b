#include "protocol/condition.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <compare>
#include <limits>
#include <optional>

#include "protocol/json_cursor.hpp"
#include "protocol/resolve.hpp"
#include "taskd/base/limits.hpp"
#include "taskd/protocol/json.hpp"
#include "taskd/protocol/value_json.hpp"

namespace taskd::protocol {
namespace {

constexpr auto npos = std::string_view::npos;
constexpr std::string_view yes = "true";
constexpr std::string_view no = "false";

bool is_word(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

// ---- values, as JSON ----------------------------------------------------------------------------

double number_of(std::string_view json) {
    double number = 0;
    const auto [end, error] = std::from_chars(json.data(), json.data() + json.size(), number);
    if (error != std::errc::result_out_of_range) return number;
    const bool is_small = json.find("e-") != npos || json.find("E-") != npos;
    if (is_small) return 0;
    const double huge = std::numeric_limits<double>::infinity();
    return json.starts_with('-') ? -huge : huge;
}

std::partial_ordering compare_numbers(std::string_view a, std::string_view b) {
    const auto whole = [](std::string_view json) -> std::optional<std::int64_t> {
        std::int64_t number = 0;
        const auto [end, error] = std::from_chars(json.data(), json.data() + json.size(), number);
        if (error != std::errc{} || end != json.data() + json.size()) return std::nullopt;
        return number;
    };
    const auto left = whole(a), right = whole(b);
    if (left && right) return *left <=> *right;
    return number_of(a) <=> number_of(b);
}

bool equal_values(const Value& a, const Value& b) {
    if (a.kind != b.kind || a.items.size() != b.items.size() || a.fields.size() != b.fields.size())
        return false;
    if (a.kind == ValueKind::number) return compare_numbers(a.text, b.text) == 0;
    if (a.boolean != b.boolean || a.text != b.text ||
        !std::ranges::equal(a.items, b.items, equal_values))
        return false;
    const auto by_name = [](const Value& value) {
        std::vector<const ValueField*> fields;
        for (const ValueField& field : value.fields)
            fields.push_back(&field);
        std::ranges::sort(fields, {}, &ValueField::name);
        return fields;
    };
    return std::ranges::equal(by_name(a), by_name(b), [](const auto* left, const auto* right) {
        return left->name == right->name && equal_values(left->value, right->value);
    });
}

bool equal(std::string_view a, std::string_view b) {
    const JsonKind kind = kind_of(a);
    if (kind != kind_of(b)) return false;
    if (kind == JsonKind::number) return compare_numbers(a, b) == 0;
    if (a == b) return true;
    if (kind == JsonKind::boolean || kind == JsonKind::null) return false;
    if (kind == JsonKind::string) return text_of(a) == text_of(b);
    const auto left = read_json_value(a), right = read_json_value(b);
    return left && right && equal_values(*left, *right);
}

// Whether it holds where it stands alone.
bool is_true(std::string_view json) {
    switch (kind_of(json)) {
        case JsonKind::null:
            return false;
        case JsonKind::boolean:
            return json == yes;
        case JsonKind::number:
            return number_of(json) != 0;
        case JsonKind::string:
            return json.size() > 2;
        case JsonKind::object:
        case JsonKind::array:
            return skip_blanks(json, 1) + 1 < json.size();
    }
    return false;
}

// ---- reading ------------------------------------------------------------------------------------

// By recursive descent. After the first fault everything returns at once; what is not wanted
// (the right side of a decided `and`) is read and not resolved.
class Reader {
  public:
    Reader(std::string_view text, const FindReferred* find) : text_{text}, find_{find} {}

    Result<bool> read() {
        wanted_ = find_ != nullptr;
        const std::string value = either();
        if (!fault_ && next() < text_.size()) refuse(at_, "an operator is missing here");
        if (fault_) return std::unexpected{*fault_};
        return !wanted_ || is_true(value);
    }

  private:
    std::size_t next() { return at_ = skip_blanks(text_, at_); }

    // A sign, or a word that ends where it ends; its other spelling too.
    bool take(std::string_view word) {
        next();
        if (!text_.substr(at_).starts_with(word)) return false;
        const std::size_t end = at_ + word.size();
        if (is_word(word.back()) && end < text_.size() && is_word(text_[end])) return false;
        at_ = end;
        return true;
    }

    std::string refuse(std::size_t at, const std::string& why,
                       ErrorCode code = ErrorCode::bad_condition) {
        if (!fault_) fault_ = Error{code, "column " + std::to_string(at + 1) + ": " + why};
        return {};
    }

    // Reads the right side, wanted or not.
    template <class Side>
    std::string side(bool wanted, Side&& read_side) {
        const bool before = wanted_;
        wanted_ = before && wanted;
        std::string value = read_side();
        wanted_ = before;
        return value;
    }

    std::string either() {
        std::string left = both();
        while (!fault_ && (take("or") || take("||"))) {
            const bool held = wanted_ && is_true(left);
            const std::string right = side(!held, [this] { return both(); });
            left = held || (wanted_ && is_true(right)) ? yes : no;
        }
        return left;
    }

    std::string both() {
        std::string left = negated();
        while (!fault_ && (take("and") || take("&&"))) {
            const bool held = wanted_ && is_true(left);
            const std::string right = side(held, [this] { return negated(); });
            left = held && is_true(right) ? yes : no;
        }
        return left;
    }

    std::string negated() {
        bool turned = false;
        bool said = false;
        while (take("not") || take("!")) {
            turned = !turned;
            said = true;
        }
        std::string value = compared();
        if (!said || !wanted_ || fault_) return value;
        return std::string{is_true(value) != turned ? yes : no};
    }

    std::string_view operator_here() {
        constexpr std::array<std::string_view, 7> signs{"==", "!=", "<=", ">=", "<", ">", "in"};
        for (const std::string_view sign : signs)
            if (take(sign)) return sign;
        const std::size_t before = at_;
        if (take("not")) {
            if (take("in")) return "not in";
            at_ = before;
        }
        return {};
    }

    std::string compared() {
        std::string left = operand();
        if (fault_) return {};
        const std::size_t at = next();
        const std::string_view sign = operator_here();
        if (sign.empty()) return left;
        const std::string right = operand();
        if (fault_) return {};
        const std::size_t behind = next();
        if (!operator_here().empty())
            return refuse(behind, "one comparison behind another: parentheses are missing");
        if (!wanted_) return left;
        if (sign == "==" || sign == "!=")
            return std::string{equal(left, right) == (sign == "==") ? yes : no};
        if (sign == "in" || sign == "not in") return contained(left, right, sign == "in", at);
        return ordered(left, right, sign, at);
    }

    std::string contained(std::string_view what, std::string_view in, bool wanted, std::size_t at) {
        if (kind_of(in) == JsonKind::array) {
            const auto elements = split_array(in);
            const bool found =
                elements && std::ranges::any_of(*elements, [&](std::string_view element) {
                    return equal(element, what);
                });
            return std::string{found == wanted ? yes : no};
        }
        if (kind_of(in) != JsonKind::string || kind_of(what) != JsonKind::string)
            return refuse(at, "'in' looks into a list, or for a text in a text");
        const bool found = text_of(in).find(text_of(what)) != npos;
        return std::string{found == wanted ? yes : no};
    }

    std::string ordered(std::string_view left, std::string_view right, std::string_view sign,
                        std::size_t at) {
        std::partial_ordering order = std::partial_ordering::unordered;
        const JsonKind kind = kind_of(left);
        if (kind == JsonKind::number && kind_of(right) == kind)
            order = compare_numbers(left, right);
        else if (kind == JsonKind::string && kind_of(right) == kind)
            order = text_of(left) <=> text_of(right);
        else
            return refuse(at, "only numbers have an order, and texts");
        const bool held = sign == "<"    ? order < 0
                          : sign == "<=" ? order <= 0
                          : sign == ">"  ? order > 0
                                         : order >= 0;
        return std::string{held ? yes : no};
    }

    std::string operand() {
        const std::size_t begin = next();
        if (begin == text_.size()) return refuse(begin, "a value is missing here");
        const std::string_view rest = text_.substr(begin);
        const char first = rest.front();
        if (first == '(' || first == '[') return nested(first);
        if (rest.starts_with("${")) return reference();
        if (first == '"' || first == '\'') return quoted(first);
        if (first == '-' || (first >= '0' && first <= '9')) return number();
        for (const std::string_view word : {"true", "false", "null"})
            if (take(word)) return std::string{word};
        return unknown(rest);
    }

    std::string unknown(std::string_view rest) {
        std::size_t length = 0;
        while (length < rest.size() && (is_word(rest[length]) || rest[length] == '.'))
            ++length;
        if (length == 0) return refuse(at_, "no value begins here");
        const std::string word = shown(rest.substr(0, length));
        return refuse(at_, "'" + word + "' is no value; a text is written '" + word +
                               "', a reference ${" + word + "}");
    }

    std::string nested(char opened) {
        const std::size_t begin = at_++;
        if (depth_ == limits::condition_depth_max) return refuse(begin, "nested too deep");
        ++depth_;
        std::string value = opened == '(' ? either() : list();
        --depth_;
        if (fault_) return {};
        if (!take(opened == '(' ? ")" : "]"))
            return refuse(
                begin, opened == '(' ? "the parenthesis is not closed" : "the list is not closed");
        return value;
    }

    std::string list() {
        std::string out{"["};
        if (next() < text_.size() && text_[at_] == ']') return out + "]";
        while (!fault_) {
            out += operand();
            if (fault_ || !take(",")) break;
            out += ',';
        }
        return out + "]";
    }

    std::string reference() {
        const std::size_t begin = at_;
        const auto found = parse_reference(text_, begin);
        if (!found) return refuse(begin, found.error().detail, found.error().code);
        at_ += found->written.size();
        if (!wanted_) return std::string{"null"};
        auto value = resolve(*found, *find_);
        if (!value) return refuse(begin, value.error().detail, value.error().code);
        return std::move(*value);
    }

    // A backslash keeps the quote behind it, and itself.
    std::string quoted(char quote) {
        const std::size_t begin = at_++;
        std::string text;
        while (at_ < text_.size() && text_[at_] != quote) {
            if (text_[at_] == '\\' && at_ + 1 < text_.size()) ++at_;
            text += text_[at_++];
        }
        if (at_ >= text_.size()) return refuse(begin, "the text is not closed");
        ++at_;
        auto filled = filled_in(text);
        if (!filled) return refuse(begin, filled.error().detail, filled.error().code);
        std::string json;
        append_json_string(json, *filled);
        return json;
    }

    Result<std::string> filled_in(const std::string& text) {
        if (text.find("${") == npos) return text;
        if (wanted_) return fill_text(text, *find_);
        const auto parts = split_text(text);
        if (!parts) return std::unexpected{parts.error()};
        return std::string{};
    }

    std::string number() {
        const std::size_t begin = at_;
        const std::size_t end =
            std::min(text_.find_first_not_of("+-.0123456789eE", begin), text_.size());
        const std::string_view found = text_.substr(begin, end - begin);
        at_ = end;
        if (!check_json(found)) return refuse(begin, "'" + shown(found) + "' is no number");
        return std::string{found};
    }

    std::string_view text_;
    const FindReferred* find_;
    bool wanted_ = false;
    std::size_t at_ = 0;
    std::size_t depth_ = 0;
    std::optional<Error> fault_;
};

}  // namespace

Result<bool> evaluate(std::string_view condition, const FindReferred* find) {
    if (condition.size() > limits::condition_bytes_max)
        return fail(ErrorCode::bad_condition,
                    "it has more than " + std::to_string(limits::condition_bytes_max) + " bytes");
    return Reader{condition, find}.read();
}

}  // namespace taskd::protocol

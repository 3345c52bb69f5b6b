#include "taskd/protocol/json_document.hpp"

#include <algorithm>
#include <unordered_set>
#include <utility>

#include "protocol/json_cursor.hpp"
#include "taskd/base/limits.hpp"
#include "taskd/model/document_value.hpp"
#include "taskd/protocol/json.hpp"
#include "taskd/protocol/value_json.hpp"

namespace taskd::protocol {
namespace {

constexpr std::size_t few_fields = 16;  // are compared with each other; more are looked up

Result<std::string> read_checked(std::string_view raw) {
    if (auto checked = check_json(raw); !checked) return fail(std::move(checked));
    return read_string(raw, "text");
}

// By recursive descent, as deep as limits::json_depth_max. After the first fault everything returns
// at once.
class Reader {
  public:
    Reader(std::string_view text, const std::string& name) : text_{text}, name_{name} {}

    Result<Document> read() {
        Document document;
        skip();
        value(document, 1);
        if (fault_.empty() && skip() < text_.size()) refuse("something follows the value");
        if (!fault_.empty()) return fail(ErrorCode::bad_json, std::move(fault_));
        return document;
    }

  private:
    std::string place() const {
        std::string out = name_;
        out.append(1, ':').append(std::to_string(line_));
        return out.append(1, ':').append(std::to_string(at_ - line_begin_ + 1));
    }

    bool refuse(std::string_view why) {
        if (fault_.empty()) fault_ = place().append(": ").append(why);
        return false;
    }

    std::size_t skip() {
        for (; at_ < text_.size(); ++at_) {
            const char c = text_[at_];
            if (c == '\n') {
                ++line_;
                line_begin_ = at_ + 1;
            } else if (c != ' ' && c != '\t' && c != '\r') {
                break;
            }
        }
        return at_;
    }

    bool take(char wanted) {
        if (skip() == text_.size() || text_[at_] != wanted) return false;
        ++at_;
        return true;
    }

    bool value(Document& to, std::size_t depth) {
        if (at_ == text_.size()) return refuse("a value is missing");
        to.place = place();
        const char first = text_[at_];
        if (first == '{' || first == '[') {
            if (depth > limits::json_depth_max) return refuse("nested too deep");
            return first == '{' ? object(to, depth) : array(to, depth);
        }
        to.kind = DocumentKind::scalar;
        if (first == '"') {
            to.quoted = true;
            return string(to.text);
        }
        return word(to);
    }

    bool object(Document& to, std::size_t depth) {
        to.kind = DocumentKind::map;
        ++at_;
        if (take('}')) return true;
        std::unordered_set<std::string> names;
        do {
            if (skip() == text_.size() || text_[at_] != '"')
                return refuse("a name in quotes is missing");
            DocumentField& field = to.fields.emplace_back();
            field.place = place();
            if (!string(field.name)) return false;
            if (is_twice(to, names)) return refuse("'" + field.name + "' stands there twice");
            if (!take(':')) return refuse("':' is missing");
            skip();
            if (!value(field.value, depth + 1)) return false;
        } while (take(','));
        return take('}') || refuse("',' or '}' is missing");
    }

    // Whether the name of the last field stands before it already.
    static bool is_twice(const Document& map, std::unordered_set<std::string>& names) {
        const auto& fields = map.fields;
        const std::string& last = fields.back().name;
        if (fields.size() <= few_fields)
            return std::any_of(fields.begin(), fields.end() - 1,
                               [&](const DocumentField& each) { return each.name == last; });
        if (names.empty())
            for (auto each = fields.begin(); each != fields.end() - 1; ++each)
                names.insert(each->name);
        return !names.insert(last).second;
    }

    bool array(Document& to, std::size_t depth) {
        to.kind = DocumentKind::list;
        ++at_;
        if (take(']')) return true;
        do {
            skip();
            if (!value(to.items.emplace_back(), depth + 1)) return false;
        } while (take(','));
        return take(']') || refuse("',' or ']' is missing");
    }

    bool string(std::string& to) {
        const std::size_t end = end_of_string(text_, at_);
        if (end == std::string_view::npos) return refuse("the text is not closed");
        const std::string_view raw = text_.substr(at_, end - at_);
        const bool is_plain = std::ranges::all_of(
            raw, [](char c) { return static_cast<unsigned char>(c) >= 0x20 && c != '\\'; });
        if (is_plain) {
            to.assign(raw.substr(1, raw.size() - 2));
        } else {
            auto text = read_checked(raw);
            if (!text) return refuse("the text has a character or an escape that is not valid");
            to = std::move(*text);
        }
        at_ = end;
        return true;
    }

    // A number, true, false or null: what it is, is read from its letters later.
    bool word(Document& to) {
        const std::size_t end = std::min(text_.find_first_of(",]}: \n\r\t\"[{", at_), text_.size());
        const std::string_view raw = text_.substr(at_, end - at_);
        if (!check_json(raw)) return refuse("no value begins here");
        if (raw == "null") to.kind = DocumentKind::null;
        to.text.assign(raw);
        at_ = end;
        return true;
    }

    std::string_view text_;
    const std::string& name_;
    std::size_t at_ = 0;
    std::size_t line_ = 1;
    std::size_t line_begin_ = 0;
    std::string fault_;
};

Result<void> append(std::string& out, const Document& document) {
    if (document.kind == DocumentKind::list) {
        out += '[';
        for (const Document& each : document.items) {
            if (&each != &document.items.front()) out += ',';
            if (auto done = append(out, each); !done) return done;
        }
        out += ']';
        return {};
    }
    if (document.kind == DocumentKind::map) {
        out += '{';
        for (const DocumentField& each : document.fields) {
            if (&each != &document.fields.front()) out += ',';
            append_json_string(out, each.name);
            out += ':';
            if (auto done = append(out, each.value); !done) return done;
        }
        out += '}';
        return {};
    }
    const auto value = value_of(document);
    if (!value) return std::unexpected{value.error()};
    out += write_json_value(*value);
    return {};
}

}  // namespace

Result<Document> read_json_document(std::string_view text, const std::string& name) {
    if (!is_utf8(text)) return fail(ErrorCode::bad_json, name + ":1:1: it is not UTF-8");
    return Reader{text, name}.read();
}

Result<std::string> write_document(const Document& document) {
    std::string out;
    if (auto done = append(out, document); !done) return fail(std::move(done));
    return out;
}

}  // namespace taskd::protocol

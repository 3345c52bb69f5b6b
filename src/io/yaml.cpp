// yaml-cpp, here alone.
#include "taskd/io/yaml.hpp"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <sstream>
#include <stdexcept>
#include <unordered_set>
#include <vector>

#include "io/yaml_document.hpp"
#include "taskd/base/limits.hpp"
#include "taskd/io/private_files.hpp"
#include "taskd/protocol/json_document.hpp"

namespace taskd::io {
namespace {

std::string place_of(const std::string& name, const YAML::Mark& mark) {
    return name + ":" + std::to_string(mark.line + 1) + ":" + std::to_string(mark.column + 1);
}

// Ends the parser's walk: it knows no other way out.
struct Refused : std::runtime_error {
    using std::runtime_error::runtime_error;
};

// Builds the tree from what the parser meets.
class Builder final : public YAML::EventHandler {
  public:
    explicit Builder(const std::string& name) : name_{name} {}

    Document take() { return std::move(root_); }

    void OnDocumentStart(const YAML::Mark& /*mark*/) override {}
    void OnDocumentEnd() override {}
    void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
        put(mark, "", anchor, DocumentKind::null);
    }
    void OnAlias(const YAML::Mark& mark, YAML::anchor_t /*anchor*/) override {
        refuse(mark, "aliases are not taken here");
    }
    void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  const std::string& value) override {
        // The parser tells "~" and "null" apart from nothing at all only by the text.
        const bool is_null = tag == "?" && (value == "~" || value == "null");
        put(mark, tag, anchor, is_null ? DocumentKind::null : DocumentKind::scalar, value);
    }
    void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                         YAML::EmitterStyle::value /*style*/) override {
        open(mark, tag, anchor, DocumentKind::list);
    }
    void OnSequenceEnd() override { close(); }
    void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                    YAML::EmitterStyle::value /*style*/) override {
        open(mark, tag, anchor, DocumentKind::map);
    }
    void OnMapEnd() override { close(); }

  private:
    // A list or map that is not at its end yet; in a map the next value may be a name.
    struct Open {
        Document value;
        bool has_name = false;
        std::unordered_set<std::string> names;  // of a large map
    };

    // Few names are compared with each other, many looked up.
    static bool is_twice(Open& map, const std::string& name) {
        constexpr std::size_t few = 16;
        const auto& fields = map.value.fields;
        if (fields.size() < few)
            return std::ranges::find(fields, name, &DocumentField::name) != fields.end();
        if (map.names.empty())
            for (const DocumentField& each : fields)
                map.names.insert(each.name);
        return !map.names.insert(name).second;
    }

    [[noreturn]] void refuse(const YAML::Mark& mark, const std::string& why) const {
        throw Refused{place_of(name_, mark) + ": " + why};
    }

    void check(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor) const {
        if (anchor != YAML::NullAnchor) refuse(mark, "anchors are not taken here");
        if (!tag.empty() && tag != "?" && tag != "!") refuse(mark, "tags are not taken here");
    }

    void put(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
             DocumentKind kind, std::string text = {}) {
        check(mark, tag, anchor);
        Document value;
        value.kind = kind;
        value.text = std::move(text);
        value.quoted = kind == DocumentKind::scalar && tag != "?";
        value.place = place_of(name_, mark);
        if (is_name_next()) return put_name(mark, std::move(value));
        put_value(std::move(value));
    }

    bool is_name_next() const {
        return !open_.empty() && open_.back().value.kind == DocumentKind::map &&
               !open_.back().has_name;
    }

    void put_name(const YAML::Mark& mark, Document name) {
        auto& fields = open_.back().value.fields;
        if (is_twice(open_.back(), name.text)) {
            const auto found = std::ranges::find(fields, name.text, &DocumentField::name);
            refuse(mark, "'" + name.text + "' stands there twice, first at " + found->place);
        }
        fields.push_back({std::move(name.text), std::move(name.place), {}});
        open_.back().has_name = true;
    }

    void put_value(Document value) {
        if (open_.empty()) {
            root_ = std::move(value);
        } else if (open_.back().value.kind == DocumentKind::map) {
            auto& field = open_.back().value.fields.back();
            // The parser sees that there is nothing only where the next thing stands.
            if (value.kind == DocumentKind::null) value.place = field.place;
            field.value = std::move(value);
            open_.back().has_name = false;
        } else {
            open_.back().value.items.push_back(std::move(value));
        }
    }

    void open(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
              DocumentKind kind) {
        check(mark, tag, anchor);
        if (is_name_next()) refuse(mark, "a name must be a text");
        if (open_.size() >= limits::json_depth_max) refuse(mark, "nested too deep");
        Open fresh;
        fresh.value.kind = kind;
        fresh.value.place = place_of(name_, mark);
        open_.push_back(std::move(fresh));
    }

    void close() {
        Document value = std::move(open_.back().value);
        open_.pop_back();
        put_value(std::move(value));
    }

    const std::string& name_;
    Document root_;
    std::vector<Open> open_;
};

}  // namespace

Result<Document> parse_yaml_document(const std::string& text, const std::string& name) {
    try {
        std::istringstream stream{text};
        YAML::Parser parser{stream};
        Builder builder{name};
        Document document;
        if (parser.HandleNextDocument(builder)) document = builder.take();
        Builder another{name};
        if (parser.HandleNextDocument(another))
            return fail(ErrorCode::config_invalid,
                        another.take().place + ": one document a file is enough");
        if (document.place.empty()) document.place = name + ":1:1";
        return document;
    } catch (const Refused& error) {
        return fail(ErrorCode::config_invalid, error.what());
    } catch (const YAML::Exception& error) {
        return fail(ErrorCode::config_invalid, place_of(name, error.mark) + ": " + error.msg);
    }
}

Result<Document> parse_yaml(const std::string& text, const std::string& name) {
    auto document = parse_yaml_document(text, name);
    if (document && document->kind == DocumentKind::null) document->kind = DocumentKind::map;
    return document;
}

Result<Document> parse_document(const std::string& text, const std::string& name) {
    const std::size_t first = text.find_first_not_of(" \t\r\n");
    if (first == std::string::npos || text[first] != '{') return parse_yaml(text, name);
    auto json = protocol::read_json_document(text, name);
    if (json) return json;
    auto yaml = parse_yaml(text, name);
    return yaml ? std::move(yaml) : std::move(json);
}

Result<Document> read_yaml_file(const std::string& path) {
    auto text = read_whole_file(path, limits::mebibyte);
    if (text) return parse_yaml(*text, path);
    if (text.error().code == ErrorCode::file_missing) return fail(std::move(text));
    return fail(ErrorCode::config_invalid, text.error().detail);
}

}  // namespace taskd::io

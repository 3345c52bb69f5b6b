// A schema's document to nodes.
#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <functional>

#include "protocol/schema/schema.hpp"
#include "taskd/base/limits.hpp"

namespace taskd::protocol::schema {
namespace {

constexpr std::size_t depth_max = 1'000;  // of schemas met one in the other: a stack is finite
constexpr std::size_t in_place_depth_max = 16;  // schemas that look at the same value

struct TypeName {
    std::string_view name;
    unsigned bits;
};
constexpr std::array<TypeName, 7> type_names{{{"null", type_null},
                                              {"boolean", type_boolean},
                                              {"integer", type_integer},
                                              {"number", type_number | type_integer},
                                              {"string", type_string},
                                              {"array", type_array},
                                              {"object", type_object}}};
constexpr std::array<std::string_view, 3> dialects{"json-schema.org/draft-04/schema",
                                                   "json-schema.org/draft-06/schema",
                                                   "json-schema.org/draft-07/schema"};

const Value* find(const Value& map, std::string_view name) {
    const auto found = std::ranges::find(map.fields, name, &ValueField::name);
    return found == map.fields.end() ? nullptr : &found->value;
}

// One part of a JSON pointer, with %, ~0 and ~1 as what they stand for.
std::string unescaped(std::string_view part) {
    std::string out;
    for (std::size_t at = 0; at < part.size(); ++at) {
        unsigned byte = 0;
        const char* const hex = part.data() + at + 1;
        if (part[at] == '%' && at + 2 < part.size() &&
            std::from_chars(hex, hex + 2, byte, 16).ptr == hex + 2) {
            out += static_cast<char>(byte);
            at += 2;
        } else {
            out += part[at];
        }
    }
    for (const auto& [from, to] : {std::pair{"~1", '/'}, std::pair{"~0", '~'}})
        for (std::size_t at = out.find(from); at != std::string::npos; at = out.find(from, at + 1))
            out.replace(at, 2, 1, to);
    return out;
}

class Compiler {
  public:
    explicit Compiler(const Value& document) : document_{document} {}

    Result<Schema> compile() {
        if (const Value* dialect = find(document_, "$schema"); dialect != nullptr) {
            const bool is_known = std::ranges::any_of(dialects, [&](std::string_view known) {
                return dialect->text.find(known) != std::string::npos;
            });
            if (!is_known)
                return fail(ErrorCode::bad_schema, "/$schema: drafts 4, 6 and 7 are read here");
        }
        Result<void> done;
        const auto root = node(document_, "", done);
        if (done && root) done = check_in_place();
        if (!done) return std::unexpected{done.error()};
        return std::move(schema_);
    }

  private:
    static void refuse(Result<void>& done, const std::string& path, std::string_view why) {
        if (done) done = fail(ErrorCode::bad_schema, path + ": " + std::string{why});
    }

    Node& at(NodeId id) { return schema_.nodes[id]; }

    // The node of a schema, made once however often it is referred to.
    std::optional<NodeId> node(const Value& value, const std::string& path, Result<void>& done) {
        if (!done) return std::nullopt;
        if (const auto found = made_.find(&value); found != made_.end()) return found->second;
        if (depth_ == depth_max) {
            refuse(done, path, "schemas refer to each other in too long a chain");
            return std::nullopt;
        }
        ++depth_;
        const auto made = make(value, path, done);
        --depth_;
        return made;
    }

    std::optional<NodeId> make(const Value& value, const std::string& path, Result<void>& done) {
        const auto id = static_cast<NodeId>(schema_.nodes.size());
        made_[&value] = id;
        schema_.nodes.emplace_back();
        if (value.kind == ValueKind::boolean) {
            at(id).always = value.boolean;
            return id;
        }
        if (value.kind != ValueKind::map) {
            refuse(done, path, "a schema is an object, true or false");
            return std::nullopt;
        }
        if (const Value* ref = find(value, "$ref");
            ref != nullptr && ref->kind == ValueKind::text) {
            const NodeId target = referred(*ref, path + "/$ref", done);
            at(id).ref = target;
            return id;
        }
        Node made;
        for (const ValueField& field : value.fields)
            keyword(made, field, path + "/" + field.name, done);
        exclusive(made, value);
        at(id) = std::move(made);
        return id;
    }

    NodeId part(const Value& value, const std::string& path, Result<void>& done) {
        return node(value, path, done).value_or(no_node);
    }

    NodeId referred(const Value& ref, const std::string& path, Result<void>& done) {
        std::string_view rest = ref.text;
        if (!rest.starts_with('#')) {
            refuse(done, path, "a schema refers to itself alone: '#/…'");
            return no_node;
        }
        rest.remove_prefix(1);
        const Value* target = &document_;
        while (!rest.empty() && target != nullptr) {
            if (rest.front() != '/') {
                target = nullptr;
                break;
            }
            const std::size_t end = std::min(rest.find('/', 1), rest.size());
            const std::string name = unescaped(rest.substr(1, end - 1));
            target = step(*target, name);
            rest.remove_prefix(end);
        }
        if (target != nullptr) return part(*target, ref.text, done);
        refuse(done, path, "there is nothing at '" + ref.text + "'");
        return no_node;
    }

    static const Value* step(const Value& value, const std::string& name) {
        if (value.kind == ValueKind::map) return find(value, name);
        std::size_t index = 0;
        const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), index);
        if (error != std::errc{} || *end != '\0' || index >= value.items.size()) return nullptr;
        return &value.items[index];
    }

    // ---- keywords

    using Read = void (Compiler::*)(Node&, const Value&, const std::string&, Result<void>&);
    struct Keyword {
        std::string_view name;
        Read read;
    };

    void keyword(Node& to, const ValueField& field, const std::string& path, Result<void>& done) {
        if (number_keyword(to, field, path, done) || schema_keyword(to, field, path, done)) return;
        static constexpr std::array<Keyword, 9> keywords{
            {{"type", &Compiler::type},
             {"enum", &Compiler::choice},
             {"pattern", &Compiler::pattern},
             {"items", &Compiler::items},
             {"uniqueItems", &Compiler::unique},
             {"properties", &Compiler::properties},
             {"patternProperties", &Compiler::pattern_properties},
             {"required", &Compiler::required},
             {"dependencies", &Compiler::dependencies}}};
        if (field.name == "const") to.constant = field.value;
        const auto found = std::ranges::find(keywords, field.name, &Keyword::name);
        if (found != keywords.end()) (this->*found->read)(to, field.value, path, done);
    }

    static bool number_keyword(Node& to, const ValueField& field, const std::string& path,
                               Result<void>& done) {
        struct Count {
            std::string_view name;
            std::optional<std::uint64_t> Node::* member;
        };
        static constexpr std::array<Count, 6> counts{{{"minLength", &Node::length_min},
                                                      {"maxLength", &Node::length_max},
                                                      {"minItems", &Node::items_min},
                                                      {"maxItems", &Node::items_max},
                                                      {"minProperties", &Node::fields_min},
                                                      {"maxProperties", &Node::fields_max}}};
        struct Bound {
            std::string_view name;
            std::optional<double> Node::* member;
        };
        static constexpr std::array<Bound, 5> bounds{{{"minimum", &Node::minimum},
                                                      {"maximum", &Node::maximum},
                                                      {"exclusiveMinimum", &Node::above},
                                                      {"exclusiveMaximum", &Node::below},
                                                      {"multipleOf", &Node::multiple_of}}};
        const Value& value = field.value;
        if (const auto found = std::ranges::find(counts, field.name, &Count::name);
            found != counts.end()) {
            if (value.kind != ValueKind::number || !is_integer(value) || number_of(value) < 0)
                refuse(done, path, "must be a whole number from 0");
            else
                to.*found->member = static_cast<std::uint64_t>(number_of(value));
            return true;
        }
        const auto found = std::ranges::find(bounds, field.name, &Bound::name);
        if (found == bounds.end()) return false;
        const bool is_old = field.name.starts_with("exclusive") && value.kind == ValueKind::boolean;
        if (is_old) return true;  // see exclusive()
        if (value.kind != ValueKind::number ||
            (field.name == "multipleOf" && !(number_of(value) > 0)))
            refuse(done, path, "must be a number, and multipleOf above 0");
        else
            to.*found->member = number_of(value);
        return true;
    }

    // Draft 4 says with true that a bound itself is out.
    static void exclusive(Node& to, const Value& map) {
        const auto is_true = [&](std::string_view name) {
            const Value* value = find(map, name);
            return value != nullptr && value->kind == ValueKind::boolean && value->boolean;
        };
        if (is_true("exclusiveMinimum")) std::swap(to.minimum, to.above);
        if (is_true("exclusiveMaximum")) std::swap(to.maximum, to.below);
    }

    bool schema_keyword(Node& to, const ValueField& field, const std::string& path,
                        Result<void>& done) {
        struct One {
            std::string_view name;
            NodeId Node::* member;
        };
        static constexpr std::array<One, 8> ones{{{"contains", &Node::contains},
                                                  {"additionalItems", &Node::behind_tuple},
                                                  {"additionalProperties", &Node::additional},
                                                  {"propertyNames", &Node::names},
                                                  {"not", &Node::negated},
                                                  {"if", &Node::condition},
                                                  {"then", &Node::then},
                                                  {"else", &Node::otherwise}}};
        struct Many {
            std::string_view name;
            std::vector<NodeId> Node::* member;
        };
        static constexpr std::array<Many, 3> manies{
            {{"allOf", &Node::all_of}, {"anyOf", &Node::any_of}, {"oneOf", &Node::one_of}}};
        if (const auto found = std::ranges::find(ones, field.name, &One::name);
            found != ones.end()) {
            to.*found->member = part(field.value, path, done);
            return true;
        }
        const auto found = std::ranges::find(manies, field.name, &Many::name);
        if (found == manies.end()) return false;
        if (field.value.kind != ValueKind::list || field.value.items.empty())
            refuse(done, path, "must be a list of schemas");
        for (std::size_t i = 0; i < field.value.items.size(); ++i)
            (to.*found->member)
                .push_back(part(field.value.items[i], path + "/" + std::to_string(i), done));
        return true;
    }

    void type(Node& to, const Value& value, const std::string& path, Result<void>& done) {
        const auto add = [&](const Value& name) {
            const auto found = std::ranges::find(type_names, name.text, &TypeName::name);
            if (name.kind != ValueKind::text || found == type_names.end())
                return refuse(done, path, "no type is called '" + name.text + "'");
            to.types |= found->bits;
        };
        if (value.kind != ValueKind::list) return add(value);
        if (value.items.empty()) refuse(done, path, "must be a type or a list of them");
        for (const Value& each : value.items)
            add(each);
    }

    void choice(Node& to, const Value& value, const std::string& path, Result<void>& done) {
        if (value.kind != ValueKind::list) return refuse(done, path, "must be a list");
        to.choice = value.items;
    }

    static std::optional<PatternRule> rule(const std::string& text, const std::string& path,
                                           Result<void>& done) {
        auto pattern = Pattern::compile(text);
        if (pattern) return PatternRule{std::move(*pattern), text, no_node};
        refuse(done, path, pattern.error().detail);
        return std::nullopt;
    }

    void pattern(Node& to, const Value& value, const std::string& path, Result<void>& done) {
        if (value.kind != ValueKind::text) return refuse(done, path, "must be a text");
        to.pattern = rule(value.text, path, done);
    }

    void items(Node& to, const Value& value, const std::string& path, Result<void>& done) {
        if (value.kind != ValueKind::list) {
            to.items = part(value, path, done);
            return;
        }
        to.tuple.emplace();
        for (std::size_t i = 0; i < value.items.size(); ++i)
            to.tuple->push_back(part(value.items[i], path + "/" + std::to_string(i), done));
    }

    void unique(Node& to, const Value& value, const std::string& path, Result<void>& done) {
        if (value.kind != ValueKind::boolean) return refuse(done, path, "must be true or false");
        to.unique = value.boolean;
    }

    void properties(Node& to, const Value& value, const std::string& path, Result<void>& done) {
        if (value.kind != ValueKind::map) return refuse(done, path, "must be an object");
        for (const ValueField& each : value.fields)
            to.properties[each.name] = part(each.value, path + "/" + each.name, done);
    }

    void pattern_properties(Node& to, const Value& value, const std::string& path,
                            Result<void>& done) {
        if (value.kind != ValueKind::map) return refuse(done, path, "must be an object");
        for (const ValueField& each : value.fields) {
            auto made = rule(each.name, path, done);
            if (!made) return;
            made->node = part(each.value, path + "/" + each.name, done);
            to.pattern_properties.push_back(std::move(*made));
        }
    }

    static bool read_names(std::vector<std::string>& to, const Value& value) {
        for (const Value& each : value.items) {
            if (each.kind != ValueKind::text) return false;
            to.push_back(each.text);
        }
        return value.kind == ValueKind::list;
    }

    void required(Node& to, const Value& value, const std::string& path, Result<void>& done) {
        if (!read_names(to.required, value)) refuse(done, path, "must be a list of names");
    }

    void dependencies(Node& to, const Value& value, const std::string& path, Result<void>& done) {
        if (value.kind != ValueKind::map) return refuse(done, path, "must be an object");
        for (const ValueField& each : value.fields) {
            const std::string inner = path + "/" + each.name;
            if (each.value.kind != ValueKind::list) {
                to.dependencies[each.name] = part(each.value, inner, done);
                continue;
            }
            std::vector<std::string> names;
            if (!read_names(names, each.value)) refuse(done, inner, "must be a list of names");
            to.dependencies[each.name] = std::move(names);
        }
    }

    // ---- schemas that look at the same value

    static std::vector<NodeId> in_place(const Node& node) {
        if (node.ref != no_node) return {node.ref};
        std::vector<NodeId> out;
        for (const auto* many : {&node.all_of, &node.any_of, &node.one_of})
            out.insert(out.end(), many->begin(), many->end());
        for (const NodeId each : {node.negated, node.condition, node.then, node.otherwise})
            if (each != no_node) out.push_back(each);
        for (const auto& [name, dependency] : node.dependencies)
            if (const auto* id = std::get_if<NodeId>(&dependency)) out.push_back(*id);
        return out;
    }

    // How deep they stand in each other, so that a check has a bound; none may come back to itself.
    Result<void> check_in_place() {
        std::vector<std::size_t> depth(schema_.nodes.size(),
                                       0);  // 0: not known, 1: being looked at
        const std::function<std::size_t(NodeId, std::size_t)> measure = [&](NodeId id,
                                                                            std::size_t above) {
            if (depth[id] == 1 || above > in_place_depth_max) return in_place_depth_max + 1;
            if (depth[id] > 1) return depth[id] - 1;
            depth[id] = 1;
            std::size_t deepest = 1;
            for (const NodeId each : in_place(schema_.nodes[id]))
                deepest = std::max(deepest, 1 + measure(each, above + 1));
            deepest = std::min(deepest, in_place_depth_max + 1);
            depth[id] = deepest + 1;
            return deepest;
        };
        for (NodeId id = 0; id < schema_.nodes.size(); ++id)
            if (measure(id, 0) > in_place_depth_max)
                return fail(ErrorCode::bad_schema,
                            "/: schemas for the same value refer to each other without end, or "
                            "stand in each other deeper than " +
                                std::to_string(in_place_depth_max));
        return {};
    }

    const Value& document_;
    Schema schema_;
    std::map<const Value*, NodeId> made_;
    std::size_t depth_ = 0;  // of nodes that are being made
};

}  // namespace

Result<Schema> compile(const Value& document) {
    return Compiler{document}.compile();
}

}  // namespace taskd::protocol::schema

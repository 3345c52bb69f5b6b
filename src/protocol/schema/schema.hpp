// A schema as it is asked: nodes that name each other by number, so that it may be recursive. Pure.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "taskd/base/result.hpp"
#include "taskd/model/value.hpp"

namespace taskd::protocol::schema {

// Regular expressions (ICU's), in their own file: the library's header is heavy.
class Pattern {
  public:
    static Result<std::shared_ptr<const Pattern>> compile(const std::string& text);
    virtual ~Pattern() = default;
    // Found anywhere in the text; none when that takes too long to find out.
    virtual std::optional<bool> found_in(std::string_view text) const = 0;
};
using PatternPtr = std::shared_ptr<const Pattern>;

using NodeId = std::uint32_t;
constexpr NodeId no_node = UINT32_MAX;

enum TypeBit : unsigned {
    type_null = 1,
    type_boolean = 2,
    type_integer = 4,
    type_number = 8,  // of any kind
    type_string = 16,
    type_array = 32,
    type_object = 64,
};

struct PatternRule {
    PatternPtr pattern;
    std::string text;
    NodeId node = no_node;
};
using Dependency = std::variant<std::vector<std::string>, NodeId>;

struct Node {
    std::optional<bool> always;  // true and false are schemas
    NodeId ref = no_node;        // and nothing else counts

    unsigned types = 0;  // 0: any
    std::optional<Value> constant;
    std::optional<std::vector<Value>> choice;

    std::optional<double> minimum, maximum, above, below, multiple_of;
    std::optional<std::uint64_t> length_min, length_max, items_min, items_max, fields_min,
        fields_max;
    std::optional<PatternRule> pattern;

    std::optional<std::vector<NodeId>> tuple;  // items as a list
    NodeId behind_tuple = no_node;
    NodeId items = no_node;  // all
    NodeId contains = no_node;
    bool unique = false;

    std::map<std::string, NodeId> properties;
    std::vector<PatternRule> pattern_properties;
    NodeId additional = no_node;
    NodeId names = no_node;
    std::vector<std::string> required;
    std::map<std::string, Dependency> dependencies;

    std::vector<NodeId> all_of, any_of, one_of;
    NodeId negated = no_node;
    NodeId condition = no_node, then = no_node, otherwise = no_node;
};

struct Schema {
    std::vector<Node> nodes;  // the first is the root
};

Result<Schema> compile(const Value& document);
// Faults as "PATH: what"; empty: it matches. With `open`, texts with references match anything.
std::vector<std::string> check(const Schema& schema, const Value& value, bool open);

bool is_integer(const Value& number);
double number_of(const Value& number);
// Equal values have equal forms.
std::string canonical(const Value& value);

}  // namespace taskd::protocol::schema

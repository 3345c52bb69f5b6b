// Whether a value matches a schema. With templates there is a third answer: a text with references
// may yet become anything.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <set>

#include "protocol/reference.hpp"
#include "protocol/schema/schema.hpp"
#include "taskd/base/limits.hpp"
#include "taskd/protocol/value_json.hpp"

namespace taskd::protocol::schema {
namespace {

constexpr std::size_t visits_max = 2'000'000;  // of nodes, in one check

enum class Match { yes, no, maybe };

Match both(Match a, Match b) {
    if (a == Match::no || b == Match::no) return Match::no;
    return a == Match::maybe ? a : b;
}

std::size_t characters(std::string_view text) {
    return static_cast<std::size_t>(std::ranges::count_if(
        text, [](char c) { return (static_cast<unsigned char>(c) & 0xc0U) != 0x80U; }));
}

std::string type_text(unsigned types) {
    std::string out;
    for (const auto& [bit, name] :
         {std::pair{type_null, "null"}, std::pair{type_boolean, "true or false"},
          std::pair{type_integer, "an integer"}, std::pair{type_number, "a number"},
          std::pair{type_string, "a text"}, std::pair{type_array, "a list"},
          std::pair{type_object, "an object"}}) {
        if ((types & bit) == 0 || (bit == type_integer && (types & type_number) != 0)) continue;
        if (!out.empty()) out += " or ";
        out += name;
    }
    return out;
}

unsigned type_of(const Value& value) {
    switch (value.kind) {
        case ValueKind::null:
            return type_null;
        case ValueKind::boolean:
            return type_boolean;
        case ValueKind::number:
            return type_number | (is_integer(value) ? type_integer : 0U);
        case ValueKind::text:
            return type_string;
        case ValueKind::list:
            return type_array;
        case ValueKind::map:
            return type_object;
    }
    return 0;
}

bool is_multiple(double number, double of) {
    const double times = number / of;
    if (!std::isfinite(times)) return std::fmod(number, of) == 0;
    return std::abs(times - std::round(times)) <= 1e-9 * std::max(1.0, std::abs(times));
}

// A step of a JSON pointer.
std::string escaped(std::string_view name) {
    std::string out{"/"};
    for (const char c : name) {
        if (c == '~')
            out += "~0";
        else if (c == '/')
            out += "~1";
        else
            out += c;
    }
    return out;
}

const Value* field(const Value& map, std::string_view name) {
    const auto found = std::ranges::find(map.fields, name, &ValueField::name);
    return found == map.fields.end() ? nullptr : &found->value;
}

class Checker {
  public:
    Checker(const Schema& schema, bool open) : schema_{schema}, open_{open} {}

    std::vector<std::string> check(const Value& value) {
        std::string path;
        run(0, value, path, true);
        return std::move(faults_);
    }

  private:
    Match fault(const std::string& path, bool tell, const std::string& what) {
        if (tell && faults_.size() < limits::schema_faults_shown_max)
            faults_.push_back((path.empty() ? "/" : shown(path)) + ": " + what);
        return Match::no;
    }

    // `path` is the value's place, and as it was when this returns. Untold faults are those of
    // one of several ways that a value may match.
    Match run(NodeId id, const Value& value, std::string& path, bool tell) {
        if (++visits_ > visits_max)
            return visits_ == visits_max + 1 ? fault(path, true, "the schema takes too long to ask")
                                             : Match::no;
        if (open_ && value.kind == ValueKind::text && value.text.find("${") != std::string::npos)
            return Match::maybe;
        const Node& node = schema_.nodes[id];
        if (node.always) return *node.always ? Match::yes : fault(path, tell, "must not be there");
        if (node.ref != no_node) return run(node.ref, value, path, tell);
        Match match = kind(node, value, path, tell);
        // Of another type there is nothing more to say.
        if (match == Match::no && node.types != 0 && tell) return match;
        match = both(match, constant(node, value, path, tell));
        if (value.kind == ValueKind::number) match = both(match, number(node, value, path, tell));
        if (value.kind == ValueKind::text) match = both(match, text(node, value, path, tell));
        if (value.kind == ValueKind::list) match = both(match, list(node, value, path, tell));
        if (value.kind == ValueKind::map) match = both(match, map(node, value, path, tell));
        return both(match, combined(node, value, path, tell));
    }

    Match inside(NodeId id, const Value& value, std::string& path, const std::string& step,
                 bool tell) {
        const std::size_t before = path.size();
        path += step;
        const Match match = run(id, value, path, tell);
        path.resize(before);
        return match;
    }

    Match kind(const Node& node, const Value& value, const std::string& path, bool tell) {
        if (node.types == 0 || (node.types & type_of(value)) != 0) return Match::yes;
        return fault(path, tell, "must be " + type_text(node.types));
    }

    bool has_references(const Value& value) const {
        if (!open_) return false;
        if (value.kind == ValueKind::text) return value.text.find("${") != std::string::npos;
        return std::ranges::any_of(value.items,
                                   [&](const Value& v) { return has_references(v); }) ||
               std::ranges::any_of(value.fields,
                                   [&](const ValueField& f) { return has_references(f.value); });
    }

    Match constant(const Node& node, const Value& value, const std::string& path, bool tell) {
        if (!node.constant && !node.choice) return Match::yes;
        if (has_references(value)) return Match::maybe;
        const std::string form = canonical(value);
        if (node.constant && canonical(*node.constant) != form)
            return fault(path, tell, "must be " + shown(write_json_value(*node.constant)));
        if (!node.choice) return Match::yes;
        std::string all;
        for (const Value& each : *node.choice) {
            if (canonical(each) == form) return Match::yes;
            all += (all.empty() ? "" : ", ") + write_json_value(each);
        }
        return fault(path, tell, "must be one of " + shown(all));
    }

    Match number(const Node& node, const Value& value, const std::string& path, bool tell) {
        const double is = number_of(value);
        Match match = Match::yes;
        const auto hold = [&](const std::optional<double>& bound, bool held, const char* what) {
            if (bound && !held)
                match = fault(path, tell, fmt::format("must be {} {}", what, *bound));
        };
        hold(node.minimum, is >= node.minimum.value_or(is), "at least");
        hold(node.maximum, is <= node.maximum.value_or(is), "at most");
        hold(node.above, is > node.above.value_or(0), "above");
        hold(node.below, is < node.below.value_or(0), "below");
        hold(node.multiple_of, is_multiple(is, node.multiple_of.value_or(1)), "a multiple of");
        return match;
    }

    Match count(std::size_t is, const std::optional<std::uint64_t>& least,
                const std::optional<std::uint64_t>& most, const char* what, const std::string& path,
                bool tell) {
        if (least && is < *least)
            return fault(path, tell, fmt::format("must have at least {} {}", *least, what));
        if (most && is > *most)
            return fault(path, tell, fmt::format("must have at most {} {}", *most, what));
        return Match::yes;
    }

    Match text(const Node& node, const Value& value, const std::string& path, bool tell) {
        Match match = Match::yes;
        if (node.length_min || node.length_max)
            match = count(characters(value.text), node.length_min, node.length_max, "characters",
                          path, tell);
        if (!node.pattern) return match;
        const auto found = node.pattern->pattern->found_in(value.text);
        if (found == true) return match;
        return fault(path, tell,
                     (found ? "must match " : "takes too long to hold against ") +
                         shown(node.pattern->text));
    }

    Match list(const Node& node, const Value& value, std::string& path, bool tell) {
        Match match =
            count(value.items.size(), node.items_min, node.items_max, "elements", path, tell);
        const std::size_t fixed = node.tuple ? node.tuple->size() : 0;
        const NodeId other = node.tuple ? node.behind_tuple : node.items;
        for (std::size_t i = 0; i < value.items.size(); ++i) {
            const NodeId id = i < fixed ? (*node.tuple)[i] : other;
            if (id == no_node) break;
            match = both(match, inside(id, value.items[i], path, "/" + std::to_string(i), tell));
        }
        if (node.unique) match = both(match, unique(value, path, tell));
        if (node.contains == no_node) return match;
        Match contained = Match::no;
        for (const Value& each : value.items) {
            const Match one = run(node.contains, each, path, false);
            if (one == Match::maybe) contained = one;
            if (one != Match::yes) continue;
            contained = one;
            break;
        }
        if (contained == Match::no) fault(path, tell, "has no element of those that must be there");
        return both(match, contained);
    }

    Match unique(const Value& value, const std::string& path, bool tell) {
        std::set<std::string> seen;
        for (std::size_t i = 0; i < value.items.size(); ++i) {
            if (has_references(value.items[i])) continue;
            if (!seen.insert(canonical(value.items[i])).second)
                return fault(path, tell, fmt::format("element {} stands there twice", i));
        }
        return Match::yes;
    }

    Match map(const Node& node, const Value& value, std::string& path, bool tell) {
        Match match =
            count(value.fields.size(), node.fields_min, node.fields_max, "fields", path, tell);
        for (const std::string& name : node.required)
            if (field(value, name) == nullptr)
                match = fault(path, tell, "'" + shown(name) + "' is missing");
        for (const ValueField& each : value.fields)
            match = both(match, one_field(node, each, path, tell));
        for (const auto& [name, dependency] : node.dependencies) {
            if (field(value, name) == nullptr) continue;
            if (const auto* id = std::get_if<NodeId>(&dependency)) {
                match = both(match, run(*id, value, path, tell));
                continue;
            }
            for (const std::string& other : std::get<std::vector<std::string>>(dependency))
                if (field(value, other) == nullptr)
                    match = fault(path, tell,
                                  "'" + shown(other) + "' is missing beside '" + shown(name) + "'");
        }
        return match;
    }

    Match one_field(const Node& node, const ValueField& each, std::string& path, bool tell) {
        Match match = Match::yes;
        const std::string step = escaped(each.name);
        if (node.names != no_node)
            match = inside(node.names, Value::of_text(each.name), path, step, tell);
        bool is_known = false;
        if (const auto found = node.properties.find(each.name); found != node.properties.end()) {
            is_known = true;
            match = both(match, inside(found->second, each.value, path, step, tell));
        }
        for (const PatternRule& rule : node.pattern_properties) {
            const auto found = rule.pattern->found_in(each.name);
            if (!found)
                return fault(path + step, tell,
                             "takes too long to hold against " + shown(rule.text));
            if (!*found) continue;
            is_known = true;
            match = both(match, inside(rule.node, each.value, path, step, tell));
        }
        if (is_known || node.additional == no_node) return match;
        if (schema_.nodes[node.additional].always == false)
            return fault(path + shown(step), tell, "is not known here");
        return both(match, inside(node.additional, each.value, path, step, tell));
    }

    Match combined(const Node& node, const Value& value, std::string& path, bool tell) {
        Match match = Match::yes;
        for (const NodeId each : node.all_of)
            match = both(match, run(each, value, path, tell));
        if (!node.any_of.empty()) match = both(match, any_of(node, value, path, tell));
        if (!node.one_of.empty()) match = both(match, one_of(node, value, path, tell));
        if (node.negated != no_node) {
            const Match inner = run(node.negated, value, path, false);
            if (inner == Match::yes) return fault(path, tell, "is what it must not be");
            match = both(match, inner == Match::no ? Match::yes : Match::maybe);
        }
        if (node.condition == no_node) return match;
        const Match holds = run(node.condition, value, path, false);
        if (holds == Match::maybe) return both(match, Match::maybe);
        const NodeId next = holds == Match::yes ? node.then : node.otherwise;
        return next == no_node ? match : both(match, run(next, value, path, tell));
    }

    Match any_of(const Node& node, const Value& value, std::string& path, bool tell) {
        Match best = Match::no;
        for (const NodeId each : node.any_of) {
            const Match one = run(each, value, path, false);
            if (one == Match::yes) return one;
            if (one == Match::maybe) best = one;
        }
        // One way alone can say what is wrong with it.
        if (best == Match::no && node.any_of.size() == 1)
            return run(node.any_of.front(), value, path, tell);
        return best == Match::no ? fault(path, tell, "matches none of the forms it may have")
                                 : best;
    }

    Match one_of(const Node& node, const Value& value, std::string& path, bool tell) {
        std::size_t yes = 0, maybe = 0;
        for (const NodeId each : node.one_of) {
            const Match one = run(each, value, path, false);
            yes += one == Match::yes ? 1 : 0;
            maybe += one == Match::maybe ? 1 : 0;
        }
        if (yes > 1) return fault(path, tell, "matches more than one of the forms it may have");
        if (maybe > 0) return Match::maybe;
        return yes == 1 ? Match::yes : fault(path, tell, "matches none of the forms it may have");
    }

    const Schema& schema_;
    bool open_;
    std::size_t visits_ = 0;
    std::vector<std::string> faults_;
};

void append_canonical(std::string& out, const Value& value) {
    if (value.kind == ValueKind::list) {
        out += '[';
        for (const Value& each : value.items) {
            append_canonical(out, each);
            out += ',';
        }
        out += ']';
    } else if (value.kind == ValueKind::map) {
        std::map<std::string_view, const Value*> sorted;
        for (const ValueField& each : value.fields)
            sorted[each.name] = &each.value;
        out += '{';
        for (const auto& [name, each] : sorted) {
            out += write_json_value(Value::of_text(std::string{name})) + ":";
            append_canonical(out, *each);
            out += ',';
        }
        out += '}';
    } else if (value.kind == ValueKind::number) {
        // Digits beyond what a double holds count, where there is no other way to write them.
        const bool is_plain = value.text.find_first_of(".eE") == std::string::npos;
        out +=
            is_plain && value.text != "-0" ? value.text : fmt::format("{}", number_of(value) + 0.0);
    } else {
        out += write_json_value(value);
    }
}

}  // namespace

std::vector<std::string> check(const Schema& schema, const Value& value, bool open) {
    return Checker{schema, open}.check(value);
}

double number_of(const Value& number) {
    double out = 0;
    const char* const end = number.text.data() + number.text.size();
    const auto [last, error] = std::from_chars(number.text.data(), end, out);
    if (error != std::errc::result_out_of_range) return out;
    const bool is_small =
        number.text.find("e-") != std::string::npos || number.text.find("E-") != std::string::npos;
    return is_small ? 0 : number.text.starts_with('-') ? -HUGE_VAL : HUGE_VAL;
}

bool is_integer(const Value& number) {
    if (number.text.find_first_of(".eE") == std::string::npos) return true;
    const double value = number_of(number);
    return std::isfinite(value) && std::trunc(value) == value;
}

std::string canonical(const Value& value) {
    std::string out;
    append_canonical(out, value);
    return out;
}

}  // namespace taskd::protocol::schema

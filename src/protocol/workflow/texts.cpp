// Values with references in them.
#include <algorithm>
#include <array>

#include "protocol/resolve.hpp"
#include "protocol/workflow/fields.hpp"
#include "protocol/workflow/scope.hpp"
#include "taskd/base/nearest.hpp"
#include "taskd/model/document_value.hpp"
#include "taskd/protocol/json.hpp"
#include "taskd/protocol/value_json.hpp"

namespace taskd::protocol::workflow {
namespace {

constexpr std::array<std::string_view, 5> roots{"inputs", "env", "item", "index", "workflow"};
constexpr std::array<std::string_view, 2> workflow_fields{"id", "name"};
constexpr std::size_t steps_compared_max = 10'000;  // to say which one may have been meant

std::unexpected<Error> wrong(const Document& at, const Reference& reference,
                             const std::string& why) {
    return fault(at.place, shown(reference.written) + ": " + why, ErrorCode::unresolved_reference);
}

const std::string* first_field(const Reference& reference) {
    return reference.path.empty() ? nullptr : std::get_if<std::string>(&reference.path.front());
}

template <class Names>
std::string meant_among(std::string_view name, const Names& names) {
    std::vector<std::string_view> known;
    for (const auto& each : names)
        known.emplace_back(each);
    return meant_instead(name, known);
}

// What the inputs are is known when somebody has given them: then the whole path is followed.
Result<void> check_input(const Scope& scope, const Document& at, const Reference& reference) {
    if (reference.path.empty()) return {};
    const std::string* name = first_field(reference);
    if (name == nullptr) return wrong(at, reference, "inputs have names, not numbers");
    if (!scope.inputs.contains(*name)) {
        std::vector<std::string_view> known;
        for (const auto& each : scope.inputs)
            known.emplace_back(each.first);
        return wrong(at, reference,
                     "there is no input '" + shown(*name) + "'" + meant_instead(*name, known));
    }
    if (!scope.given) return {};
    const auto value = resolve(reference, [&](std::string_view, Ask) {
        return std::optional<Referred>{Referred{*scope.given, {}, {}}};
    });
    if (!value) return fault(at.place, value.error().detail, value.error().code);
    return {};
}

Result<void> check_root(Scope& scope, const Document& at, const Reference& reference,
                        const TextPlace& place) {
    if (reference.name == "inputs") return check_input(scope, at, reference);
    if (reference.name == "item" || reference.name == "index") {
        if (place.has_item) return {};
        return wrong(at, reference, "only what a step with for_each asks for has it");
    }
    const std::string* name = first_field(reference);
    if (name == nullptr || reference.path.size() > 1)
        return wrong(at, reference, "one name behind the first '.' is missing, and no more");
    if (reference.name == "env" && !scope.env.contains(*name))
        return wrong(
            at, reference,
            "'" + shown(*name) + "' is not in the document's env" + meant_among(*name, scope.env));
    if (reference.name == "workflow" &&
        std::ranges::find(workflow_fields, *name) == workflow_fields.end())
        return wrong(at, reference, "of a workflow there are id and name");
    return {};
}

Result<void> check(Scope& scope, const Document& at, const Reference& reference,
                   const TextPlace& place) {
    if (is_root(reference.name)) return check_root(scope, at, reference, place);
    const auto found = scope.steps.find(std::string{reference.name});
    if (found == scope.steps.end())
        return wrong(at, reference,
                     "there is no step '" + shown(reference.name) + "'" +
                         meant_step(scope, reference.name) + " (${ itself is written $${)");
    const std::string* field = first_field(reference);
    if (field != nullptr && field->starts_with('@') && *field != "@state" && *field != "@error")
        return wrong(at, reference, "only @state and @error are known");
    if (place.own_name != nullptr && scope.plan.steps[found->second].name == *place.own_name)
        return wrong(at, reference, "a step cannot refer to itself");
    place.uses.push_back({found->second, &at});
    return {};
}

// With the names of the plan; empty when they are there already.
std::string renamed(const Scope& scope, const std::vector<TextPart>& parts) {
    const auto name_of = [&](const Reference& reference) -> const std::string& {
        return scope.plan.steps[scope.steps.at(std::string{reference.name})].name;
    };
    const bool is_needed = std::ranges::any_of(parts, [&](const TextPart& part) {
        const auto* reference = std::get_if<Reference>(&part);
        return reference != nullptr && !is_root(reference->name) &&
               name_of(*reference) != reference->name;
    });
    if (!is_needed) return {};
    std::string out;
    for (const TextPart& part : parts) {
        if (const auto* words = std::get_if<std::string>(&part)) {
            for (std::size_t at = 0; at < words->size(); ++at) {
                if (words->compare(at, 2, "${") == 0) out += '$';
                out += (*words)[at];
            }
            continue;
        }
        const Reference& reference = std::get<Reference>(part);
        const auto behind =
            static_cast<std::size_t>(reference.name.data() - reference.written.data()) +
            reference.name.size();
        out += "${";
        out += is_root(reference.name) ? reference.name : std::string_view{name_of(reference)};
        out += reference.written.substr(behind);
    }
    return out;
}

Result<void> append(std::string& out, Scope& scope, const Document& value, TextPlace place) {
    if (value.kind == DocumentKind::list) {
        out += '[';
        for (const Document& each : value.items) {
            if (&each != &value.items.front()) out += ',';
            if (auto done = append(out, scope, each, place); !done) return done;
        }
        out += ']';
        return {};
    }
    if (value.kind == DocumentKind::map) {
        out += '{';
        for (const DocumentField& each : value.fields) {
            if (&each != &value.fields.front()) out += ',';
            if (each.name.find("${") != std::string::npos)
                return fault(each.place, "a name cannot refer to anything");
            append_json_string(out, each.name);
            out += ':';
            if (auto done = append(out, scope, each.value, place); !done) return done;
        }
        out += '}';
        return {};
    }
    if (value.text.find("${") != std::string::npos) {
        auto text = read_template(scope, value, value.text, place);
        if (!text) return fail(std::move(text));
        append_json_string(out, *text);
        return {};
    }
    if (value.quoted) {
        append_json_string(out, value.text);
        return {};
    }
    const auto read = value_of(value);
    if (!read) return fail(ErrorCode::bad_workflow, read.error().detail);
    out += write_json_value(*read);
    return {};
}

}  // namespace

bool is_root(std::string_view name) {
    return std::ranges::find(roots, name) != roots.end();
}

std::string meant_step(const Scope& scope, std::string_view name) {
    if (scope.steps.size() > steps_compared_max) return {};
    std::vector<std::string_view> known;
    for (const auto& each : scope.steps)
        known.emplace_back(each.first);
    std::ranges::sort(known);  // the same answer for the same document
    return meant_instead(name, known);
}

Result<StepIndex> find_step(const Scope& scope, const Document& at, std::string_view name) {
    const auto found = scope.steps.find(std::string{name});
    if (found != scope.steps.end()) return found->second;
    return fault(at.place, "there is no step '" + shown(name) + "'" + meant_step(scope, name));
}

Result<std::string> read_template(Scope& scope, const Document& value, const std::string& text,
                                  TextPlace place) {
    if (text.find("${") == std::string::npos) return text;
    const auto parts = split_text(text);
    if (!parts) return fault(value.place, parts.error().detail, parts.error().code);
    for (const TextPart& part : *parts)
        if (const auto* reference = std::get_if<Reference>(&part))
            if (auto checked = check(scope, value, *reference, place); !checked)
                return fail(std::move(checked));
    std::string other = renamed(scope, *parts);
    return other.empty() ? text : other;
}

Result<std::string> read_json(Scope& scope, const Document& value, TextPlace place) {
    std::string out;
    if (auto done = append(out, scope, value, place); !done) return fail(std::move(done));
    if (out.size() > limits::task_bytes_max)
        return fault(value.place, std::to_string(out.size()) + " bytes are too many",
                     ErrorCode::task_too_large);
    return out;
}

}  // namespace taskd::protocol::workflow

// What a workflow is given: inputs, and names of the environment.
#include <algorithm>
#include <array>

#include "protocol/workflow/fields.hpp"
#include "protocol/workflow/steps.hpp"
#include "taskd/base/nearest.hpp"
#include "taskd/protocol/json.hpp"
#include "taskd/protocol/json_document.hpp"

namespace taskd::protocol::workflow {
namespace {

constexpr std::array<std::string_view, 4> input_fields{"default", "required", "schema",
                                                       "description"};

// Letters, digits, '_' and '-': what stands in a reference as it is.
bool is_name(std::string_view text) {
    return !text.empty() && text.size() <= limits::step_name_bytes_max &&
           std::ranges::all_of(text, [](char c) {
               return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                      c == '_' || c == '-';
           });
}

Result<void> check_name(const std::string& name, const std::string& place, std::string_view what) {
    if (is_name(name)) return {};
    std::string why{what};
    return fault(place, why + " has a name of A-Z a-z 0-9 _ -, not '" + shown(name) + "'");
}

Result<void> read_schema(Scope& scope, const std::string& name, const Document& value) {
    const DocumentField* said = find_field(value, "schema");
    if (said == nullptr) return {};
    const auto json = write_document(said->value);
    if (!json) return fail(ErrorCode::bad_workflow, json.error().detail);
    auto schema = JsonSchema::compile(*json);
    if (!schema) return fault(said->value.place, schema.error().detail, schema.error().code);
    scope.input_schemas.emplace(name, std::move(*schema));
    return {};
}

// {default, required, schema}, or the default itself when it is no map.
Result<void> read_input(Scope& scope, const DocumentField& field) {
    if (auto named = check_name(field.name, field.place, "an input"); !named) return named;
    std::string& fallback = scope.inputs[field.name];
    const Document* value = &field.value;
    bool is_required = value->kind == DocumentKind::null;
    if (value->kind == DocumentKind::map) {
        if (auto known = check_fields(*value, "input '" + field.name + "'", input_fields); !known)
            return known;
        const DocumentField* said = find_field(*value, "required");
        is_required = find_field(*value, "default") == nullptr;
        if (said != nullptr) {
            const auto truth = read_truth(said->value, "required");
            if (!truth) return std::unexpected{truth.error()};
            if (*truth && !is_required)
                return fault(said->place, "input '" + field.name +
                                              "' has a default, so that it is not required");
            if (!*truth && is_required) fallback = "null";
            is_required = *truth;
        }
        if (auto read = read_schema(scope, field.name, *value); !read) return read;
        const DocumentField* given = find_field(*value, "default");
        value = given == nullptr ? nullptr : &given->value;
    } else if (is_required) {
        value = nullptr;
    }
    if (is_required) scope.required.insert(field.name);
    if (value == nullptr) return {};
    auto json = write_document(*value);
    if (!json) return fail(ErrorCode::bad_workflow, json.error().detail);
    if (json->find("${") != std::string::npos)
        return fault(value->place, "a default cannot refer to anything");
    if (const auto schema = scope.input_schemas.find(field.name);
        schema != scope.input_schemas.end())
        if (auto matched = schema->second.check(*json); !matched)
            return fault(value->place, matched.error().detail, matched.error().code);
    fallback = std::move(*json);
    return {};
}

}  // namespace

Result<void> read_inputs(Scope& scope, const Document& value) {
    if (!is_list_or_map(value))
        return fault(value.place, "inputs is a map of names and defaults, or a list of names");
    if (value.items.size() + value.fields.size() > limits::workflow_inputs_max)
        return fault(value.place, "there are more than " +
                                      std::to_string(limits::workflow_inputs_max) + " inputs");
    for (const Document& each : value.items) {
        if (auto named = check_name(each.text, each.place, "an input"); !named) return named;
        if (!scope.inputs.try_emplace(each.text).second)
            return fault(each.place, "'" + each.text + "' stands there twice");
        scope.required.insert(each.text);
    }
    for (const DocumentField& field : value.fields)
        if (auto read = read_input(scope, field); !read) return read;
    return {};
}

Result<void> read_env(Scope& scope, const Document& value) {
    if (value.kind != DocumentKind::list || value.items.size() > limits::workflow_inputs_max)
        return fault(value.place, "env is a list of up to " +
                                      std::to_string(limits::workflow_inputs_max) + " names");
    const WorkflowOptions& options = scope.all.options;
    for (const Document& each : value.items) {
        if (auto named = check_name(each.text, each.place, "what env asks for"); !named)
            return named;
        const auto found = options.env.find(each.text);
        if (found == options.env.end() && !options.any_env) {
            std::vector<std::string_view> known;
            for (const auto& [name, text] : options.env)
                known.emplace_back(name);
            return fault(each.place, "'" + each.text +
                                         "' of the environment is not for workflows to read" +
                                         meant_instead(each.text, known));
        }
        if (!scope.env.insert(each.text).second)
            return fault(each.place, "'" + each.text + "' stands there twice");
        std::string json;
        if (found != options.env.end()) append_json_string(json, found->second);
        scope.all.env[each.text] = json.empty() ? "null" : json;
    }
    return {};
}

Result<std::string> merge_inputs(const Scope& scope, const std::string& given) {
    if (auto checked = check_json(given); !checked) return fail(std::move(checked));
    const auto fields = split_object(given);
    if (!fields) return fail(ErrorCode::invalid_field, "inputs must be an object");
    std::map<std::string, std::string_view> values;
    for (const auto& [name, raw] : *fields) {
        if (!scope.inputs.contains(name)) {
            std::vector<std::string_view> known;
            for (const auto& each : scope.inputs)
                known.emplace_back(each.first);
            return fail(ErrorCode::unknown_field,
                        "inputs." + shown(name) + meant_instead(name, known));
        }
        if (const auto schema = scope.input_schemas.find(name); schema != scope.input_schemas.end())
            if (auto matched = schema->second.check(raw); !matched)
                return fail(matched.error().code, "inputs." + name + ": " + matched.error().detail);
        values[name] = raw;
    }
    std::string out;
    JsonWriter json{out};
    json.begin_object();
    for (const auto& [name, fallback] : scope.inputs) {
        const auto found = values.find(name);
        if (found == values.end() && scope.required.contains(name))
            return fail(ErrorCode::missing_field, "inputs." + name);
        json.key(name).raw(found == values.end() ? std::string_view{fallback} : found->second);
    }
    json.end_object();
    return out;
}

}  // namespace taskd::protocol::workflow

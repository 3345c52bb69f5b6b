// A document from its first field to its plan.
#include <algorithm>
#include <array>

#include "protocol/workflow/fields.hpp"
#include "protocol/workflow/steps.hpp"
#include "taskd/protocol/json.hpp"
#include "taskd/protocol/workflow_document.hpp"

namespace taskd::protocol {
namespace workflow {
namespace {

using namespace std::chrono_literals;

constexpr std::array<std::string_view, 21> fields{
    "name",       "id",       "description", "version", "tags",   "timeout",  "wait_for_completion",
    "tasks",      "steps",    "inputs",      "env",     "output", "labels",   "max_parallel_tasks",
    "on_failure", "metadata", "providers",   "type",    "batch",  "template", "protocol"};
constexpr std::string_view unnamed = "unnamed";

Result<void> read_tags(const Document& value, std::map<std::string, std::string>& labels) {
    std::string joined;
    if (value.kind == DocumentKind::map) return fault(value.place, "tags is a list of texts");
    const auto add = [&](const Document& each) -> Result<void> {
        auto text = read_text(each, "a tag", limits::label_value_bytes_max);
        if (!text) return fail(std::move(text));
        if (!joined.empty()) joined += ',';
        joined += *text;
        if (joined.size() <= limits::label_value_bytes_max) return {};
        return fault(each.place, "the tags have more than " +
                                     std::to_string(limits::label_value_bytes_max) + " bytes");
    };
    if (value.kind == DocumentKind::scalar)
        if (auto added = add(value); !added) return added;
    for (const Document& each : value.items)
        if (auto added = add(each); !added) return added;
    if (!joined.empty()) labels["tags"] = std::move(joined);
    return {};
}

Result<void> read_words(const Document& document, WorkflowPlan& plan) {
    if (const DocumentField* field = find_field(document, "description")) {
        auto text = read_text(field->value, "description", limits::description_bytes_max);
        if (!text) return fail(std::move(text));
        plan.description = std::move(*text);
    }
    plan.name = unnamed;
    for (const std::string_view name : {"id", "name"})
        if (const DocumentField* field = find_field(document, name)) {
            auto text = read_text(field->value, name, limits::workflow_name_bytes_max);
            if (!text) return fail(std::move(text));
            plan.name = std::move(*text);
        }
    if (const DocumentField* field = find_field(document, "labels")) {
        auto labels = read_labels(field->value);
        if (!labels) return fail(std::move(labels));
        plan.labels = std::move(*labels);
    }
    if (const DocumentField* field = find_field(document, "version")) {
        auto text = read_text(field->value, "version", limits::label_value_bytes_max);
        if (!text) return fail(std::move(text));
        plan.labels.try_emplace("version", std::move(*text));
    }
    const DocumentField* tags = find_field(document, "tags");
    return tags == nullptr ? Result<void>{} : read_tags(tags->value, plan.labels);
}

Result<void> read_bounds(Scope& scope, const Document& document) {
    if (const DocumentField* field = find_field(document, "timeout")) {
        const auto read = read_duration(field->value, "timeout", 1ms, limits::timeout_most);
        if (!read) return std::unexpected{read.error()};
        scope.plan.timeout = *read;
    }
    if (const DocumentField* field = find_field(document, "max_parallel_tasks")) {
        const auto most = read_whole(field->value, field->name, 1,
                                     static_cast<std::int64_t>(limits::workflow_items_max));
        if (!most) return std::unexpected{most.error()};
        scope.plan.tasks_max = static_cast<std::uint32_t>(*most);
    }
    if (const DocumentField* field = find_field(document, "on_failure")) {
        const auto policy = parse_on_failure(field->value.text);
        if (!policy)
            return fault(field->value.place,
                         "on_failure of a workflow is fail, skip or go_on, for edges that do not "
                         "say");
        scope.on_failure = *policy;
    }
    return {};
}

Result<void> refuse_batch(const Document& document) {
    const DocumentField* type = find_field(document, "type");
    if (type != nullptr && type->value.text != "batch")
        return fault(type->value.place, "the type of a workflow is batch, or not said");
    for (const std::string_view name : {"batch", "type", "template", "protocol"})
        if (const DocumentField* field = find_field(document, name))
            return fault(field->place,
                         "the files of a batch are listed where they are: taskd workflow run does");
    return {};
}

// All of a workflow but its inputs' values, into scope.plan.
Result<void> read_plan(Scope& scope, const Document& document,
                       const std::optional<std::string>& given) {
    WorkflowPlan& plan = scope.plan;
    Result<void> done = check_fields(document, "a workflow", fields);
    if (done) done = refuse_batch(document);
    if (done) done = read_words(document, plan);
    if (done) done = read_bounds(scope, document);
    const DocumentField* inputs = done ? find_field(document, "inputs") : nullptr;
    if (inputs != nullptr) done = read_inputs(scope, inputs->value);
    const DocumentField* env = done ? find_field(document, "env") : nullptr;
    if (env != nullptr) done = read_env(scope, env->value);
    if (done && given) {
        auto merged = merge_inputs(scope, *given);
        if (!merged) return fail(std::move(merged));
        scope.given = std::move(*merged);
    }
    if (!done) return done;
    const auto steps = find_one(document, {"tasks", "steps"});
    if (!steps) return std::unexpected{steps.error()};
    if (*steps == nullptr) return fault(document.place, "a workflow has steps (or tasks)");
    done = name_steps(scope, (*steps)->value);
    if (done) done = read_steps(scope);
    if (done) done = link_steps(scope);
    const DocumentField* output = done ? find_field(document, "output") : nullptr;
    if (output == nullptr) return done;
    auto json = read_json(scope, output->value, {scope.output_uses});
    if (!json) return fail(std::move(json));
    plan.output = Blob{std::move(*json)};
    return {};
}

// The inputs of an inner workflow, with the defaults of those that the step does not say.
Result<std::string> inner_inputs(Scope& outer, const Scope& inner, const Document* said,
                                 const std::string& place, StepIndex step) {
    std::string out;
    JsonWriter json{out};
    json.begin_object();
    std::vector<std::string_view> known;
    for (const auto& [name, fallback] : inner.inputs)
        known.emplace_back(name);
    if (said != nullptr)
        if (auto checked = check_fields(*said, "inputs", known); !checked)
            return fail(std::move(checked));
    StepDraft& draft = outer.drafts[step];
    for (const auto& [name, fallback] : inner.inputs) {
        const DocumentField* value = said == nullptr ? nullptr : find_field(*said, name);
        if (value == nullptr && inner.required.contains(name))
            return fault(said == nullptr ? place : said->place,
                         "the workflow's input '" + name + "' is missing");
        json.key(name);
        if (value == nullptr) {
            json.raw(fallback);
            continue;
        }
        auto text =
            read_json(outer, value->value, {draft.uses, false, &outer.plan.steps[step].name});
        if (!text) return text;
        json.raw(*text);
    }
    json.end_object();
    return out;
}

}  // namespace

Result<void> read_inner(Scope& outer, const DocumentField& field, const Document* inputs,
                        StepIndex step) {
    if (outer.depth == limits::workflow_depth_max)
        return fault(field.place, "workflows stand in each other deeper than " +
                                      std::to_string(limits::workflow_depth_max));
    auto plan = std::make_shared<WorkflowPlan>();
    Scope inner{.all = outer.all, .plan = *plan, .depth = outer.depth + 1};
    if (auto read = read_plan(inner, field.value, std::nullopt); !read) return read;
    auto json = inner_inputs(outer, inner, inputs, field.place, step);
    if (!json) return fail(std::move(json));
    outer.plan.steps[step].inputs = Blob{std::move(*json)};
    outer.plan.steps[step].child = std::move(plan);
    return {};
}

}  // namespace workflow

namespace {

// Places without a name of their own get the file's in front.
Error with_file(Error error, const std::string& file) {
    if (error.detail.starts_with(':')) error.detail = file + error.detail;
    return error;
}

Result<bool> read_wait(const Document& document) {
    const DocumentField* field = workflow::find_field(document, "wait_for_completion");
    return field == nullptr ? false : workflow::read_truth(field->value, field->name);
}

}  // namespace

Result<WorkflowDocument> read_workflow(const Document& document, const WorkflowOptions& options) {
    workflow::Reading reading{.options = options};
    auto plan = std::make_shared<WorkflowPlan>();
    workflow::Scope scope{.all = reading, .plan = *plan};
    if (auto read = workflow::read_plan(scope, document, options.inputs); !read)
        return std::unexpected{with_file(std::move(read).error(), options.file)};
    const auto wait = read_wait(document);
    if (!wait) return std::unexpected{with_file(wait.error(), options.file)};
    WorkflowDocument out;
    out.plan = std::move(plan);
    out.inputs = Blob{scope.given.value_or("{}")};
    out.wait = *wait;
    out.notes = std::move(reading.notes);
    std::string env;
    JsonWriter json{env};
    json.begin_object();
    for (const auto& [name, value] : reading.env)
        json.key(name).raw(value);
    json.end_object();
    out.env = Blob{std::move(env)};
    return out;
}

}  // namespace taskd::protocol

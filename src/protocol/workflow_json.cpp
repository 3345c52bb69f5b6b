#include "taskd/protocol/workflow_json.hpp"

#include <algorithm>

#include "taskd/protocol/json.hpp"

namespace taskd::protocol {
namespace {

void write_error(JsonWriter& json, const TaskError& error) {
    json.key("error").begin_object();
    json.field("code", error.code).field("message", error.message);
    json.end_object();
}

void write_items(JsonWriter& json, const std::vector<ItemState>& items) {
    const auto count = [&](ItemState state) {
        return static_cast<std::uint64_t>(std::ranges::count(items, state));
    };
    json.field("items", items.size())
        .field("items_active", count(ItemState::active))
        .field("items_ended", count(ItemState::succeeded) + count(ItemState::failed))
        .field("items_failed", count(ItemState::failed));
}

void write_step(JsonWriter& json, const WholeWorkflow& whole, StepIndex place) {
    const StepPlan& plan = whole.plan->steps[place];
    const Step& step = whole.steps[place - whole.first];
    json.begin_object()
        .field("name", plan.name)
        .field("kind", to_text(plan.kind))
        .field("state", to_text(step.state));
    if (plan.kind == StepKind::task) json.field("type", plan.task.type);
    const bool begun = step.began_at.has_value();
    if (plan.kind == StepKind::task && plan.for_each.empty() && begun)
        json.field("task", step_task_id(whole.workflow.id, place, step.tries, 0));
    if (!step.items.empty()) write_items(json, step.items);
    if (step.child) json.field("workflow", *step.child);
    if (!plan.awaits.empty()) json.field("awaits", plan.awaits);
    if (!plan.question.empty()) json.field("question", plan.question);
    if (step.began_at) json.field("began_at", *step.began_at);
    if (step.ended_at) json.field("ended_at", *step.ended_at);
    if (!step.result.empty()) json.key("result").raw(step.result.view());
    if (step.error) write_error(json, *step.error);
    json.key("after").begin_array();
    for (const StepEdge& edge : plan.after)
        json.begin_object()
            .field("step", whole.plan->steps[edge.from].name)
            .field("on_failure", to_text(edge.on_failure))
            .end_object();
    json.end_array().end_object();
}

// A text, or the JSON value as it stands: YAML reads it too.
Result<std::string> read_document(std::string_view raw) {
    if (kind_of(raw) == JsonKind::string) return read_string(raw, "document");
    if (kind_of(raw) == JsonKind::object) return std::string{raw};
    return fail(ErrorCode::invalid_field, "document: a text or an object");
}

}  // namespace

Result<WorkflowAsked> parse_workflow_asked(std::string_view body) {
    if (auto checked = check_json(body); !checked) return std::unexpected{checked.error()};
    const auto fields = split_object(body);
    if (!fields) return std::unexpected{fields.error()};
    WorkflowAsked asked;
    bool has_document = false;
    for (const auto& [name, raw] : *fields) {
        if (name == "document") {
            auto document = read_document(raw);
            if (!document) return std::unexpected{document.error()};
            asked.document = std::move(*document);
            has_document = true;
        } else if (name == "inputs") {
            if (kind_of(raw) != JsonKind::object)
                return fail(ErrorCode::invalid_field, "inputs: an object");
            asked.inputs = raw;
        } else if (name == "id") {
            const auto text = read_string(raw, "id");
            if (!text) return std::unexpected{text.error()};
            asked.id = TaskId::parse(*text);
            if (!asked.id) return fail(ErrorCode::invalid_field, "id: a UUID of version 7");
        } else if (name == "file") {
            auto file = read_string(raw, "file");
            if (!file) return std::unexpected{file.error()};
            if (file->size() > limits::reason_bytes_max)
                return fail(ErrorCode::invalid_field, "file: too long");
            asked.file = std::move(*file);
        } else {
            return fail(ErrorCode::unknown_field, name);
        }
    }
    if (!has_document) return fail(ErrorCode::missing_field, "document");
    return asked;
}

Result<StepAnswer> parse_step_answer(std::string_view body) {
    StepAnswer answer;
    if (body.empty()) return answer;
    if (auto checked = check_json(body); !checked) return std::unexpected{checked.error()};
    const auto fields = split_object(body);
    if (!fields) return std::unexpected{fields.error()};
    for (const auto& [name, raw] : *fields) {
        std::string* to = name == "by" ? &answer.by : name == "comment" ? &answer.comment : nullptr;
        if (to == nullptr) return fail(ErrorCode::unknown_field, name);
        auto text = read_string(raw, name);
        if (!text) return std::unexpected{text.error()};
        if (text->size() > limits::reason_bytes_max)
            return fail(ErrorCode::invalid_field, name + ": too long");
        *to = std::move(*text);
    }
    return answer;
}

std::string write_step_answer(const StepAnswer& answer, bool approved) {
    std::string out;
    JsonWriter{out}
        .begin_object()
        .field("approved", approved)
        .field("by", answer.by)
        .field("comment", answer.comment)
        .end_object();
    return out;
}

void write_workflow(std::string& out, const Workflow& workflow, const WorkflowPlan* plan,
                    const StepPage* page) {
    JsonWriter json{out};
    json.begin_object()
        .field("id", workflow.id)
        .field("name", workflow.name)
        .field("state", to_text(workflow.state))
        .field("made_at", workflow.made_at);
    if (workflow.ended_at) json.field("ended_at", *workflow.ended_at);
    if (workflow.parent) json.field("parent", workflow.parent->workflow);
    json.field("steps_total", workflow.steps)
        .field("succeeded", workflow.succeeded)
        .field("failed", workflow.failed)
        .field("skipped", workflow.skipped)
        .field("cancelled", workflow.cancelled)
        .field("active", workflow.active)
        .field("retries", workflow.retries);
    if (workflow.error) write_error(json, *workflow.error);
    if (plan != nullptr) {
        if (!plan->description.empty()) json.field("description", plan->description);
        json.key("labels").begin_object();
        for (const auto& [name, value] : plan->labels) {
            std::string quoted;
            append_json_string(quoted, name);
            json.key(quoted.substr(1, quoted.size() - 2)).string(value);
        }
        json.end_object();
        json.key("inputs").raw(workflow.inputs.empty() ? "{}" : workflow.inputs.view());
    }
    if (!workflow.output.empty()) json.key("output").raw(workflow.output.view());
    if (page != nullptr) {
        json.key("steps");
        std::string steps;
        write_steps(steps, *page);
        json.raw(steps);
    }
    json.end_object();
}

void write_steps(std::string& out, const StepPage& page) {
    JsonWriter json{out};
    json.begin_array();
    const std::size_t there = page.whole->first + page.whole->steps.size();
    const auto end = std::min(there, std::size_t{page.first} + page.count);
    for (auto i = std::max(page.first, page.whole->first); i < end; ++i)
        write_step(json, *page.whole, i);
    json.end_array();
}

}  // namespace taskd::protocol

// Workflows over HTTP: what is asked for, and what is shown of them. Pure.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "taskd/base/result.hpp"
#include "taskd/model/workflow.hpp"

namespace taskd::protocol {

// A workflow as somebody asks for it: {"document": text or object, "inputs": {...}, "id", "file"}.
struct WorkflowAsked {
    std::string document;  // YAML or JSON
    std::string file = "workflow";
    std::optional<std::string> inputs;  // a JSON object
    std::optional<WorkflowId> id;
};
// bad_json, unknown_field, missing_field, invalid_field.
Result<WorkflowAsked> parse_workflow_asked(std::string_view body);

// {"approved":..,"by":..,"comment":..}: what the step's result is.
struct StepAnswer {
    std::string by;
    std::string comment;
};
// An empty body is an empty answer.
Result<StepAnswer> parse_step_answer(std::string_view body);
std::string write_step_answer(const StepAnswer& answer, bool approved);

// The head, as one JSON object; with `plan` the steps of `page` too.
struct StepPage {
    const WholeWorkflow* whole = nullptr;
    StepIndex first = 0;
    StepIndex count = 0;
};
void write_workflow(std::string& out, const Workflow& workflow, const WorkflowPlan* plan,
                    const StepPage* page);
void write_steps(std::string& out, const StepPage& page);

}  // namespace taskd::protocol

// Workflows, their plans and steps, as records and rows keep them.
#pragma once

#include <memory>

#include "protocol/value_codec.hpp"
#include "taskd/model/workflow.hpp"

namespace taskd::protocol {

void write(ByteWriter& out, const WorkflowPlan& plan);
std::shared_ptr<const WorkflowPlan> read_plan(ByteReader& in);
std::size_t bytes_max(const WorkflowPlan& plan);

void write(ByteWriter& out, const Workflow& workflow);
Workflow read_workflow(ByteReader& in);
std::size_t bytes_max(const Workflow& workflow);

void write(ByteWriter& out, const Step& step);
Step read_step(ByteReader& in);

StepState read_step_state(ByteReader& in);
WorkflowState read_workflow_state(ByteReader& in);

inline void write_optional(ByteWriter& out, const std::optional<TaskError>& error) {
    out.flag(error.has_value());
    if (error) write(out, *error);
}
inline std::optional<TaskError> read_optional_error(ByteReader& in) {
    if (!in.flag()) return std::nullopt;
    return read_error(in);
}

}  // namespace taskd::protocol

// Reads steps, one by one and then how they hang together. Pure.
#pragma once

#include "protocol/workflow/scope.hpp"

namespace taskd::protocol::workflow {

// Room for the steps of the list, and their names: who may be referred to.
Result<void> name_steps(Scope& scope, const Document& list);
// All else that steps say.
Result<void> read_steps(Scope& scope);
// Edges, compensation, circles, and whether references are to steps before.
Result<void> link_steps(Scope& scope);

// A step that is a task; retry and priority are parts of it.
Result<void> read_task(Scope& scope, StepIndex index);
Result<void> read_retry(const Document& value, TaskSpec& task);
Result<std::uint8_t> read_priority(Scope& scope, const Document& value);

// "inputs" and "env" of a workflow: declared.
Result<void> read_inputs(Scope& scope, const Document& value);
Result<void> read_env(Scope& scope, const Document& value);
// What was given and the defaults, as an object.
Result<std::string> merge_inputs(const Scope& scope, const std::string& given);

// A workflow in a step: its plan, and its inputs with references of the step's scope.
Result<void> read_inner(Scope& outer, const DocumentField& field, const Document* inputs,
                        StepIndex step);

}  // namespace taskd::protocol::workflow

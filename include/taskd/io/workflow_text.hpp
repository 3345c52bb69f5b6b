// Workflows from text, YAML or JSON. May run on any thread.
#pragma once

#include <string>

#include "taskd/protocol/workflow_document.hpp"

namespace taskd::io {

// As protocol::read_workflow; bad_workflow also for what is neither YAML nor JSON.
Result<protocol::WorkflowDocument> read_workflow_text(const std::string& text,
                                                      const protocol::WorkflowOptions& options);

}  // namespace taskd::io

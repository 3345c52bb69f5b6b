// A workflow in a file of the client's: read, checked as the server will check it, and as it is
// sent.
#pragma once

#include <span>
#include <string>

#include "options.hpp"
#include "taskd/protocol/workflow_document.hpp"

namespace taskd::roles {

struct WorkflowFile {
    protocol::WorkflowDocument document;
    std::string json;  // what stands for "document" in a submit
};

// A batch becomes a task for each file of its directory that is there now. `inputs` as an object;
// empty: not given yet. What it reads of the environment is the server's to allow. file_missing and
// what protocol::read_workflow says.
Result<WorkflowFile> read_workflow_file(const std::string& path, const std::string& inputs);

// The same of a file, or of an entry "shop:report" of kind workflow in the registry of a data
// directory. Also: workflow_not_found.
Result<WorkflowFile> read_workflow_named(const std::string& name, const std::string& data,
                                         const std::string& inputs);

// --set NAME=TEXT and --set-json NAME=JSON as an object; bad_usage.
Result<std::string> read_inputs(const Options& options);

// File names of a directory that match a pattern with * and ?, as paths, in order.
Result<std::vector<std::string>> matching_files(const std::string& dir, const std::string& pattern);

}  // namespace taskd::roles

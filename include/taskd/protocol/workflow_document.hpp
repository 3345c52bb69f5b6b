// Workflows as people write them, to plans: our own form and Gleitzeit's files as they are in real
// use (the README beside this layer's sources has both). Everything that can be decided before a
// step runs is decided here, and what is wrong is one error that says where. Pure.
//
// 100,000 steps of five fields each, 14 MB of JSON, are read in 1.1 s, and as YAML, by whose
// parser, in 6 s: not on a loop that others wait for. While it lasts text, document and plan take
// 0.4 GB, the plan alone takes 0.1 GB.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "taskd/base/result.hpp"
#include "taskd/model/document.hpp"
#include "taskd/model/workflow_plan.hpp"
#include "taskd/protocol/json_schema.hpp"

namespace taskd::protocol {

struct WorkflowOptions {
    std::string file;                        // stands before places that have no name of their own
    std::optional<std::string> inputs;       // a JSON object; none: nobody has given any yet
    std::map<std::string, std::string> env;  // what workflows may read of the environment
    bool any_env = false;                    // who runs it will say what it may read
    std::map<std::string, JsonSchema> schemas;  // of payloads, by type
};

struct WorkflowDocument {
    std::shared_ptr<const WorkflowPlan> plan;
    Blob inputs;                     // an object: what was given, and defaults
    Blob env;                        // an object: what the document asks for, of what it may read
    bool wait = false;               // the document asks its submitter to wait
    std::vector<std::string> notes;  // what may be read in two ways, and how it was read
};

// bad_workflow, unresolved_reference, bad_condition, step_cycle, too_many_steps, not_a_list,
// task_too_large, bad_schema, schema_mismatch: the detail begins with FILE:LINE:COLUMN.
// unknown_field, missing_field, invalid_field, bad_json, and schema_mismatch that begins with
// "inputs.", speak of the inputs given.
Result<WorkflowDocument> read_workflow(const Document& document, const WorkflowOptions& options);

// A document of `type: batch`: its files are the client's to list.
struct Batch {
    std::string directory;
    std::string pattern;  // of file names, with * and ?
};
// None when it is another; bad_workflow.
Result<std::optional<Batch>> batch_of(const Document& document);
// The same as a workflow of one task a file; paths as they are to stand in the tasks.
Result<Document> expand_batch(const Document& document, const std::vector<std::string>& files);

}  // namespace taskd::protocol

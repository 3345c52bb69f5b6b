// What is known of a workflow while its document is read: names of steps, inputs and environment,
// and what its steps refer to. Pure.
#pragma once

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "protocol/reference.hpp"
#include "taskd/model/document.hpp"
#include "taskd/protocol/workflow_document.hpp"

namespace taskd::protocol::workflow {

// A document and all workflows in it.
struct Reading {
    const WorkflowOptions& options;
    std::map<std::string, std::string> env = {};  // names asked for, with their values as JSON
    std::vector<std::string> notes = {};
    std::size_t steps = 0;
    std::size_t reached = 0;  // steps looked at to see who comes before whom
};

// A step that another refers to, and where.
struct Use {
    StepIndex step = 0;
    const Document* at = nullptr;
};

struct EdgeDraft {
    StepIndex from = 0;
    std::optional<OnFailure> on_failure = {};
    const Document* at = nullptr;
};

// What a step says that its plan says in other words.
struct StepDraft {
    const Document* document = nullptr;
    const std::string* place = nullptr;  // of its name
    std::vector<EdgeDraft> after;
    std::optional<OnFailure> on_failure = {};
    std::optional<Use> runs;  // when it fails
    std::vector<Use> uses;
};

struct Scope {
    Reading& all;
    WorkflowPlan& plan;
    std::size_t depth = 1;
    std::vector<StepDraft> drafts = {};  // as many as steps
    // Steps by what documents may call them: ids, and names that are no names of ours.
    std::unordered_map<std::string, StepIndex> steps = {};
    std::map<std::string, std::string> inputs = {};  // names with their defaults; "": none
    std::set<std::string> required = {};
    std::map<std::string, JsonSchema> input_schemas = {};
    std::optional<std::string> given = {};  // inputs as the steps will see them, once known
    std::set<std::string> env = {};
    std::vector<Use> output_uses = {};
    OnFailure on_failure = OnFailure::fail;  // of edges whose step says nothing
};

// Where a text stands, which decides what it may refer to.
struct TextPlace {
    std::vector<Use>& uses;
    bool has_item = false;  // a step that runs once for each item
    const std::string* own_name = nullptr;
};

// A document as JSON, its references checked, and written with the names of the plan.
Result<std::string> read_json(Scope& scope, const Document& value, TextPlace place);
// The same for one text that stays a text.
Result<std::string> read_template(Scope& scope, const Document& value, const std::string& text,
                                  TextPlace place);

// "; did you mean …" among the steps.
std::string meant_step(const Scope& scope, std::string_view name);
Result<StepIndex> find_step(const Scope& scope, const Document& at, std::string_view name);

// Names in front of references that are no steps.
bool is_root(std::string_view name);

}  // namespace taskd::protocol::workflow

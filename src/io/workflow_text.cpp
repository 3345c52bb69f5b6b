#include "taskd/io/workflow_text.hpp"

#include "taskd/io/yaml.hpp"

namespace taskd::io {

Result<protocol::WorkflowDocument> read_workflow_text(const std::string& text,
                                                      const protocol::WorkflowOptions& options) {
    // Without the file's name: each value has its place with it.
    const auto document = parse_document(text, "");
    if (!document)
        return fail(ErrorCode::bad_workflow, parse_document(text, options.file).error().detail);
    return protocol::read_workflow(*document, options);
}

}  // namespace taskd::io

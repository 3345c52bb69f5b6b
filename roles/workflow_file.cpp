#include "workflow_file.hpp"

#include <fmt/format.h>
#include <fnmatch.h>

#include <algorithm>
#include <filesystem>
#include <map>

#include "entry_kinds.hpp"
#include "taskd/base/limits.hpp"
#include "taskd/io/private_files.hpp"
#include "taskd/io/workflow_text.hpp"
#include "taskd/io/yaml.hpp"
#include "taskd/protocol/json.hpp"
#include "taskd/protocol/json_document.hpp"

namespace taskd::roles {
namespace {

// A longer text is sent as JSON, which the server reads much faster.
constexpr std::size_t text_bytes_max = 256 * limits::kibibyte;

Result<Document> without_batch(Document document, const std::string& path) {
    const auto batch = protocol::batch_of(document);
    if (batch && !*batch) return document;
    const auto with_path = [&](const Error& error) {
        return fail(error.code, error.detail.starts_with(':') ? path + error.detail : error.detail);
    };
    if (!batch) return with_path(batch.error());
    const auto files = matching_files((*batch)->directory, (*batch)->pattern);
    if (!files) return std::unexpected{files.error()};
    auto expanded = protocol::expand_batch(document, *files);
    if (!expanded) return with_path(expanded.error());
    return expanded;
}

Result<WorkflowFile> read_text(const std::string& text, const std::string& path,
                               const std::string& inputs) {
    auto parsed = io::parse_document(text, "");
    if (!parsed)
        return fail(ErrorCode::bad_workflow, io::parse_document(text, path).error().detail);
    const auto is_batch = protocol::batch_of(*parsed);
    const bool as_text = is_batch && !*is_batch && text.size() <= text_bytes_max;
    const auto document = without_batch(std::move(*parsed), path);
    if (!document) return std::unexpected{document.error()};
    protocol::WorkflowOptions options;
    options.file = path;
    if (!inputs.empty()) options.inputs = inputs;
    options.any_env = true;
    auto read = protocol::read_workflow(*document, options);
    if (!read) return std::unexpected{read.error()};
    WorkflowFile file{.document = std::move(*read), .json = {}};
    if (as_text) {
        protocol::append_json_string(file.json, text);
        return file;
    }
    auto json = protocol::write_document(*document);
    if (!json) return fail(ErrorCode::bad_workflow, path + json.error().detail);
    file.json = std::move(*json);
    return file;
}

}  // namespace

Result<std::vector<std::string>> matching_files(const std::string& dir,
                                                const std::string& pattern) {
    namespace fs = std::filesystem;
    std::error_code error;
    std::vector<std::string> files;
    for (fs::directory_iterator at{dir, error}, end; !error && at != end; at.increment(error))
        if (at->is_regular_file(error) &&
            fnmatch(pattern.c_str(), at->path().filename().c_str(), FNM_PERIOD) == 0)
            files.push_back(at->path().string());
    if (error) return fail(ErrorCode::file_missing, dir + ": " + error.message());
    std::ranges::sort(files);
    return files;
}

Result<WorkflowFile> read_workflow_file(const std::string& path, const std::string& inputs) {
    const auto text = io::read_whole_file(path, limits::body_bytes_max);
    if (!text) return std::unexpected{text.error()};
    return read_text(*text, path, inputs);
}

Result<WorkflowFile> read_workflow_named(const std::string& name, const std::string& data,
                                         const std::string& inputs) {
    std::error_code error;
    if (name.find(':') == std::string::npos || std::filesystem::exists(name, error))
        return read_workflow_file(name, inputs);
    const auto entries = newest_entries(data);
    if (!entries)
        return fail(entries.error().code, name + " is no file, and " + entries.error().detail);
    const auto entry = std::ranges::find(*entries, name, &Entry::id);
    if (entry == entries->end() || entry->kind != "workflow")
        return fail(ErrorCode::workflow_not_found,
                    name + " is neither a file nor a workflow of the registry in " + data);
    const auto source = workflow_of(*entry);
    if (!source) return std::unexpected{source.error()};
    return read_text(source->text, source->file, inputs);
}

Result<std::string> read_inputs(const Options& options) {
    std::map<std::string, std::string> values;
    for (const char* option : {"set", "set-json"})
        for (const std::string& said : options.all(option)) {
            const std::size_t sign = said.find('=');
            if (sign == 0 || sign == std::string::npos)
                return fail(ErrorCode::bad_usage,
                            fmt::format("--{} takes NAME=VALUE, not '{}'", option, said));
            const std::string name = said.substr(0, sign);
            std::string value = said.substr(sign + 1);
            if (option == std::string_view{"set"}) {
                std::string json;
                protocol::append_json_string(json, value);
                value = std::move(json);
            } else if (auto valid = protocol::check_json(value); !valid) {
                return fail(ErrorCode::bad_usage,
                            fmt::format("--set-json {}: {}", name, valid.error().detail));
            }
            if (!values.emplace(name, std::move(value)).second)
                return fail(ErrorCode::bad_usage, fmt::format("'{}' is set twice", name));
        }
    std::string out;
    protocol::JsonWriter json{out};
    json.begin_object();
    for (const auto& [name, value] : values) {
        std::string key;
        protocol::append_json_string(key, name);
        json.key(std::string_view{key}.substr(1, key.size() - 2)).raw(value);
    }
    json.end_object();
    return out;
}

}  // namespace taskd::roles

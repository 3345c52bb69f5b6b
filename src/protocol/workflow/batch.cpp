// One task for each file of a directory.
#include <algorithm>
#include <array>
#include <initializer_list>

#include "protocol/workflow/fields.hpp"
#include "taskd/base/limits.hpp"
#include "taskd/protocol/workflow_document.hpp"

namespace taskd::protocol {
namespace {

using workflow::fault;
using workflow::find_field;

constexpr std::size_t id_bytes_max = 100;  // of a file's name in the id of its task
constexpr std::array<std::string_view, 6> image_endings{".png", ".jpg", ".jpeg",
                                                        ".gif", ".bmp", ".webp"};

std::string file_name(const std::string& path) {
    return path.substr(path.rfind('/') + 1);
}

bool is_image(const std::string& path) {
    std::string lower = file_name(path);
    std::ranges::transform(lower, lower.begin(), [](char c) {
        return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    });
    return std::ranges::any_of(image_endings,
                               [&](std::string_view end) { return lower.ends_with(end); });
}

Document text_at(const std::string& place, std::string text) {
    Document value;
    value.kind = DocumentKind::scalar;
    value.quoted = true;
    value.place = place;
    value.text = std::move(text);
    return value;
}

Document map_at(const std::string& place) {
    Document value;
    value.kind = DocumentKind::map;
    value.place = place;
    return value;
}

void set(Document& map, std::string_view name, Document value) {
    for (DocumentField& field : map.fields)
        if (field.name == name) {
            field.value = std::move(value);
            return;
        }
    map.fields.push_back({std::string{name}, map.place, std::move(value)});
}

// "$" of a file's name is no reference.
std::string without_references(const std::string& text) {
    std::string out;
    for (std::size_t at = 0; at < text.size(); ++at) {
        if (text.compare(at, 2, "${") == 0) out += '$';
        out += text[at];
    }
    return out;
}

std::string text_of_field(const Document& map, std::string_view name, std::string fallback) {
    const DocumentField* field = find_field(map, name);
    if (field == nullptr) return fallback;
    return field->value.text;
}

void set_path(Document& parameters, const std::string& path, bool is_python, bool is_vision) {
    Document value = text_at(parameters.place, without_references(path));
    if (!is_python)
        return set(parameters, is_vision && is_image(path) ? "image_path" : "file_path",
                   std::move(value));
    for (DocumentField& field : parameters.fields)
        if (field.name == "context" && field.value.kind == DocumentKind::map)
            return set(field.value, "file_path", std::move(value));
    Document context = map_at(parameters.place);
    set(context, "file_path", std::move(value));
    set(parameters, "context", std::move(context));
}

Document task_of(const Document& source, const Document& pattern, const std::string& path,
                 std::size_t number) {
    const std::string method = text_of_field(pattern, "method", "llm/chat");
    const std::string protocol = text_of_field(source, "protocol", {});
    Document parameters = map_at(pattern.place);
    for (const DocumentField& field : pattern.fields)
        if (field.name != "method" && field.name != "priority") parameters.fields.push_back(field);
    const bool is_python =
        protocol.empty() ? method.starts_with("python/") : protocol.starts_with("python/");
    set_path(parameters, path, is_python, method == "llm/vision");
    std::string id = file_name(path);
    id.resize(std::min(id.size(), id_bytes_max));
    std::ranges::replace(id, '.', '-');
    Document task = map_at(pattern.place);
    set(task, "id", text_at(pattern.place, "process-" + id + "-" + std::to_string(number)));
    set(task, "method", text_at(pattern.place, method));
    if (!protocol.empty()) set(task, "protocol", text_at(pattern.place, protocol));
    if (const DocumentField* priority = find_field(pattern, "priority"))
        task.fields.push_back(*priority);
    set(task, "params", std::move(parameters));
    return task;
}

}  // namespace

Result<std::optional<Batch>> batch_of(const Document& document) {
    const DocumentField* batch = find_field(document, "batch");
    if (batch == nullptr && text_of_field(document, "type", {}) != "batch") return std::nullopt;
    if (batch == nullptr) return fault(document.place, "a batch has a map 'batch'");
    constexpr std::array<std::string_view, 2> known{"directory", "pattern"};
    if (auto checked = workflow::check_fields(batch->value, "batch", known); !checked)
        return fail(std::move(checked));
    Batch found{.directory = {}, .pattern = "*"};
    const DocumentField* directory = find_field(batch->value, "directory");
    if (directory == nullptr) return fault(batch->value.place, "batch.directory is missing");
    auto text = workflow::read_text(directory->value, "batch.directory", limits::target_bytes_max);
    if (!text) return fail(std::move(text));
    found.directory = std::move(*text);
    if (const DocumentField* pattern = find_field(batch->value, "pattern")) {
        auto read = workflow::read_text(pattern->value, "batch.pattern", limits::key_bytes_max);
        if (!read) return fail(std::move(read));
        if (read->find('/') != std::string::npos)
            return fault(pattern->value.place, "batch.pattern is one of file names, without '/'");
        found.pattern = std::move(*read);
    }
    const DocumentField* pattern = find_field(document, "template");
    if (pattern == nullptr || pattern->value.kind != DocumentKind::map)
        return fault(document.place, "a batch has a map 'template'");
    for (const std::string_view name : {"tasks", "steps"})
        if (const DocumentField* field = find_field(document, name))
            return fault(field->place, "a batch has a template in the place of " + field->name);
    return found;
}

Result<Document> expand_batch(const Document& document, const std::vector<std::string>& files) {
    const auto batch = batch_of(document);
    if (!batch) return std::unexpected{batch.error()};
    if (!*batch) return fault(document.place, "it is no batch");
    const std::string& place = find_field(document, "batch")->value.place;
    if (files.empty())
        return fault(
            place, "no file in '" + (*batch)->directory + "' matches '" + (*batch)->pattern + "'");
    if (files.size() > limits::workflow_steps_max)
        return fault(place, "more than " + std::to_string(limits::workflow_steps_max) + " files",
                     ErrorCode::too_many_steps);
    Document out = map_at(document.place);
    for (const DocumentField& field : document.fields)
        if (field.name != "type" && field.name != "batch" && field.name != "template" &&
            field.name != "protocol")
            out.fields.push_back(field);
    const Document& pattern = find_field(document, "template")->value;
    Document tasks;
    tasks.kind = DocumentKind::list;
    tasks.place = pattern.place;
    for (std::size_t i = 0; i < files.size(); ++i)
        tasks.items.push_back(task_of(document, pattern, files[i], i));
    set(out, "tasks", std::move(tasks));
    return out;
}

}  // namespace taskd::protocol

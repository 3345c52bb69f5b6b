#include "taskd/protocol/lease_json.hpp"

#include <algorithm>

#include "taskd/base/limits.hpp"
#include "taskd/protocol/datagram.hpp"
#include "taskd/protocol/json.hpp"

namespace taskd::protocol {
namespace {

Result<std::vector<std::string>> read_types(std::string_view raw) {
    const auto elements = split_array(raw);
    if (!elements || elements->empty() || elements->size() > limits::lease_types_max)
        return fail(ErrorCode::invalid_field, "types must be an array of 1 to 100 names");
    std::vector<std::string> types;
    for (const std::string_view element : *elements) {
        auto type = read_string(element, "types");
        if (!type) return fail(std::move(type));
        if (!is_type_name(*type)) return fail(ErrorCode::invalid_field, "type '" + *type + "'");
        if (std::ranges::find(types, *type) == types.end()) types.push_back(std::move(*type));
    }
    return types;
}

}  // namespace

Result<LeaseQuestion> parse_lease_question(std::string_view body) {
    if (auto checked = check_json(body); !checked) return fail(std::move(checked));
    const auto fields = split_object(body);
    if (!fields) return std::unexpected{fields.error()};
    LeaseQuestion question;
    for (const auto& [key, raw] : *fields) {
        if (key == "types") {
            auto types = read_types(raw);
            if (!types) return fail(std::move(types));
            question.types = std::move(*types);
        } else if (key == "worker") {
            auto worker = read_string(raw, key);
            if (!worker) return fail(std::move(worker));
            if (!is_instance_name(*worker))
                return fail(ErrorCode::invalid_field, "worker '" + *worker + "'");
            question.worker = std::move(*worker);
        } else if (key == "max") {
            const auto max = read_integer(raw, key, 1, limits::lease_tasks_max);
            if (!max) return std::unexpected{max.error()};
            question.max = static_cast<std::size_t>(*max);
        } else if (key == "wait_ms") {
            const auto wait =
                read_integer(raw, key, 0, limits::wait_max / std::chrono::milliseconds{1});
            if (!wait) return std::unexpected{wait.error()};
            question.wait = std::chrono::milliseconds{*wait};
        } else {
            return fail(ErrorCode::unknown_field, key);
        }
    }
    if (question.types.empty()) return fail(ErrorCode::missing_field, "types");
    return question;
}

void write_leased_task(std::string& out, const Task& task) {
    JsonWriter json{out};
    json.begin_object()
        .field("lease", write_lease_path({task.spec.id, task.epoch}))
        .field("id", task.spec.id)
        .field("type", task.spec.type);
    json.key("payload").raw(task.spec.payload.empty() ? "null" : task.spec.payload.view());
    json.field("attempt", task.attempts_made).end_object();
}

Result<Progress> parse_progress(std::string_view body) {
    if (auto checked = check_json(body); !checked) return fail(std::move(checked));
    const auto fields = split_object(body);
    if (!fields) return std::unexpected{fields.error()};
    Progress progress;
    for (const auto& [key, raw] : *fields) {
        if (key == "percent") {
            const auto percent = read_integer(raw, key, 0, 100);
            if (!percent) return std::unexpected{percent.error()};
            progress.percent = static_cast<std::uint8_t>(*percent);
        } else if (key == "note") {
            auto note = read_string(raw, key);
            if (!note) return fail(std::move(note));
            if (note->size() > limits::progress_note_bytes_max)
                return fail(ErrorCode::invalid_field, "note is longer than 1000 bytes");
            progress.note = std::move(*note);
        } else if (key == "details") {
            if (raw.size() > limits::progress_details_bytes_max)
                return fail(ErrorCode::invalid_field, "details are longer than 4096 bytes");
            progress.details = raw;
        } else {
            return fail(ErrorCode::unknown_field, key);
        }
    }
    return progress;
}

void write_progress(std::string& out, const Progress& progress) {
    JsonWriter json{out};
    json.begin_object();
    if (progress.percent) json.field("percent", *progress.percent);
    if (!progress.note.empty()) json.field("note", progress.note);
    if (!progress.details.empty()) json.key("details").raw(progress.details);
    if (progress.at != WallTime{}) json.field("at", progress.at);
    json.end_object();
}

}  // namespace taskd::protocol

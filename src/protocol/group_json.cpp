#include "taskd/protocol/group_json.hpp"

#include "taskd/base/limits.hpp"
#include "taskd/protocol/json.hpp"

namespace taskd::protocol {
namespace {

using Refused = std::unexpected<BodyError>;

Refused refuse(Error error) {
    return Refused{BodyError{std::move(error), std::nullopt}};
}

// One task, without what is said when it is submitted.
std::expected<void, BodyError> take_completion(std::string_view raw, NewGroup& into) {
    auto parsed = parse_submit(raw, [] { return TaskId{}; });
    if (!parsed) return Refused{parsed.error()};
    TaskSpec& spec = parsed->tasks.front();
    if (parsed->is_array || spec.id != TaskId{} || spec.group || !spec.idempotency_key.empty() ||
        spec.run_at || spec.expires_at)
        return refuse({ErrorCode::invalid_field,
                       "completion is one task without id, group, idempotency_key, run_at and "
                       "expires_at"});
    into.group.completion = std::move(spec);
    return {};
}

std::expected<void, BodyError> take_tasks(std::string_view raw,
                                          const std::function<TaskId()>& make_id, NewGroup& into) {
    auto parsed = parse_submit(raw, make_id);
    if (!parsed) return Refused{parsed.error()};
    if (!parsed->is_array) return refuse({ErrorCode::invalid_field, "tasks must be an array"});
    into.tasks = std::move(parsed->tasks);
    return {};
}

std::expected<void, BodyError> take_name(std::string_view raw, NewGroup& into) {
    auto name = read_string(raw, "name");
    if (!name) return refuse(name.error());
    if (name->size() > limits::reason_bytes_max)
        return refuse({ErrorCode::invalid_field, "name is longer than 1000 bytes"});
    into.group.name = std::move(*name);
    return {};
}

std::expected<void, BodyError> take_field(std::string_view key, std::string_view raw,
                                          const std::function<TaskId()>& make_id, NewGroup& into) {
    if (key == "completion") return take_completion(raw, into);
    if (key == "tasks") return take_tasks(raw, make_id, into);
    if (key == "name") return take_name(raw, into);
    if (key == "open") {
        const auto open = read_boolean(raw, key);
        if (!open) return refuse(open.error());
        into.open = *open;
        return {};
    }
    if (key != "id") return refuse({ErrorCode::unknown_field, std::string{key}});
    const auto text = read_string(raw, key);
    if (!text) return refuse(text.error());
    const auto id = GroupId::parse(*text);
    if (!id) return refuse({ErrorCode::invalid_id, *text});
    into.group.id = *id;
    return {};
}

}  // namespace

std::expected<NewGroup, BodyError> parse_group(std::string_view body,
                                               const std::function<TaskId()>& make_id) {
    if (auto checked = check_json(body); !checked) return refuse(checked.error());
    const auto fields = split_object(body);
    if (!fields) return refuse(fields.error());
    NewGroup made;
    for (const auto& [key, raw] : *fields)
        if (auto taken = take_field(key, raw, make_id, made); !taken) return Refused{taken.error()};
    if (made.tasks.empty() && !made.open)
        return refuse({ErrorCode::missing_field, "tasks, unless the group is open"});
    if (made.group.id == GroupId{}) made.group.id = make_id();
    for (std::size_t i = 0; i < made.tasks.size(); ++i) {
        if (made.tasks[i].group && made.tasks[i].group != made.group.id)
            return Refused{
                BodyError{{ErrorCode::invalid_field, "the task names another group"}, i}};
        made.tasks[i].group = made.group.id;
    }
    return made;
}

void write_group(std::string& out, const Group& group) {
    JsonWriter json{out};
    json.begin_object().field("id", group.id);
    if (!group.name.empty()) json.field("name", group.name);
    json.field("state", to_text(group.state)).field("made_at", group.made_at);
    if (group.ended_at) json.field("ended_at", *group.ended_at);
    json.field("tasks", group.tasks)
        .field("succeeded", group.succeeded)
        .field("dead", group.dead)
        .field("cancelled", group.cancelled)
        .field("expired", group.expired)
        .key("failed")
        .begin_array();
    for (const TaskId& id : group.failed)
        json.string(id.to_string());
    json.end_array();
    if (group.completion) json.field("completion_type", group.completion->type);
    if (group.completed_by) json.field("completion_id", *group.completed_by);
    json.end_object();
}

}  // namespace taskd::protocol

// Tasks found: lists and counts by search, pages of them.
#include "taskd/protocol/json.hpp"
#include "taskd/protocol/task_json.hpp"
#include "taskd/service/task_api.hpp"

namespace taskd::service {
namespace {

Result<void> take_parameter(std::string_view name, const std::string& value, TaskQuery& query) {
    if (name == "q") {
        auto search = parse_search(value);
        if (!search) return fail(std::move(search));
        query.search = std::move(*search);
    } else if (name == "type") {
        query.type = value;
    } else if (name == "state") {
        query.state = parse_task_state(value);
        if (!query.state) return fail(ErrorCode::invalid_field, "state '" + value + "'");
    } else if (name == "limit") {
        const auto limit = protocol::read_integer(value.empty() ? "null" : value, "limit", 1,
                                                  limits::page_tasks_max);
        if (!limit) return std::unexpected{limit.error()};
        query.limit = static_cast<std::size_t>(*limit);
    } else {
        query.after = TaskId::parse(value);
        if (!query.after) return fail(ErrorCode::invalid_id, "after '" + value + "'");
    }
    return {};
}

Result<TaskQuery> read_query(const protocol::Target& target, WallTime now) {
    TaskQuery query;
    query.now = now;
    for (const auto& [name, value] : target.query)
        if (auto taken = take_parameter(name, value, query); !taken) return fail(std::move(taken));
    return query;
}

std::string next_field(const TaskPage& page) {
    return "\"next\":" + (page.next ? "\"" + page.next->to_string() + "\"" : "null") + "}";
}

}  // namespace

protocol::TaskExtras TaskApi::extras_of(const Task& task) const {
    if (task.state == TaskState::running) return {{}, {}, core_.engine().progress_of(task.spec.id)};
    if (task.state != TaskState::scheduled && task.state != TaskState::queued) return {};
    const auto why = core_.engine().explain(core_.now(), task, core_.can_lease());
    return {why.rule, why.text, nullptr};
}

void TaskApi::list(Call call) {
    auto query = read_query(call.target, core_.now().wall);
    if (!query) return call.answer(query.error());
    if (call.accepts(protocol::lines_type))
        return ask_page(std::move(call), std::move(*query), [this](const TaskPage& page) {
            port::HttpResponse answer{200, {{"Content-Type", "application/x-ndjson"}}, {}};
            for (const Task& task : page.tasks) {
                protocol::write_task(answer.body, task, extras_of(task));
                answer.body.push_back('\n');
            }
            if (page.next) answer.headers.emplace_back("Taskd-Next", page.next->to_string());
            return answer;
        });
    ask_page(std::move(call), std::move(*query), [this](const TaskPage& page) {
        std::string out = "{\"tasks\":[";
        for (const Task& task : page.tasks) {
            if (&task != &page.tasks.front()) out.push_back(',');
            protocol::write_task(out, task, extras_of(task));
        }
        return json_response(200, out + "]," + next_field(page));
    });
}

void TaskApi::count(Call call) {
    auto query = read_query(call.target, core_.now().wall);
    if (!query) return call.answer(query.error());
    query->count_only = true;
    query->rows_max = limits::count_rows_max;
    ask_page(std::move(call), std::move(*query), [](const TaskPage& page) {
        return json_response(200,
                             "{\"count\":" + std::to_string(page.count) + "," + next_field(page));
    });
}

void TaskApi::ask_page(Call call, TaskQuery query,
                       std::function<port::HttpResponse(const TaskPage&)> write) {
    auto shared = std::make_shared<Call>(std::move(call));
    auto page = std::make_shared<Result<TaskPage>>(fail(ErrorCode::disk_full));
    core_.when_viewed(
        [page, query = std::move(query)](port::View& view) { *page = view.list(query); },
        [page, shared, write = std::move(write)] {
            if (!*page) return shared->answer(page->error());
            shared->respond(write(**page));
        });
}

}  // namespace taskd::service

// Tasks over HTTP: submit, read, wait, list, cancel.
#include "taskd/service/task_api.hpp"

#include <algorithm>
#include <iterator>

#include "taskd/protocol/json.hpp"
#include "taskd/protocol/operation_json.hpp"
#include "taskd/protocol/task_json.hpp"

namespace taskd::service {
namespace {

using protocol::JsonWriter;

// A responder is given once; replies are kept in copyable functions.
using Shared = std::shared_ptr<Call>;
Shared share(Call call) {
    return std::make_shared<Call>(std::move(call));
}

std::string brief(const Task& task, bool with_outcome) {
    std::string out;
    protocol::write_brief(out, task, with_outcome);
    return out;
}

// The answer to a submit: one task, or {"tasks": [...]}.
std::string submit_answer(const std::vector<const Task*>& tasks, bool as_array, bool whole) {
    std::string out;
    out.reserve(tasks.size() * (whole ? 1024 : 128));
    if (as_array) out += "{\"tasks\":[";
    for (std::size_t i = 0; i < tasks.size(); ++i) {
        if (i > 0) out.push_back(',');
        if (whole)
            protocol::write_task(out, *tasks[i]);
        else
            protocol::write_brief(out, *tasks[i], false);
    }
    if (as_array) out.append("]}");
    return out;
}

struct Submitted {
    std::vector<TaskId> ids;
    std::vector<Task> from_view;
    bool is_array = false;

    std::vector<const Task*> tasks(const engine::Engine& engine) const {
        std::vector<const Task*> all;
        for (const TaskId& id : ids) {
            const Task* task = engine.find(id);
            if (task == nullptr)
                task = &*std::ranges::find(from_view, id, [](const Task& t) { return t.spec.id; });
            all.push_back(task);
        }
        return all;
    }
};

// The header stands for the field of the one task.
Result<void> take_key_header(const port::HttpHeaders& headers, protocol::SubmitBody& body) {
    const std::string_view key = port::find_header(headers, "Idempotency-Key");
    if (key.empty()) return {};
    if (body.is_array)
        return fail(ErrorCode::invalid_field,
                    "Idempotency-Key is for one task; an array says idempotency_key of each");
    std::string& field = body.tasks.front().idempotency_key;
    const bool fits = key.size() <= limits::key_bytes_max && protocol::is_utf8(key);
    if (!fits || (!field.empty() && field != key))
        return fail(ErrorCode::invalid_field, "Idempotency-Key");
    field = key;
    return {};
}

// Each once, though a request may say one twice.
std::vector<TaskId> distinct(std::vector<TaskId> ids) {
    std::ranges::sort(ids);
    const auto again = std::ranges::unique(ids);
    ids.erase(again.begin(), again.end());
    return ids;
}

std::vector<TaskId> still_open(const std::vector<const Task*>& tasks) {
    std::vector<TaskId> open;
    for (const Task* task : tasks)
        if (!is_terminal(task->state)) open.push_back(task->spec.id);
    return open;
}

bool fits_one_answer(const std::vector<const Task*>& tasks) {
    std::size_t bytes = 0;
    for (const Task* task : tasks)
        bytes += task->result.size();
    return bytes <= limits::answer_payload_bytes_max;
}

// All of them whole, or each in brief while some have not ended or there is too much to tell.
void answer_waited(Call& call, const Submitted& submitted, const std::vector<TaskId>& ids,
                   const std::vector<std::shared_ptr<const Task>>& tasks,
                   const std::vector<bool>& left) {
    std::vector<const Task*> now;
    for (const TaskId& id : submitted.ids) {
        const auto place = std::ranges::lower_bound(ids, id) - ids.begin();
        const auto& task = tasks[static_cast<std::size_t>(place)];
        if (task) now.push_back(task.get());  // it may be deleted by now
    }
    if (now.empty())
        return call.answer(Error{ErrorCode::task_not_found, submitted.ids[0].to_string()});
    const bool whole = still_open(now).empty() && std::ranges::find(left, true) == left.end() &&
                       fits_one_answer(now);
    call.answer(whole ? 200 : 202, submit_answer(now, submitted.is_array, whole));
}

}  // namespace

TaskApi::TaskApi(Core& core, Waiters& waiters, WorkerLink& workers, LeaseDesk& desk,
                 Schemas& schemas, port::Clock& clock, port::Timers& timers)
    : core_{core},
      waiters_{waiters},
      workers_{workers},
      desk_{desk},
      schemas_{schemas},
      clock_{clock},
      timers_{timers},
      started_at_{clock.steady()} {}

void TaskApi::add_routes(HttpFront& front) {
    const auto to = [this](void (TaskApi::*handler)(Call)) {
        return [this, handler](Call&& call) { (this->*handler)(std::move(call)); };
    };
    front.add({.method = "POST",
               .pattern = "/v1/tasks",
               .query = {"wait"},
               .handle = to(&TaskApi::submit),
               .media = {protocol::json_type, protocol::lines_type}});
    front.add({"GET", "/v1/tasks", {"q", "type", "state", "limit", "after"}, to(&TaskApi::list)});
    front.add({"GET", "/v1/tasks/count", {"q", "type", "state", "after"}, to(&TaskApi::count)});
    front.add({.method = "GET",
               .pattern = "/v1/tasks/{id}",
               .handle = to(&TaskApi::get_task),
               .tagged = true});
    front.add({"GET", "/v1/tasks/{id}/result", {"wait"}, to(&TaskApi::get_result)});
    front.add({"POST", "/v1/tasks/{id}/priority", {}, to(&TaskApi::set_priority)});
    front.add({"POST", "/v1/tasks/{id}/redrive", {}, to(&TaskApi::redrive)});
    front.add({"PUT", "/v1/tasks/{id}/payload", {}, to(&TaskApi::edit_payload)});
    front.add({"GET", "/v1/tasks/{id}/explain", {}, to(&TaskApi::explain)});
    front.add({"POST", "/v1/tasks/{id}/cancel", {}, to(&TaskApi::cancel)});
    front.add({"POST", "/v1/results", {}, to(&TaskApi::get_results)});
    front.add({"GET", "/v1/stats", {}, to(&TaskApi::stats)});
    front.add({.method = "GET",
               .pattern = "/v1/workers",
               .handle = to(&TaskApi::workers),
               .tagged = true});
}

void TaskApi::submit(Call call) {
    if (call.sends(protocol::lines_type)) return submit_lines(std::move(call));
    const SteadyTime begin = clock_.steady();
    if (const auto slow = core_.no_more_tasks()) return call.answer(*slow);
    const auto wait = protocol::read_wait(call.target, "wait");
    if (!wait) return call.answer(wait.error());
    if (*wait > Duration{0} && waiters_.full())
        return call.answer(Error{ErrorCode::too_many_waiters, {}});
    auto body = protocol::parse_submit(call.request.body, [this] { return core_.make_id(); });
    if (!body) return call.answer(body.error().error, body.error().index);
    call.drop_body();
    if (auto taken = take_key_header(call.request.headers, *body); !taken)
        return call.answer(taken.error());
    for (std::size_t i = 0; i < body->tasks.size(); ++i) {
        const TaskSpec& spec = body->tasks[i];
        if (auto matched = schemas_.check(spec.type, spec.payload.view()); !matched)
            return call.answer(matched.error(), body->is_array ? std::optional{i} : std::nullopt);
    }
    auto submitted = std::make_shared<Submitted>();
    submitted->is_array = body->is_array;
    for (const TaskSpec& spec : body->tasks)
        submitted->ids.push_back(spec.id);
    engine::Submit command;
    command.tasks = std::move(body->tasks);
    core_.execute(
        std::move(command),
        [this, submitted, wait = *wait, begin,
         shared = share(std::move(call))](const engine::Decision& decision) -> Core::Reply {
            if (decision.refused)
                return [shared, error = *decision.refused, index = decision.index] {
                    shared->answer(error, index);
                };
            submitted->from_view = decision.known;
            for (const auto& [index, id] : decision.existing)
                submitted->ids[index] = id;
            const auto durable = [this, begin] { core_.note_submit(clock_.steady() - begin); };
            const auto tasks = submitted->tasks(core_.engine());
            const auto open = still_open(tasks);
            if (wait == Duration{0} || open.empty()) {
                const bool whole = wait > Duration{0} && fits_one_answer(tasks);
                return [durable, shared, whole,
                        body = submit_answer(tasks, submitted->is_array, whole)] {
                    durable();
                    shared->answer(whole ? 200 : 202, body);
                };
            }
            // What ended early may have left memory by then.
            const auto answer = [this, submitted, shared] {
                const auto ids = distinct(submitted->ids);
                find_all(ids, Rest::states, [submitted, shared, ids](const Result<Found>& found) {
                    if (!found) return shared->answer(found.error());
                    answer_waited(*shared, *submitted, ids, found->tasks, found->left);
                });
            };
            if (!waiters_.wait(open, open.size(), wait, answer, shared->request.client_gone))
                answer();  // the last place went meanwhile
            return durable;
        });
}

void TaskApi::find_task(const std::string& name, FoundTask then) {
    if (const auto id = TaskId::parse(name)) return find_by_id(*id, std::move(then));
    const bool part = name.size() >= 4 && name.size() <= 36 &&
                      name.find_first_not_of("0123456789abcdefABCDEF-") == std::string::npos;
    if (!part)
        return then(fail(ErrorCode::invalid_id,
                         "'" + name + "' is no part of a task's id, of 4 characters or more"));
    find_by_part(name, std::move(then));
}

void TaskApi::find_by_id(TaskId id, FoundTask then) {
    if (const Task* task = core_.engine().find(id)) {
        core_.when_durable([then = std::move(then), copy = *task] { then(copy); });
        return;
    }
    auto found = std::make_shared<Result<std::vector<Task>>>();
    core_.ask_view([found, id](port::View& view) { *found = view.find(std::span{&id, 1}); },
                   [this, found, id, then = std::move(then)] {
                       if (!*found) return then(fail(std::move(*found)));
                       if (core_.engine().is_deleted(id)) (*found)->clear();
                       // Its deletion may not be durable yet: then it could come back.
                       core_.when_durable([found, id, then] {
                           if ((*found)->empty())
                               return then(fail(ErrorCode::task_not_found, id.to_string()));
                           then(std::move((*found)->front()));
                       });
                   });
}

void TaskApi::find_by_part(const std::string& part, FoundTask then) {
    std::string lower = part;
    std::ranges::transform(lower, lower.begin(), [](unsigned char c) { return std::tolower(c); });
    auto found = std::make_shared<Result<std::vector<TaskId>>>(fail(ErrorCode::disk_full));
    core_.when_viewed([found, lower](port::View& view) { *found = view.match(lower); },
                      [this, found, part, then = std::move(then)] {
                          if (!*found) return then(fail(std::move(*found)));
                          if ((*found)->empty()) return then(fail(ErrorCode::task_not_found, part));
                          if ((*found)->size() > 1)
                              return then(fail(ErrorCode::ambiguous_id, part));
                          find_by_id((*found)->front(), then);
                      });
}

void TaskApi::get_task(Call call) {
    auto shared = share(std::move(call));
    find_task(shared->parameters[0], [this, shared](Result<Task> task) {
        if (!task) return shared->answer(task.error());
        std::string out;
        protocol::write_task(out, *task, extras_of(*task));
        shared->answer(200, std::move(out));
    });
}

void TaskApi::get_result(Call call) {
    const auto wait = protocol::read_wait(call.target, "wait");
    if (!wait) return call.answer(wait.error());
    auto shared = share(std::move(call));
    find_task(shared->parameters[0], [this, shared, wait = *wait](Result<Task> task) {
        if (!task) return shared->answer(task.error());
        const TaskId id = task->spec.id;
        const auto now = core_.engine().state_of(id);
        const bool open = now && !is_terminal(*now);
        const auto answer = [this, shared, id] {
            find_by_id(id, [shared](Result<Task> ended) {
                if (!ended) return shared->answer(ended.error());
                shared->answer(is_terminal(ended->state) ? 200 : 202, brief(*ended, true));
            });
        };
        if (!open || wait == Duration{0}) return answer();
        if (auto waits = waiters_.wait({id}, 1, wait, answer, shared->request.client_gone); !waits)
            shared->answer(waits.error());
    });
}

void TaskApi::cancel(Call call) {
    auto reason = protocol::parse_reason(call.request.body);
    if (!reason) return call.answer(reason.error());
    auto shared = share(std::move(call));
    find_task(
        shared->parameters[0], [this, shared, reason = std::move(*reason)](Result<Task> task) {
            if (!task) return shared->answer(task.error());
            core_.execute(
                engine::Cancel{task->spec.id, reason},
                [this, shared,
                 seen = std::move(*task)](const engine::Decision& decision) -> Core::Reply {
                    const bool forgotten =
                        decision.refused && decision.refused->code == ErrorCode::task_not_found;
                    if (forgotten && seen.state == TaskState::cancelled)
                        return [shared, seen] { shared->answer(200, brief(seen, false)); };
                    if (forgotten)
                        return [shared, seen] {
                            shared->answer(Error{ErrorCode::task_finished,
                                                 "it is " + std::string{to_text(seen.state)}});
                        };
                    if (decision.refused)
                        return [shared, error = *decision.refused] { shared->answer(error); };
                    return [shared, body = brief(*core_.engine().find(seen.spec.id), false)] {
                        shared->answer(200, body);
                    };
                });
        });
}

}  // namespace taskd::service

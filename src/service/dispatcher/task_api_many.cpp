// Many tasks at once, and no more of their results than one answer holds.
#include <algorithm>
#include <unordered_set>

#include "taskd/protocol/json.hpp"
#include "taskd/protocol/task_json.hpp"
#include "taskd/service/task_api.hpp"

namespace taskd::service {
namespace {

// Read from the view together: so many may be in memory beyond the bound.
constexpr std::size_t rows_at_once = 16;

// What the view has of some tasks.
struct Rows {
    std::vector<TaskId> ids;
    std::size_t bytes = 0;      // of results, with those that were at hand
    bool reads_on = false;      // beyond the bound, without results
    std::size_t asked = 0;      // of ids
    std::vector<Task> tasks;    // in the order of ids
    std::vector<bool> is_bare;  // of tasks: its result was left out
    Result<void> done{};

    void read(port::View& view) {
        while (asked < ids.size() && (reads_on || bytes < limits::answer_payload_bytes_max)) {
            const std::size_t count = std::min(rows_at_once, ids.size() - asked);
            auto some = view.find(std::span{ids}.subspan(asked, count));
            if (!some) {
                done = fail(std::move(some));
                return;
            }
            asked += count;
            for (Task& task : *some) {
                is_bare.push_back(bytes >= limits::answer_payload_bytes_max);
                if (is_bare.back()) task.result = {};
                if (!reads_on) task.spec.payload = {};  // of no use, and not bounded
                bytes += task.result.size();
                tasks.push_back(std::move(task));
            }
        }
    }
};

}  // namespace

void TaskApi::find_all(const std::vector<TaskId>& ids, Rest rest, FoundTasks then) {
    auto found = std::make_shared<Result<Found>>();
    auto rows = std::make_shared<Rows>();
    rows->reads_on = rest == Rest::states;
    for (const TaskId& id : ids) {
        auto task = core_.engine().hold(id);
        (*found)->left.push_back(task && rows->bytes >= limits::answer_payload_bytes_max);
        if (!task)
            rows->ids.push_back(id);
        else
            rows->bytes += task->result.size();
        (*found)->tasks.push_back(std::move(task));
    }
    if (rows->ids.empty()) return core_.when_durable([found, then] { then(*found); });
    core_.ask_view([rows](port::View& view) { rows->read(view); },
                   [this, ids, found, rows, then] {
                       if (!rows->done) return then(std::unexpected{rows->done.error()});
                       std::size_t asked = 0, row = 0;
                       for (std::size_t i = 0; i < ids.size(); ++i) {
                           if ((*found)->tasks[i]) continue;
                           (*found)->left[i] = asked++ >= rows->asked;
                           if (row == rows->tasks.size() || rows->tasks[row].spec.id != ids[i])
                               continue;
                           if (!core_.engine().is_deleted(ids[i])) {
                               (*found)->left[i] = rows->is_bare[row];
                               (*found)->tasks[i] =
                                   std::make_shared<const Task>(std::move(rows->tasks[row]));
                           }
                           ++row;
                       }
                       core_.when_durable([found, then] { then(*found); });
                   });
}

namespace {

// {"tasks": [...], "missing": [...]}, and "left" when there was too much.
std::string results_answer(const std::vector<TaskId>& ids,
                           const std::vector<std::shared_ptr<const Task>>& found,
                           const std::vector<bool>& is_left) {
    std::string tasks, missing, left;
    for (std::size_t i = 0; i < ids.size(); ++i) {
        const Task* task = found[i].get();
        const bool later = is_left[i] && (task == nullptr || is_terminal(task->state));
        std::string& out = later ? left : task != nullptr ? tasks : missing;
        if (!out.empty()) out.push_back(',');
        if (task != nullptr && !later)
            protocol::write_brief(out, *task, true);
        else
            protocol::append_json_string(out, ids[i].to_string());
    }
    std::string answer = "{\"tasks\":[" + tasks + "],\"missing\":[" + missing + "]";
    if (!left.empty()) answer += ",\"left\":[" + left + "]";
    return answer + "}";
}

Result<void> take_ids(std::string_view raw, ResultsWanted& wanted) {
    const auto elements = protocol::split_array(raw);
    if (!elements || elements->empty() || elements->size() > limits::result_ids_max)
        return fail(ErrorCode::invalid_field, "ids must be an array of 1 to 1000 ids");
    std::unordered_set<TaskId> seen;
    for (const std::string_view element : *elements) {
        auto text = protocol::read_string(element, "ids");
        if (!text) return fail(std::move(text));
        const auto id = TaskId::parse(*text);
        if (!id) return fail(ErrorCode::invalid_id, *text);
        if (seen.insert(*id).second) wanted.ids.push_back(*id);
    }
    return {};
}

Result<ResultsWanted> parse_results(std::string_view text) {
    if (auto checked = protocol::check_json(text); !checked) return fail(std::move(checked));
    auto fields = protocol::split_object(text);
    if (!fields) return fail(std::move(fields));
    ResultsWanted wanted;
    for (const auto& [key, raw] : *fields) {
        if (key == "ids") {
            if (auto taken = take_ids(raw, wanted); !taken) return fail(std::move(taken));
        } else if (key == "wait_ms") {
            auto ms = protocol::read_integer(raw, key, 0,
                                             limits::wait_max / std::chrono::milliseconds{1});
            if (!ms) return fail(std::move(ms));
            wanted.wait = std::chrono::milliseconds{*ms};
        } else if (key == "for") {
            const auto which = protocol::read_string(raw, key);
            if (!which || (*which != "all" && *which != "first"))
                return fail(ErrorCode::invalid_field, "for must be \"all\" or \"first\"");
            wanted.first = *which == "first";
        } else {
            return fail(ErrorCode::unknown_field, key);
        }
    }
    if (wanted.ids.empty()) return fail(ErrorCode::missing_field, "ids");
    return wanted;
}

}  // namespace

void TaskApi::tell_results(std::shared_ptr<Call> call, std::vector<TaskId> ids) {
    find_all(ids, Rest::unread, [call = std::move(call), ids](const Result<Found>& found) {
        if (!found) return call->answer(found.error());
        call->answer(200, results_answer(ids, found->tasks, found->left));
    });
}

void TaskApi::get_results(Call call) {
    auto wanted = parse_results(call.request.body);
    if (!wanted) return call.answer(wanted.error());
    call.drop_body();
    await_results(std::make_shared<Call>(std::move(call)), std::move(*wanted));
}

// What is in memory is known here; of what has left it the view knows whether any has ended.
void TaskApi::await_results(std::shared_ptr<Call> call, ResultsWanted wanted,
                            std::optional<bool> ended_elsewhere) {
    std::vector<TaskId> open, elsewhere;
    bool ended = ended_elsewhere.value_or(false);
    for (const TaskId& id : wanted.ids) {
        const auto state = core_.engine().state_of(id);
        if (!state)
            elsewhere.push_back(id);
        else if (is_terminal(*state))
            ended = true;
        else
            open.push_back(id);
    }
    if (open.empty() || (wanted.first && ended) || wanted.wait == Duration{0})
        return tell_results(std::move(call), std::move(wanted.ids));
    if (wanted.first && !elsewhere.empty() && !ended_elsewhere)
        return find_all(elsewhere, Rest::unread,
                        [this, call, wanted = std::move(wanted)](const Result<Found>& found) {
                            if (!found) return call->answer(found.error());
                            const bool any = std::ranges::any_of(
                                found->tasks, [](const auto& task) { return task != nullptr; });
                            await_results(call, wanted, any);
                        });
    const std::size_t count = wanted.first ? 1 : open.size();
    const auto answer = [this, call, ids = wanted.ids] { tell_results(call, ids); };
    if (auto waits = waiters_.wait(open, count, wanted.wait, answer, call->request.client_gone);
        !waits)
        call->answer(waits.error());
}

}  // namespace taskd::service

#include "taskd/service/bulk.hpp"

#include <algorithm>

#include "taskd/protocol/json.hpp"
#include "taskd/protocol/task_json.hpp"

namespace taskd::service {
namespace {

using namespace std::chrono_literals;

constexpr Duration wait_a_time = 2s;  // so that progress shows
constexpr std::size_t task_overhead_bytes = 256;

Result<TaskSpec> parse_one(std::string_view raw, const TaskSpec& defaults,
                           const std::function<TaskId()>& make_id) {
    if (!defaults.type.empty()) {
        if (auto valid = protocol::check_json(raw); !valid) return fail(std::move(valid));
        TaskSpec spec = defaults;
        spec.id = make_id();
        spec.payload = Blob{std::string{raw}};
        return spec;
    }
    auto body = protocol::parse_submit(raw, make_id);
    if (!body) return std::unexpected{body.error().error};
    if (body->is_array) return fail(ErrorCode::invalid_field, "a task is an object, not an array");
    return std::move(body->tasks.front());
}

std::string_view trimmed(std::string_view text) {
    const auto first = text.find_first_not_of(" \t\r\n");
    if (first == std::string_view::npos) return {};
    return text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1);
}

// One array over several lines is no line of its own: it parses as a whole.
std::vector<std::pair<std::string, std::string_view>> split(std::string_view text) {
    std::vector<std::pair<std::string, std::string_view>> parts;
    const std::string_view whole = trimmed(text);
    if (whole.starts_with('[') && protocol::check_json(whole)) {
        const auto elements = protocol::split_array(whole);
        for (std::size_t i = 0; elements && i < elements->size(); ++i)
            parts.emplace_back("element " + std::to_string(i + 1), (*elements)[i]);
        return parts;
    }
    for (std::size_t number = 1; !text.empty(); ++number) {
        const std::string_view line = text.substr(0, text.find('\n'));
        if (const auto value = trimmed(line); !value.empty())
            parts.emplace_back("line " + std::to_string(number), value);
        text.remove_prefix(std::min(line.size() + 1, text.size()));
    }
    return parts;
}

}  // namespace

Result<std::vector<TaskSpec>> parse_bulk(std::string_view text, const TaskSpec& defaults,
                                         const std::function<TaskId()>& make_id) {
    std::vector<TaskSpec> tasks;
    for (const auto& [place, raw] : split(text)) {
        auto task = parse_one(raw, defaults, make_id);
        if (!task) return fail(task.error().code, place + ": " + task.error().detail);
        tasks.push_back(std::move(*task));
    }
    return tasks;
}

Result<BulkCounts> submit_bulk(TaskClient& client, const std::vector<TaskSpec>& tasks,
                               const BulkSettings& settings, const BulkPorts& ports) {
    BulkCounts counts{.all = tasks.size()};
    const SteadyTime end = ports.clock.steady() + settings.wait;
    std::vector<std::string> taken_as;  // what was sent before under an idempotency key is that one
    for (std::size_t begin = 0; begin < tasks.size();) {
        std::vector<TaskSpec> batch;
        for (std::size_t bytes = 0; begin < tasks.size() && batch.size() < settings.batch_tasks_max;
             ++begin) {
            bytes += tasks[begin].payload.size() + task_overhead_bytes;
            if (!batch.empty() && bytes > settings.batch_bytes_max) break;
            batch.push_back(tasks[begin]);
        }
        const auto taken = client.submit_batch(batch);
        if (!taken) return std::unexpected{taken.error()};
        counts.submitted += batch.size();
        for (const TaskOutcome& outcome : *taken) {
            taken_as.push_back(outcome.id);
            if (settings.detach) ports.tell(outcome);
        }
        ports.progress(counts);
    }
    if (settings.detach) return counts;
    for (std::size_t begin = 0; begin < tasks.size();) {
        std::vector<std::string> ids;
        for (; begin < tasks.size() && ids.size() < limits::result_ids_max; ++begin)
            ids.push_back(taken_as[begin]);
        while (true) {
            const Duration left = end - ports.clock.steady();
            const auto got = client.results(ids, std::clamp<Duration>(left, 0us, wait_a_time));
            if (!got) return std::unexpected{got.error()};
            BulkCounts now = counts;
            for (const TaskOutcome& outcome : *got)
                if (outcome.ended()) ++(outcome.error_state() ? now.failed : now.succeeded);
            ports.progress(now);
            if (now.failed + now.succeeded < begin && left > 0us) continue;
            for (const TaskOutcome& outcome : *got)
                ports.tell(outcome);
            counts = now;
            break;
        }
    }
    if (const auto open = counts.all - counts.succeeded - counts.failed; open > 0)
        return fail(ErrorCode::timed_out, std::to_string(open) + " of " +
                                              std::to_string(counts.all) + " tasks have not ended");
    return counts;
}

}  // namespace taskd::service

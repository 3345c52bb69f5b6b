#include "taskd/service/task_client.hpp"

#include <algorithm>
#include <unordered_map>

#include "taskd/base/duration_text.hpp"
#include "taskd/protocol/json.hpp"
#include "taskd/protocol/problem.hpp"
#include "taskd/protocol/target.hpp"
#include "taskd/protocol/task_json.hpp"
#include "taskd/service/http_front.hpp"

namespace taskd::service {
namespace {

using namespace std::chrono_literals;

constexpr Duration pause_initial = 50ms;
constexpr Duration pause_max = 1s;
// Longer waits are asked for in parts: many proxies cut off after a minute of silence, some sooner.
constexpr Duration wait_a_time = 25s;
constexpr Duration wait_and_tell = 1s;

// The array `name` of an answer.
Result<std::vector<TaskOutcome>> parse_outcomes(std::string_view body) {
    if (!protocol::check_json(body)) return fail(ErrorCode::bad_answer, "not JSON");
    const auto fields = protocol::split_object(body);
    if (!fields) return fail(ErrorCode::bad_answer, "not an object");
    std::vector<TaskOutcome> outcomes;
    for (const auto& [name, raw] : *fields) {
        if (name != "tasks" && name != "missing") continue;
        const auto elements = protocol::split_array(raw);
        if (!elements) return fail(ErrorCode::bad_answer, name + " is no array");
        if (name == "missing" && !elements->empty())
            return fail(ErrorCode::task_not_found, std::string{elements->front()});
        for (const std::string_view element : *elements) {
            if (name == "missing") continue;
            auto outcome = parse_outcome(element);
            if (!outcome) return fail(std::move(outcome));
            outcomes.push_back(std::move(*outcome));
        }
    }
    return outcomes;
}

}  // namespace

bool is_worth_retrying(ErrorCode code) {
    switch (code) {
        case ErrorCode::unreachable:
        case ErrorCode::timed_out:
        case ErrorCode::bad_answer:
        case ErrorCode::shutting_down:
        case ErrorCode::not_ready:
        case ErrorCode::overloaded:
        case ErrorCode::backlog_full:
        case ErrorCode::too_many_connections:
        case ErrorCode::too_many_waiters:
            return true;
        default:
            return false;
    }
}

Result<TaskOutcome> parse_outcome(std::string_view body) {
    if (!protocol::check_json(body)) return fail(ErrorCode::bad_answer, "not JSON");
    const auto fields = protocol::split_object(body);
    if (!fields) return fail(ErrorCode::bad_answer, "not an object");
    TaskOutcome outcome;
    for (const auto& [name, raw] : *fields) {
        if (name == "id") outcome.id = protocol::read_string(raw, name).value_or("");
        if (name == "state") outcome.state = protocol::read_string(raw, name).value_or("");
        if (name == "result") outcome.result = raw;
        if (name == "error") {
            auto error = protocol::parse_task_error(raw);
            if (!error) return fail(ErrorCode::bad_answer, error.error().detail);
            outcome.error = std::move(*error);
        }
        if (name == "waiting_for") {
            const auto waiting = protocol::split_object(raw);
            if (!waiting) continue;
            for (const auto& [key, text] : *waiting)
                if (key == "text") outcome.waiting = protocol::read_string(text, key).value_or("");
        }
    }
    if (outcome.id.empty() || outcome.state.empty())
        return fail(ErrorCode::bad_answer, "a task without id or state");
    return outcome;
}

TaskClient::TaskClient(TaskClientSettings settings, TaskClientPorts ports)
    : settings_{std::move(settings)}, ports_{std::move(ports)}, random_{settings_.seed} {}

Result<TaskClient::Answer> TaskClient::ask(const std::string& method, const std::string& target,
                                           const std::string& body, Duration waits) {
    return patiently([&] { return try_once(method, target, body, waits); });
}

Result<TaskClient::Answer> TaskClient::patiently(const std::function<Result<Answer>()>& attempt) {
    std::optional<SteadyTime> give_up;
    Duration pause = pause_initial;
    while (true) {
        auto answer = attempt();
        if (answer || !is_worth_retrying(answer.error().code)) return answer;
        const SteadyTime now = ports_.clock.steady();
        if (!give_up) {
            give_up = now + settings_.retry_for;
            if (now < *give_up) ports_.trying_again(answer.error());
        }
        if (now >= *give_up) return answer;
        const auto jitter = random_.below(static_cast<std::uint64_t>(pause.count()) / 4 + 1);
        ports_.pause(std::min<Duration>(pause + Duration{jitter}, *give_up - now));
        pause = std::min(2 * pause, pause_max);
    }
}

Result<TaskClient::Answer> TaskClient::try_once(const std::string& method,
                                                const std::string& target, const std::string& body,
                                                Duration waits) {
    port::HttpRequest request{method, target, {}, body};
    add_key(request.headers, settings_.key);
    if (!body.empty()) request.headers.emplace_back("Content-Type", protocol::json_type);
    auto response = ports_.call(std::move(request), settings_.timeout + waits);
    if (!response) return fail(std::move(response));
    if (response->status < 200 || response->status > 299)
        return std::unexpected{protocol::parse_problem(response->body, response->status)};
    return Answer{response->status, std::move(response->body), std::move(response->headers)};
}

Result<TaskOutcome> TaskClient::submit_and_leave(const TaskSpec& spec) {
    auto answer = ask("POST", "/v1/tasks", protocol::write_submit({spec}, false));
    if (!answer) return fail(std::move(answer));
    return parse_outcome(answer->body);
}

Result<std::vector<TaskOutcome>> TaskClient::submit_batch(const std::vector<TaskSpec>& specs) {
    const auto answer = ask("POST", "/v1/tasks", protocol::write_submit(specs, true));
    if (!answer) return std::unexpected{answer.error()};
    auto outcomes = parse_outcomes(answer->body);
    if (outcomes && outcomes->size() != specs.size())
        return fail(ErrorCode::bad_answer, "not as many tasks as were submitted");
    return outcomes;
}

Result<std::vector<TaskOutcome>> TaskClient::ask_for_results(const std::vector<std::string>& ids,
                                                             SteadyTime end) {
    const auto answer = patiently([&] {
        const Duration part = part_of_wait(end);
        std::string body;
        protocol::JsonWriter json{body};
        json.begin_object().key("ids").begin_array();
        for (const std::string& id : ids)
            json.string(id);
        json.end_array().field("wait_ms", part / 1ms).end_object();
        return try_once("POST", "/v1/results", body, part);
    });
    if (!answer) return std::unexpected{answer.error()};
    return parse_outcomes(answer->body);
}

// What one answer had no room for is asked for again at once, what has not ended while there is
// time left.
Result<std::vector<TaskOutcome>> TaskClient::results(const std::vector<std::string>& ids,
                                                     Duration wait) {
    std::vector<std::string> wanted;
    for (const std::string& id : ids) {
        const auto parsed = TaskId::parse(id);
        wanted.push_back(parsed ? parsed->to_string() : id);
    }
    const SteadyTime end = ports_.clock.steady() + wait;
    std::unordered_map<std::string, TaskOutcome> told;
    std::vector<std::string> asked = wanted;
    for (SteadyTime until = end; !asked.empty();) {
        auto outcomes = ask_for_results(asked, until);
        if (!outcomes) return outcomes;
        const std::size_t before = asked.size();
        for (TaskOutcome& outcome : *outcomes)
            told.insert_or_assign(outcome.id, std::move(outcome));
        std::erase_if(asked, [&](const std::string& id) { return told.contains(id); });
        if (asked.size() == before)
            return fail(ErrorCode::bad_answer, "not as many tasks as were asked for");
        until = ports_.clock.steady();
        if (!asked.empty() || until >= end) continue;
        until = end;
        for (const auto& [id, outcome] : told)
            if (!outcome.ended()) asked.push_back(id);
        for (const std::string& id : asked)
            told.erase(id);
    }
    std::vector<TaskOutcome> in_order;
    for (const std::string& id : wanted)
        in_order.push_back(told.at(id));
    return in_order;
}

Result<TaskOutcome> TaskClient::submit(const TaskSpec& spec, Duration wait) {
    const SteadyTime begin = ports_.clock.steady();
    const SteadyTime end = begin + wait;
    const std::string body = protocol::write_submit({spec}, false);
    const auto answer = patiently([&] {
        const Duration part = part_of_wait(end);
        return try_once("POST", "/v1/tasks?wait=" + to_text(part), body, part);
    });
    if (!answer) return std::unexpected{answer.error()};
    auto outcome = parse_outcome(answer->body);
    if (!outcome || outcome->ended()) return outcome;
    if (ports_.waiting) ports_.waiting(*outcome, ports_.clock.steady() - begin);
    return await_until(outcome->id, begin, end);
}

Result<TaskOutcome> TaskClient::await(const std::string& id, Duration wait) {
    const SteadyTime begin = ports_.clock.steady();
    return await_until(id, begin, begin + wait);
}

Result<TaskOutcome> TaskClient::await_until(const std::string& id, SteadyTime begin,
                                            SteadyTime end) {
    auto outcome = await_silently(id, begin, end);
    if (ports_.waited) ports_.waited();
    return outcome;
}

Result<TaskOutcome> TaskClient::await_silently(const std::string& id, SteadyTime begin,
                                               SteadyTime end) {
    const std::string target = "/v1/tasks/" + protocol::percent_encode(id) + "/result?wait=";
    while (true) {
        const auto answer = patiently([&] {
            const Duration part = part_of_wait(end);
            return try_once("GET", target + to_text(part), {}, part);
        });
        if (!answer) return std::unexpected{answer.error()};
        auto outcome = parse_outcome(answer->body);
        if (!outcome || outcome->ended()) return outcome;
        if (ports_.clock.steady() >= end) return late(outcome->id);
        if (ports_.waiting) ports_.waiting(*outcome, ports_.clock.steady() - begin);
    }
}

// How much of what is left to wait one request asks for.
Duration TaskClient::part_of_wait(SteadyTime end) const {
    const Duration left = end - ports_.clock.steady();
    return std::clamp<Duration>(left, 0us, ports_.waiting ? wait_and_tell : wait_a_time);
}

// Says what the task waits for, if that can be learned.
std::unexpected<Error> TaskClient::late(const std::string& id) {
    std::string detail = "task " + id;
    if (const auto answer = try_once("GET", "/v1/tasks/" + protocol::percent_encode(id), {}, 0us))
        if (const auto outcome = parse_outcome(answer->body)) {
            detail += " is " + outcome->state;
            if (!outcome->waiting.empty()) detail += ": " + outcome->waiting;
        }
    return fail(ErrorCode::timed_out, std::move(detail));
}

}  // namespace taskd::service

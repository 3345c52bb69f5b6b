// Many tasks, one a line: each is taken or refused for itself, and told by a line of the answer.
#include <algorithm>

#include "taskd/protocol/json.hpp"
#include "taskd/protocol/task_json.hpp"
#include "taskd/service/task_api.hpp"

namespace taskd::service {
namespace {

std::string refusal(std::size_t line, const Error& error, const std::string& trace_id) {
    std::string out;
    protocol::JsonWriter json{out};
    json.begin_object().field("line", line);
    json.key("problem").raw(protocol::write_problem(error, {{}, {}, trace_id}));
    json.end_object();
    return out;
}

bool is_blank(std::string_view text) {
    return text.find_first_not_of(" \t\r") == std::string_view::npos;
}

}  // namespace

struct TaskApi::Lines {
    Call call;
    std::string body;
    SteadyTime begin;
    std::size_t set_aside = 0;         // of memory, for the answer
    std::size_t held = 0;              // as counted
    std::size_t at = 0;                // in the body
    std::size_t line = 0;              // the last one read, from 1
    std::vector<std::string> answers;  // of this step, in order
    std::size_t open = 0;              // of them not yet there
    bool reading = false;
    std::string out;
};

void TaskApi::submit_lines(Call call) {
    if (const auto slow = core_.no_more_tasks()) return call.answer(*slow);
    if (call.target.find("wait") != nullptr)
        return call.answer(Error{ErrorCode::invalid_field, "wait is not for lines"});
    if (!port::find_header(call.request.headers, "Idempotency-Key").empty())
        return call.answer(Error{ErrorCode::invalid_field,
                                 "Idempotency-Key is for one task; a line says idempotency_key"});
    std::string body = std::move(call.request.body);
    const auto count = static_cast<std::size_t>(std::ranges::count(body, '\n')) + 1;
    if (count > limits::submit_lines_max + 1)
        return call.answer(
            Error{ErrorCode::too_many_tasks, std::to_string(limits::submit_lines_max) + " lines"});
    const std::size_t set_aside = count * limits::submit_line_answer_bytes;
    const std::size_t most = std::clamp(core_.burst_bytes(), limits::submit_lines_bytes_least,
                                        limits::submit_lines_bytes_max);
    if (lines_bytes_ + body.size() + set_aside > most)
        return call.answer(Error{ErrorCode::overloaded, "too many lines at once"});
    auto lines = std::make_shared<Lines>();
    lines->call = std::move(call);
    lines->body = std::move(body);
    lines->begin = clock_.steady();
    lines->set_aside = set_aside;
    lines->out.reserve(set_aside);
    count_lines(*lines);
    await_turn(std::move(lines));
}

// What they hold until they are answered.
void TaskApi::count_lines(Lines& lines) {
    const std::size_t held = lines.body.size() + std::max(lines.set_aside, lines.out.size());
    lines_bytes_ += held - std::exchange(lines.held, held);
}

void TaskApi::await_turn(std::shared_ptr<Lines> lines) {
    lines_waiting_.push_back(std::move(lines));
    if (!std::exchange(turn_posted_, true)) post_turn();
}

void TaskApi::post_turn() {
    timers_.post([this, alive = std::weak_ptr{alive_}] {
        if (!alive.expired()) take_turn();
    });
}

// So many lines of all requests, which come one after another, so that no turn grows with them.
void TaskApi::take_turn() {
    std::size_t room = limits::submit_lines_step;
    while (room > 0 && !lines_waiting_.empty()) {
        const auto lines = std::move(lines_waiting_.front());
        lines_waiting_.pop_front();
        room -= std::min(room, take_lines(lines, room));
    }
    turn_posted_ = !lines_waiting_.empty();
    if (turn_posted_) post_turn();
}

// A step of one request, whose answers are awaited before its next, so that what waits for the disk
// does not grow with it either; how many lines it was, of a usual length.
std::size_t TaskApi::take_lines(const std::shared_ptr<Lines>& lines, std::size_t most) {
    const std::string_view body = lines->body;
    std::size_t taken = 0;
    lines->reading = true;
    // Whoever closes only its own side has left as far as can be seen, and waits: all is taken.
    while (lines->at < body.size() && taken < most) {
        const std::size_t end = std::min(body.find('\n', lines->at), body.size());
        const std::string_view text = body.substr(lines->at, end - lines->at);
        lines->at = end + 1;
        ++lines->line;
        taken += 1 + text.size() / limits::submit_line_bytes;
        if (!is_blank(text)) take_line(lines, text);
    }
    lines->reading = false;
    step_done(lines);
    return taken;
}

void TaskApi::take_line(const std::shared_ptr<Lines>& lines, std::string_view text) {
    const std::size_t place = lines->answers.size();
    const std::size_t line = lines->line;
    lines->answers.emplace_back();
    if (const auto slow = core_.no_more_tasks()) {
        lines->answers[place] = refusal(line, *slow, lines->call.trace_id());
        return;
    }
    auto task = protocol::parse_submit(text, [this] { return core_.make_id(); });
    if (task && task->is_array)
        task = std::unexpected{
            protocol::BodyError{{ErrorCode::invalid_field, "a line is one task"}, {}}};
    if (task) {
        const TaskSpec& spec = task->tasks.front();
        if (auto matched = schemas_.check(spec.type, spec.payload.view()); !matched)
            task = std::unexpected{protocol::BodyError{matched.error(), {}}};
    }
    if (!task) {
        lines->answers[place] = refusal(line, task.error().error, lines->call.trace_id());
        return;
    }
    engine::Submit command;
    command.tasks = std::move(task->tasks);
    const TaskId id = command.tasks.front().id;
    ++lines->open;
    core_.execute(std::move(command),
                  [this, lines, place, line, id](const engine::Decision& decision) -> Core::Reply {
                      std::string answer;
                      if (decision.refused) {
                          answer = refusal(line, *decision.refused, lines->call.trace_id());
                      } else {
                          const TaskId taken =
                              decision.existing.empty() ? id : decision.existing.front().second;
                          const auto state = core_.engine().state_of(taken);
                          protocol::JsonWriter{answer}
                              .begin_object()
                              .field("line", line)
                              .field("id", taken.to_string())
                              .field("state",
                                     to_text(state ? *state : decision.known.front().state))
                              .end_object();
                      }
                      return [this, lines, place, answer = std::move(answer)] {
                          lines->answers[place] = answer;
                          --lines->open;
                          step_done(lines);
                      };
                  });
}

void TaskApi::step_done(const std::shared_ptr<Lines>& lines) {
    if (lines->reading || lines->open > 0) return;
    for (const std::string& answer : lines->answers) {
        lines->out += answer;
        lines->out.push_back('\n');
    }
    lines->answers.clear();
    count_lines(*lines);
    if (lines->at < lines->body.size()) return await_turn(lines);
    core_.when_durable([this, lines] {  // what was refused rests on what is not yet durable
        core_.note_submit(clock_.steady() - lines->begin);
        lines_bytes_ -= lines->held;
        lines->call.respond(
            {200, {{"Content-Type", std::string{protocol::lines_type}}}, std::move(lines->out)});
    });
}

}  // namespace taskd::service

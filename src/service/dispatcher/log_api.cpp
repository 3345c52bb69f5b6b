// Logs in, by offset; logs out, by range, waiting for more if asked to.
#include "taskd/service/log_api.hpp"

#include <algorithm>
#include <charconv>

#include "taskd/protocol/json.hpp"

namespace taskd::service {
namespace {

constexpr std::string_view bytes_type = "application/octet-stream";

// Whole rows are read: few at a time, and seldom.
constexpr std::size_t sweep_tasks = 16;
constexpr Duration sweep_pause = std::chrono::milliseconds{100};

// A number of the query, or `fallback` when it is not there.
Result<std::uint64_t> read_number(const protocol::Target& target, std::string_view name,
                                  std::uint64_t least, std::uint64_t most, std::uint64_t fallback) {
    const std::string* text = target.find(name);
    if (text == nullptr) return fallback;
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), value);
    if (error != std::errc{} || end != text->data() + text->size() || value < least || value > most)
        return fail(ErrorCode::invalid_field, std::string{name});
    return value;
}

// 0: the newest. Each lease is an attempt of its own number.
const Attempt* find_attempt(const Task& task, std::uint32_t number) {
    const auto found = std::find_if(
        task.attempts.rbegin(), task.attempts.rend(),
        [&](const Attempt& attempt) { return number == 0 || attempt.number == number; });
    return found == task.attempts.rend() ? nullptr : &*found;
}

}  // namespace

LogApi::LogApi(LogPorts ports, Core& core, TaskApi& tasks, LeaseDesk& desk)
    : ports_{ports},
      core_{core},
      tasks_{tasks},
      desk_{desk},
      sync_timer_{ports.timers.make()},
      sweep_timer_{ports.timers.make()} {}

LogApi::~LogApi() = default;

void LogApi::add_routes(HttpFront& front) {
    front.add({.method = "POST",
               .pattern = "/v1/leases/{lease}/logs",
               .query = {"offset"},
               .handle = [this](Call&& call) { append(std::move(call)); },
               .media = {"application/octet-stream", "text/plain"}});
    front.add({.method = "GET",
               .pattern = "/v1/tasks/{id}/logs",
               .query = {"attempt", "from", "limit", "wait"},
               .handle = [this](Call&& call) { read(std::move(call)); }});
}

void LogApi::append(Call call) {
    const auto lease = protocol::read_lease_path(call.parameters[0]);
    if (!lease) return call.answer(lease.error());
    if (call.target.find("offset") == nullptr)
        return call.answer(Error{ErrorCode::missing_field, "offset"});
    const auto at = read_number(call.target, "offset", 0, UINT32_MAX, 0);
    if (!at) return call.answer(at.error());
    if (call.request.body.size() > limits::log_append_bytes_max)
        return call.answer(Error{ErrorCode::body_too_large, "an append has up to 1 MiB"});
    if (!core_.engine().state_of(lease->id))
        return call.answer(Error{ErrorCode::task_not_found, lease->id.to_string()});
    // A worker that stops a cancelled task may still say how that went.
    if (core_.engine().standing({lease->id, lease->epoch}) == engine::LeaseStanding::lost)
        return call.answer(Error{ErrorCode::stale_lease, call.parameters[0]});
    if (bytes_waiting_ + call.request.body.size() > limits::logs_waiting_bytes_max)
        return call.answer(Error{ErrorCode::overloaded, "logs wait for the disk"});
    if (const Task* task = core_.engine().find(lease->id); task != nullptr && task->lease)
        desk_.heard(task->lease->worker);
    const std::size_t size = call.request.body.size();
    bytes_waiting_ += size;
    auto bytes = std::make_shared<const std::string>(std::move(call.request.body));
    auto end = std::make_shared<Result<std::uint64_t>>();
    const port::LogStream stream{lease->id, lease->epoch};
    ports_.lane.run([&logs = ports_.logs, stream, at = *at, bytes,
                     end] { *end = logs.append(stream, at, *bytes); },
                    [this, stream, size, end, shared = std::make_shared<Call>(std::move(call))] {
                        bytes_waiting_ -= size;
                        sync_later();
                        wake(stream.id);
                        if (!*end) return shared->answer(end->error());
                        std::string body;
                        protocol::JsonWriter{body}.begin_object().field("end", **end).end_object();
                        shared->answer(200, std::move(body));
                    });
}

void LogApi::sync_later() {
    if (std::exchange(sync_due_, true)) return;
    sync_timer_->set(ports_.clock.steady() + limits::logs_sync_interval, [this] {
        sync_due_ = false;
        auto done = std::make_shared<Result<void>>();
        ports_.lane.run([&logs = ports_.logs, done] { *done = logs.sync(); },
                        [this, done] {
                            if (*done) return;
                            ports_.log.warn("the tasks' logs cannot be synced",
                                            {{"error", done->error().to_string()}});
                        });
    });
}

void LogApi::read(Call call) {
    const auto attempt = read_number(call.target, "attempt", 1, UINT32_MAX, 0);
    if (!attempt) return call.answer(attempt.error());
    const auto from = read_number(call.target, "from", 0, UINT32_MAX, 0);
    if (!from) return call.answer(from.error());
    const auto limit = read_number(call.target, "limit", 1, limits::log_read_bytes_max,
                                   limits::log_read_bytes_default);
    if (!limit) return call.answer(limit.error());
    const auto wait = protocol::read_wait(call.target, "wait");
    if (!wait) return call.answer(wait.error());
    const bool waits = *wait > Duration{0} && !let_go_;
    if (waits && readers_.size() >= limits::waiters_max) drop_gone();
    if (waits && readers_.size() >= limits::waiters_max)
        return call.answer(Error{ErrorCode::too_many_waiters, {}});
    auto shared = std::make_shared<Call>(std::move(call));
    tasks_.find_task(
        shared->parameters[0], [this, shared, attempt = *attempt, from = *from, limit = *limit,
                                waits, wait = *wait](Result<Task> task) {
            if (!task) return shared->answer(task.error());
            auto reader = std::make_shared<Reader>();
            reader->call = std::move(*shared);
            reader->id = task->spec.id;
            reader->attempt = static_cast<std::uint32_t>(attempt);
            reader->from = from;
            reader->bytes_max = static_cast<std::size_t>(limit);
            if (waits && !let_go_) {
                reader->until = ports_.clock.steady() + wait;
                reader->timer = ports_.timers.make();
                reader->timer->set(reader->until, [this, weak = std::weak_ptr{reader}] {
                    if (const auto held = weak.lock()) look(held);
                });
                readers_.emplace(reader->id, reader);
                // Anew: what was recorded meanwhile did not wake it yet.
                return look(reader);
            }
            reader->looking = true;
            looked(reader, task);
        });
}

void LogApi::wake(const TaskId& id) {
    std::vector<Shared> waiting;
    for (auto [each, end] = readers_.equal_range(id); each != end; ++each)
        waiting.push_back(each->second);
    for (const Shared& reader : waiting)
        look(reader);
}

void LogApi::on_records(const RecordBatch& batch) {
    std::vector<TaskId> gone;
    for (const Record& record : batch.records) {
        if (const auto* deleted = std::get_if<TaskDeleted>(&record)) gone.push_back(deleted->id);
        const auto id = readers_.empty() ? std::nullopt : task_of(record);
        if (id) wake(*id);
    }
    if (!gone.empty()) remove(std::move(gone));
}

void LogApi::look(const Shared& reader) {
    if (std::exchange(reader->looking, true)) {
        reader->look_again = true;
        return;
    }
    tasks_.find_task(reader->id.to_string(),
                     [this, reader](const Result<Task>& task) { looked(reader, task); });
}

void LogApi::looked(const Shared& reader, const Result<Task>& task) {
    if (!task) {
        reader->call.answer(task.error());
        return finish(reader);
    }
    const Attempt* attempt = find_attempt(*task, reader->attempt);
    const bool ended = is_terminal(task->state);
    if (attempt == nullptr && ended && reader->attempt != 0) {
        reader->call.answer(
            Error{ErrorCode::not_found, "attempt " + std::to_string(reader->attempt)});
        return finish(reader);
    }
    if (attempt == nullptr) return answer(reader, reader->attempt, {reader->from, {}, 0}, ended);
    // Told by what was recorded before the stream is read: then nothing can follow.
    const bool over = attempt->outcome != AttemptOutcome::running;
    auto part = std::make_shared<Result<port::LogPart>>();
    ports_.lane.run(
        [&logs = ports_.logs, part, stream = port::LogStream{reader->id, attempt->epoch},
         from = reader->from, size = reader->bytes_max] { *part = logs.read(stream, from, size); },
        [this, reader, part, over, number = attempt->number] {
            if (*part) return answer(reader, number, **part, over);
            reader->call.answer(part->error());
            finish(reader);
        });
}

void LogApi::answer(const Shared& reader, std::uint32_t attempt, const port::LogPart& part,
                    bool over) {
    const std::uint64_t next = part.from + part.bytes.size();
    const bool whole = over && next >= part.end;
    const bool may_wait = reader->timer && !let_go_ && !reader->call.request.nobody_waits() &&
                          ports_.clock.steady() < reader->until;
    if (part.bytes.empty() && !whole && may_wait) {
        reader->looking = false;
        if (std::exchange(reader->look_again, false)) look(reader);
        return;
    }
    reader->call.respond({200,
                          {{"Content-Type", std::string{bytes_type}},
                           {"Taskd-Log-Attempt", std::to_string(attempt)},
                           {"Taskd-Log-From", std::to_string(part.from)},
                           {"Taskd-Log-Next", std::to_string(next)},
                           {"Taskd-Log-End", whole ? "true" : "false"}},
                          part.bytes});
    finish(reader);
}

void LogApi::finish(const Shared& reader) {
    if (!reader->timer) return;
    reader->timer->clear();
    for (auto [each, end] = readers_.equal_range(reader->id); each != end; ++each)
        if (each->second == reader) {
            readers_.erase(each);
            return;
        }
}

void LogApi::drop_gone() {
    std::erase_if(readers_, [](const auto& each) {
        const bool gone = each.second->call.request.nobody_waits() && !each.second->looking;
        if (gone) each.second->timer->clear();
        return gone;
    });
}

void LogApi::remove(std::vector<TaskId> ids) {
    auto failed = std::make_shared<std::optional<Error>>();
    ports_.lane.run(
        [&logs = ports_.logs, ids = std::move(ids), failed] {
            for (const TaskId& id : ids)
                if (auto removed = logs.remove(id); !removed) *failed = removed.error();
        },
        [this, failed] {
            if (*failed)
                ports_.log.warn("a task's log cannot be removed",
                                {{"error", (*failed)->to_string()}});
        });
}

void LogApi::start() {
    sweep_timer_->set(ports_.clock.steady() + limits::sweep_at_first, [this] { sweep({}); });
}

// A task that stands neither in the view nor in memory is gone. Whatever fails, the next start
// looks again.
void LogApi::sweep(std::optional<TaskId> after) {
    auto ids = std::make_shared<Result<std::vector<TaskId>>>();
    auto rows = std::make_shared<Result<std::vector<Task>>>();
    const auto found = [this, ids, rows] {
        if (!*rows) return;
        std::vector<TaskId> gone = **ids;
        std::erase_if(gone, [&](const TaskId& id) {
            // What is deleted just now goes when that is durable.
            return core_.engine().state_of(id) || core_.engine().is_deleted(id) ||
                   std::ranges::any_of(**rows, [&](const Task& row) { return row.spec.id == id; });
        });
        if (!gone.empty()) remove(std::move(gone));
        sweep_timer_->set(ports_.clock.steady() + sweep_pause,
                          [this, last = (*ids)->back()] { sweep(last); });
    };
    ports_.lane.run([&logs = ports_.logs, ids, after] { *ids = logs.tasks(after, sweep_tasks); },
                    [this, ids, rows, found] {
                        if (!*ids || (*ids)->empty()) return;
                        core_.ask_view([ids, rows](port::View& view) { *rows = view.find(**ids); },
                                       found);
                    });
}

void LogApi::let_go() {
    let_go_ = true;
    std::vector<Shared> waiting;
    for (const auto& [id, reader] : readers_)
        waiting.push_back(reader);
    for (const Shared& reader : waiting)
        look(reader);
}

}  // namespace taskd::service

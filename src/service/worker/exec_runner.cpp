#include "taskd/service/exec_runner.hpp"

#include <algorithm>
#include <charconv>

#include "taskd/protocol/json.hpp"
#include "taskd/protocol/trace.hpp"

namespace taskd::service {
namespace {

constexpr std::size_t last_words_bytes = 1'000;
// Of progress: a percentage, a space and the note.
constexpr std::size_t progress_line_bytes_max = limits::progress_note_bytes_max + 4;
// Told of in the task's log; a program that goes on so would fill it.
constexpr unsigned bad_lines_told_max = 5;

RunEnd failed(std::string code, std::string message, bool permanent = false) {
    return std::unexpected{RunFailure{{std::move(code), std::move(message), permanent}, {}}};
}

// By no fault of the task: any other would fail so, and elsewhere none may.
RunEnd not_begun(const Error& error) {
    return std::unexpected{RunFailure{
        .error = {"cannot_start", error.to_string(), false}, .retry_after = {}, .not_begun = true}};
}

std::string_view trimmed(std::string_view text) {
    while (!text.empty() && (text.back() == '\n' || text.back() == '\r'))
        text.remove_suffix(1);
    return text;
}

// Texts go into JSON: the rest of a character that was cut, and what is no UTF-8, is left out.
std::string readable(std::string_view text) {
    while (!text.empty() && (text.front() & 0xC0) == 0x80)
        text.remove_prefix(1);
    std::string kept{text};
    if (!protocol::is_utf8(kept)) std::erase_if(kept, [](char c) { return (c & 0x80) != 0; });
    return kept;
}

}  // namespace

Result<std::string> output_as_json(std::string_view output, OutputForm form) {
    const std::string_view text = trimmed(output);
    if (form != OutputForm::text) {
        if (text.empty() && form == OutputForm::automatic) return "null";
        if (protocol::check_json(text)) return std::string{text};
        if (form == OutputForm::json) return fail(ErrorCode::bad_answer, "the output is not JSON");
    }
    if (!protocol::is_utf8(text)) return fail(ErrorCode::bad_answer, "the output is not UTF-8");
    std::string quoted;
    protocol::append_json_string(quoted, text);
    return quoted;
}

Result<Progress> parse_progress_line(std::string_view line) {
    const std::size_t space = std::min(line.find(' '), line.size());
    const std::string_view percent = line.substr(0, space);
    const std::string_view note = line.substr(std::min(space + 1, line.size()));
    Progress progress;
    unsigned number = 0;
    const char* end = percent.data() + percent.size();
    const auto [stop, error] = std::from_chars(percent.data(), end, number);
    const bool counted = error == std::errc{} && stop == end && number <= 100;
    if (!counted && percent != "-")
        return fail(ErrorCode::invalid_field, "it does not begin with 0 to 100, or '-'");
    if (counted) progress.percent = static_cast<std::uint8_t>(number);
    if (note.size() > limits::progress_note_bytes_max)
        return fail(ErrorCode::invalid_field,
                    "the note is longer than " + std::to_string(limits::progress_note_bytes_max));
    if (!protocol::is_utf8(note)) return fail(ErrorCode::invalid_field, "the note is not UTF-8");
    progress.note = note;
    return progress;
}

ExecRunner::ExecRunner(ExecSettings settings, ExecPorts ports)
    : settings_{std::move(settings)}, ports_{std::move(ports)} {}

ExecRunner::~ExecRunner() {
    for (auto& [lease, running] : running_) {
        running.process.reset();  // with all it started, before its folder goes
        (void)ports_.remove_dir(running.dir);
    }
}

port::ProcessSpec ExecRunner::spec_of(const TaskRun& run, const std::string& dir) const {
    const std::string id = run.lease.id.to_string();
    port::ProcessSpec spec{
        .argv = settings_.argv,
        .env = {{"PATH", "/usr/local/bin:/usr/bin:/bin"},
                {"LANG", "C.UTF-8"},
                {"HOME", dir},
                {"TMPDIR", dir},
                {"TASKD_TASK_ID", id},
                {"TASKD_TASK_TYPE", run.type},
                {"TASKD_ATTEMPT", std::to_string(run.attempt)},
                {"TASKD_PROGRESS_FD", std::to_string(port::side_descriptor)},
                {"TRACEPARENT", protocol::traceparent_of(run.lease.id, run.lease.epoch)}},
        .only_env = true,
        .input = run.payload,
        .dir = dir,
        .limits = settings_.limits,
        .guarded = true,
        .has_side = true};
    spec.env.insert(spec.env.end(), settings_.env.begin(), settings_.env.end());
    return spec;
}

void ExecRunner::run(TaskRun run, std::function<void(RunEnd)> done) {
    const LeaseKey lease = run.lease;
    const std::string dir = settings_.dir + "/" + protocol::write_lease_path(lease);
    if (auto made = ports_.make_dir(dir); !made) return done(not_begun(made.error()));
    auto process = ports_.processes.spawn(
        spec_of(run, dir),
        {.line = {},
         .ended =
             [this, lease](port::ProcessEnd end) {
                 // Later: this is the process's own callback.
                 ports_.timers.post([this, lease, end, alive = std::weak_ptr{alive_}] {
                     if (!alive.expired()) ended(lease, end);
                 });
             },
         .bytes = [this, lease](port::ProcessStream stream,
                                std::string_view bytes) { printed(lease, stream, bytes); }});
    if (!process) {
        remove_dir(dir);
        return done(not_begun(process.error()));
    }
    Running& running = running_[lease];
    running.done = std::move(done);
    running.process = std::move(*process);
    running.dir = dir;
    running.log =
        std::make_unique<LogSender>(LogSenderPorts{ports_.http, ports_.clock, ports_.timers},
                                    settings_.key, run.dispatcher_url, lease);
    running.timer = ports_.timers.make();
    const Duration own = settings_.timeout > Duration{0} ? settings_.timeout : Duration::max();
    const Duration most = std::min(own, run.timeout.value_or(Duration::max()));
    if (most == Duration::max()) return;
    running.timer->set(ports_.clock.steady() + most, [this, lease] {
        running_.at(lease).timed_out = true;
        end_slowly(lease);
    });
}

void ExecRunner::printed(const LeaseKey& lease, port::ProcessStream stream,
                         std::string_view bytes) {
    const auto found = running_.find(lease);
    if (found == running_.end()) return;
    Running& running = found->second;
    if (stream == port::ProcessStream::side) return told(running, bytes);
    if (stream == port::ProcessStream::err) {
        running.log->append(bytes);
        running.last_words += bytes;
        if (running.last_words.size() > last_words_bytes)
            running.last_words.erase(0, running.last_words.size() - last_words_bytes);
        return;
    }
    if (running.out_too_large) return;
    if (running.out.size() + bytes.size() > limits::result_bytes_max) {
        running.out_too_large = true;
        return running.process->kill();
    }
    running.out += bytes;
}

// Only the last line counts; the worker tells it with its next renewal.
void ExecRunner::told(Running& running, std::string_view bytes) {
    for (const char c : bytes) {
        if (c == '\n')
            told_line(running);
        else if (running.line.size() <= progress_line_bytes_max)
            running.line += c;  // one more than may be, so that it is seen
    }
}

void ExecRunner::told_line(Running& running) {
    const std::string line = std::exchange(running.line, {});
    std::string_view text = line;
    if (text.ends_with('\r')) text.remove_suffix(1);
    auto said = parse_progress_line(text);
    if (said) {
        running.progress = std::move(*said);
        return;
    }
    if (++running.bad_lines > bad_lines_told_max) return;
    std::string told = "taskd: no line of progress: " + said.error().detail;
    if (running.bad_lines == bad_lines_told_max) told += "; further ones are not told";
    running.log->append(told + "\n");
}

std::optional<Progress> ExecRunner::progress(const LeaseKey& lease) const {
    const auto found = running_.find(lease);
    return found == running_.end() ? std::nullopt : found->second.progress;
}

void ExecRunner::end_slowly(const LeaseKey& lease) {
    Running& running = running_.at(lease);
    if (!running.process) return;
    running.process->terminate();
    running.timer->set(ports_.clock.steady() + settings_.grace, [this, lease] {
        if (Running& still = running_.at(lease); still.process) still.process->kill();
    });
}

void ExecRunner::stop(const LeaseKey& lease, std::function<void()> gone) {
    const auto found = running_.find(lease);
    if (found == running_.end()) return gone();
    found->second.gone = std::move(gone);
    // Its end may be known already, and its last lines be on their way.
    if (found->second.process) end_slowly(lease);
}

void ExecRunner::ended(const LeaseKey& lease, port::ProcessEnd end) {
    const auto found = running_.find(lease);
    if (found == running_.end()) return;
    Running& running = found->second;
    running.process.reset();
    running.timer->clear();
    running.log->finish(settings_.log_patience, [this, lease, end, alive = std::weak_ptr{alive_}] {
        if (!alive.expired()) finish(lease, end);
    });
}

void ExecRunner::finish(const LeaseKey& lease, const port::ProcessEnd& end) {
    auto node = running_.extract(lease);
    Running& running = node.mapped();
    remove_dir(running.dir);
    if (running.gone) return running.gone();
    running.done(result_of(running, end));
}

RunEnd ExecRunner::result_of(const Running& running, const port::ProcessEnd& end) const {
    const std::string words = readable(trimmed(running.last_words));
    if (running.out_too_large)
        return failed("task_too_large", "the output is larger than 1 MiB", true);
    if (running.timed_out)
        return failed("attempt_timeout",
                      "it ran longer than it may" + (words.empty() ? std::string{} : ": " + words));
    if (end.signal != 0) return failed("signal_" + std::to_string(end.signal), words);
    if (end.status != 0)
        return failed("exit_" + std::to_string(end.status), words,
                      settings_.permanent.contains(end.status));
    auto result = output_as_json(running.out, settings_.form);
    if (!result) return failed("bad_output", result.error().detail);
    // Quotes may have made it longer.
    if (result->size() > limits::result_bytes_max)
        return failed("task_too_large", "the output is larger than 1 MiB", true);
    return std::move(*result);
}

void ExecRunner::remove_dir(const std::string& dir) {
    auto failure = std::make_shared<std::optional<Error>>();
    ports_.lane.run(
        [remove = ports_.remove_dir, dir, failure] {
            if (auto removed = remove(dir); !removed) *failure = removed.error();
        },
        [this, dir, failure, alive = std::weak_ptr{alive_}] {
            if (alive.expired() || !*failure) return;
            ports_.log.warn("a folder cannot be removed",
                            {{"dir", dir}, {"error", (*failure)->to_string()}});
        });
}

}  // namespace taskd::service

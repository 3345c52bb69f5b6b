#include "taskd/service/call_runner.hpp"

#include <algorithm>

#include "taskd/protocol/http_url.hpp"
#include "taskd/protocol/json.hpp"
#include "taskd/protocol/retry_after.hpp"
#include "taskd/protocol/task_json.hpp"
#include "taskd/protocol/trace.hpp"

namespace taskd::service {
namespace {

constexpr std::size_t message_bytes_max = 1'000;

// Of those below 500, what may be another answer later: too early, too fast, too late.
bool is_tried_again(int status) {
    return status >= 500 || status == 408 || status == 409 || status == 423 || status == 425 ||
           status == 429;
}

std::unexpected<RunFailure> failed(std::string code, std::string message, bool permanent,
                                   std::optional<Duration> retry_after = {}) {
    return std::unexpected{
        RunFailure{{std::move(code), std::move(message), permanent}, retry_after}};
}

bool is_json(std::string_view content_type) {
    const std::string_view media =
        content_type.substr(0, std::min(content_type.find(';'), content_type.find(' ')));
    return port::same_header(media, protocol::json_type) || media.ends_with("+json");
}

RunEnd result_of(const port::HttpResponse& answer) {
    if (answer.body.size() > limits::result_bytes_max)
        return failed("task_too_large", "the answer is larger than 1 MiB", true);
    if (answer.body.empty()) return "null";
    if (is_json(port::find_header(answer.headers, "Content-Type"))) {
        if (protocol::check_json(answer.body)) return answer.body;
        return failed("bad_answer", "the answer says it is JSON and is not", false);
    }
    if (!protocol::is_utf8(answer.body))
        return failed("bad_answer", "the answer is neither JSON nor text in UTF-8", false);
    std::string text;
    protocol::append_json_string(text, answer.body);
    if (text.size() > limits::result_bytes_max)
        return failed("task_too_large", "the answer is larger than 1 MiB", true);
    return text;
}

}  // namespace

Result<CallSettings> parse_call_url(const std::string& url) {
    auto parts = protocol::parse_http_url(url);
    if (!parts) return fail(std::move(parts));
    return CallSettings{.base_url = std::move(parts->base), .target = std::move(parts->target)};
}

RunEnd end_of_call(const Result<port::HttpResponse>& answer, WallTime now) {
    if (!answer)
        return failed(std::string{answer.error().name()}, answer.error().to_string(), false);
    const int status = answer->status;
    if (status >= 200 && status < 300) return result_of(*answer);
    const bool again = is_tried_again(status);
    std::string message = answer->body.substr(0, message_bytes_max);
    if (!protocol::is_utf8(message)) std::erase_if(message, [](char c) { return (c & 0x80) != 0; });
    std::optional<Duration> retry_after;
    if (again)
        retry_after =
            protocol::parse_retry_after(port::find_header(answer->headers, "Retry-After"), now);
    if (retry_after) retry_after = std::min<Duration>(*retry_after, limits::backoff_most);
    return failed("http_" + std::to_string(status), std::move(message), !again, retry_after);
}

CallRunner::CallRunner(CallSettings settings, port::HttpExchange& http, port::Clock& clock)
    : settings_{std::move(settings)}, http_{http}, clock_{clock} {}

void CallRunner::run(TaskRun run, std::function<void(RunEnd)> done) {
    const protocol::LeaseKey lease = run.lease;
    const std::string id = lease.id.to_string();
    port::HttpRequest request{"POST",
                              settings_.target,
                              {{"Content-Type", std::string{protocol::json_type}},
                               // One for all attempts: the service does the task once.
                               {"Idempotency-Key", id},
                               {"traceparent", protocol::traceparent_of(lease.id, lease.epoch)}},
                              {}};
    protocol::JsonWriter json{request.body};
    json.begin_object().field("id", id).field("type", run.type).field("attempt", run.attempt);
    json.key("payload").raw(run.payload.empty() ? "null" : run.payload);
    json.end_object();
    const Duration timeout = std::min(settings_.timeout, run.timeout.value_or(Duration::max()));
    running_[lease] = std::move(done);
    http_.send(
        settings_.base_url, std::move(request), timeout,
        [this, lease, alive = std::weak_ptr{alive_}](const Result<port::HttpResponse>& answer) {
            if (alive.expired()) return;
            const auto node = running_.extract(lease);
            if (!node.empty()) node.mapped()(end_of_call(answer, clock_.wall()));
        });
}

void CallRunner::stop(const protocol::LeaseKey& lease, std::function<void()> gone) {
    running_.erase(lease);
    gone();
}

}  // namespace taskd::service

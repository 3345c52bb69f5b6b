#include "taskd/client.hpp"

#include <algorithm>
#include <iterator>

#include "taskd/io/clock.hpp"
#include "taskd/io/entropy.hpp"
#include "taskd/io/http_exchange.hpp"
#include "taskd/io/private_files.hpp"
#include "taskd/protocol/json.hpp"
#include "taskd/protocol/target.hpp"
#include "taskd/service/task_client.hpp"

namespace taskd {
namespace {

Outcome outcome_of(service::TaskOutcome&& from) {
    Outcome outcome{std::move(from.id), std::move(from.state), std::move(from.result), {}};
    if (from.error)
        outcome.error = Failure{.code = std::move(from.error->code),
                                .message = std::move(from.error->message),
                                .permanent = from.error->permanent};
    return outcome;
}

Result<Outcome> outcome_of(Result<service::TaskOutcome>&& from) {
    if (!from) return fail(std::move(from));
    return outcome_of(std::move(*from));
}

Result<std::vector<Outcome>> outcomes_of(Result<std::vector<service::TaskOutcome>>&& from) {
    if (!from) return fail(std::move(from));
    std::vector<Outcome> outcomes;
    for (service::TaskOutcome& each : *from)
        outcomes.push_back(outcome_of(std::move(each)));
    return outcomes;
}

Result<Outcome> outcome_of(Result<service::TaskClient::Answer>&& answer) {
    if (!answer) return fail(std::move(answer));
    return outcome_of(service::parse_outcome(answer->body));
}

}  // namespace

struct Client::Impl {
    explicit Impl(ClientSettings settings)
        : clock{io::make_system_clock()},
          random{io::random_seed()},
          // Whatever is asked may be said twice: ids are made here.
          connection{settings.url, {.all_repeatable = true}},
          api{{.key = protocol::ClusterKey{settings.key},
               .retry_for = settings.retry_for,
               .timeout = settings.timeout,
               .seed = random.next()},
              {.call =
                   [this](port::HttpRequest request, Duration timeout) {
                       return connection.call(std::move(request), timeout);
                   },
               .pause = io::pause_for,
               .trying_again =
                   [told = std::move(settings.trying_again)](const Error& error) {
                       if (told) told(error);
                   },
               .clock = *clock}} {}

    Result<TaskSpec> spec_of(const NewTask& task);

    std::unique_ptr<port::Clock> clock;
    Random random;
    io::HttpCaller connection;
    service::TaskClient api;
};

// What goes into a body must not break it; all else the dispatcher judges.
Result<TaskSpec> Client::Impl::spec_of(const NewTask& task) {
    TaskSpec spec;
    if (auto checked = protocol::check_json(task.payload); !checked)
        return fail(std::move(checked));
    if (task.id.empty()) {
        spec.id = TaskId::make(clock->wall(), random);
    } else {
        const auto id = TaskId::parse(task.id);
        if (!id) return fail(ErrorCode::invalid_id, task.id);
        spec.id = *id;
    }
    if (task.priority.value_or(0) > 9) return fail(ErrorCode::invalid_field, "priority");
    spec.type = task.type;
    spec.payload = Blob{task.payload};
    spec.key = task.key;
    spec.idempotency_key = task.idempotency_key;
    spec.labels = task.labels;
    if (task.priority) spec.priority = static_cast<std::uint8_t>(*task.priority);
    spec.attempts_max = task.attempts_max.value_or(spec.attempts_max);
    if (task.delay) spec.delay = *task.delay;
    if (task.timeout) spec.timeout = *task.timeout;
    if (task.total_timeout) spec.total_timeout = *task.total_timeout;
    return spec;
}

bool Outcome::ended() const {
    return succeeded() || state == "dead" || state == "cancelled" || state == "expired";
}

Client::Client(ClientSettings settings) : impl_{std::make_unique<Impl>(std::move(settings))} {}
Client::~Client() = default;
Client::Client(Client&&) noexcept = default;
Client& Client::operator=(Client&&) noexcept = default;

Result<Outcome> Client::submit(const NewTask& task) {
    const auto spec = impl_->spec_of(task);
    if (!spec) return std::unexpected{spec.error()};
    return outcome_of(impl_->api.submit_and_leave(*spec));
}

Result<std::vector<Outcome>> Client::submit_many(std::span<const NewTask> tasks) {
    std::vector<TaskSpec> specs;
    for (const NewTask& task : tasks) {
        auto spec = impl_->spec_of(task);
        if (!spec) return fail(std::move(spec));
        specs.push_back(std::move(*spec));
    }
    if (specs.empty()) return std::vector<Outcome>{};
    return outcomes_of(impl_->api.submit_batch(specs));
}

Result<Outcome> Client::run(const NewTask& task, std::chrono::milliseconds wait) {
    const auto spec = impl_->spec_of(task);
    if (!spec) return std::unexpected{spec.error()};
    return outcome_of(impl_->api.submit(*spec, wait));
}

Result<Outcome> Client::result(const std::string& id, std::chrono::milliseconds wait) {
    return outcome_of(impl_->api.await(id, wait));
}

Result<std::vector<Outcome>> Client::results(std::span<const std::string> ids,
                                             std::chrono::milliseconds wait) {
    const SteadyTime end = impl_->clock->steady() + wait;
    std::vector<Outcome> all;
    while (!ids.empty()) {
        const auto some = ids.first(std::min(ids.size(), limits::result_ids_max));
        const Duration left = std::max(end - impl_->clock->steady(), Duration{0});
        auto outcomes = outcomes_of(impl_->api.results({some.begin(), some.end()}, left));
        if (!outcomes) return outcomes;
        std::ranges::move(*outcomes, std::back_inserter(all));
        ids = ids.subspan(some.size());
    }
    return all;
}

Result<Outcome> Client::cancel(const std::string& id, const std::string& reason) {
    std::string body;
    protocol::JsonWriter json{body};
    json.begin_object();
    if (!reason.empty()) json.field("reason", reason);
    json.end_object();
    return outcome_of(
        impl_->api.ask("POST", "/v1/tasks/" + protocol::percent_encode(id) + "/cancel", body));
}

Result<std::string> Client::get(const std::string& id) {
    auto answer = impl_->api.ask("GET", "/v1/tasks/" + protocol::percent_encode(id));
    if (!answer) return fail(std::move(answer));
    return std::move(answer->body);
}

std::string json_of(std::string_view text) {
    std::string json;
    protocol::append_json_string(json, text);
    return json;
}

Result<std::string> text_of(std::string_view json) {
    if (auto checked = protocol::check_json(json); !checked) return fail(std::move(checked));
    json.remove_prefix(json.find_first_not_of(" \t\r\n"));
    json.remove_suffix(json.size() - 1 - json.find_last_not_of(" \t\r\n"));
    return protocol::read_string(json, "text");
}

}  // namespace taskd

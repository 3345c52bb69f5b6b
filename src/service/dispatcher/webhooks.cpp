#include "taskd/service/webhooks.hpp"

#include <algorithm>

#include "taskd/protocol/cloud_event.hpp"
#include "taskd/protocol/http_url.hpp"
#include "taskd/protocol/json.hpp"
#include "taskd/protocol/retry_after.hpp"
#include "taskd/protocol/webhook_signature.hpp"

namespace taskd::service {
namespace {

constexpr std::string_view consumer = "webhook";
constexpr Duration asked_wait_max = std::chrono::hours{1};
constexpr Duration room_retry = std::chrono::milliseconds{500};

// Shorter than the lease, so that a call that is given up is told by us and not by the clock.
Duration call_timeout(const SubscriptionSpec& spec) {
    return std::min(limits::webhook_timeout, spec.ack_timeout * 9 / 10);
}

TaskError error_of(const Result<port::HttpResponse>& answer) {
    const std::string code{row_of(ErrorCode::webhook_failed).name};
    if (!answer) return {code, answer.error().to_string(), false};
    std::string message = "status " + std::to_string(answer->status);
    const std::string body = answer->body.substr(0, limits::delivery_error_bytes_max / 2);
    if (!body.empty() && protocol::is_utf8(body)) message += ": " + body;
    return {code, std::move(message), false};
}

// The journal took nothing for now.
bool has_no_room(const engine::Decision& decision) {
    return decision.refused && row_of(decision.refused->code).retryable;
}

std::optional<Duration> asked_wait(const Result<port::HttpResponse>& answer, WallTime now) {
    if (!answer) return std::nullopt;
    const auto asked =
        protocol::parse_retry_after(port::find_header(answer->headers, "Retry-After"), now);
    if (!asked) return std::nullopt;
    return std::min<Duration>(*asked, asked_wait_max);
}

}  // namespace

Webhooks::Webhooks(Core& core, port::HttpExchange& http, port::Clock& clock, port::Timers& timers,
                   port::Log& log)
    : core_{core},
      http_{http},
      clock_{clock},
      timers_{timers},
      log_{log},
      timer_{timers.make()},
      room_timer_{timers.make()} {}

void Webhooks::start() {
    pump_all();
}

void Webhooks::on_records(const RecordBatch& batch) {
    const bool topical = std::ranges::any_of(batch.records, [](const Record& record) {
        return std::visit([]<class Any>(const Any&) { return OfTopics<Any>; }, record);
    });
    if (topical) pump_all();
}

void Webhooks::pump_all() {
    // First, else what was taken is leased once more.
    for (auto& [name, item] : std::exchange(unsaid_, {}))
        say(name, std::move(item), {});
    std::vector<std::string> names;
    core_.engine().each_subscription([&](const Subscription& group) {
        if (group.spec.webhook) names.push_back(group.spec.group);
    });
    for (const std::string& name : names)
        pump(name);
    arm();
}

// No more events are leased than can be posted at once: the time of one runs from its lease. A
// group that has none out has one of its own, however many hang at others.
std::size_t Webhooks::room_of(const Group& group) const {
    const std::size_t shared = shared_calls - std::min(out_, shared_calls);
    const std::size_t own = limits::webhook_calls_max - group.calls;
    const bool first = group.calls == 0 && out_ < calls_max;
    return std::max<std::size_t>(std::min(own, shared), first ? 1 : 0);
}

// None when the group is gone, or is read by whoever asks now.
const Webhook* Webhooks::hook_of(const std::string& name) const {
    const Subscription* group = core_.engine().subscription(name);
    return group != nullptr && group->spec.webhook ? &*group->spec.webhook : nullptr;
}

void Webhooks::pump(const std::string& name) {
    Group& group = groups_[name];
    const std::size_t room = room_of(group);
    if (let_go_ || hook_of(name) == nullptr || group.asking || room == 0 ||
        !core_.engine().may_deliver(core_.now(), name))
        return;
    group.asking = true;
    out_ += room;  // until it is known how many there are
    core_.execute(engine::AskDeliveries{name, std::string{consumer}, room},
                  [this, name, room](const engine::Decision& decision) -> Core::Reply {
                      const bool came = !decision.refused && !decision.records.empty();
                      if (has_no_room(decision)) again_soon();
                      return [this, name, room, came, topics = decision.topics] {
                          groups_[name].asking = false;
                          out_ -= room - topics.leased.size();
                          for (const Gap& gap : topics.gaps)
                              log_.warn(row_of(ErrorCode::behind_retention).text,
                                        {{"group", name},
                                         {"topic", gap.topic},
                                         {"from", std::to_string(gap.from.value)},
                                         {"to", std::to_string(gap.to.value)},
                                         {"count", std::to_string(gap.count)}});
                          groups_[name].calls += topics.leased.size();
                          for (const auto& leased : topics.leased)
                              call(name, leased);
                          if (came) pump(name);
                      };
                  });
}

void Webhooks::call(const std::string& name, const engine::TopicAnswer::Leased& leased) {
    const TopicEvent& event = *leased.event;
    engine::EndDeliveries::Item item{{event.topic, event.sequence}, leased.epoch};
    const Webhook* hook = hook_of(name);
    if (hook == nullptr || let_go_) {
        item.end = DeliveryEnd::released;
        return answered(name, std::move(item));
    }
    const auto place = protocol::parse_http_url(hook->url);
    if (!place) {
        item.end = DeliveryEnd::failed;  // given back it would come again at once
        item.error = {std::string{place.error().name()}, place.error().to_string(), false};
        return answered(name, std::move(item));
    }
    ++called_;
    port::HttpRequest request{"POST", place->target, protocol::cloud_headers(event),
                              std::string{event.body.view()}};
    request.headers.emplace_back("Taskd-Group", name);
    request.headers.emplace_back("Taskd-Topic", event.topic);
    request.headers.emplace_back("Taskd-Sequence", std::to_string(event.sequence.value));
    request.headers.emplace_back("Taskd-Attempt", std::to_string(leased.attempt));
    if (!hook->secret.empty())
        request.headers.emplace_back(
            std::string{protocol::signature_header},
            protocol::sign_webhook(hook->secret, clock_.wall(), request.body));
    http_.send(place->base, std::move(request),
               call_timeout(core_.engine().subscription(name)->spec),
               [this, name, item,
                alive = std::weak_ptr{alive_}](const Result<port::HttpResponse>& answer) mutable {
                   if (alive.expired()) return;
                   const bool taken = answer && answer->status >= 200 && answer->status < 300;
                   if (!taken) {
                       item.end = DeliveryEnd::failed;
                       item.error = error_of(answer);
                       item.retry_after = asked_wait(answer, clock_.wall());
                   }
                   answered(name, std::move(item));
               });
}

void Webhooks::answered(const std::string& name, engine::EndDeliveries::Item item) {
    say(name, std::move(item), [this, name] {
        Group& group = groups_[name];
        if (group.calls > 0) --group.calls;
        const bool was_full = out_-- >= shared_calls;
        if (was_full) pump_soon();
        if (hook_of(name) == nullptr && group.calls == 0)
            groups_.erase(name);
        else
            pump(name);
    });
}

void Webhooks::say(const std::string& name, engine::EndDeliveries::Item item,
                   std::function<void()> then) {
    engine::EndDeliveries command{name, {item}};
    core_.execute(std::move(command), [this, name, item = std::move(item),
                                       then = std::move(then)](const engine::Decision& decision) {
        if (has_no_room(decision)) {
            unsaid_.emplace_back(name, item);
            again_soon();
        }
        if (then) then();
        return Core::Reply{};
    });
}

// Groups that found no room have their turn.
void Webhooks::pump_soon() {
    if (std::exchange(pump_posted_, true)) return;
    timers_.post([this, alive = std::weak_ptr{alive_}] {
        if (alive.expired()) return;
        pump_posted_ = false;
        pump_all();
    });
}

// That there is room again is told by no record.
void Webhooks::again_soon() {
    if (std::exchange(room_awaited_, true)) return;
    room_timer_->set(clock_.steady() + room_retry, [this] {
        room_awaited_ = false;
        pump_all();
    });
}

// Retries become due without a record.
void Webhooks::arm() {
    std::optional<EngineTime> next;
    core_.engine().each_subscription([&](const Subscription& group) {
        if (!group.spec.webhook) return;
        const auto due = core_.engine().next_retry(group.spec.group);
        if (due && (!next || *due < *next)) next = due;
    });
    if (!next || let_go_) return timer_->clear();
    const Duration wait = std::max(*next - core_.now().engine, Duration{0});
    // Where all calls are out already a due retry waits for one of them.
    timer_->set(clock_.steady() + std::max<Duration>(wait, std::chrono::milliseconds{10}),
                [this] { pump_all(); });
}

void Webhooks::report(port::MetricSink& sink) const {
    sink.put(port::Metric::webhook_calls_total, called_);
}

}  // namespace taskd::service

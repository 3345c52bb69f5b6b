#include "taskd/pizza/consumer.hpp"

#include <span>

#include "taskd/protocol/json.hpp"
#include "taskd/protocol/json_view.hpp"
#include "taskd/protocol/target.hpp"

namespace taskd::pizza {
namespace {

using protocol::JsonView;

constexpr Duration poll_wait = std::chrono::seconds{20};
constexpr Duration timeout = std::chrono::seconds{10};
constexpr std::size_t words_max = 500;  // said at a time
constexpr std::int64_t attempts_max = 100;
constexpr std::int64_t retry_ms = 200;  // first; a minute at most

}  // namespace

Consumer::Consumer(ConsumerSettings settings, Broker& broker, port::Timers& timers,
                   const port::Clock& clock, port::Log& log, Handler handler)
    : settings_{std::move(settings)},
      broker_{broker},
      clock_{clock},
      log_{log},
      handler_{std::move(handler)},
      target_{"/v1/subscriptions/" + protocol::percent_encode(settings_.group)},
      timer_{timers.make()},
      renew_timer_{timers.make()},
      say_timer_{timers.make()},
      rest_timer_{timers.make()},
      ack_timeout_{settings_.ack_timeout} {}

void Consumer::step() {
    if (stopping_ || asking_ || resting_) return;
    if (!made_) return make_group();
    if (held_.size() < settings_.slots) ask();
}

// The same again changes nothing, so every member says it.
void Consumer::make_group() {
    std::string body;
    protocol::JsonWriter json{body};
    json.begin_object()
        .field("pattern", settings_.pattern)
        .field("start", "oldest")
        .field("attempts_max", attempts_max)
        .field("ack_timeout_ms", settings_.ack_timeout / std::chrono::milliseconds{1})
        .key("retry")
        .begin_object()
        .field("initial_ms", retry_ms)
        .field("max_ms", 60'000)
        .end_object()
        .end_object();
    asking_ = true;
    broker_.ask("PUT", target_, std::move(body), timeout, [this](Result<Broker::Answer> answer) {
        asking_ = false;
        if (!answer) return failed(answer.error());
        made_ = true;
        retry_.reset();
        log_.info("reads as a member of a group",
                  {{"group", settings_.group}, {"pattern", settings_.pattern}});
        step();
    });
}

void Consumer::ask() {
    // Behind a failure it is seen at once whether it goes on.
    const Duration wait = retry_.failing() ? Duration{0} : poll_wait;
    std::string body;
    protocol::JsonWriter{body}
        .begin_object()
        .field("max", settings_.slots - held_.size())
        .field("wait_ms", wait / std::chrono::milliseconds{1})
        .field("consumer", settings_.name)
        .end_object();
    asking_ = true;
    broker_.ask("POST", target_ + "/deliveries", std::move(body), poll_wait + timeout,
                [this](Result<Broker::Answer> answer) {
                    if (answer && stopping_) {
                        give_back(answer->body);
                    } else if (answer) {
                        retry_.reset();
                        take(answer->body);  // still asking: what ends at once asks for no more
                    }
                    asking_ = false;
                    if (stopping_) return;
                    if (answer) return step();
                    // A broker with another store does not know the group.
                    if (answer.error().code == ErrorCode::subscription_not_found) made_ = false;
                    failed(answer.error());
                });
}

void Consumer::take(std::string_view body) {
    learn_timeout(body);
    const JsonView answer{body};
    for (const JsonView& gap : answer["gaps"].items())
        log_.error("events are gone that were not read",
                   {{"topic", gap["topic"].text()}, {"count", gap["count"].text()}});
    if (answer["deliveries"].items().empty() && !resting_) rest_retry_.reset();
    for (const JsonView& each : answer["deliveries"].items()) {
        const JsonView event = each["event"];
        Delivery delivery{each["id"].text(),
                          each["attempt"].number().value_or(1),
                          event["topic"].text(),
                          event["traceparent"].text(),
                          parse_rfc3339(event["published_at"].text()).value_or(WallTime{}),
                          std::string{event["data"].raw()}};
        held_[delivery.id] = true;
        if (held_.size() == 1)
            renew_timer_->set(clock_.steady() + ack_timeout_ / 3, [this] { renew(); });
        const std::string id = delivery.id;
        handler_(delivery,
                 [this, id](DeliveryEnd end, const std::string& why) { ended(id, end, why); });
    }
}

// What came after the end was said: somebody else has it at once, and by the same attempt.
void Consumer::give_back(std::string_view body) {
    const JsonView answer{body};
    for (const JsonView& each : answer["deliveries"].items()) {
        words_.push_back({each["id"].text(), How::released, {}});
        log_.info("what came at the end is given back", {{"delivery", words_.back().id}});
    }
    if (!words_.empty()) say();
}

void Consumer::ended(const std::string& id, DeliveryEnd end, const std::string& why) {
    if (held_.erase(id) == 0) return;
    words_.push_back({id,
                      end == DeliveryEnd::done     ? How::done
                      : end == DeliveryEnd::failed ? How::failed
                                                   : How::released,
                      why});
    if (end == DeliveryEnd::released)
        rest(why);
    else
        rest_retry_.reset();
    if (!say_retry_.failing()) say();
    step();
}

std::string Consumer::words_body(std::size_t count) const {
    const std::span<const Word> words{words_.data(), count};
    std::string body;
    protocol::JsonWriter json{body};
    const auto list = [&](std::string_view name, How how) {
        json.key(name).begin_array();
        for (const Word& word : words)
            if (word.how == how) json.string(word.id);
        json.end_array();
    };
    json.begin_object();
    list("acks", How::done);
    list("releases", How::released);
    json.key("nacks").begin_array();
    for (const Word& word : words) {
        if (word.how != How::failed) continue;
        json.begin_object().field("id", word.id).key("error").begin_object();
        json.field("code", "not_handled").field("message", word.why).end_object().end_object();
    }
    json.end_array().end_object();
    return body;
}

// What is not said in time comes again, and whoever handles it knows it already.
void Consumer::say() {
    if (saying_ || words_.empty()) return look_drained();
    saying_ = true;
    const std::size_t count = std::min(words_.size(), words_max);
    std::string body = words_body(count);
    broker_.ask("POST", target_ + "/acks", std::move(body), timeout,
                [this, count](Result<Broker::Answer> answer) {
                    saying_ = false;
                    if (!answer && !stopping_) {
                        say_timer_->set(clock_.steady() + say_retry_.next(), [this] { say(); });
                        return;
                    }
                    words_.erase(words_.begin(),
                                 words_.begin() + static_cast<std::ptrdiff_t>(count));
                    say_retry_.reset();
                    say();
                });
}

void Consumer::renew() {
    for (const auto& [id, held] : held_)
        broker_.ask("POST", "/v1/deliveries/" + protocol::percent_encode(id) + "/renew", {},
                    timeout, [this, id](Result<Broker::Answer> answer) {
                        if (answer) learn_timeout(answer->body);
                        if (!answer && answer.error().code == ErrorCode::stale_delivery)
                            log_.warn("somebody else has it by now", {{"delivery", id}});
                    });
    if (!held_.empty()) renew_timer_->set(clock_.steady() + ack_timeout_ / 3, [this] { renew(); });
}

// Others may have what cannot be done here; this one, always free, would take most of it.
void Consumer::rest(const std::string& why) {
    if (resting_ || stopping_) return;
    if (!rest_retry_.failing())
        log_.error("what comes cannot be taken", {{"group", settings_.group}, {"error", why}});
    resting_ = true;
    rest_timer_->set(clock_.steady() + rest_retry_.next(), [this] {
        resting_ = false;
        step();
    });
}

void Consumer::learn_timeout(std::string_view body) {
    const auto told = JsonView{body}["ack_timeout_ms"].number();
    if (!told || *told == 0) return;
    const Duration before = std::exchange(ack_timeout_, std::chrono::milliseconds{*told});
    if (ack_timeout_ < before && !held_.empty())
        renew_timer_->set(clock_.steady() + ack_timeout_ / 3, [this] { renew(); });
}

std::vector<std::string> Consumer::reasons() const {
    std::vector<std::string> reasons;
    if (!connected()) reasons.emplace_back("the broker");
    if (rest_retry_.failing()) reasons.emplace_back("the store");
    return reasons;
}

void Consumer::failed(const Error& error) {
    if (stopping_) return look_drained();
    const bool silent = error.code == ErrorCode::unreachable || error.code == ErrorCode::timed_out;
    if (!retry_.failing())
        log_.warn(silent ? "the broker does not answer" : "the broker refuses",
                  {{"broker", broker_.url()}, {"error", error.to_string()}});
    timer_->set(clock_.steady() + retry_.next(), [this] { step(); });
}

void Consumer::drain(std::function<void()> done) {
    stopping_ = true;
    drained_ = std::move(done);
    timer_->clear();
    rest_timer_->clear();
    if (!saying_ && !words_.empty())
        say();
    else
        look_drained();
}

void Consumer::look_drained() {
    if (drained_ && held_.empty() && words_.empty() && !saying_) std::exchange(drained_, nullptr)();
}

}  // namespace taskd::pizza

// Topics, groups and what their consumers say, as JSON.
#include "taskd/protocol/topic_json.hpp"

#include <algorithm>
#include <charconv>

#include "protocol/json_parts.hpp"
#include "taskd/base/limits.hpp"
#include "taskd/model/pattern.hpp"
#include "taskd/protocol/http_url.hpp"
#include "taskd/protocol/lease_json.hpp"

namespace taskd::protocol {
namespace {

constexpr Duration ms = std::chrono::milliseconds{1};

// The fields of a body; without a body none.
Result<std::vector<std::pair<std::string, std::string_view>>> fields_of(std::string_view body) {
    if (body.empty()) return JsonFields{};
    if (auto checked = check_json(body); !checked) return fail(std::move(checked));
    return split_object(body);
}

Result<void> take_ms(std::string_view raw, std::string_view name, Duration least, Duration most,
                     Duration& target) {
    const auto value = read_integer(raw, name, least / ms, most / ms);
    if (!value) return std::unexpected{value.error()};
    target = *value * ms;
    return {};
}

Result<void> take_count(std::string_view raw, std::string_view name, std::uint64_t& target) {
    const auto value = read_integer(raw, name, 1, INT64_MAX);
    if (!value) return std::unexpected{value.error()};
    target = static_cast<std::uint64_t>(*value);
    return {};
}

// "oldest", "newest", {"sequence": N} or {"time": "…"}.
Result<StartAt> parse_start(std::string_view raw) {
    constexpr auto what = "start is oldest, newest, {\"sequence\": N} or {\"time\": \"…\"}";
    StartAt start;
    if (kind_of(raw) == JsonKind::string) {
        const auto text = read_string(raw, "start");
        if (!text) return std::unexpected{text.error()};
        if (*text != "oldest" && *text != "newest") return fail(ErrorCode::invalid_field, what);
        if (*text == "newest") start.from = StartAt::From::newest;
        return start;
    }
    const auto fields = split_object(raw);
    if (!fields || fields->size() != 1) return fail(ErrorCode::invalid_field, what);
    const auto& [key, value] = fields->front();
    if (key == "sequence") {
        start.from = StartAt::From::sequence;
        std::uint64_t place = 0;
        if (auto taken = take_count(value, "start.sequence", place); !taken)
            return fail(std::move(taken));
        start.sequence = EventSequence{place};
        return start;
    }
    if (key != "time") return fail(ErrorCode::invalid_field, what);
    const auto time = read_instant(value, "start.time");
    if (!time) return std::unexpected{time.error()};
    start.from = StartAt::From::time;
    start.time = *time;
    return start;
}

Result<Webhook> parse_webhook(std::string_view raw) {
    const auto fields = split_object(raw);
    if (!fields) return fail(ErrorCode::invalid_field, "webhook must be an object");
    Webhook webhook;
    for (const auto& [key, value] : *fields) {
        if (key != "url" && key != "secret")
            return fail(ErrorCode::unknown_field, "webhook." + key);
        auto text = read_string(value, "webhook." + key);
        if (!text) return fail(std::move(text));
        (key == "url" ? webhook.url : webhook.secret) = std::move(*text);
    }
    if (webhook.url.size() > limits::webhook_url_bytes_max || !parse_http_url(webhook.url))
        return fail(ErrorCode::invalid_field, "webhook.url is an http:// or https:// address");
    if (webhook.secret.size() > limits::webhook_secret_bytes_max)
        return fail(ErrorCode::invalid_field, "webhook.secret has up to 256 bytes");
    return webhook;
}

Result<void> take_subscription(std::string_view key, std::string_view raw, SubscriptionSpec& spec) {
    if (key == "pattern") {
        auto text = read_string(raw, key);
        if (!text) return fail(std::move(text));
        if (auto pattern = Pattern::parse(*text); !pattern) return fail(std::move(pattern));
        spec.pattern = std::move(*text);
    } else if (key == "start") {
        const auto start = parse_start(raw);
        if (!start) return std::unexpected{start.error()};
        spec.start = *start;
    } else if (key == "order_by_key") {
        const auto ordered = read_boolean(raw, key);
        if (!ordered) return std::unexpected{ordered.error()};
        spec.ordered = *ordered;
    } else if (key == "attempts_max") {
        const auto most = read_integer(raw, key, 1, limits::attempts_max_max);
        if (!most) return std::unexpected{most.error()};
        spec.attempts_max = static_cast<std::uint32_t>(*most);
    } else if (key == "retry") {
        const auto backoff = parse_backoff(raw);
        if (!backoff) return std::unexpected{backoff.error()};
        spec.backoff = *backoff;
    } else if (key == "ack_timeout_ms") {
        return take_ms(raw, key, limits::ack_timeout_least, limits::ack_timeout_most,
                       spec.ack_timeout);
    } else if (key == "webhook") {
        auto webhook = parse_webhook(raw);
        if (!webhook) return fail(std::move(webhook));
        spec.webhook = std::move(*webhook);
    } else {
        return fail(ErrorCode::unknown_field, std::string{key});
    }
    return {};
}

void put_start(JsonWriter& json, const StartAt& start) {
    json.key("start");
    switch (start.from) {
        case StartAt::From::oldest:
            json.string("oldest");
            return;
        case StartAt::From::newest:
            json.string("newest");
            return;
        case StartAt::From::sequence:
            json.begin_object().field("sequence", start.sequence.value).end_object();
            return;
        case StartAt::From::time:
            json.begin_object().field("time", start.time).end_object();
            return;
    }
}

Result<EventSequence> parse_place(std::string_view text) {
    std::uint64_t place = 0;
    const char* last = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), last, place);
    if (error != std::errc{} || stop != last || place == 0)
        return fail(ErrorCode::invalid_field, "'" + std::string{text} + "' is no sequence");
    return EventSequence{place};
}

Result<DeliveryKey> parse_event_key(std::string_view text) {
    const std::size_t colon = text.find(':');
    if (colon == std::string_view::npos || !is_topic(text.substr(0, colon)))
        return fail(ErrorCode::invalid_field, "'" + std::string{text} + "' is no TOPIC:SEQUENCE");
    const auto place = parse_place(text.substr(colon + 1));
    if (!place) return std::unexpected{place.error()};
    return DeliveryKey{std::string{text.substr(0, colon)}, *place};
}

// "error" and "retry_after_ms" of a failure.
Result<bool> take_failure(std::string_view key, std::string_view raw, DeliveryWord& word) {
    if (key == "error") {
        auto error = parse_task_error(raw);
        if (!error) return fail(std::move(error));
        word.error = std::move(*error);
        return true;
    }
    if (key != "retry_after_ms") return false;
    Duration wait{};
    if (auto taken = take_ms(raw, key, Duration{0}, limits::backoff_most, wait); !taken)
        return fail(std::move(taken));
    word.retry_after = wait;
    return true;
}

Result<DeliveryWord> parse_failure(std::string_view raw) {
    const auto fields = split_object(raw);
    if (!fields) return fail(ErrorCode::invalid_field, "nacks holds objects");
    DeliveryWord word;
    word.end = DeliveryEnd::failed;
    for (const auto& [key, value] : *fields) {
        if (key == "id") {
            const auto text = read_string(value, key);
            if (!text) return std::unexpected{text.error()};
            auto id = parse_delivery_id(*text);
            if (!id) return fail(std::move(id));
            word.id = std::move(*id);
            continue;
        }
        const auto taken = take_failure(key, value, word);
        if (!taken) return std::unexpected{taken.error()};
        if (!*taken) return fail(ErrorCode::unknown_field, key);
    }
    if (word.id.epoch.value == 0) return fail(ErrorCode::missing_field, "id");
    return word;
}

}  // namespace

Result<TopicRulesChange> parse_topic_rules(std::string_view body) {
    const auto fields = fields_of(body);
    if (!fields) return std::unexpected{fields.error()};
    TopicRulesChange change;
    for (const auto& [key, raw] : *fields) {
        Result<void> taken;
        if (key == "keep_ms")
            taken = take_ms(raw, key, limits::topic_age_least, limits::topic_age_most,
                            change.age.emplace());
        else if (key == "keep_bytes")
            taken = take_count(raw, key, change.bytes.emplace());
        else if (key == "keep_count")
            taken = take_count(raw, key, change.count.emplace());
        else
            return fail(ErrorCode::unknown_field, key);
        if (!taken) return fail(std::move(taken));
    }
    return change;
}

std::string write_topic(const Topic& topic) {
    std::string out;
    JsonWriter json{out};
    json.begin_object()
        .field("topic", topic.name)
        .field("made_at", topic.made_at)
        .field("count", topic.count())
        .field("bytes", topic.bytes());
    if (topic.count() > 0) json.field("oldest", topic.oldest.value);
    json.field("newest", topic.newest.value)
        .field("keep_ms", topic.rules.age / ms)
        .field("keep_bytes", topic.rules.bytes)
        .field("keep_count", topic.rules.count)
        .end_object();
    return out;
}

Result<SubscriptionSpec> parse_subscription(std::string_view body, std::string group) {
    const auto fields = fields_of(body);
    if (!fields) return std::unexpected{fields.error()};
    SubscriptionSpec spec;
    spec.group = std::move(group);
    for (const auto& [key, raw] : *fields)
        if (auto taken = take_subscription(key, raw, spec); !taken) return fail(std::move(taken));
    if (spec.pattern.empty()) return fail(ErrorCode::missing_field, "pattern");
    return spec;
}

void write_gap(std::string& out, const Gap& gap) {
    JsonWriter{out}
        .begin_object()
        .field("error", row_of(ErrorCode::behind_retention).name)
        .field("topic", gap.topic)
        .field("from", gap.from.value)
        .field("to", gap.to.value)
        .field("count", gap.count)
        .field("at", gap.at)
        .end_object();
}

std::string write_subscription(const Subscription& subscription, std::size_t leased,
                               std::size_t dead, std::uint64_t lag,
                               const std::function<EventSequence(const std::string&)>& newest) {
    std::string out;
    JsonWriter json{out};
    const SubscriptionSpec& spec = subscription.spec;
    json.begin_object().field("group", spec.group).field("pattern", spec.pattern);
    put_start(json, spec.start);
    json.field("order_by_key", spec.ordered).field("attempts_max", spec.attempts_max);
    put_backoff(json.key("retry"), spec.backoff);
    json.field("ack_timeout_ms", spec.ack_timeout / ms);
    if (spec.webhook)
        json.key("webhook")
            .begin_object()
            .field("url", spec.webhook->url)
            .field("signed", !spec.webhook->secret.empty())
            .end_object();
    json.field("made_at", subscription.made_at)
        .field("lag", lag)
        .field("open", subscription.open.size())
        .field("leased", leased)
        .field("dead", dead)
        .field("acknowledged", subscription.acknowledged)
        .field("failed", subscription.failed)
        .field("timed_out", subscription.timed_out)
        .field("lost", subscription.lost);
    if (subscription.last_gap) {
        std::string gap;
        write_gap(gap, *subscription.last_gap);
        json.key("last_gap").raw(gap);
    }
    json.key("topics").begin_array();
    for (const auto& [topic, next] : subscription.next) {
        const EventSequence cursor = cursor_of(subscription, topic);
        json.begin_object()
            .field("topic", topic)
            .field("settled", cursor.value - 1)
            .field("newest", newest(topic).value)
            .end_object();
    }
    json.end_array().end_object();
    return out;
}

Result<DeliveryQuestion> parse_delivery_question(std::string_view body) {
    const auto fields = fields_of(body);
    if (!fields) return std::unexpected{fields.error()};
    DeliveryQuestion question;
    for (const auto& [key, raw] : *fields) {
        if (key == "max") {
            const auto most = read_integer(raw, key, 1, limits::deliveries_open_max);
            if (!most) return std::unexpected{most.error()};
            question.max = static_cast<std::size_t>(*most);
        } else if (key == "wait_ms") {
            auto taken = take_ms(raw, key, Duration{0}, limits::wait_max, question.wait);
            if (!taken) return fail(std::move(taken));
        } else if (key == "consumer") {
            auto name = read_string(raw, key);
            if (!name) return fail(std::move(name));
            if (!is_instance_name(*name))
                return fail(ErrorCode::invalid_field, "consumer '" + *name + "'");
            question.consumer = std::move(*name);
        } else {
            return fail(ErrorCode::unknown_field, key);
        }
    }
    return question;
}

std::string to_text(const DeliveryId& id) {
    return id.group + ":" + id.event.topic + ":" + std::to_string(id.event.sequence.value) + ":" +
           std::to_string(id.epoch.value);
}

Result<DeliveryId> parse_delivery_id(std::string_view text) {
    const auto bad = [&] {
        return fail(ErrorCode::invalid_field, "'" + std::string{text} + "' is no delivery");
    };
    const std::size_t first = text.find(':');
    const std::size_t last = text.rfind(':');
    if (first == std::string_view::npos || first == last) return bad();
    const auto event = parse_event_key(text.substr(first + 1, last - first - 1));
    const auto epoch = parse_place(text.substr(last + 1));
    const std::string_view group = text.substr(0, first);
    if (!event || !epoch || !is_group_name(group)) return bad();
    return DeliveryId{std::string{group}, *event, LeaseEpoch{epoch->value}};
}

void write_delivery(std::string& out, const DeliveryId& id, std::uint32_t attempt,
                    const TopicEvent& event) {
    std::string written;
    write_event(written, event);
    JsonWriter{out}
        .begin_object()
        .field("id", to_text(id))
        .field("attempt", attempt)
        .key("event")
        .raw(written)
        .end_object();
}

Result<DeliveryWord> parse_nack(std::string_view body) {
    const auto fields = fields_of(body);
    if (!fields) return std::unexpected{fields.error()};
    DeliveryWord word;
    word.end = DeliveryEnd::failed;
    for (const auto& [key, raw] : *fields) {
        const auto taken = take_failure(key, raw, word);
        if (!taken) return std::unexpected{taken.error()};
        if (!*taken) return fail(ErrorCode::unknown_field, key);
    }
    return word;
}

Result<std::vector<DeliveryWord>> parse_words(std::string_view body, const std::string& group) {
    const auto fields = fields_of(body);
    if (!fields) return std::unexpected{fields.error()};
    std::vector<DeliveryWord> words;
    for (const auto& [key, raw] : *fields) {
        if (key != "acks" && key != "nacks" && key != "releases")
            return fail(ErrorCode::unknown_field, key);
        const auto elements = split_array(raw);
        if (!elements || elements->size() > limits::deliveries_open_max)
            return fail(ErrorCode::invalid_field, key + " must be an array of up to 1000");
        for (const std::string_view element : *elements) {
            DeliveryWord word;
            if (key == "nacks") {
                auto failure = parse_failure(element);
                if (!failure) return fail(std::move(failure));
                word = std::move(*failure);
            } else {
                const auto text = read_string(element, key);
                if (!text) return std::unexpected{text.error()};
                auto id = parse_delivery_id(*text);
                if (!id) return fail(std::move(id));
                word.id = std::move(*id);
                if (key == "releases") word.end = DeliveryEnd::released;
            }
            if (word.id.group != group)
                return fail(ErrorCode::invalid_field, to_text(word.id) + " is of another group");
            words.push_back(std::move(word));
        }
    }
    return words;
}

Result<LetterChoice> parse_letters(std::string_view body) {
    const auto fields = fields_of(body);
    if (!fields) return std::unexpected{fields.error()};
    LetterChoice choice;
    for (const auto& [key, raw] : *fields) {
        if (key == "all") {
            const auto all = read_boolean(raw, key);
            if (!all) return std::unexpected{all.error()};
            choice.all = *all;
            continue;
        }
        if (key != "events") return fail(ErrorCode::unknown_field, key);
        const auto elements = split_array(raw);
        if (!elements || elements->size() > limits::deliveries_open_max)
            return fail(ErrorCode::invalid_field, "events must be an array of up to 1000");
        for (const std::string_view element : *elements) {
            const auto text = read_string(element, key);
            if (!text) return std::unexpected{text.error()};
            auto event = parse_event_key(*text);
            if (!event) return fail(std::move(event));
            choice.events.push_back(std::move(*event));
        }
    }
    if (choice.all == !choice.events.empty())
        return fail(ErrorCode::missing_field, "events, or all");
    return choice;
}

void write_letter(std::string& out, const DeliveryKey& event, const DeadLetter& letter) {
    std::string error;
    write_task_error(error, letter.error);
    JsonWriter{out}
        .begin_object()
        .field("event", event.topic + ":" + std::to_string(event.sequence.value))
        .field("topic", event.topic)
        .field("sequence", event.sequence.value)
        .field("attempts", letter.attempts)
        .key("error")
        .raw(error)
        .field("at", letter.at)
        .end_object();
}

}  // namespace taskd::protocol

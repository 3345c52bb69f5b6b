#include "protocol/topic_codec.hpp"

#include <algorithm>

#include "taskd/protocol/record_codec.hpp"

namespace taskd::protocol {
namespace {

void write(ByteWriter& out, const DeliveryKey& event) {
    out.text(event.topic);
    out.number(event.sequence.value);
}

DeliveryKey read_key(ByteReader& in) {
    return {std::string{in.text()}, read_number<EventSequence>(in)};
}

std::size_t bytes_max(const DeliveryKey& event) {
    return 2 * number_max + event.topic.size();
}

void write(ByteWriter& out, const TopicRules& rules) {
    out.duration(rules.age);
    out.number(rules.bytes);
    out.number(rules.count);
}

TopicRules read_rules(ByteReader& in) {
    return {in.duration(), in.number(), in.number()};
}

void write(ByteWriter& out, const SubscriptionSpec& spec) {
    out.text(spec.group);
    out.text(spec.pattern);
    out.byte(static_cast<std::uint8_t>(spec.start.from));
    out.number(spec.start.sequence.value);
    out.instant(spec.start.time);
    out.flag(spec.ordered);
    out.number(spec.attempts_max);
    out.duration(spec.backoff.initial);
    out.duration(spec.backoff.max);
    out.byte(static_cast<std::uint8_t>(spec.backoff.kind));
    out.byte(spec.backoff.jitter);
    out.duration(spec.ack_timeout);
    out.flag(spec.webhook.has_value());
    if (!spec.webhook) return;
    out.text(spec.webhook->url);
    out.text(spec.webhook->secret);
}

template <class Value>
Value read_choice(ByteReader& in, Value last) {
    const std::uint8_t value = in.byte();
    if (value > static_cast<std::uint8_t>(last)) in.fail();
    return static_cast<Value>(value);
}

SubscriptionSpec read_subscription_spec(ByteReader& in) {
    SubscriptionSpec spec;
    spec.group = in.text();
    spec.pattern = in.text();
    spec.start.from = read_choice(in, StartAt::From::time);
    spec.start.sequence = read_number<EventSequence>(in);
    spec.start.time = in.instant<WallTime>();
    spec.ordered = in.flag();
    spec.attempts_max = in.number32();
    spec.backoff.initial = in.duration();
    spec.backoff.max = in.duration();
    spec.backoff.kind = read_choice(in, BackoffKind::exponential);
    spec.backoff.jitter = in.byte();
    spec.ack_timeout = in.duration();
    if (in.flag()) spec.webhook = Webhook{std::string{in.text()}, std::string{in.text()}};
    // Whoever reads it back needs a pattern.
    if (!in.failed() && !Pattern::parse(spec.pattern)) in.fail();
    return spec;
}

std::size_t bytes_max(const SubscriptionSpec& spec) {
    const std::size_t webhook =
        spec.webhook ? spec.webhook->url.size() + spec.webhook->secret.size() : 0;
    return 12 * number_max + 5 + spec.group.size() + spec.pattern.size() + webhook;
}

void write(ByteWriter& out, const Delivery& delivery) {
    out.text(delivery.key);
    out.number(delivery.attempts);
    out.number(delivery.epoch.value);
    out.flag(delivery.leased);
    out.text(delivery.consumer);
    out.instant(delivery.until);
    write_optional(out, delivery.due_at);
    write_optional(out, delivery.due_shown);
    out.flag(delivery.redriven);
    write(out, delivery.error);
}

Delivery read_delivery(ByteReader& in) {
    Delivery delivery;
    delivery.key = in.text();
    delivery.attempts = in.number32();
    delivery.epoch = read_number<LeaseEpoch>(in);
    delivery.leased = in.flag();
    delivery.consumer = in.text();
    delivery.until = in.instant<EngineTime>();
    delivery.due_at = read_optional<EngineTime>(in);
    delivery.due_shown = read_optional<WallTime>(in);
    delivery.redriven = in.flag();
    delivery.error = read_error(in);
    return delivery;
}

void write(ByteWriter& out, const Gap& gap) {
    out.text(gap.topic);
    out.number(gap.from.value);
    out.number(gap.to.value);
    out.number(gap.count);
    out.instant(gap.at);
}

Gap read_gap(ByteReader& in) {
    Gap gap;
    gap.topic = in.text();
    gap.from = read_number<EventSequence>(in);
    gap.to = read_number<EventSequence>(in);
    gap.count = in.number();
    gap.at = in.instant<WallTime>();
    return gap;
}

// As many as the bytes left could hold at most: a damaged count must not take all memory.
std::uint64_t read_count(ByteReader& in) {
    return in.number_to(in.left());
}

std::unexpected<Error> too_new(std::string_view what, std::uint8_t version) {
    std::string why{what};
    why += " row version " + std::to_string(version);
    return fail(ErrorCode::store_too_new, std::move(why));
}

std::unexpected<Error> damaged(std::string_view what) {
    std::string why = "a row that does not decode: ";
    why += what;
    return fail(ErrorCode::view_corrupt, std::move(why));
}

// A row of one value: version in front, nothing behind it.
template <class Read>
auto decode_row(std::string_view bytes, std::uint8_t newest, std::string_view what, Read read)
    -> Result<decltype(read(std::declval<ByteReader&>()))> {
    ByteReader in{bytes};
    const std::uint8_t version = in.byte();
    if (version > newest) return too_new(what, version);
    auto value = read(in);
    if (version == 0 || !in.finished()) return damaged(what);
    return value;
}

}  // namespace

void write(ByteWriter& out, const TopicEvent& event) {
    out.text(event.topic);
    out.number(event.sequence.value);
    out.text(event.id);
    out.flag(event.id_given);
    out.text(event.source);
    out.text(event.type);
    out.text(event.key);
    out.text(event.trace);
    out.text(event.content_type);
    out.number(event.headers.size());
    for (const auto& [name, value] : event.headers) {
        out.text(name);
        out.text(value);
    }
    write_optional(out, event.time);
    out.instant(event.at);
    out.number(event.total_bytes);
}

TopicEvent read_event(ByteReader& in) {
    TopicEvent event;
    event.topic = in.text();
    event.sequence = read_number<EventSequence>(in);
    event.id = in.text();
    event.id_given = in.flag();
    event.source = in.text();
    event.type = in.text();
    event.key = in.text();
    event.trace = in.text();
    event.content_type = in.text();
    std::string last;
    for (std::uint64_t n = read_count(in); n > 0 && !in.failed(); --n) {
        std::string name{in.text()};
        // In order and once each, so that the bytes are those that are written again.
        if (!event.headers.empty() && name <= last) in.fail();
        last = name;
        event.headers.emplace(std::move(name), in.text());
    }
    event.time = read_optional<WallTime>(in);
    event.at = in.instant<WallTime>();
    event.total_bytes = in.number();
    return event;
}

void write(ByteWriter& out, const TopicChanged& record) {
    out.text(record.topic);
    write(out, record.rules);
    out.instant(record.at);
}

static TopicChanged read_topic_changed(ByteReader& in) {
    return {std::string{in.text()}, read_rules(in), in.instant<WallTime>()};
}

void write(ByteWriter& out, const TopicRemoved& record) {
    out.text(record.topic);
}

void write(ByteWriter& out, const TopicTrimmed& record) {
    out.text(record.topic);
    out.number(record.through.value);
    out.number(record.total_bytes);
    out.instant(record.at);
}

static TopicTrimmed read_topic_trimmed(ByteReader& in) {
    return {std::string{in.text()}, read_number<EventSequence>(in), in.number(),
            in.instant<WallTime>()};
}

void write(ByteWriter& out, const EventPublished& record) {
    write(out, record.event);
    out.text(record.event.body.view());
}

static EventPublished read_event_published(ByteReader& in) {
    EventPublished record{read_event(in)};
    record.event.body = Blob{std::string{in.text()}};
    return record;
}

void write(ByteWriter& out, const SubscriptionChanged& record) {
    write(out, record.spec);
    out.number(record.starts.size());
    for (const auto& [topic, start] : record.starts) {
        out.text(topic);
        out.number(start.value);
    }
    out.instant(record.at);
}

static SubscriptionChanged read_subscription_changed(ByteReader& in) {
    SubscriptionChanged record{read_subscription_spec(in), {}, {}};
    for (std::uint64_t n = read_count(in); n > 0 && !in.failed(); --n) {
        std::string topic{in.text()};
        record.starts.emplace_back(std::move(topic), read_number<EventSequence>(in));
    }
    record.at = in.instant<WallTime>();
    return record;
}

void write(ByteWriter& out, const SubscriptionRemoved& record) {
    out.text(record.group);
}

void write(ByteWriter& out, const DeliveriesLeased& record) {
    out.text(record.group);
    out.number(record.epoch.value);
    out.text(record.consumer);
    out.instant(record.until);
    out.number(record.items.size());
    for (const auto& item : record.items) {
        write(out, item.event);
        out.text(item.key);
        out.flag(item.held);
    }
}

static DeliveriesLeased read_deliveries_leased(ByteReader& in) {
    DeliveriesLeased record;
    record.group = in.text();
    record.epoch = read_number<LeaseEpoch>(in);
    record.consumer = in.text();
    record.until = in.instant<EngineTime>();
    for (std::uint64_t n = read_count(in); n > 0 && !in.failed(); --n)
        record.items.push_back({read_key(in), std::string{in.text()}, in.flag()});
    return record;
}

void write(ByteWriter& out, const DeliveriesEnded& record) {
    out.text(record.group);
    out.instant(record.at);
    out.number(record.items.size());
    for (const auto& item : record.items) {
        write(out, item.event);
        out.byte(static_cast<std::uint8_t>(item.end));
        if (item.end == DeliveryEnd::acknowledged || item.end == DeliveryEnd::released) continue;
        write_optional(out, item.due_at);
        write_optional(out, item.due_shown);
        write(out, item.error);
    }
}

static DeliveriesEnded read_deliveries_ended(ByteReader& in) {
    DeliveriesEnded record;
    record.group = in.text();
    record.at = in.instant<WallTime>();
    for (std::uint64_t n = read_count(in); n > 0 && !in.failed(); --n) {
        DeliveriesEnded::Item item{read_key(in), read_choice(in, DeliveryEnd::released)};
        if (item.end < DeliveryEnd::acknowledged) in.fail();
        if (item.end != DeliveryEnd::acknowledged && item.end != DeliveryEnd::released) {
            item.due_at = read_optional<EngineTime>(in);
            item.due_shown = read_optional<WallTime>(in);
            item.error = read_error(in);
        }
        record.items.push_back(std::move(item));
    }
    return record;
}

void write(ByteWriter& out, const DeadLettersChanged& record) {
    out.text(record.group);
    out.flag(record.dropped);
    out.number(record.items.size());
    for (const auto& item : record.items) {
        write(out, item.event);
        out.text(item.key);
    }
}

static DeadLettersChanged read_dead_letters_changed(ByteReader& in) {
    DeadLettersChanged record;
    record.group = in.text();
    record.dropped = in.flag();
    for (std::uint64_t n = read_count(in); n > 0 && !in.failed(); --n)
        record.items.push_back({read_key(in), std::string{in.text()}});
    return record;
}

void write(ByteWriter& out, const GapsTold& record) {
    out.text(record.group);
}

bool is_topic_kind(RecordKind kind) {
    return kind >= RecordKind::topic_changed && kind <= RecordKind::gaps_told;
}

RecordKind kind_of(const TopicChanged&) {
    return RecordKind::topic_changed;
}
RecordKind kind_of(const TopicRemoved&) {
    return RecordKind::topic_removed;
}
RecordKind kind_of(const TopicTrimmed&) {
    return RecordKind::topic_trimmed;
}
RecordKind kind_of(const EventPublished&) {
    return RecordKind::event_published;
}
RecordKind kind_of(const SubscriptionChanged&) {
    return RecordKind::subscription_changed;
}
RecordKind kind_of(const SubscriptionRemoved&) {
    return RecordKind::subscription_removed;
}
RecordKind kind_of(const DeliveriesLeased&) {
    return RecordKind::deliveries_leased;
}
RecordKind kind_of(const DeliveriesEnded&) {
    return RecordKind::deliveries_ended;
}
RecordKind kind_of(const DeadLettersChanged&) {
    return RecordKind::dead_letters_changed;
}
RecordKind kind_of(const GapsTold&) {
    return RecordKind::gaps_told;
}

Record read_topic_record(ByteReader& in, RecordKind kind) {
    switch (kind) {
        case RecordKind::topic_changed:
            return read_topic_changed(in);
        case RecordKind::topic_removed:
            return TopicRemoved{std::string{in.text()}};
        case RecordKind::topic_trimmed:
            return read_topic_trimmed(in);
        case RecordKind::event_published:
            return read_event_published(in);
        case RecordKind::subscription_changed:
            return read_subscription_changed(in);
        case RecordKind::subscription_removed:
            return SubscriptionRemoved{std::string{in.text()}};
        case RecordKind::deliveries_leased:
            return read_deliveries_leased(in);
        case RecordKind::deliveries_ended:
            return read_deliveries_ended(in);
        case RecordKind::dead_letters_changed:
            return read_dead_letters_changed(in);
        case RecordKind::gaps_told:
            return GapsTold{std::string{in.text()}};
        default:
            in.fail();
            return TaskDue{};
    }
}

std::size_t bytes_max(const TopicChanged& record) {
    return 5 * number_max + record.topic.size();
}
std::size_t bytes_max(const TopicRemoved& record) {
    return number_max + record.topic.size();
}
std::size_t bytes_max(const TopicTrimmed& record) {
    return 4 * number_max + record.topic.size();
}
std::size_t bytes_max(const EventPublished& record) {
    return (14 + 2 * record.event.headers.size()) * number_max + 2 + bytes_of(record.event);
}
std::size_t bytes_max(const SubscriptionChanged& record) {
    std::size_t bytes = bytes_max(record.spec) + 2 * number_max;
    for (const auto& [topic, start] : record.starts)
        bytes += 2 * number_max + topic.size();
    return bytes;
}
std::size_t bytes_max(const SubscriptionRemoved& record) {
    return number_max + record.group.size();
}
std::size_t bytes_max(const DeliveriesLeased& record) {
    std::size_t bytes = 5 * number_max + record.group.size() + record.consumer.size();
    for (const auto& item : record.items)
        bytes += bytes_max(item.event) + number_max + item.key.size() + 1;
    return bytes;
}
std::size_t bytes_max(const DeliveriesEnded& record) {
    std::size_t bytes = 3 * number_max + record.group.size();
    for (const auto& item : record.items)
        bytes += bytes_max(item.event) + 3 + 2 * number_max + bytes_max(item.error);
    return bytes;
}
std::size_t bytes_max(const DeadLettersChanged& record) {
    std::size_t bytes = 2 * number_max + 1 + record.group.size();
    for (const auto& item : record.items)
        bytes += bytes_max(item.event) + number_max + item.key.size();
    return bytes;
}
std::size_t bytes_max(const GapsTold& record) {
    return number_max + record.group.size();
}

void encode_event_row(const TopicEvent& event, std::string& out) {
    ByteWriter writer{out};
    writer.byte(event_row_version);
    write(writer, event);
}

Result<TopicEvent> decode_event_row(std::string_view bytes, Blob body) {
    auto event = decode_row(bytes, event_row_version, "event", read_event);
    if (event) event->body = std::move(body);
    return event;
}

void encode_topic_row(const Topic& topic, std::string& out) {
    ByteWriter writer{out};
    writer.byte(topic_row_version);
    writer.text(topic.name);
    write(writer, topic.rules);
    writer.instant(topic.made_at);
    writer.number(topic.oldest.value);
    writer.number(topic.newest.value);
    writer.number(topic.total_bytes);
    writer.number(topic.gone_bytes);
}

Result<Topic> decode_topic_row(std::string_view bytes) {
    return decode_row(bytes, topic_row_version, "topic", [](ByteReader& in) {
        return Topic{std::string{in.text()},
                     read_rules(in),
                     in.instant<WallTime>(),
                     read_number<EventSequence>(in),
                     read_number<EventSequence>(in),
                     in.number(),
                     in.number()};
    });
}

void encode_subscription_row(const Subscription& subscription, std::string& out) {
    ByteWriter writer{out};
    writer.byte(subscription_row_version);
    write(writer, subscription.spec);
    writer.instant(subscription.made_at);
    writer.number(subscription.epoch.value);
    writer.number(subscription.next.size());
    for (const auto& [topic, next] : subscription.next) {
        writer.text(topic);
        writer.number(next.value);
    }
    writer.number(subscription.open.size());
    for (const auto& [event, delivery] : subscription.open) {
        write(writer, event);
        write(writer, delivery);
    }
    for (const std::uint64_t count : {subscription.acknowledged, subscription.failed,
                                      subscription.timed_out, subscription.dead, subscription.lost})
        writer.number(count);
    writer.number(subscription.gaps.size());
    for (const Gap& gap : subscription.gaps)
        write(writer, gap);
    writer.flag(subscription.last_gap.has_value());
    if (subscription.last_gap) write(writer, *subscription.last_gap);
}

Result<Subscription> decode_subscription_row(std::string_view bytes) {
    return decode_row(bytes, subscription_row_version, "subscription", [](ByteReader& in) {
        Subscription subscription;
        subscription.spec = read_subscription_spec(in);
        subscription.made_at = in.instant<WallTime>();
        subscription.epoch = read_number<LeaseEpoch>(in);
        for (std::uint64_t n = read_count(in); n > 0 && !in.failed(); --n) {
            std::string topic{in.text()};
            subscription.next[std::move(topic)] = read_number<EventSequence>(in);
        }
        for (std::uint64_t n = read_count(in); n > 0 && !in.failed(); --n) {
            DeliveryKey event = read_key(in);
            subscription.open[std::move(event)] = read_delivery(in);
        }
        for (std::uint64_t* count :
             {&subscription.acknowledged, &subscription.failed, &subscription.timed_out,
              &subscription.dead, &subscription.lost})
            *count = in.number();
        for (std::uint64_t n = read_count(in); n > 0 && !in.failed(); --n)
            subscription.gaps.push_back(read_gap(in));
        if (in.flag()) subscription.last_gap = read_gap(in);
        return subscription;
    });
}

void encode_letter_row(const DeadLetter& letter, std::string& out) {
    ByteWriter writer{out};
    writer.byte(letter_row_version);
    writer.number(letter.attempts);
    write(writer, letter.error);
    writer.instant(letter.at);
}

Result<DeadLetter> decode_letter_row(std::string_view bytes) {
    return decode_row(bytes, letter_row_version, "dead letter", [](ByteReader& in) {
        return DeadLetter{in.number32(), read_error(in), in.instant<WallTime>()};
    });
}

}  // namespace taskd::protocol

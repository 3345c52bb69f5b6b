// Topics: retained logs of events, and the groups that read them. Values only.
#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "taskd/base/bytes.hpp"
#include "taskd/base/ids.hpp"
#include "taskd/base/limits.hpp"
#include "taskd/model/task.hpp"

namespace taskd {

// Place of an event within its topic, from 1.
using EventSequence = Number<struct EventSequenceTag>;

// Name of a group: 1 to 64 of [A-Za-z0-9._-].
bool is_group_name(std::string_view text);

struct TopicEvent {
    std::string topic;
    EventSequence sequence;  // 0 until it is published
    std::string id;
    bool id_given = false;  // by the publisher: then source and id are published once
    std::string source;     // may be empty, as all texts below
    std::string type;
    std::string key;    // whose events keep their order
    std::string trace;  // traceparent (W3C)
    std::string content_type;
    std::map<std::string, std::string> headers;
    std::optional<WallTime> time;   // when it happened, as the publisher says
    WallTime at;                    // when it was published
    std::uint64_t total_bytes = 0;  // of all events of the topic up to this one, for ever
    Blob body;

    friend bool operator==(const TopicEvent&, const TopicEvent&) = default;
};
// What an event counts for in sums: its body and all texts.
std::size_t bytes_of(const TopicEvent& event);
// Under what an event that comes again is known.
std::string id_key(const TopicEvent& event);

// What a topic keeps; beyond any of them the oldest go.
struct TopicRules {
    Duration age = limits::topic_age_default;
    std::uint64_t bytes = limits::topic_bytes_default;
    std::uint64_t count = limits::topic_count_default;

    friend bool operator==(const TopicRules&, const TopicRules&) = default;
};

// What of them becomes another.
struct TopicRulesChange {
    std::optional<Duration> age;
    std::optional<std::uint64_t> bytes;
    std::optional<std::uint64_t> count;

    TopicRules of(const TopicRules& rules) const {
        return {age.value_or(rules.age), bytes.value_or(rules.bytes), count.value_or(rules.count)};
    }
};

struct Topic {
    std::string name;
    TopicRules rules;
    WallTime made_at;
    EventSequence oldest{1};        // the first that is kept; newest.next() when none is
    EventSequence newest;           // 0: none was published
    std::uint64_t total_bytes = 0;  // of all events for ever
    std::uint64_t gone_bytes = 0;   // of those that are kept no longer

    std::uint64_t count() const { return newest.value + 1 - oldest.value; }
    std::uint64_t bytes() const { return total_bytes - gone_bytes; }
    friend bool operator==(const Topic&, const Topic&) = default;
};

// Where a group begins in topics that are there when it is made. Topics that come later are read
// from their first event.
struct StartAt {
    enum class From : std::uint8_t { oldest = 0, newest = 1, sequence = 2, time = 3 };  // on disk
    From from = From::oldest;
    EventSequence sequence;  // of `sequence`
    WallTime time;           // of `time`

    friend bool operator==(const StartAt&, const StartAt&) = default;
};

// Where a group's events go, instead of to whoever asks.
struct Webhook {
    std::string url;
    std::string secret;  // of the signature

    friend bool operator==(const Webhook&, const Webhook&) = default;
};

struct SubscriptionSpec {
    std::string group;
    std::string pattern;  // of topics: model/pattern.hpp
    StartAt start;
    bool ordered = false;  // an event waits until those of its key before it are settled
    std::uint32_t attempts_max = limits::attempts_max_default;
    Backoff backoff;
    Duration ack_timeout = limits::ack_timeout_default;
    std::optional<Webhook> webhook;

    friend bool operator==(const SubscriptionSpec&, const SubscriptionSpec&) = default;
};

struct DeliveryKey {
    std::string topic;
    EventSequence sequence;

    friend bool operator==(const DeliveryKey&, const DeliveryKey&) = default;
    friend auto operator<=>(const DeliveryKey&, const DeliveryKey&) = default;
};

// An event on its way to a group: out, waiting for its retry, or for an earlier one of its key.
struct Delivery {
    std::string key;  // of the event
    std::uint32_t attempts = 0;
    LeaseEpoch epoch;  // of its newest lease
    bool leased = false;
    std::string consumer;
    EngineTime until{};  // leased: to be acknowledged by then
    std::optional<EngineTime> due_at;
    std::optional<WallTime> due_shown;
    bool redriven = false;  // from the dead letters, where its event is kept
    TaskError error;        // of the last attempt

    friend bool operator==(const Delivery&, const Delivery&) = default;
};

struct DeadLetter {
    std::uint32_t attempts = 0;
    TaskError error;
    WallTime at;

    friend bool operator==(const DeadLetter&, const DeadLetter&) = default;
};

// Events that retention took before the group had them.
struct Gap {
    std::string topic;
    EventSequence from;
    EventSequence to;
    std::uint64_t count = 0;  // between them, of those that were not settled
    WallTime at;

    friend bool operator==(const Gap&, const Gap&) = default;
};

struct Subscription {
    SubscriptionSpec spec;
    WallTime made_at;
    LeaseEpoch epoch;                           // the newest one of any delivery
    std::map<std::string, EventSequence> next;  // by topic: what has not come in yet
    std::map<DeliveryKey, Delivery> open;       // of those that have, the ones not settled
    std::uint64_t acknowledged = 0;
    std::uint64_t failed = 0;     // attempts
    std::uint64_t timed_out = 0;  // attempts
    std::uint64_t dead = 0;       // ever
    std::uint64_t lost = 0;       // to retention
    std::vector<Gap> gaps;        // not told yet, one a topic
    std::optional<Gap> last_gap;

    friend bool operator==(const Subscription&, const Subscription&) = default;
};

// All events of the topic before this one are settled.
EventSequence cursor_of(const Subscription& subscription, const std::string& topic);

// A run of events to read; of one group's dead letters, those that are kept there.
struct EventRange {
    std::string topic;
    EventSequence from;
    std::size_t count = 1;
    std::size_t bytes = limits::deliveries_bytes_max;  // the first one whatever it has
    std::string group;                                 // not empty: its dead letter `from`
    bool bare = false;                                 // without their bodies
};

}  // namespace taskd

// Records of topics and groups: what may become durable of them.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "taskd/model/topic.hpp"

namespace taskd {

// A topic was made, or keeps something else from now on.
struct TopicChanged {
    using OfTopics = void;
    std::string topic;
    TopicRules rules;
    WallTime at;
    friend bool operator==(const TopicChanged&, const TopicChanged&) = default;
};

// With its events, what was under way of them, and dead letters.
struct TopicRemoved {
    using OfTopics = void;
    std::string topic;
    friend bool operator==(const TopicRemoved&, const TopicRemoved&) = default;
};

// Events up to here are kept no longer.
struct TopicTrimmed {
    using OfTopics = void;
    std::string topic;
    EventSequence through;
    std::uint64_t total_bytes = 0;  // of the event `through`
    WallTime at;
    friend bool operator==(const TopicTrimmed&, const TopicTrimmed&) = default;
};

// Makes the topic when it is not there.
struct EventPublished {
    using OfTopics = void;
    TopicEvent event;
    friend bool operator==(const EventPublished&, const EventPublished&) = default;
};

// A group was made, or is another from now on; `starts` are its places in topics that it did not
// read before. Topics that it no longer matches are left, with what was under way of them.
struct SubscriptionChanged {
    using OfTopics = void;
    SubscriptionSpec spec;
    std::vector<std::pair<std::string, EventSequence>> starts;
    WallTime at;
    friend bool operator==(const SubscriptionChanged&, const SubscriptionChanged&) = default;
};

struct SubscriptionRemoved {
    using OfTopics = void;
    std::string group;
    friend bool operator==(const SubscriptionRemoved&, const SubscriptionRemoved&) = default;
};

// Deliveries handed to a consumer under one epoch; those `held` came in and wait for an earlier one
// of their key.
struct DeliveriesLeased {
    using OfTopics = void;
    struct Item {
        DeliveryKey event;
        std::string key;  // of the event
        bool held = false;
        friend bool operator==(const Item&, const Item&) = default;
    };
    std::string group;
    LeaseEpoch epoch;
    std::string consumer;
    EngineTime until;
    std::vector<Item> items;
    friend bool operator==(const DeliveriesLeased&, const DeliveriesLeased&) = default;
};

enum class DeliveryEnd : std::uint8_t {  // on disk
    acknowledged = 1,
    failed = 2,
    timed_out = 3,
    released = 4,
};

// How attempts ended. `failed` and `timed_out` are tried again at `due_at`, or are dead without.
struct DeliveriesEnded {
    using OfTopics = void;
    struct Item {
        DeliveryKey event;
        DeliveryEnd end = DeliveryEnd::acknowledged;
        std::optional<EngineTime> due_at = {};
        std::optional<WallTime> due_shown = {};
        TaskError error = {};
        friend bool operator==(const Item&, const Item&) = default;
    };
    std::string group;
    WallTime at;
    std::vector<Item> items;
    friend bool operator==(const DeliveriesEnded&, const DeliveriesEnded&) = default;
};

// Dead letters begin anew, or are gone for good.
struct DeadLettersChanged {
    using OfTopics = void;
    struct Item {
        DeliveryKey event;
        std::string key;  // of the event, of one that begins anew
        friend bool operator==(const Item&, const Item&) = default;
    };
    std::string group;
    bool dropped = false;
    std::vector<Item> items;
    friend bool operator==(const DeadLettersChanged&, const DeadLettersChanged&) = default;
};

// The group was told what retention took from it.
struct GapsTold {
    using OfTopics = void;
    std::string group;
    friend bool operator==(const GapsTold&, const GapsTold&) = default;
};

template <class Record>
concept OfTopics = requires { typename Record::OfTopics; };

}  // namespace taskd

// One record and one row of each kind that topics have, as the golden bytes hold them.
#pragma once

#include <map>
#include <string>

#include "taskd/protocol/record_codec.hpp"

namespace taskd::protocol {

using namespace std::chrono_literals;

inline TopicEvent golden_event() {
    TopicEvent event;
    event.topic = "order.placed";
    event.sequence = EventSequence{300};
    event.id = "4711";
    event.id_given = true;
    event.source = "shop";
    event.type = "placed";
    event.key = "ann";
    event.trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    event.content_type = "application/json";
    event.headers = {{"region", "north"}};
    event.time = WallTime{5s};
    event.at = WallTime{6s};
    event.total_bytes = 70'000;
    event.body = Blob{"{}"};
    return event;
}

inline Subscription golden_subscription() {
    Subscription group;
    group.spec.group = "kitchen";
    group.spec.pattern = "order.*";
    group.spec.start = {StartAt::From::sequence, EventSequence{3}, WallTime{1s}};
    group.spec.ordered = true;
    group.spec.webhook = Webhook{"http://kitchen:8092/hook", "secret"};
    group.made_at = WallTime{7s};
    group.epoch = LeaseEpoch{300};
    group.next["order.placed"] = EventSequence{302};
    group.open[{"order.placed", EventSequence{300}}] = {
        "ann",        2,    LeaseEpoch{300},     true, "k1", EngineTime{30s}, EngineTime{31s},
        WallTime{8s}, true, {"bad", "no", false}};
    group.acknowledged = 298;
    group.failed = 2;
    group.timed_out = 3;
    group.dead = 4;
    group.lost = 5;
    group.last_gap = Gap{"order.placed", EventSequence{1}, EventSequence{5}, 5, WallTime{9s}};
    group.gaps = {*group.last_gap};
    return group;
}

inline std::map<std::string, Record> golden_topic_records() {
    const LeaseEpoch epoch{300};
    const WallTime at{1'700'000'000s};
    return {{"topic_changed", TopicChanged{"order.placed", {48h, 1'000'000, 5'000}, at}},
            {"topic_removed", TopicRemoved{"order.placed"}},
            {"topic_trimmed", TopicTrimmed{"order.placed", EventSequence{300}, 70'000, at}},
            {"event_published", EventPublished{golden_event()}},
            {"subscription_changed",
             SubscriptionChanged{
                 golden_subscription().spec, {{"order.placed", EventSequence{300}}}, at}},
            {"subscription_removed", SubscriptionRemoved{"kitchen"}},
            {"deliveries_leased",
             DeliveriesLeased{"kitchen",
                              epoch,
                              "k1",
                              EngineTime{30s},
                              {{{"order.placed", EventSequence{300}}, "ann", true}}}},
            {"deliveries_ended",
             DeliveriesEnded{"kitchen",
                             at,
                             {{{"order.placed", EventSequence{300}}, DeliveryEnd::acknowledged},
                              {{"order.placed", EventSequence{301}},
                               DeliveryEnd::failed,
                               EngineTime{1s},
                               WallTime{2s},
                               {"bad", "no", true}}}}},
            {"dead_letters_changed",
             DeadLettersChanged{"kitchen", true, {{{"order.placed", EventSequence{300}}, "ann"}}}},
            {"gaps_told", GapsTold{"kitchen"}}};
}

inline std::map<std::string, std::string> golden_topic_rows() {
    const WallTime at{1'700'000'000s};
    std::map<std::string, std::string> golden;
    std::string event;
    encode_event_row(golden_event(), event);
    golden["event_row"] = event;
    std::string topic;
    encode_topic_row({"order.placed",
                      {48h, 1'000'000, 5'000},
                      at,
                      EventSequence{3},
                      EventSequence{300},
                      70'000,
                      400},
                     topic);
    golden["topic_row"] = topic;
    std::string subscription;
    encode_subscription_row(golden_subscription(), subscription);
    golden["subscription_row"] = subscription;
    std::string letter;
    encode_letter_row({5, {"bad", "no", true}, at}, letter);
    golden["letter_row"] = letter;
    return golden;
}

}  // namespace taskd::protocol

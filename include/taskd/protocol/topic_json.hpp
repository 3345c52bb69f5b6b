// Topics, events and groups as JSON: what the HTTP interface takes and answers. Pure.
#pragma once

#include <expected>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "taskd/base/result.hpp"
#include "taskd/model/topic_record.hpp"
#include "taskd/protocol/task_json.hpp"

namespace taskd::protocol {

// One event or an array of them; without topic and time. An event without an id gets none here.
struct PublishBody {
    std::vector<TopicEvent> events;
    bool is_array = false;
};
std::expected<PublishBody, BodyError> parse_publish(std::string_view body);

// event_too_large, invalid_field: what holds for events whatever form they came in.
Result<void> check_event(const TopicEvent& event);

// "data" as JSON where the body is JSON, as a string where it is text, else "data_base64".
void write_event(std::string& out, const TopicEvent& event);
bool is_json_media(std::string_view content_type);

// Fields that are missing stay as they are.
Result<TopicRulesChange> parse_topic_rules(std::string_view body);
std::string write_topic(const Topic& topic);

Result<SubscriptionSpec> parse_subscription(std::string_view body, std::string group);
// Without the webhook's secret. `newest` tells of a topic's newest event.
std::string write_subscription(const Subscription& subscription, std::size_t leased,
                               std::size_t dead, std::uint64_t lag,
                               const std::function<EventSequence(const std::string&)>& newest);
void write_gap(std::string& out, const Gap& gap);

// {"max", "wait_ms", "consumer"}; all of them optional, and the body too.
struct DeliveryQuestion {
    std::size_t max = 1;
    Duration wait{0};
    std::string consumer = "anonymous";
};
Result<DeliveryQuestion> parse_delivery_question(std::string_view body);

// A lease of a delivery as text: "GROUP:TOPIC:SEQUENCE:EPOCH". invalid_field.
struct DeliveryId {
    std::string group;
    DeliveryKey event;
    LeaseEpoch epoch;

    friend bool operator==(const DeliveryId&, const DeliveryId&) = default;
};
std::string to_text(const DeliveryId& id);
Result<DeliveryId> parse_delivery_id(std::string_view text);
void write_delivery(std::string& out, const DeliveryId& id, std::uint32_t attempt,
                    const TopicEvent& event);

// What a consumer says of one delivery: {"error": {…}, "retry_after_ms"} of one that failed.
struct DeliveryWord {
    DeliveryId id;
    DeliveryEnd end = DeliveryEnd::acknowledged;
    TaskError error;
    std::optional<Duration> retry_after;
};
Result<DeliveryWord> parse_nack(std::string_view body);
// {"acks": [ID, …], "nacks": [{"id", "error"?, "retry_after_ms"?}, …], "releases": [ID, …]}.
Result<std::vector<DeliveryWord>> parse_words(std::string_view body, const std::string& group);

// Which dead letters: {"events": ["TOPIC:SEQUENCE", …]}, or {"all": true}.
struct LetterChoice {
    std::vector<DeliveryKey> events;
    bool all = false;
};
Result<LetterChoice> parse_letters(std::string_view body);
void write_letter(std::string& out, const DeliveryKey& event, const DeadLetter& letter);

}  // namespace taskd::protocol

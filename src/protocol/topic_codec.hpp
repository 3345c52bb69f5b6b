// Topics, events and groups as records and rows keep them.
#pragma once

#include "protocol/value_codec.hpp"
#include "taskd/model/pattern.hpp"
#include "taskd/model/topic_record.hpp"

namespace taskd::protocol {

// The event but its body.
void write(ByteWriter& out, const TopicEvent& event);
TopicEvent read_event(ByteReader& in);

void write(ByteWriter& out, const TopicChanged& record);
void write(ByteWriter& out, const TopicRemoved& record);
void write(ByteWriter& out, const TopicTrimmed& record);
void write(ByteWriter& out, const EventPublished& record);
void write(ByteWriter& out, const SubscriptionChanged& record);
void write(ByteWriter& out, const SubscriptionRemoved& record);
void write(ByteWriter& out, const DeliveriesLeased& record);
void write(ByteWriter& out, const DeliveriesEnded& record);
void write(ByteWriter& out, const DeadLettersChanged& record);
void write(ByteWriter& out, const GapsTold& record);

TopicChanged read_topic_changed(ByteReader& in);
TopicTrimmed read_topic_trimmed(ByteReader& in);
EventPublished read_event_published(ByteReader& in);
SubscriptionChanged read_subscription_changed(ByteReader& in);
DeliveriesLeased read_deliveries_leased(ByteReader& in);
DeliveriesEnded read_deliveries_ended(ByteReader& in);
DeadLettersChanged read_dead_letters_changed(ByteReader& in);

std::size_t bytes_max(const TopicChanged& record);
std::size_t bytes_max(const TopicRemoved& record);
std::size_t bytes_max(const TopicTrimmed& record);
std::size_t bytes_max(const EventPublished& record);
std::size_t bytes_max(const SubscriptionChanged& record);
std::size_t bytes_max(const SubscriptionRemoved& record);
std::size_t bytes_max(const DeliveriesLeased& record);
std::size_t bytes_max(const DeliveriesEnded& record);
std::size_t bytes_max(const DeadLettersChanged& record);
std::size_t bytes_max(const GapsTold& record);

}  // namespace taskd::protocol

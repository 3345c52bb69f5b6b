// Topics, events and groups as records and rows keep them.
#pragma once

#include "protocol/record_kind.hpp"
#include "protocol/value_codec.hpp"
#include "taskd/model/pattern.hpp"
#include "taskd/model/record.hpp"

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

bool is_topic_kind(RecordKind kind);
RecordKind kind_of(const TopicChanged& record);
RecordKind kind_of(const TopicRemoved& record);
RecordKind kind_of(const TopicTrimmed& record);
RecordKind kind_of(const EventPublished& record);
RecordKind kind_of(const SubscriptionChanged& record);
RecordKind kind_of(const SubscriptionRemoved& record);
RecordKind kind_of(const DeliveriesLeased& record);
RecordKind kind_of(const DeliveriesEnded& record);
RecordKind kind_of(const DeadLettersChanged& record);
RecordKind kind_of(const GapsTold& record);
// Fails when it is none.
Record read_topic_record(ByteReader& in, RecordKind kind);

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

// Records and task rows to bytes and back: what stands in the journal's frames and the view's rows.
// The format is described in src/protocol/record_codec.md. Pure; decoding survives any bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "taskd/base/result.hpp"
#include "taskd/model/record.hpp"
#include "taskd/model/task_head.hpp"

namespace taskd::protocol {

inline constexpr std::uint8_t batch_version = 1;
inline constexpr std::uint8_t task_row_version = 4;
inline constexpr std::uint8_t task_head_version = 1;
inline constexpr std::uint8_t queue_row_version = 2;
inline constexpr std::uint8_t operation_row_version = 1;
inline constexpr std::uint8_t group_row_version = 1;
inline constexpr std::uint8_t hold_row_version = 1;
inline constexpr std::uint8_t schedule_row_version = 1;
inline constexpr std::uint8_t event_row_version = 1;
inline constexpr std::uint8_t topic_row_version = 1;
inline constexpr std::uint8_t subscription_row_version = 1;
inline constexpr std::uint8_t letter_row_version = 1;
inline constexpr std::uint8_t workflow_row_version = 1;
inline constexpr std::uint8_t plan_row_version = 1;
inline constexpr std::uint8_t step_row_version = 1;

// What a batch takes besides its records: version, first sequence, engine time, count.
inline constexpr std::size_t batch_bytes_overhead_max = 1 + 10 + 10 + 10;

// At least what the record takes in a batch; cheap enough to ask for every record before it is
// applied.
std::size_t encoded_bytes_max(const Record& record);

// Appends to `out`. The batch holds at least one record.
void encode_batch(const RecordBatch& batch, std::string& out);
// journal_too_new when a newer version wrote it, journal_corrupt when it is not a batch at all.
// Bytes of kinds that are still written are exactly the bytes that the batch encodes to.
Result<RecordBatch> decode_batch(std::string_view bytes);
// The first sequence alone, from the first bytes of an encoded batch, unverified otherwise.
Result<Sequence> peek_first_sequence(std::string_view bytes);

// A task without payload and result, which the view keeps beside it and hands back here.
void encode_task_row(const Task& task, std::string& out);
// store_too_new or view_corrupt.
Result<Task> decode_task_row(std::string_view bytes, Blob payload, Blob result);

// store_too_new or view_corrupt.
void encode_queue_row(const QueueRules& rules, std::string& out);
Result<QueueRules> decode_queue_row(std::string_view bytes);

// store_too_new or view_corrupt.
void encode_operation_row(const Operation& operation, std::string& out);
Result<Operation> decode_operation_row(std::string_view bytes);

// store_too_new or view_corrupt.
void encode_group_row(const Group& group, std::string& out);
Result<Group> decode_group_row(std::string_view bytes);
void encode_schedule_row(const Schedule& schedule, std::string& out);
Result<Schedule> decode_schedule_row(std::string_view bytes);

// store_too_new or view_corrupt.
void encode_hold_row(const WorkerHold& hold, std::string& out);
Result<WorkerHold> decode_hold_row(std::string_view bytes);

// An event without its body, which the view keeps beside it; topics, groups and dead letters whole.
// store_too_new or view_corrupt.
void encode_event_row(const TopicEvent& event, std::string& out);
Result<TopicEvent> decode_event_row(std::string_view bytes, Blob body);
void encode_topic_row(const Topic& topic, std::string& out);
Result<Topic> decode_topic_row(std::string_view bytes);
void encode_subscription_row(const Subscription& subscription, std::string& out);
Result<Subscription> decode_subscription_row(std::string_view bytes);
void encode_letter_row(const DeadLetter& letter, std::string& out);
Result<DeadLetter> decode_letter_row(std::string_view bytes);
// store_too_new or view_corrupt.
void encode_workflow_row(const Workflow& workflow, std::string& out);
Result<Workflow> decode_workflow_row(std::string_view bytes);
void encode_plan_row(const WorkflowPlan& plan, std::string& out);
Result<std::shared_ptr<const WorkflowPlan>> decode_plan_row(std::string_view bytes);
void encode_step_row(const Step& step, std::string& out);
Result<Step> decode_step_row(std::string_view bytes);

// A task's head without its id, which the view keeps beside it.
void encode_task_head(const TaskHead& head, std::string& out);
// store_too_new or view_corrupt; the id is left empty.
Result<TaskHead> decode_task_head(std::string_view bytes);

}  // namespace taskd::protocol

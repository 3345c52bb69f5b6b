// The numbers of records in a batch.
#pragma once

#include <cstdint>

namespace taskd::protocol {

// Numbers on disk: never reused, also not after a record is gone.
enum class RecordKind : std::uint8_t {
    task_submitted = 1,
    task_leased = 2,
    task_completed = 3,
    attempt_failed = 4,
    attempt_crashed = 5,
    attempt_released = 6,
    task_due = 7,
    task_cancelled = 8,
    revoked_lease_ended = 9,
    engine_resumed = 10,
    task_submitted_2 = 11,
    task_leased_2 = 12,
    task_completed_2 = 13,
    attempt_failed_2 = 14,
    attempt_timed_out = 15,
    timed_out_lease_ended = 16,
    task_expired = 17,
    priority_changed = 18,
    queue_changed = 19,
    task_redriven = 20,
    payload_edited = 21,
    task_deleted = 22,
    operation_started = 23,
    operation_advanced = 24,
    operation_ended = 25,
    group_made = 26,
    group_closed = 27,
    group_ended = 28,
    worker_held = 29,
    schedule_changed = 30,
    schedule_removed = 31,
    schedule_fired = 32,
    workflow_started = 33,
    step_began = 34,
    step_ended = 35,
    workflow_turned = 36,
    workflow_ended = 37,
    workflow_retried = 38,
    signal_received = 39,
    workflow_deleted = 40,
    topic_changed = 50,
    topic_removed = 51,
    topic_trimmed = 52,
    event_published = 53,
    subscription_changed = 54,
    subscription_removed = 55,
    deliveries_leased = 56,
    deliveries_ended = 57,
    dead_letters_changed = 58,
    gaps_told = 59,
    queue_changed_2 = 60,
};
constexpr auto kind_last = RecordKind::queue_changed_2;

}  // namespace taskd::protocol

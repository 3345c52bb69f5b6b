// Every bound has a number, a reason, and an error at the bound.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

#include "taskd/base/time.hpp"

namespace taskd::limits {

using namespace std::chrono_literals;

inline constexpr std::size_t kibibyte = 1024;
inline constexpr std::size_t mebibyte = 1024 * kibibyte;

// One task as submitted, payload and all: task_too_large. Bigger things belong in a file store.
inline constexpr std::size_t task_bytes_max = 1 * mebibyte;
// A worker's result or error: the worker fails the attempt with task_too_large.
inline constexpr std::size_t result_bytes_max = 1 * mebibyte;
// One submit of many tasks: too_many_tasks, body_too_large. It is one frame of the journal.
inline constexpr std::size_t submit_tasks_max = 10'000;
inline constexpr std::size_t body_bytes_max = 16 * mebibyte;
// Tasks submitted one a line: too_many_tasks. They are taken a thousand a turn; a line that is
// longer than most counts once more for every so many bytes.
inline constexpr std::size_t submit_lines_max = 100'000;
inline constexpr std::size_t submit_lines_step = 1'000;
inline constexpr std::size_t submit_line_bytes = 4 * kibibyte;
// What all such requests under way hold: overloaded. Their bodies, and for each line what its
// answer takes unless it is refused. As much as burst-memory, between these.
inline constexpr std::size_t submit_lines_bytes_least = 32 * mebibyte;
inline constexpr std::size_t submit_lines_bytes_max = 256 * mebibyte;
inline constexpr std::size_t submit_line_answer_bytes = 96;
static_assert(body_bytes_max + (submit_lines_max + 1) * submit_line_answer_bytes <
              submit_lines_bytes_least);
// A frame holds one such submit and the leases it leads to.
inline constexpr std::size_t frame_bytes_max = 24 * mebibyte;
inline constexpr std::size_t segment_bytes = 32 * mebibyte;
static_assert(task_bytes_max < body_bytes_max && body_bytes_max < frame_bytes_max);
static_assert(frame_bytes_max < segment_bytes);

// Payloads, or results, of many tasks in one answer, of which the last may go beyond; the rest is
// asked for again. Clients take four times as much.
inline constexpr std::size_t answer_payload_bytes_max = 16 * mebibyte;

// JSON nested deeper is bad_json: a parser's stack is finite.
inline constexpr std::size_t json_depth_max = 128;

// One question for results of many tasks, one page of a list.
inline constexpr std::size_t result_ids_max = 1'000;
inline constexpr std::size_t page_tasks_default = 50;
inline constexpr std::size_t page_tasks_max = 1'000;

// A search: each term is a part of one SQL statement.
inline constexpr std::size_t search_bytes_max = 4 * kibibyte;
inline constexpr std::size_t search_terms_max = 32;
inline constexpr std::size_t search_values_max = 100;
inline constexpr std::size_t search_steps_max = 16;
inline constexpr std::uint64_t search_index_max = 1'000'000;

// Rows that one page of a search looks at; then it ends, and goes on from there when asked again.
inline constexpr std::size_t search_rows_max = 20'000;
inline constexpr std::size_t count_rows_max = 200'000;

// Words that a submitter puts on a task, to find it by.
inline constexpr std::size_t labels_max = 32;
inline constexpr std::size_t label_name_bytes_max = 64;
inline constexpr std::size_t label_value_bytes_max = 256;

// Actions on many tasks: how many run at a time (too_many_operations), how many are remembered, and
// what each may touch in a turn of the engine, which must stay below 10 ms.
inline constexpr std::size_t operations_running_max = 16;
inline constexpr std::size_t operations_kept_max = 1'000;
inline constexpr std::size_t operation_turn_tasks = 250;
inline constexpr std::uint32_t operation_rate_max = 1'000'000;

// Groups of tasks that have not ended (too_many_groups), those remembered after their end, and how
// many of its failed tasks a group names.
inline constexpr std::size_t groups_running_max = 10'000;
inline constexpr std::size_t groups_kept_max = 10'000;
inline constexpr std::size_t group_failed_shown_max = 1'000;

// What a worker says of a task on its way.
inline constexpr std::size_t progress_note_bytes_max = 1'000;
inline constexpr std::size_t progress_details_bytes_max = 4 * kibibyte;
// Workers that somebody paused; beyond it invalid_field.
inline constexpr std::size_t workers_held_max = 10'000;
// Work and a worker that could do it may stand side by side for so long; then it is told.
inline constexpr Duration idle_with_work_max = 5s;

// A file of many tasks, read whole by the command line: task_too_large.
inline constexpr std::size_t submit_file_bytes_max = 256 * mebibyte;

// Types of tasks that have figures of their own in /metrics; others are summed.
inline constexpr std::size_t metric_types_max = 1'000;

// Requests that wait for something: too_many_waiters. Each is a few hundred bytes and its headers;
// its body is let go once it is read.
inline constexpr std::size_t waiters_max = 100'000;
inline constexpr Duration wait_max = 10min;  // longer waits are cut and asked again

// Readers that follow what happens: too_many_waiters. What is written for a reader and not yet
// taken by it; beyond that it falls behind, and is told from the journal a page at a time.
inline constexpr std::size_t event_streams_max = 1'000;
inline constexpr std::size_t event_stream_bytes_max = 256 * kibibyte;
inline constexpr std::size_t event_page_records = 1'000;
inline constexpr std::size_t event_topics_max = 100;  // of one reader: invalid_field
inline constexpr std::size_t event_topic_bytes_max = 300;
inline constexpr Duration event_heartbeat = 15s;

// Workers that pull: what one question may ask for, and how many questions may wait
// (too_many_waiters).
inline constexpr std::size_t lease_types_max = 100;
inline constexpr std::size_t lease_tasks_max = 1'000;
inline constexpr std::size_t lease_questions_max = 10'000;

// What one turn of the engine may touch, so that no turn is long.
inline constexpr std::size_t turn_tasks_max = 1'000;

// Tasks whose bodies are read before their turn comes, and how many at a time: a worker should not
// wait for the view.
inline constexpr std::size_t look_ahead_tasks = 4'096;
inline constexpr std::size_t look_ahead_step = 1'024;
static_assert(look_ahead_step < look_ahead_tasks);
// Bodies of tasks that only wait, beyond which they are left to the view.
inline constexpr std::size_t waiting_bytes_max = 8 * mebibyte;

// Texts that people write.
inline constexpr std::size_t reason_bytes_max = 1'000;
inline constexpr std::size_t error_code_bytes_max = 128;

// Attempts kept in a task's history; older ones are counted, not shown.
inline constexpr std::size_t attempts_shown_max = 100;
inline constexpr std::uint32_t attempts_max_default = 5;
inline constexpr std::uint32_t attempts_max_max = 100;
// Workers lost in a row on one task before it is dead: a task that kills workers must stop.
inline constexpr std::uint32_t crashes_max_default = 10;

inline constexpr Duration backoff_most = 24h;  // what a task may ask for
inline constexpr Duration backoff_initial_default = 1s;
inline constexpr Duration backoff_max_default = 5min;
inline constexpr unsigned backoff_factor = 2;

inline constexpr unsigned backoff_jitter_default = 25;  // percent
inline constexpr std::size_t no_retry_max = 20;         // codes that one task may name

// How long a task may take. None of them can be switched off, only made long: every task ends.
inline constexpr Duration timeout_default = 1h;              // one attempt
inline constexpr Duration queue_timeout_default = 7 * 24h;   // until the first attempt
inline constexpr Duration total_timeout_default = 30 * 24h;  // all of it
inline constexpr Duration timeout_most = 366 * 24h;
static_assert(timeout_default < queue_timeout_default);
static_assert(queue_timeout_default < total_timeout_default &&
              total_timeout_default < timeout_most);
inline constexpr Duration delay_most = 366 * 24h;  // how far ahead a task may be put off
// While a task waits for a wall time, the wall clock is looked at so often: it may be set.
inline constexpr Duration wall_clock_look = 1s;

inline constexpr Duration lease_duration_default = 15s;

// Schedules: too_many_schedules. How often one may be due, how many times it may make up for at
// once (each is a task of one batch), what one backfill may ask for (too_many_tasks), what is
// shown.
inline constexpr std::size_t schedules_max = 10'000;
inline constexpr Duration every_least = 1s;
inline constexpr Duration every_most = 366 * 24h;
inline constexpr std::size_t fires_at_once_max = 16;
inline constexpr std::size_t backfill_max = 1'000;
inline constexpr std::size_t fires_shown_max = 20;
inline constexpr std::size_t fires_ahead_max = 100;  // of a preview
// A time that has its turn later than this was missed.
inline constexpr Duration misfire_after = 60s;

// A task's key, and the key under which a submit is done once.
inline constexpr std::size_t key_bytes_max = 256;
// Keys that the rules of one queue may name: weights, and pauses.
inline constexpr std::size_t keys_named_max = 1'000;
inline constexpr std::uint32_t weight_max = 1'000;
inline constexpr std::uint32_t rate_count_max = 1'000'000;
// A submit with the same idempotency key is the same submit for so long, and while its task lives.
inline constexpr Duration idempotency_window = 24h;
// Idempotency keys kept in memory; the rest is asked of the view.
inline constexpr std::size_t idempotency_keys_in_memory = 100'000;

// Name service: a registration is a lease of its own.
inline constexpr Duration heartbeat_interval = 10s;
inline constexpr Duration registration_expiry = 30s;
static_assert(registration_expiry >= 3 * heartbeat_interval);
inline constexpr std::size_t registrations_max = 10'000;
inline constexpr std::size_t registration_meta_bytes_max = 4 * kibibyte;
inline constexpr std::size_t host_bytes_max = 253;  // of a name in DNS
inline constexpr std::uint32_t concurrency_max = 10'000;
inline constexpr Duration watch_default = 30s;  // a watch that does not say how long

// Datagrams: what passes unfragmented over Ethernet; larger tasks and results travel by HTTP.
inline constexpr std::size_t datagram_bytes_max = 1'400;
inline constexpr Duration resend_initial = 50ms;
inline constexpr Duration resend_max = 2s;

// The view may lag behind the journal; beyond this submits are slowed (overloaded). A burst of ten
// seconds that comes three times as fast as the view writes must pass.
inline constexpr std::size_t view_lag_bytes_max = 1024 * mebibyte;
inline constexpr Duration view_lag_max = 30s;
// Bodies in memory that are younger than the view: overloaded. A setting; this is its least, and a
// part of the memory there is what it is unless said.
inline constexpr std::size_t unviewed_bytes_least = 24 * mebibyte;
inline constexpr std::size_t unviewed_part = 8;
static_assert(waiting_bytes_max < unviewed_bytes_least);
// What tasks that have not ended take of the memory, bodies aside: backlog_full. A setting, like
// the one before. Measured: of a task, of a key and of a type.
inline constexpr std::size_t backlog_bytes_least = 8 * mebibyte;
inline constexpr std::size_t backlog_parts = 3;  // of eight of the memory
inline constexpr std::size_t head_bytes = 112;
inline constexpr std::size_t lane_bytes = 320;
inline constexpr std::size_t queue_bytes = 1'300;
// Tasks in one change of the view while it is behind, so that the loop never collects many at once,
// and what may be kept in memory twice because of it.
inline constexpr std::size_t view_change_tasks = 50'000;
inline constexpr std::size_t view_copies_bytes_max = 64 * mebibyte;

// Ended tasks kept in memory after the view has them, so that repeated submits are cheap.
inline constexpr std::size_t ended_in_memory_max = 100'000;

// How long ended tasks are kept, and how many; nothing goes sooner than kept_at_least, whatever the
// settings say. Looked for again so often, and each page of them after such a pause.
inline constexpr Duration keep_default = 7 * 24h;
inline constexpr Duration keep_dead_default = 30 * 24h;
inline constexpr std::uint64_t keep_count_default = 10'000'000;
inline constexpr Duration kept_at_least = 1h;
// A wall clock that was set ahead and has stayed so makes things old.
inline constexpr Duration clock_believed_after = 1h;
static_assert(kept_at_least < keep_default && keep_default < keep_dead_default);
inline constexpr Duration sweep_at_first = 5s;
inline constexpr Duration sweep_interval = 1min;
inline constexpr Duration sweep_page_pause = 10ms;
// Ids that a client made with a clock of its own are found by a sweep of everything.
inline constexpr Duration sweep_all_interval = 24h;

// Free space of the disk below which new tasks are refused (disk_full), so that those there can
// end: a share of it, at most so much; they are taken again a quarter above it.
inline constexpr std::uint64_t disk_reserve_divisor = 20;
inline constexpr std::uint64_t disk_reserve_default_most = 1024 * mebibyte;
inline constexpr Duration disk_look_interval = 1s;

// Backups in the data directory: too_many_backups; they are to be taken elsewhere.
inline constexpr std::size_t backups_max = 10;

// HTTP server.
inline constexpr std::size_t header_bytes_max = 16 * kibibyte;
inline constexpr std::size_t headers_max = 100;
inline constexpr std::size_t target_bytes_max = 8 * kibibyte;
inline constexpr std::size_t connections_max = 20'000;
// Descriptors that connections leave to the store, to calls and to children, or half where there
// are few: too_many_connections.
inline constexpr std::size_t files_reserved = 512;
inline constexpr Duration header_timeout = 10s;
inline constexpr Duration body_timeout = 60s;
inline constexpr Duration idle_timeout = 120s;
// A client that does not read its answer.
inline constexpr Duration write_timeout = 60s;
// One that reads it more slowly for long, in bytes a second: nobody waits for 16 MiB at 1 KiB/s.
inline constexpr std::size_t write_rate_least = 16 * kibibyte;
// Requests of one connection that wait for their answers; then no more are read from it.
inline constexpr std::size_t pipelined_max = 32;
// Of all connections together, bodies that have come in part, and answers that clients have not
// taken yet, each: overloaded. A part of the memory there is, between these.
inline constexpr std::size_t http_part = 8;
inline constexpr std::size_t http_bytes_least = 32 * mebibyte;
inline constexpr std::size_t http_bytes_most = 512 * mebibyte;
static_assert(target_bytes_max < header_bytes_max && body_bytes_max < http_bytes_least);

// What a task prints. One lease's stream: log_full, and what comes behind is dropped. One append:
// body_too_large. One answer; a longer stream is read in parts. Appends that wait for the disk:
// overloaded.
inline constexpr std::size_t log_bytes_max = 4 * mebibyte;
inline constexpr std::size_t log_append_bytes_max = 1 * mebibyte;
inline constexpr std::size_t log_read_bytes_default = 256 * kibibyte;
inline constexpr std::size_t log_read_bytes_max = 1 * mebibyte;
inline constexpr std::size_t logs_waiting_bytes_max = 32 * mebibyte;
// All streams together, in blocks of the disk; beyond it the oldest tasks' streams go.
inline constexpr std::uint64_t logs_bytes_default = 1024 * mebibyte;
inline constexpr std::uint64_t logs_bytes_least = 16 * mebibyte;
static_assert(log_append_bytes_max <= log_bytes_max && 2 * log_bytes_max < logs_bytes_least);
// A power cut takes at most what came in such a time.
inline constexpr Duration logs_sync_interval = 5s;

// One line of a child process; longer ones are passed on in pieces.
inline constexpr std::size_t process_line_bytes_max = 16 * kibibyte;

// One log file, and how many full ones are kept beside it. At the bound the oldest goes.
inline constexpr std::uint64_t log_file_bytes_default = 16 * mebibyte;
inline constexpr std::uint32_t log_files_default = 5;
// Processes of one name that may log into one folder: io_failed.
inline constexpr unsigned log_writers_max = 100;

// The event bus. A topic: invalid_field. What a subscriber may leave untaken before it loses
// events, and how many its handler is given in a turn of its loop. How far publishers may be ahead
// of delivery: beyond it what they publish is lost, and counted. Subscribers: too_many_subscribers.
// Of a log record, each text is cut.
inline constexpr std::size_t bus_topic_bytes_max = 256;
inline constexpr std::size_t bus_topic_words_max = 16;
inline constexpr std::size_t bus_queue_default = 1'024;
inline constexpr std::size_t bus_turn_events = 256;
inline constexpr std::size_t bus_inbox_max = 65'536;
inline constexpr std::size_t bus_subscribers_max = 10'000;
inline constexpr std::size_t bus_log_text_max = 1'000;
static_assert(bus_turn_events <= bus_queue_default && bus_queue_default < bus_inbox_max);

// How a service that ended by itself is started again, unless it says so itself.
inline constexpr Duration restart_delay_initial = 1s;
inline constexpr Duration restart_delay_max = 90s;
inline constexpr double restart_factor = 2;
inline constexpr double restart_jitter = 0.1;             // of a delay, to both sides
inline constexpr std::uint32_t restart_attempts_max = 0;  // without end
inline constexpr Duration service_stable_after = 5s;      // it counts as never having failed
inline constexpr Duration service_start_timeout = 10s;
inline constexpr Duration service_stop_timeout = 10s;
static_assert(restart_delay_initial < restart_delay_max);

// Workflows. Of one: its document (body_too_large), steps and items of a list (too_many_steps),
// how deep workflows stand in each other (bad_workflow), signals that came before somebody waited
// for them (too_many_signals). Those that have not ended: too_many_workflows.
inline constexpr std::size_t workflow_steps_max = 100'000;
inline constexpr std::size_t workflow_items_max = 100'000;
inline constexpr std::size_t workflow_depth_max = 8;
inline constexpr std::size_t workflow_signals_max = 100;
inline constexpr std::size_t workflows_running_max = 10'000;
inline constexpr std::size_t workflow_steps_running_max = 1'000'000;  // of all that run
inline constexpr std::size_t step_name_bytes_max = 128;
inline constexpr Duration workflow_timeout_default = 7 * 24h;
// Tasks that one turn submits, or cancels, for workflows.
inline constexpr std::size_t workflow_turn_tasks = 250;
// Results that one step refers to, read for it at once: task_too_large. And a signal's payload.
inline constexpr std::size_t step_results_bytes_max = 64 * mebibyte;
inline constexpr std::size_t signal_bytes_max = 64 * kibibyte;
// Workflows that have ended and are remembered.
inline constexpr std::size_t workflows_kept_max = 10'000;
// A drawing of more steps shows nothing: too_many_steps.
inline constexpr std::size_t graph_steps_max = 1'000;
// Texts of a document (bad_workflow): its name, what it says of itself, one condition
// (bad_condition); names of inputs and of the environment. Steps looked at to see whether what is
// referred to comes before; beyond it a reference has to be said as an edge.
inline constexpr std::size_t workflow_name_bytes_max = 256;
inline constexpr std::size_t description_bytes_max = 4 * kibibyte;
inline constexpr std::size_t condition_bytes_max = 4 * kibibyte;
inline constexpr std::size_t condition_depth_max = 64;
inline constexpr std::size_t workflow_inputs_max = 1'000;
inline constexpr std::size_t workflow_reach_max = 50'000'000;
// The schema of a type's payloads, and errors of one payload that are told.
inline constexpr std::size_t schema_bytes_max = 256 * kibibyte;
inline constexpr std::size_t schema_faults_shown_max = 10;

// Topics: too_many_topics, too_many_subscriptions. One event with all that is said of it:
// event_too_large; one publish of many: too_many_events.
inline constexpr std::size_t topics_max = 10'000;
inline constexpr std::size_t subscriptions_max = 1'000;
inline constexpr std::size_t event_bytes_max = 1 * mebibyte;
inline constexpr std::size_t publish_events_max = 10'000;
static_assert(event_bytes_max < body_bytes_max);
// What an event may say beside its body: invalid_field.
inline constexpr std::size_t event_text_bytes_max = 1'024;  // id, source, type, key
inline constexpr std::size_t event_headers_max = 32;
inline constexpr std::size_t event_header_bytes_max = 1'024;
// Ids that publishers chose, by which an event that comes again is known: so many of the newest.
inline constexpr std::size_t event_ids_in_memory = 100'000;
// Events in memory that the view has too, so that groups which keep up need no view.
inline constexpr std::size_t events_bytes_in_memory = 8 * mebibyte;
static_assert(events_bytes_in_memory < unviewed_bytes_least);

// What a topic keeps unless it is told otherwise, and what it may be told.
inline constexpr Duration topic_age_default = 7 * 24h;
inline constexpr Duration topic_age_least = 1s;
inline constexpr Duration topic_age_most = 3'660 * 24h;
inline constexpr std::uint64_t topic_bytes_default = 1024 * mebibyte;
inline constexpr std::uint64_t topic_count_default = 10'000'000;
inline constexpr std::size_t trim_turn_events = 1'000;

// A group: deliveries that are out, wait for their retry or for an earlier one of their key. Then
// no further events come in until some are settled.
inline constexpr std::size_t deliveries_open_max = 1'000;
inline constexpr std::size_t deliveries_bytes_max = 4 * mebibyte;  // of one answer, or one event
// Dead letters of a group, and of all; then what fails is tried on, at its longest wait.
inline constexpr std::size_t dead_letters_max = 10'000;
inline constexpr std::size_t dead_letters_all_max = 100'000;
inline constexpr std::size_t delivery_error_bytes_max = 500;  // longer ones are cut
inline constexpr Duration ack_timeout_default = 30s;
inline constexpr Duration ack_timeout_least = 1s;
inline constexpr Duration ack_timeout_most = 24h;
inline constexpr std::size_t webhook_url_bytes_max = 2 * kibibyte;
inline constexpr std::size_t webhook_secret_bytes_max = 256;
inline constexpr std::size_t webhook_calls_max = 8;  // of one group at a time
inline constexpr Duration webhook_timeout = 10s;
static_assert(webhook_timeout < ack_timeout_default);
// Consumers that wait for deliveries: too_many_waiters.
inline constexpr std::size_t delivery_questions_max = 10'000;
// Topics and groups that have figures of their own in /metrics; others are summed.
inline constexpr std::size_t metric_topics_max = 100;

// Stores of values under keys. One value: value_too_large; all of a store: store_full. A page of a
// list.
inline constexpr std::uint64_t store_bytes_default = 64 * mebibyte;
inline constexpr std::uint64_t store_bytes_most = 16 * 1024 * mebibyte;
inline constexpr std::size_t store_value_bytes_max = 1 * mebibyte;
inline constexpr std::size_t store_page_max = 1'000;
static_assert(store_value_bytes_max < store_bytes_default &&
              store_bytes_default < store_bytes_most);

// Entries. How long a part may take to say whether it takes a change (entry_refused); files that
// one entry embeds, and their bytes; methods of a contract (config_invalid).
inline constexpr Duration listener_timeout = 30s;
inline constexpr std::size_t embed_files_max = 100;
inline constexpr std::size_t embed_bytes_max = 1 * mebibyte;
inline constexpr std::size_t contract_methods_max = 100;
// Who waits for the next change of the entries (too_many_waiters), how long, and the versions that
// one answer tells of; further ones come with the next.
inline constexpr std::size_t registry_waiters_max = 100;
inline constexpr Duration registry_wait_most = 60s;
inline constexpr std::size_t registry_versions_told_max = 100;
// Endpoints of a dispatcher: invalid_field. How long one waits for its task unless it says so.
inline constexpr std::size_t endpoints_max = 1'000;
inline constexpr Duration endpoint_wait_default = 30s;
inline constexpr Duration endpoint_wait_most = 10min;
// A program of a user: its source, and what one run of it may take. memory_limit,
// instruction_limit. What runs longer than a slice lets others run in between.
inline constexpr std::size_t program_bytes_max = 1 * mebibyte;
inline constexpr std::size_t program_memory_default = 16 * mebibyte;
inline constexpr std::size_t program_memory_least = 64 * kibibyte;
inline constexpr std::uint64_t program_instructions_default = 100'000'000;  // without waiting
inline constexpr Duration program_time_max = 10s;                           // the same
inline constexpr std::uint64_t program_slice = 20'000;
inline constexpr std::size_t program_value_depth_max = 64;  // of tables handed in or out
// A pool of a function: calls at a time, and what waits for its turn (pool_full).
inline constexpr std::size_t pool_machines_default = 8;
inline constexpr std::size_t pool_machines_max = 1'024;
inline constexpr std::size_t pool_waiting_default = 1'000;
inline constexpr Duration pool_idle_default = 60s;
// Processes of a node, what waits for one of them, and for one of the lanes that carry messages.
inline constexpr std::size_t processes_max = 1'000'000;
inline constexpr std::size_t process_inbox_max = 1'024;
inline constexpr std::size_t relay_lanes = 4;
inline constexpr std::size_t relay_lane_packages_max = 1'024;
inline constexpr Duration send_wait_default = 5s;
// What one process may be told (message_too_large), and what may lie in its inbox (mailbox_full),
// as it lies in memory.
inline constexpr std::size_t message_bytes_max = 4 * mebibyte;
inline constexpr std::size_t process_inbox_bytes_max = 32 * mebibyte;
// What the node itself tells a process that does not read it: then it ends, as mailbox_full.
inline constexpr std::size_t process_signals_max = 16 * process_inbox_max;
// Of one process: messages to come later (too_many_timers); its name and a topic (invalid_field).
inline constexpr std::size_t process_timers_max = 1'024;
inline constexpr std::size_t process_name_bytes_max = 256;
inline constexpr std::size_t message_topic_bytes_max = 256;
// A text that a program has read, or written into the log; of an error: the rest is cut.
inline constexpr std::size_t program_text_bytes_max = 4 * mebibyte;  // else not_convertible
inline constexpr std::size_t program_line_bytes_max = 16 * kibibyte;
inline constexpr std::size_t program_error_bytes_max = 4 * kibibyte;
// What programs of a node hold together, messages too: host_memory_full.
inline constexpr std::uint64_t programs_memory_default = 2'048 * std::uint64_t{mebibyte};
static_assert(message_bytes_max < process_inbox_bytes_max && message_bytes_max < body_bytes_max);
// Programs that wait for a store: overloaded. Threads that wait for the disk in their place.
inline constexpr std::size_t store_questions_max = 10'000;
inline constexpr std::size_t store_threads = 2;
// Requests of programs under way at a time, those of processes and those of functions each, as each
// holds a thread. What waits for its turn, and how long: overloaded.
inline constexpr std::size_t program_exchanges_max = 64;
inline constexpr std::size_t exchange_waiting_max = 10'000;
inline constexpr Duration exchange_patience = 5s;
// Processes of one other node that are watched or linked to (too_many_watches), how long one look
// at them lasts, and how long a node may be away before it is lost (node_lost).
inline constexpr std::size_t node_watches_max = 10'000;
inline constexpr Duration node_look = 20s;
inline constexpr Duration node_lost_after = 5s;

// Shutdown: what is held may finish for this long.
inline constexpr Duration drain_timeout = 30s;

}  // namespace taskd::limits

// The view in one SQLite file: write-ahead log, every commit synced, one connection that has the
// file to itself. Long bodies of tasks lie in files beside it. Every call on one lane (any thread,
// one at a time).
#pragma once

#include <memory>
#include <string>

#include "taskd/port/files.hpp"
#include "taskd/port/view.hpp"
#include "taskd/port/view_copy.hpp"

namespace taskd::io {

struct SqliteViewSettings {
    std::string path;
    std::uint64_t store_id = 0;    // the view of another store is refused
    std::string vfs;               // SQLite's name of another file layer; empty: its own
    port::Files* files = nullptr;  // the same for the files beside it; none: the real disk
    // Pages in the write-ahead log from which it is copied back; also its bound but for one
    // store().
    std::size_t checkpoint_pages = 4'000;
    std::size_t cache_bytes = 8 * limits::mebibyte;
    // A payload or result beyond it gets a file: what is written again whenever a task changes
    // should be short. Below it a row is written faster than a file is synced.
    std::size_t row_body_bytes_max = 64 * limits::kibibyte;
    // Payloads and results of one page of a list: a thousand of a mebibyte would be too much.
    std::size_t page_bytes_max = 16 * limits::mebibyte;
    std::string bodies;  // the folder of those files; empty: `blobs` beside the view's file
    // Of another store's file: long bodies are read in `bodies`, and new ones stay in the rows.
    bool is_copy = false;
};

class SqliteView final : public port::View, public port::ViewCopy {
  public:
    // Makes the file if there is none. store_too_new, store_mismatch, view_corrupt, store_locked
    // (another process has it open), disk_full or io_failed.
    static Result<std::unique_ptr<SqliteView>> open(SqliteViewSettings settings);
    ~SqliteView() override;

    Result<port::ViewMark> mark() override;
    // After disk_full nothing was stored and it may be tried again; after any other error the
    // process has to end, and every later store() says the same.
    Result<void> store(const port::ViewChange& change) override;
    Result<std::vector<Task>> find(std::span<const TaskId> ids) override;
    Result<TaskPage> list(const TaskQuery& query) override;
    Result<std::vector<TaskId>> match(std::string_view part) override;
    Result<void> each_live(const std::function<void(const TaskHead&)>& take) override;
    Result<void> each_queue(const std::function<void(const QueueRules&)>& take) override;
    Result<void> each_operation(const std::function<void(const Operation&)>& take) override;
    Result<std::vector<TopicEvent>> events(const EventRange& range) override;
    Result<std::optional<EventSequence>> event_at(const std::string& topic, WallTime time) override;
    Result<void> each_topic(const std::function<void(const Topic&)>& take) override;
    Result<void> each_subscription(const std::function<void(const Subscription&)>& take) override;
    Result<void> each_letter(const std::function<void(const TopicChanges::Letter&)>& take) override;
    Result<void> each_event_id(const std::function<void(const TopicEvent&)>& take) override;
    Result<void> each_group(const std::function<void(const Group&)>& take) override;
    Result<void> each_schedule(const std::function<void(const Schedule&)>& take) override;
    Result<void> each_hold(const std::function<void(const WorkerHold&)>& take) override;
    Result<void> each_workflow(const std::function<void(const WholeWorkflow&)>& take) override;
    Result<std::shared_ptr<const WholeWorkflow>> find_workflow(WorkflowId id) override;
    Result<std::vector<Workflow>> list_workflows(const WorkflowQuery& query) override;
    Result<std::vector<WorkflowId>> workflows_to_drop(const port::OldWorkflows& asked) override;
    Result<void> each_key(const std::function<void(const KeyUse&)>& take) override;
    Result<std::vector<KeyUse>> find_keys(std::span<const std::string> keys) override;
    Result<std::optional<TaskId>> newest_ended() override;

    // The copy is a plain file of SQLite's, without a log beside it; sync it, and its folder.
    Result<std::optional<port::ViewCopied>> copy_some(const std::string& path,
                                                      const std::string& logs) override;
    void drop_copy() override;

    // Copies the log back into the file; tens of milliseconds. store() does it before a transaction
    // once the log is at its bound; a lane that has nothing to do may do it earlier.
    Result<void> checkpoint();
    std::size_t log_pages() const;

  private:
    port::TopicRows& topics();
    class Impl;
    explicit SqliteView(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> impl_;
};

}  // namespace taskd::io

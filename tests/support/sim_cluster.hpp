// A whole cluster in one process: dispatcher, name service and workers, the real classes, on a
// simulated world and simulated disks. The dispatcher's journal is the real FileJournal and its
// view the real SqliteView, both on the simulated disk. The same seed gives the same story.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "sim_files.hpp"
#include "sim_schedules.hpp"
#include "sim_world.hpp"
#include "taskd/port/log.hpp"
#include "taskd/service/dispatcher.hpp"
#include "taskd/service/name_service.hpp"
#include "taskd/service/worker.hpp"
#include "taskd/work/work.hpp"

namespace taskd::test {

struct ClusterOptions {
    std::uint64_t seed = 1;
    unsigned workers = 2;
    std::uint32_t slots = 3;  // of each worker
    SimOptions world;
    Duration lease = std::chrono::seconds{3};
    bool forgetful = false;  // ended tasks are kept for seconds, and few of them
    std::uint64_t disk_reserve = 0;
    protocol::ClusterKey key;
};

// What a client knows of a task it submitted.
struct Promise {
    TaskSpec spec;
    bool acknowledged = false;
    bool cancel_asked = false;
    bool redrive_asked = false;  // then it may end once more
    bool deleted = false;
    std::optional<TaskState> ended_as;  // as first seen
    std::string outcome;                // result or error as first seen
};

class SimCluster {
  public:
    explicit SimCluster(const ClusterOptions& options);
    ~SimCluster();

    SimWorld& world() { return world_; }
    support::SimFiles& disk() { return disk_; }
    Random& random() { return random_; }
    SimHost& host(const std::string& name) { return world_.host(name); }

    // Lives. Starting what runs, or killing what does not, does nothing.
    void start_dispatcher();
    void kill_dispatcher();
    void cut_power();  // of the dispatcher's machine: unsynced sectors are lost, kept or torn
    void start_nameservice();
    void kill_nameservice();
    void start_worker(unsigned number);
    void kill_worker(unsigned number);
    void drain_worker(unsigned number);
    bool dispatcher_runs() const { return dispatcher_ != nullptr; }
    service::Dispatcher& dispatcher();

    // One request to a role ("dispatcher", "nameservice") and its answer; with the right key unless
    // `headers` says otherwise.
    Result<port::HttpResponse> ask(const std::string& role, port::HttpRequest request);

    // The client: submits and asks again until it is answered.
    void submit(std::vector<TaskSpec> tasks);
    void submit_again(const TaskId& id);          // what was submitted before, word for word
    void submit_under_its_key(const TaskId& id);  // the same content, another id, the same key
    void cancel(const TaskId& id);
    // Pauses one of the workers that are there, or takes one back.
    void hold_worker();
    // As a group that submits a task of type "after" when it is done; said until it is taken.
    void submit_group(std::vector<TaskSpec> tasks);
    void redrive(const TaskId& id);
    // On all tasks of a search; what it may do to whom is noted before.
    void operate(OperationAction action, const std::string& search);
    // What an operator says; not said again when it is lost.
    void post(const std::string& target, std::string body, std::string method = "POST");
    void look(const TaskId& id);
    TaskSpec make_task(const std::string& type, std::string payload);

    // Runs the world, restarting a dispatcher whose machine lost its power or its disk.
    void run_for(Duration span);
    // Heals everything, starts everybody, waits until every acknowledged task has ended.
    bool settle(Duration limit);
    // Empty when all promises were kept; else what was broken.
    std::vector<std::string> broken_promises();

    SimSchedules& schedules() { return schedules_; }
    const std::map<TaskId, Promise>& promises() const { return promises_; }
    const std::vector<std::uint64_t>& row_hits();  // over all lives, replays not counted
    std::uint64_t failed_starts() const { return failed_starts_; }
    std::uint64_t keys_met() const { return keys_met_; }
    std::uint64_t groups_done() const { return groups_done_; }
    // Tasks may be gone again because of what was asked for.
    bool lets_go() const {
        return options_.forgetful || operated_.contains(OperationAction::remove);
    }
    bool operated() const { return !operated_.empty(); }
    std::uint64_t gone() const { return gone_.size(); }
    std::uint64_t bodies_read() const { return bodies_read_; }  // by the lives that are over

  private:
    struct DispatcherLife;
    struct NameServiceLife;
    struct WorkerLife;

    port::HttpHeaders key_header() const;
    void start_failed(const Error& error);
    void gather_rows();
    void check_idle();
    void notice_lost_disk();
    void check_groups();
    void check_kept();
    void witness(const RecordBatch& batch);
    std::string why_kept(const TaskId& id);
    void post_group(std::shared_ptr<std::string> body, std::vector<TaskId> ids, GroupId id);
    void post_tasks(std::vector<TaskId> ids, std::shared_ptr<std::string> body);
    void seen(const TaskId& id, std::string_view body);
    bool all_ended();
    bool is_quiet();
    SimHost& client() { return world_.host("client"); }

    ClusterOptions options_;
    Random random_;
    SimWorld world_;
    support::SimFiles disk_;
    support::SimFiles name_disk_;
    std::map<TaskId, Promise> promises_;
    std::map<GroupId, bool> groups_;      // and whether it is acknowledged
    std::set<OperationAction> operated_;  // kinds of operations begun
    SimSchedules schedules_{*this};
    std::set<TaskId> gone_;                 // deleted, by whomever
    std::vector<std::string> faults_seen_;  // promises already seen broken
    std::vector<std::uint64_t> row_hits_;
    std::uint64_t failed_starts_ = 0;
    std::uint64_t bodies_read_ = 0;
    std::uint64_t keys_met_ = 0;
    std::uint64_t groups_done_ = 0;
    std::uint64_t lives_ = 0;
    // They go first: a dispatcher's lanes finish what they were given, and that is witnessed.
    std::unique_ptr<DispatcherLife> dispatcher_;
    std::unique_ptr<NameServiceLife> nameservice_;
    std::map<unsigned, std::unique_ptr<WorkerLife>> workers_;
};

// The types that simulated workers know: "echo", "sleep" (payload: milliseconds), "flaky" (fails
// now and then), "broken" (fails for good), "heavy" (a result that no datagram holds).
std::span<const work::WorkType> sim_work_table();
// What a task of such a type must come to when it succeeds.
std::string expected_result(const TaskSpec& spec);

}  // namespace taskd::test

#include "sim_cluster.hpp"

#include <algorithm>
#include <charconv>

#include "files_vfs.hpp"
#include "memory_metrics.hpp"
#include "taskd/io/file_journal.hpp"
#include "taskd/io/file_task_logs.hpp"
#include "taskd/io/sqlite_view.hpp"
#include "taskd/io/workflow_text.hpp"
#include "taskd/protocol/json.hpp"
#include "taskd/protocol/target.hpp"
#include "taskd/protocol/task_json.hpp"
#include "taskd/service/builtin_runner.hpp"
#include "witness_journal.hpp"

namespace taskd::test {
namespace {

using namespace std::chrono_literals;

constexpr std::uint16_t dispatcher_port = 4000;
constexpr std::uint16_t nameservice_port = 5001;
constexpr std::uint16_t worker_port = 6000;

// What a forgetful dispatcher keeps: a little, so that a short life sees it go.
constexpr Duration forgets_at_least = 4s, forgets_after = 12s;
constexpr service::RetentionSettings short_memory{.keep = forgets_after,
                                                  .keep_dead = 2 * forgets_after,
                                                  .count = 10,
                                                  .least = forgets_at_least,
                                                  .interval = 1s};

class QuietLog final : public port::Log {
  public:
    bool takes(port::LogLevel) const override { return false; }
    void write(port::LogLevel, std::string_view, Fields) override {}
};

// Set by the cluster that runs: work functions are plain functions.
thread_local Random* work_chance = nullptr;

using Outcome = std::expected<work::Outcome, TaskError>;

Outcome echo(std::string_view payload) {
    return work::Outcome{std::string{payload}};
}

Outcome sleep(std::string_view payload) {
    std::int64_t ms = 0;
    std::from_chars(payload.data(), payload.data() + payload.size(), ms);
    return work::Outcome{std::string{payload}, std::chrono::milliseconds{ms}};
}

Outcome flaky(std::string_view payload) {
    if (work_chance->chance(1, 2))
        return std::unexpected{TaskError{"flaky", "not this time", false}};
    return work::Outcome{std::string{payload}, 10ms};
}

Outcome broken(std::string_view) {
    return std::unexpected{TaskError{"bad_payload", "never", true}};
}

Outcome heavy(std::string_view payload) {
    return work::Outcome{"\"" + std::string(3'000, 'x') + "\"", Duration{payload.size()}};
}

constexpr work::WorkType rows[] = {{"echo", "", echo},   {"sleep", "", sleep},
                                   {"flaky", "", flaky}, {"broken", "", broken},
                                   {"heavy", "", heavy}, {"after", "", echo}};

}  // namespace

std::span<const work::WorkType> sim_work_table() {
    return rows;
}

std::string expected_result(const TaskSpec& spec) {
    if (spec.type == "heavy") return "\"" + std::string(3'000, 'x') + "\"";
    return std::string{spec.payload.view()};
}

struct SimCluster::DispatcherLife {
    QuietLog log;
    std::unique_ptr<WitnessJournal> journal;
    std::unique_ptr<support::FilesVfs> vfs;
    std::unique_ptr<io::SqliteView> view;
    std::unique_ptr<io::FileTaskLogs> logs;
    // Behind what their jobs use: a lane finishes its jobs when it goes.
    std::unique_ptr<port::Background> journal_lane, space_lane, view_lane, log_lane;
    std::unique_ptr<port::Datagram> socket;
    MemoryMetrics metrics;
    std::unique_ptr<service::Dispatcher> service;
    std::vector<std::uint64_t> rows_at_start;
    bool lost_disk = false;
};

struct SimCluster::NameServiceLife {
    QuietLog log;
    std::unique_ptr<port::Background> lane;
    MemoryMetrics metrics;
    std::unique_ptr<service::NameService> service;
    std::unique_ptr<service::HttpFront> front;
};

struct SimCluster::WorkerLife {
    QuietLog log;
    std::vector<std::unique_ptr<port::Background>> lanes;
    std::vector<std::unique_ptr<port::Datagram>> sockets;
    std::vector<std::unique_ptr<service::TaskRunner>> runners;
    std::vector<std::unique_ptr<service::Worker>> services;  // one a type
    std::size_t drained = 0;
};

SimCluster::SimCluster(const ClusterOptions& options)
    : options_{options},
      random_{options.seed},
      world_{random_.next(), options.world},
      disk_{random_.next()},
      name_disk_{random_.next()},
      row_hits_(state_table().size(), 0) {
    work_chance = &random_;
    start_nameservice();
    start_dispatcher();
    for (unsigned i = 0; i < options_.workers; ++i)
        start_worker(i);
}

SimCluster::~SimCluster() = default;

service::Dispatcher& SimCluster::dispatcher() {
    return *dispatcher_->service;
}

namespace {

// Its bounds are met often.
io::SqliteViewSettings small_view(const std::string& vfs, port::Files& files) {
    return {.path = "data/view.db",
            .store_id = 7,
            .vfs = vfs,
            .files = &files,
            .checkpoint_pages = 50,
            .row_body_bytes_max = 2'000};
}

}  // namespace

void SimCluster::start_dispatcher() {
    if (dispatcher_) return;
    if (!disk_.powered()) disk_.power_on();
    SimHost& at = host("dispatcher");
    if (!at.is_up()) world_.boot(at);
    auto life = std::make_unique<DispatcherLife>();
    life->journal_lane = at.make_lane();
    life->space_lane = at.make_lane();
    life->view_lane = at.make_lane();
    life->log_lane = at.make_lane();
    life->logs = std::make_unique<io::FileTaskLogs>(disk_, io::FileTaskLogsSettings{"data/logs"});
    io::FileJournalSettings journal{.dir = "data/journal", .store_id = 7};
    journal.salt_seed = random_.next();
    journal.segment_bytes = 96 * limits::kibibyte;
    journal.first_bytes = 32 * limits::kibibyte;
    journal.frame_bytes_max = 64 * limits::kibibyte;
    journal.retain_age = 1s;
    journal.retain_bytes = 0;
    life->journal = std::make_unique<WitnessJournal>(
        std::make_unique<io::FileJournal>(disk_, at.clock(), journal),
        [this](const RecordBatch& batch) { witness(batch); });
    if (auto made = disk_.make_dir("data"); !made) return start_failed(made.error());
    life->vfs = std::make_unique<support::FilesVfs>(disk_);
    auto view = io::SqliteView::open(small_view(life->vfs->name(), disk_));
    if (!view) return start_failed(view.error());
    life->view = std::move(*view);
    life->socket = std::move(*at.bind(dispatcher_port));
    service::DispatcherSettings settings;
    settings.core.engine.lease_duration = options_.lease;
    settings.core.engine.ended_in_memory_max = 20;
    settings.core.engine.waiting_bytes_max = 3'000;
    settings.core.engine.keys_in_memory_max = 3;
    settings.core.batch_bytes_soft = 16 * limits::kibibyte;
    settings.workers.key = options_.key;
    settings.workers.store_id = "0000000000000007";
    settings.workers.session = SessionId{random_.next() | 1};
    settings.workers.http_port = dispatcher_port;
    settings.workers.lease_duration = options_.lease;
    settings.nameservice_url = "http://nameservice:5001";
    settings.seed = random_.next();
    settings.disk = {.dir = "data", .reserve = options_.disk_reserve};
    if (options_.forgetful) settings.retention = short_memory;
    if (options_.forgetful) settings.core.clock_believed_after = forgets_at_least;
    DispatcherLife* raw = life.get();
    life->service = std::make_unique<service::Dispatcher>(
        settings,
        service::DispatcherPorts{
            {*life->journal, *life->view, *life->journal_lane, *life->space_lane, *life->view_lane,
             at.clock(), at.timers(), life->log},
            *life->socket,
            at.resolver(),
            at.http(),
            *life->logs,
            *life->log_lane,
            at.calendar(),
            *life->journal,
            *life->log_lane,
            &life->metrics,
            &disk_,
            life->view.get(),
            io::read_workflow_text,
            life->log_lane.get()},
        [raw](const Error&) { raw->lost_disk = true; });
    dispatcher_ = std::move(life);
    if (auto started = raw->service->start(); !started) return start_failed(started.error());
    raw->rows_at_start = raw->service->core().engine().row_hits();
    (void)at.serve(dispatcher_port, raw->service->front());
    ++lives_;
}

// A disk that fails or is full while a process starts ends it; it is started again later.
void SimCluster::start_failed(const Error& error) {
    const bool disk = error.code == ErrorCode::io_failed || error.code == ErrorCode::disk_full;
    if (disk_.powered() && !disk) faults_seen_.push_back("start failed: " + error.to_string());
    disk_.faults = {};
    ++failed_starts_;
    cut_power();
}

void SimCluster::gather_rows() {
    if (!dispatcher_ || dispatcher_->rows_at_start.empty()) return;
    for (const std::string& fault : dispatcher_->service->core().engine().faults())
        faults_seen_.push_back("a leak: " + fault);
    bodies_read_ += dispatcher_->service->core().bodies_read();
    const auto& now = dispatcher_->service->core().engine().row_hits();
    for (std::size_t i = 0; i < now.size(); ++i)
        row_hits_[i] += now[i] - std::exchange(dispatcher_->rows_at_start[i], now[i]);
}

const std::vector<std::uint64_t>& SimCluster::row_hits() {
    gather_rows();
    return row_hits_;
}

// The process dies, the machine lives: what was written stays, synced or not.
void SimCluster::kill_dispatcher() {
    if (!dispatcher_) return;
    gather_rows();
    world_.crash(host("dispatcher"));
    dispatcher_.reset();
}

void SimCluster::cut_power() {
    if (disk_.powered()) disk_.cut_power();
    kill_dispatcher();
}

void SimCluster::notice_lost_disk() {
    if (dispatcher_ && (dispatcher_->lost_disk || !disk_.powered())) {
        cut_power();
        disk_.faults.cut_at = 0;
        disk_.faults.sync_fails_at = 0;
    }
}

// Why the task must not be deleted by retention yet; empty when it may.
std::string SimCluster::why_kept(const TaskId& id) {
    const auto rows = dispatcher_->view->find({&id, 1});
    if (!rows) return {};  // no disk to ask
    if (rows->empty()) return id.to_string() + " is not in the view";
    const Task& task = rows->front();
    if (!is_terminal(task.state) || task.lease || !task.ended_at)
        return id.to_string() + " had not ended";
    SimHost& at = host("dispatcher");
    const Duration age = at.clock().wall() - *task.ended_at;
    // A clock that was set between its end and now says nothing.
    if (!options_.forgetful || (age < forgets_at_least && !at.clock_was_set()))
        return id.to_string() + " was " + std::to_string(age.count()) + " us old";
    return {};
}

void SimCluster::start_nameservice() {
    if (nameservice_) return;
    if (!name_disk_.powered()) name_disk_.power_on();
    SimHost& at = host("nameservice");
    if (!at.is_up()) world_.boot(at);
    auto life = std::make_unique<NameServiceLife>();
    life->lane = at.make_lane();
    life->service = std::make_unique<service::NameService>(
        service::NameServiceSettings{"registry", 2s, 6s}, name_disk_, *life->lane, at.clock(),
        at.timers(), life->log);
    if (auto loaded = life->service->load(); !loaded)
        faults_seen_.push_back("registry not read back: " + loaded.error().to_string());
    life->front = std::make_unique<service::HttpFront>(
        options_.key, "nameservice", [] { return std::nullopt; },
        service::FrontWatch{.clock = &at.clock(), .metrics = &life->metrics});
    life->metrics.add([raw = life.get()](port::MetricSink& sink) { raw->service->report(sink); });
    life->service->add_routes(*life->front);
    nameservice_ = std::move(life);
    (void)at.serve(nameservice_port, *nameservice_->front);
}

void SimCluster::kill_nameservice() {
    if (!nameservice_) return;
    world_.crash(host("nameservice"));
    name_disk_.cut_power();
    nameservice_.reset();
}

void SimCluster::start_worker(unsigned number) {
    if (workers_[number]) return;
    const std::string name = "worker" + std::to_string(number);
    SimHost& at = host(name);
    if (!at.is_up()) world_.boot(at);
    auto life = std::make_unique<WorkerLife>();
    std::uint16_t port = worker_port;
    for (const work::WorkType& type : sim_work_table()) {
        life->lanes.push_back(at.make_lane());
        life->sockets.push_back(std::move(*at.bind(port)));
        service::WorkerSettings settings;
        const SessionId session{random_.next() | 1};
        settings.registration = {
            name + "-" + std::string{type.name} + "-" + protocol::write_session(session).substr(8),
            session,
            std::string{type.name},
            name,
            port,
            options_.slots,
            "{}",
            {},
            {}};
        settings.nameservice_url = "http://nameservice:5001";
        settings.key = options_.key;
        settings.heartbeat = 2s;
        life->runners.push_back(std::make_unique<service::BuiltinRunner>(type, *life->lanes.back(),
                                                                         at.clock(), at.timers()));
        life->services.push_back(std::make_unique<service::Worker>(
            settings, *life->runners.back(),
            service::WorkerPorts{*life->sockets.back(), at.http(), at.clock(), at.timers(),
                                 life->log}));
        ++port;
    }
    workers_[number] = std::move(life);
}

void SimCluster::kill_worker(unsigned number) {
    if (!workers_[number]) return;
    world_.crash(host("worker" + std::to_string(number)));
    workers_[number].reset();
}

// The worker leaves in order; once it has gone the next start makes a new one.
void SimCluster::drain_worker(unsigned number) {
    if (!workers_[number] || workers_[number]->drained > 0) return;
    WorkerLife* life = workers_[number].get();
    for (auto& service : life->services)
        service->drain([life] { ++life->drained; });
}

port::HttpHeaders SimCluster::key_header() const {
    port::HttpHeaders headers;
    service::add_key(headers, options_.key);
    return headers;
}

Result<port::HttpResponse> SimCluster::ask(const std::string& role, port::HttpRequest request) {
    if (port::find_header(request.headers, "Authorization").empty())
        service::add_key(request.headers, options_.key);
    const std::string url = "http://" + role + (role == "dispatcher" ? ":4000" : ":5001");
    std::optional<Result<port::HttpResponse>> answer;
    client().http().send(url, std::move(request), 60s,
                         [&](Result<port::HttpResponse> got) { answer = std::move(got); });
    world_.run_until([&] { return answer.has_value(); }, 120s);
    return answer ? std::move(*answer) : fail(ErrorCode::timed_out);
}

TaskSpec SimCluster::make_task(const std::string& type, std::string payload) {
    TaskSpec spec;
    spec.id = TaskId::make(client().clock().wall(), random_);
    spec.type = type;
    spec.payload = Blob{std::move(payload)};
    return spec;
}

void SimCluster::submit(std::vector<TaskSpec> tasks) {
    std::vector<TaskId> ids;
    for (const TaskSpec& spec : tasks) {
        ids.push_back(spec.id);
        promises_[spec.id].spec = spec;
    }
    post_tasks(std::move(ids),
               std::make_shared<std::string>(protocol::write_submit(tasks, tasks.size() > 1)));
}

void SimCluster::submit_again(const TaskId& id) {
    // Into a group that is closed only what is there comes again.
    const Promise& promise = promises_.at(id);
    const bool there = promise.acknowledged && !lets_go();
    if (promise.spec.group && !there) return;
    post_tasks({id}, std::make_shared<std::string>(
                         protocol::write_submit({promises_.at(id).spec}, false)));
}

// What was acknowledged answers for its key.
void SimCluster::submit_under_its_key(const TaskId& id) {
    const Promise& promise = promises_.at(id);
    if (promise.spec.idempotency_key.empty() || !promise.acknowledged) return;
    if (promise.spec.group && lets_go()) return;
    TaskSpec again = promise.spec;
    again.id = TaskId::make(client().clock().wall(), random_);
    client().http().send(
        "http://dispatcher:4000",
        {"POST", "/v1/tasks", key_header(), protocol::write_submit({again}, false)}, 2s,
        [this, id](Result<port::HttpResponse> answer) {
            if (!answer || answer->status >= 500 || answer->status == 429) return;
            ++keys_met_;
            // The key of a task that is deleted is anybody's.
            if (operated_.contains(OperationAction::remove)) return;
            if (answer->body.find("\"" + id.to_string() + "\"") == std::string::npos)
                faults_seen_.push_back("the key of " + id.to_string() + " gave " + answer->body);
        });
}

// As the command line does: no answer is no refusal, the same ids go out again.
void SimCluster::post_tasks(std::vector<TaskId> ids, std::shared_ptr<std::string> body) {
    client().http().send(
        "http://dispatcher:4000", {"POST", "/v1/tasks", key_header(), *body}, 2s,
        [this, ids, body](Result<port::HttpResponse> answer) {
            const bool taken = answer && answer->status == 202;
            if (taken) {
                for (const TaskId& id : ids)
                    promises_.at(id).acknowledged = true;
                return;
            }
            if (answer && answer->status < 500 && answer->status != 429) {
                const bool gone = lets_go() && promises_.at(ids.front()).spec.group;
                if (gone) return;
                faults_seen_.push_back("submit refused: " + answer->body);
            }
            world_.at(world_.now() + 500ms, [this, ids, body] { post_tasks(ids, body); });
        });
}

void SimCluster::cancel(const TaskId& id) {
    promises_.at(id).cancel_asked = true;
    client().http().send("http://dispatcher:4000",
                         {"POST", "/v1/tasks/" + id.to_string() + "/cancel", key_header(), "{}"},
                         2s, [](Result<port::HttpResponse>) {});
}

void SimCluster::post(const std::string& target, std::string body, std::string method) {
    client().http().send("http://dispatcher:4000",
                         {std::move(method), target, key_header(), std::move(body)}, 2s,
                         [](Result<port::HttpResponse>) {});
}

void SimCluster::look(const TaskId& id) {
    client().http().send(
        "http://dispatcher:4000",
        {"GET", "/v1/tasks/" + id.to_string() + "/result", key_header(), ""}, 2s,
        // Asked before it was acknowledged, the answer may be older than that.
        [this, id,
         acknowledged = promises_.at(id).acknowledged](Result<port::HttpResponse> answer) {
            if (!answer) return;
            Promise& promise = promises_.at(id);
            if (answer->status == 404 && gone_.contains(id)) {
                promise.deleted = true;
                return;
            }
            if (answer->status == 404 && acknowledged)
                faults_seen_.push_back("acknowledged, then unknown: " + id.to_string());
            if (answer->status == 200) seen(id, answer->body);
        });
}

// An end once seen is the end for good.
void SimCluster::seen(const TaskId& id, std::string_view body) {
    Promise& promise = promises_.at(id);
    std::optional<TaskState> state;
    std::string outcome;
    const auto fields = protocol::split_object(body);
    for (const auto& [key, raw] : *fields) {
        if (key == "state") state = parse_task_state(*protocol::read_string(raw, key));
        if (key == "result" || key == "error") outcome = raw;
    }
    if (!state || !is_terminal(*state)) {
        faults_seen_.push_back("a result without an end: " + std::string{body});
        return;
    }
    const bool may_end_again = promise.redrive_asked ||
                               operated_.contains(OperationAction::redrive) ||
                               gone_.contains(id);  // and said again
    if (promise.ended_as && !may_end_again &&
        (promise.ended_as != state || promise.outcome != outcome))
        faults_seen_.push_back("ended twice: " + id.to_string() + " " + promise.outcome + " then " +
                               outcome);
    promise.ended_as = state;
    promise.outcome = outcome;
    if (state == TaskState::succeeded && outcome != expected_result(promise.spec))
        faults_seen_.push_back("wrong result of " + promise.spec.type + ": " + outcome);
    if (state == TaskState::cancelled && !promise.cancel_asked &&
        !operated_.contains(OperationAction::cancel))
        faults_seen_.push_back("cancelled by nobody: " + id.to_string());
}

// Beyond what a host that stands still adds.
void SimCluster::check_idle() {
    constexpr Duration pause_most = 10s;
    if (!dispatcher_ || dispatcher_->rows_at_start.empty()) return;
    const Duration idle = dispatcher_->service->core().idle_with_work();
    if (idle > limits::idle_with_work_max + pause_most)
        faults_seen_.push_back("work waits beside idle workers");
}

void SimCluster::run_for(Duration span) {
    check_idle();
    const Duration end = world_.now() + span;
    while (world_.now() < end) {
        world_.run_until(
            [this] { return dispatcher_ && (dispatcher_->lost_disk || !disk_.powered()); },
            end - world_.now());
        if (!dispatcher_ || (!dispatcher_->lost_disk && disk_.powered())) {
            world_.run_until(end);
            break;
        }
        notice_lost_disk();
        world_.run_for(100ms);
        start_dispatcher();
    }
}

bool SimCluster::all_ended() {
    const bool kept = std::ranges::all_of(promises_, [](const auto& each) {
        const Promise& promise = each.second;
        return promise.acknowledged && (promise.ended_as || promise.deleted);
    });
    return kept && dispatcher_ && is_quiet();
}

// Nothing waits, nothing runs, no operation is on its way.
bool SimCluster::is_quiet() {
    const auto& engine = dispatcher().core().engine();
    return std::ranges::all_of(engine.queues(),
                               [](const engine::QueueFigures& queue) {
                                   return queue.queued + queue.running + queue.scheduled == 0;
                               }) &&
           std::ranges::none_of(engine.operations(), [](const auto& each) {
               return each.second.state == OperationState::running;
           });
}

bool SimCluster::settle(Duration limit) {
    world_.heal_all();
    world_.options().net.loss = world_.options().net.duplicate = world_.options().net.late = 0;
    world_.options().http.request_loss = world_.options().http.answer_loss = 0;
    disk_.faults = {};
    const Duration end = world_.now() + limit;
    while (world_.now() < end && !all_ended()) {
        notice_lost_disk();
        start_nameservice();
        start_dispatcher();
        for (unsigned i = 0; i < options_.workers; ++i) {
            if (workers_[i] && workers_[i]->drained > 0 &&
                workers_[i]->drained == workers_[i]->services.size())
                kill_worker(i);
            start_worker(i);
        }
        schedules_.pause_all();
        for (const char* type : {"echo", "sleep", "flaky", "heavy"}) {
            const std::string queue = std::string{"/v1/queues/"} + type;
            post(queue, "{}", "PUT");
            post(queue + "/resume", "");
            post(queue + "/resume", "{\"key\":\"acme\"}");
        }
        std::vector<std::string> held;
        if (dispatcher_)
            for (const auto& [name, hold] : dispatcher().core().engine().holds())
                held.push_back(name);
        for (const std::string& name : held)
            post("/v1/workers/" + name + "/resume", "");
        for (const auto& [id, promise] : promises_)
            if (promise.acknowledged && !promise.ended_as && !promise.deleted) look(id);
        // A task put off under a clock set ahead may have hours to go.
        run_for(end - world_.now() < limit - 5min ? 1min : 2s);
    }
    const bool kept = all_ended();
    if (kept) check_groups();
    if (kept) check_kept();
    return kept;
}

std::vector<std::string> SimCluster::broken_promises() {
    for (const auto& [id, promise] : promises_)
        if (!promise.acknowledged || (!promise.ended_as && !promise.deleted))
            faults_seen_.push_back((promise.acknowledged ? "never ended: " : "never taken: ") +
                                   promise.spec.type + " " + id.to_string());
    return std::exchange(faults_seen_, {});
}

}  // namespace taskd::test

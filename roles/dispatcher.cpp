// The dispatcher role. Wiring only: what may happen to a task is in src/engine.
#include "taskd/service/dispatcher.hpp"

#include <algorithm>
#include <cstdlib>

#include "door.hpp"
#include "split_list.hpp"
#include "taskd/io/entropy.hpp"
#include "taskd/io/file_journal.hpp"
#include "taskd/io/file_task_logs.hpp"
#include "taskd/io/http_exchange.hpp"
#include "taskd/io/lane.hpp"
#include "taskd/io/memory.hpp"
#include "taskd/io/posix_files.hpp"
#include "taskd/io/resolver.hpp"
#include "taskd/io/sqlite_view.hpp"
#include "taskd/io/store_dir.hpp"
#include "taskd/io/workflow_text.hpp"
#include "taskd/io/zone_calendar.hpp"
#include "taskd/protocol/task_json.hpp"
#include "taskd/runtime/boot.hpp"

namespace taskd::roles {
namespace {

// What stands in place of a number of bytes: a share of the disk, or of the memory.
constexpr std::string_view by_share = "auto";
// Where processors are scarce new work goes before what the view still has to do.
constexpr int view_niceness = 5;

std::size_t burst_memory(const Options& options) {
    if (options.text("burst-memory") != by_share) return options.bytes("burst-memory");
    const auto share = static_cast<std::size_t>(io::memory_there() / limits::unviewed_part);
    return std::max(share, limits::unviewed_bytes_least);
}

std::size_t backlog_memory(const Options& options) {
    if (options.text("backlog-memory") != by_share) return options.bytes("backlog-memory");
    const auto share = static_cast<std::size_t>(io::memory_there() / 8 * limits::backlog_parts);
    return std::max(share, limits::backlog_bytes_least);
}

std::map<std::string, std::string> variables(const std::string& names) {
    std::map<std::string, std::string> found;
    for (const std::string& name : split_list(names))
        if (const char* value = std::getenv(name.c_str())) found[name] = value;
    return found;
}

// The data directory with its journal and its view.
class StorePart {
  public:
    static Result<std::unique_ptr<StorePart>> make(Ground& ground, const std::string& dir,
                                                   std::uint64_t logs_bytes_max) {
        auto files = io::make_posix_files();
        Random random{io::random_seed()};
        auto store = io::open_store(*files, dir, random);
        if (!store) return fail(std::move(store));
        std::unique_ptr<StorePart> part{new StorePart{std::move(files), std::move(*store), dir}};
        part->journal = std::make_unique<io::FileJournal>(
            *part->files_, *ground.clock,
            io::FileJournalSettings{.dir = part->store_.paths.journal,
                                    .store_id = part->store_.id,
                                    .salt_seed = random.next()});
        auto view = io::SqliteView::open({.path = part->store_.paths.view,
                                          .store_id = part->store_.id,
                                          .files = part->files_.get(),
                                          .bodies = part->store_.paths.bodies});
        if (!view) return fail(std::move(view));
        part->view = std::move(*view);
        part->logs = std::make_unique<io::FileTaskLogs>(
            *part->files_,
            io::FileTaskLogsSettings{.dir = part->store_.paths.logs, .bytes_max = logs_bytes_max});
        return part;
    }

    port::Files& files() const { return *files_; }
    const std::string& dir() const { return dir_; }
    std::string id() const { return protocol::write_session(SessionId{store_.id}); }

    std::unique_ptr<io::FileJournal> journal;
    std::unique_ptr<io::SqliteView> view;
    std::unique_ptr<io::FileTaskLogs> logs;

  private:
    StorePart(std::unique_ptr<port::Files> files, io::Store store, std::string dir)
        : files_{std::move(files)}, store_{std::move(store)}, dir_{std::move(dir)} {}

    std::unique_ptr<port::Files> files_;
    io::Store store_;
    std::string dir_;
};

// The service on its lanes.
class DispatcherPart {
  public:
    DispatcherPart(Ground& ground, Door& door, StorePart& store, const Options& options)
        : door_{door},
          journal_lane_{ground.loop, "journal"},
          space_lane_{ground.loop, "space"},
          view_lane_{ground.loop, "view", view_niceness},
          log_lane_{ground.loop, "logs"},
          events_lane_{ground.loop, "events"},
          document_lane_{ground.loop, "documents"},
          resolver_{ground.loop},
          http_{ground.loop},
          webhook_http_{ground.loop,
                        {.threads_max = service::Webhooks::calls_max,
                         .answer_bytes_max = service::Webhooks::answer_bytes_max,
                         .cut_answers = true}},
          hosts_{ground.loop, {.threads_max = 64, .waiting_max = 1'000}},
          service_{settings(ground, door, store, options),
                   {{*store.journal, *store.view, journal_lane_, space_lane_, view_lane_,
                     *ground.clock, ground.loop, *ground.log},
                    door.udp(),
                    resolver_,
                    http_,
                    *store.logs,
                    log_lane_,
                    calendar_,
                    *store.journal,
                    events_lane_,
                    &ground.metrics,
                    &store.files(),
                    store.view.get(),
                    io::read_workflow_text,
                    &document_lane_,
                    ground.bus.get(),
                    &webhook_http_,
                    &hosts_},
                   ground.lost_disk()} {}

    Result<void> start() {
        if (auto started = service_.start(); !started) return started;
        door_.open(service_.front());
        return {};
    }
    void drain(std::function<void()> done) { service_.drain(std::move(done)); }
    void stop() {
        http_.stop();
        webhook_http_.stop();
        hosts_.stop();
    }

  private:
    static service::DispatcherSettings settings(const Ground& ground, const Door& door,
                                                const StorePart& store, const Options& options) {
        service::DispatcherSettings made;
        made.core.engine.lease_duration = options.duration("lease");
        made.core.unviewed_bytes_max = burst_memory(options);
        made.core.backlog_bytes_max = backlog_memory(options);
        made.workers.store_id = store.id();
        made.workers.key = ground.key;
        made.workers.session = SessionId{io::random_seed() | 1};
        made.workers.http_port = door.port();
        made.workers.lease_duration = options.duration("lease");
        made.nameservice_url = options.text("nameservice");
        made.retention.keep = options.duration("keep");
        made.retention.keep_dead = options.duration("keep-dead");
        made.workflows.keep = made.retention.keep;
        made.workflows.env = variables(options.text("workflow-env"));
        made.retention.count = static_cast<std::uint64_t>(options.number("keep-count"));
        made.disk.dir = store.dir();
        if (options.text("disk-reserve") != by_share)
            made.disk.reserve = options.bytes("disk-reserve");
        made.seed = io::random_seed();
        made.metrics_open = ground.metrics_open;
        made.is_public = ground.is_public();
        return made;
    }

    Door& door_;
    io::Lane journal_lane_;
    io::Lane space_lane_;
    io::Lane view_lane_;
    io::Lane log_lane_;
    io::Lane events_lane_;
    io::Lane document_lane_;
    io::Resolver resolver_;
    io::HttpExchange http_;
    io::HttpExchange webhook_http_;
    io::HttpExchange hosts_;  // calls of functions last, and are not to hold up the others
    io::ZoneCalendar calendar_;
    service::Dispatcher service_;
};

int run(const Options& options) {
    auto made = make_ground(options, {.role = "dispatcher"});
    if (!made) return report(made.error());
    Ground& ground = **made;
    runtime::Boot boot{ground.loop, *ground.clock, *ground.log,
                       boot_settings(options, ground.steps)};
    auto door = boot.add<Door>("door", std::ref(ground));
    auto store = boot.add<StorePart>("store", std::ref(ground), options.text("data"),
                                     options.bytes("task-logs-max"));
    auto dispatcher =
        boot.add<DispatcherPart>("dispatcher", std::ref(ground), door, store, std::cref(options));
    boot.add<Announcement>("announcement", std::ref(ground), door, dispatcher);
    return boot.run();
}

}  // namespace

namespace {

// How long what has ended is kept, and what is kept free of the disk.
std::vector<OptionRow> upkeep_rows() {
    constexpr std::int64_t least = limits::kept_at_least.count();
    return {{.name = "keep",
             .kind = OptionKind::duration,
             .value = "TIME",
             .fallback = "7d",
             .help = "how long ended tasks are kept, from 1h on",
             .least = least},
            {.name = "keep-dead",
             .kind = OptionKind::duration,
             .value = "TIME",
             .fallback = "30d",
             .help = "how long dead ones are kept, from 1h on",
             .least = least},
            {.name = "keep-count",
             .kind = OptionKind::number,
             .value = "N",
             .fallback = "10000000",
             .help = "ended tasks kept in all; the oldest go"},
            {.name = "disk-reserve",
             .kind = OptionKind::bytes,
             .value = "SIZE",
             .fallback = by_share,
             .help = "free space below which new tasks are refused; auto: 5 % and at most 1GiB",
             .word = by_share},
            {.name = "burst-memory",
             .kind = OptionKind::bytes,
             .value = "SIZE",
             .fallback = by_share,
             .help = "for tasks taken faster than the view writes; auto: an eighth of the memory",
             .least = limits::unviewed_bytes_least,
             .word = by_share},
            {.name = "backlog-memory",
             .kind = OptionKind::bytes,
             .value = "SIZE",
             .fallback = by_share,
             .help = "for what is known of waiting tasks, 112 B each; auto: 3/8 of the memory",
             .least = limits::backlog_bytes_least,
             .word = by_share}};
}

std::vector<OptionRow> dispatcher_rows() {
    std::vector<OptionRow> rows{{.name = "data",
                                 .value = "DIR",
                                 .fallback = "taskd-data/dispatcher",
                                 .help = "where journal and view lie"},
                                {.name = "nameservice",
                                 .value = "URL",
                                 .fallback = "http://127.0.0.1:5001",
                                 .help = "who knows the workers"},
                                {.name = "lease",
                                 .kind = OptionKind::duration,
                                 .value = "TIME",
                                 .fallback = "15s",
                                 .help = "how long a silent worker keeps a task",
                                 .least = 100'000},
                                {.name = "task-logs-max",
                                 .kind = OptionKind::bytes,
                                 .value = "SIZE",
                                 .fallback = "1GiB",
                                 .help = "what tasks print, all of them; the oldest goes",
                                 .least = limits::logs_bytes_least},
                                {.name = "workflow-env",
                                 .value = "NAMES",
                                 .help = "variables of its environment that workflows may read, "
                                         "with commas"}};
    for (const OptionRow& row : upkeep_rows())
        rows.push_back(row);
    return with_role_rows(std::move(rows), "4000");
}

}  // namespace

const Command& dispatcher_command() {
    static const Command command{
        {.name = "dispatcher",
         .arguments = "",
         .summary = "take tasks, lease them to workers, keep the results",
         .text = {},
         .options = dispatcher_rows(),
         .kind = PageKind::role,
         .examples = {{"taskd dispatcher --data /var/lib/taskd/dispatcher", "alone, on port 4000"},
                      {"taskd dispatcher --config /etc/taskd/dispatcher.yaml",
                       "as the file says"}}},
        run};
    return command;
}

}  // namespace taskd::roles

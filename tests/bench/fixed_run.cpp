// One fixed run of a dispatcher, for counting instructions: the real journal, view and logs on a
// real folder, time and lanes simulated, requests handed in as the HTTP server would.
//   fixed_run [TASKS]
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "disk_worlds.hpp"
#include "memory_log.hpp"
#include "memory_metrics.hpp"
#include "sim_world.hpp"
#include "taskd/base/assert.hpp"
#include "taskd/io/file_journal.hpp"
#include "taskd/io/file_task_logs.hpp"
#include "taskd/io/posix_files.hpp"
#include "taskd/io/sqlite_view.hpp"
#include "taskd/protocol/json_view.hpp"
#include "taskd/service/dispatcher.hpp"

using namespace taskd;
using namespace taskd::test;
using namespace std::chrono_literals;

namespace {

constexpr std::size_t tasks_default = 5'000;
constexpr std::size_t batch = 50;

template <class Value>
Value must(Result<Value> value) {
    TASKD_ASSERT(value.has_value());
    return std::move(*value);
}

struct FixedWorld {
    FixedWorld() {
        service::DispatcherSettings settings;
        settings.workers.store_id = "0000000000000007";
        settings.workers.session = SessionId{1};
        settings.nameservice_url = "http://nameservice:5001";
        settings.seed = 1;
        service = std::make_unique<service::Dispatcher>(
            settings,
            service::DispatcherPorts{{journal, *view, *journal_lane, *space_lane, *view_lane,
                                      host.clock(), host.timers(), log},
                                     *socket,
                                     host.resolver(),
                                     host.http(),
                                     logs,
                                     *log_lane,
                                     host.calendar(),
                                     journal,
                                     *log_lane},
            [](const Error&) { TASKD_ASSERT(false); });
        TASKD_ASSERT(service->start());
        world.run_for(1s);
    }

    std::string ask(std::string method, std::string target, std::string body, int status) {
        std::string got;
        bool answered = false;
        service->front().handle({std::move(method), std::move(target), {}, std::move(body)},
                                [&](port::HttpResponse response) {
                                    TASKD_ASSERT(response.status == status);
                                    got = std::move(response.body);
                                    answered = true;
                                });
        TASKD_ASSERT(world.run_until([&] { return answered; }, 60s));
        return got;
    }

    support::TempDir dir;
    SimWorld world{1};
    SimHost& host = world.host("dispatcher");
    MemoryLog log;
    std::unique_ptr<port::Files> files = io::make_posix_files();
    io::FileJournal journal{*files,
                            host.clock(),
                            {.dir = dir.path() + "/journal",
                             .store_id = 7,
                             .salt_seed = 1,
                             .segment_bytes = 4 * limits::mebibyte,
                             .frame_bytes_max = 2 * limits::mebibyte}};
    std::unique_ptr<io::SqliteView> view =
        must(io::SqliteView::open({.path = dir.path() + "/view.db", .store_id = 7}));
    io::FileTaskLogs logs{*files, {.dir = dir.path() + "/logs"}};
    std::unique_ptr<port::Background> journal_lane = host.make_lane();
    std::unique_ptr<port::Background> space_lane = host.make_lane();
    std::unique_ptr<port::Background> view_lane = host.make_lane();
    std::unique_ptr<port::Background> log_lane = host.make_lane();
    std::unique_ptr<port::Datagram> socket = must(host.bind(4000));
    std::unique_ptr<service::Dispatcher> service;
};

void submit(FixedWorld& world, std::size_t tasks) {
    std::string body = "[";
    for (std::size_t i = 0; i < batch; ++i)
        body += std::string{i == 0 ? "" : ","} +
                R"({"type":"sum","payload":"a payload of about a hundred bytes, as the peers' )"
                R"(tasks are, so that they compare"})";
    body += "]";
    for (std::size_t done = 0; done < tasks; done += batch)
        world.ask("POST", "/v1/tasks", body, 202);
}

std::size_t work(FixedWorld& world, std::size_t tasks) {
    std::size_t done = 0;
    while (done < tasks) {
        const std::string leased =
            world.ask("POST", "/v1/leases", R"({"types":["sum"],"max":50})", 200);
        const protocol::JsonView answer{leased};
        for (const protocol::JsonView& task : answer["tasks"].items()) {
            const std::string lease = "/v1/leases/" + task["lease"].text();
            world.ask("POST", lease + "/complete", R"({"result":"done"})", 200);
            ++done;
        }
    }
    return done;
}

}  // namespace

int main(int count, char** arguments) {
    const std::size_t tasks = count > 1 ? std::strtoull(arguments[1], nullptr, 10) : tasks_default;
    FixedWorld world;
    submit(world, tasks);
    const std::size_t done = work(world, tasks);
    const std::string found = world.ask("GET", "/v1/tasks?state=succeeded&limit=50", {}, 200);
    TASKD_ASSERT(protocol::JsonView{found}["tasks"].items().size() == 50);
    std::printf("%zu tasks submitted, leased, completed and listed\n", done);
    return 0;
}

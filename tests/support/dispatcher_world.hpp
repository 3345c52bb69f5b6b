// A dispatcher over the twins of its ports, whose lanes can be held and whose view can fail.
#pragma once

#include "catch.hpp"
#include "memory_log.hpp"
#include "memory_metrics.hpp"
#include "memory_task_logs.hpp"
#include "sim_files.hpp"
#include "sim_world.hpp"
#include "taskd/io/workflow_text.hpp"
#include "taskd/protocol/json_view.hpp"
#include "taskd/service/dispatcher.hpp"
#include "taskd/sim/memory_journal.hpp"
#include "taskd/sim/memory_view.hpp"

namespace taskd::test {

// Does its jobs when it is let.
class HeldLane final : public port::Background {
  public:
    explicit HeldLane(SimHost& host) : timers_{host.timers()} {}

    void run(std::function<void()> job, std::function<void()> then) override {
        waiting_.emplace_back(std::move(job), std::move(then));
        if (!held_) go_on();
    }
    void hold() { held_ = true; }
    void release() {
        held_ = false;
        go_on();
    }

  private:
    void go_on() {
        for (auto& [job, then] : std::exchange(waiting_, {})) {
            job();
            if (then) timers_.post(std::move(then));
        }
    }

    port::Timers& timers_;
    bool held_ = false;
    std::vector<std::pair<std::function<void()>, std::function<void()>>> waiting_;
};

// Notes how much is handed over at a time.
struct WatchedRecords final : port::JournalReader {
    explicit WatchedRecords(port::JournalReader& records_in) : records{records_in} {}

    Result<void> read(Sequence after,
                      const std::function<bool(const RecordBatch&)>& take) override {
        std::size_t batches = 0;
        ++reads;
        return records.read(after, [&](const RecordBatch& batch) {
            batches_max = std::max(batches_max, ++batches);
            return take(batch);
        });
    }
    Sequence oldest() const override { return records.oldest(); }

    port::JournalReader& records;
    std::size_t batches_max = 0;
    std::size_t reads = 0;
};

struct DispatcherWorld {
    explicit DispatcherWorld(std::size_t frame_bytes_max = limits::frame_bytes_max,
                             service::DispatcherSettings settings = {},
                             bus::Publisher* bus = nullptr, port::ViewCopy* copies = nullptr)
        : journal{tape, {.frame_bytes_max = frame_bytes_max}},
          settings_{std::move(settings)},
          bus_{bus},
          copies_{copies} {
        REQUIRE(disk.make_dir("data"));
        settings_.disk.dir = "data";
        settings_.workers.store_id = "0000000000000007";
        settings_.workers.session = SessionId{1};
        settings_.nameservice_url = "http://nameservice:5001";
        begin();
    }

    // As after a kill, when the store stands still.
    void restart() {
        world.crash(host);
        service.reset();
        socket.reset();
        metrics = {};
        world.boot(host);
        begin();
    }

    // The answer to one request, or none within a second.
    std::optional<port::HttpResponse> ask(std::string method, std::string target,
                                          std::string body = {}) {
        auto got = std::make_shared<std::optional<port::HttpResponse>>();
        world.host("client").http().send(
            "http://dispatcher:4000", {std::move(method), std::move(target), {}, std::move(body)},
            std::chrono::seconds{10}, [got](Result<port::HttpResponse> answer) {
                if (answer) *got = std::move(*answer);
            });
        world.run_until([got] { return got->has_value(); }, std::chrono::seconds{1});
        return *got;
    }
    std::optional<port::HttpResponse> submit(std::string_view type = "sum") {
        return ask("POST", "/v1/tasks",
                   R"({"type":")" + std::string{type} + R"(","payload":[1,2]})");
    }

    SimWorld world{1};
    SimHost& host = world.host("dispatcher");
    sim::JournalTape tape;
    sim::MemoryTable table;
    sim::MemoryJournal journal;
    WatchedRecords records{journal};
    sim::MemoryView view{table};
    HeldLane journal_lane{host};
    HeldLane space_lane{host};
    HeldLane view_lane{host};
    support::SimFiles disk{1};  // whose free space is looked at
    MemoryMetrics metrics;
    MemoryTaskLogs logs;
    HeldLane log_lane{host};
    HeldLane document_lane{host};
    MemoryLog log;
    std::unique_ptr<port::Datagram> socket;
    std::unique_ptr<service::Dispatcher> service;
    std::optional<Error> lost;

  private:
    void begin() {
        socket = std::move(*host.bind(4000));
        service = std::make_unique<service::Dispatcher>(
            settings_,
            service::DispatcherPorts{{journal, view, journal_lane, space_lane, view_lane,
                                      host.clock(), host.timers(), log},
                                     *socket,
                                     host.resolver(),
                                     host.http(),
                                     logs,
                                     log_lane,
                                     host.calendar(),
                                     records,
                                     log_lane,
                                     &metrics,
                                     &disk,
                                     copies_,
                                     io::read_workflow_text,
                                     &document_lane,
                                     bus_},
            [this](const Error& error) { lost = error; });
        REQUIRE(service->start());
        REQUIRE(host.serve(4000, service->front()));
    }

    service::DispatcherSettings settings_;
    bus::Publisher* bus_;
    port::ViewCopy* copies_;
};

// "429 overloaded".
inline std::string problem(const std::optional<port::HttpResponse>& answer) {
    if (!answer) return "no answer";
    const protocol::JsonView body{answer->body};
    return std::to_string(answer->status) + " " + body["error"].text();
}

}  // namespace taskd::test

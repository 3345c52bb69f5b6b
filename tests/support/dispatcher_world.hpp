// A dispatcher over the twins of its ports, whose lanes can be held and whose view can fail.
#pragma once

#include "catch.hpp"
#include "memory_journal.hpp"
#include "memory_log.hpp"
#include "memory_task_logs.hpp"
#include "memory_view.hpp"
#include "sim_world.hpp"
#include "taskd/protocol/json_view.hpp"
#include "taskd/service/dispatcher.hpp"

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

// A view whose disk can be made to fail.
class FailingView final : public port::View {
  public:
    explicit FailingView(MemoryTable& table) : twin_{table} {}
    Result<port::ViewMark> mark() override { return twin_.mark(); }
    Result<void> store(const port::ViewChange& change) override {
        if (fails_with) return fail(*fails_with);
        return twin_.store(change);
    }
    Result<std::vector<Task>> find(std::span<const TaskId> ids) override { return twin_.find(ids); }
    Result<TaskPage> list(const TaskQuery& query) override { return twin_.list(query); }
    Result<std::vector<TaskId>> match(std::string_view part) override { return twin_.match(part); }
    Result<void> each_live(const std::function<void(const TaskHead&)>& take) override {
        return twin_.each_live(take);
    }
    Result<void> each_queue(const std::function<void(const QueueRules&)>& take) override {
        return twin_.each_queue(take);
    }
    Result<void> each_operation(const std::function<void(const Operation&)>& take) override {
        return twin_.each_operation(take);
    }
    Result<void> each_group(const std::function<void(const Group&)>& take) override {
        return twin_.each_group(take);
    }
    Result<void> each_schedule(const std::function<void(const Schedule&)>& take) override {
        return twin_.each_schedule(take);
    }
    Result<void> each_hold(const std::function<void(const WorkerHold&)>& take) override {
        return twin_.each_hold(take);
    }
    Result<void> each_key(const std::function<void(const KeyUse&)>& take) override {
        return twin_.each_key(take);
    }
    Result<std::vector<KeyUse>> find_keys(std::span<const std::string> keys) override {
        return twin_.find_keys(keys);
    }
    Result<std::optional<TaskId>> newest_ended() override { return twin_.newest_ended(); }

    std::optional<ErrorCode> fails_with;

  private:
    MemoryView twin_;
};

struct DispatcherWorld {
    explicit DispatcherWorld(std::size_t frame_bytes_max = limits::frame_bytes_max)
        : journal{tape, {.frame_bytes_max = frame_bytes_max}} {
        socket = std::move(*host.bind(4000));
        service::DispatcherSettings settings;
        settings.workers.store_id = "0000000000000007";
        settings.workers.session = SessionId{1};
        settings.nameservice_url = "http://nameservice:5001";
        service = std::make_unique<service::Dispatcher>(
            settings,
            service::DispatcherPorts{{journal, view, journal_lane, space_lane, view_lane,
                                      host.clock(), host.timers(), log},
                                     *socket,
                                     host.resolver(),
                                     host.http(),
                                     logs,
                                     log_lane,
                                     host.calendar(),
                                     journal,
                                     log_lane},
            [this](const Error& error) { lost = error; });
        REQUIRE(service->start());
        REQUIRE(host.serve(4000, service->front()));
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
    JournalTape tape;
    MemoryTable table;
    MemoryJournal journal;
    FailingView view{table};
    HeldLane journal_lane{host};
    HeldLane space_lane{host};
    HeldLane view_lane{host};
    MemoryTaskLogs logs;
    HeldLane log_lane{host};
    MemoryLog log;
    std::unique_ptr<port::Datagram> socket;
    std::unique_ptr<service::Dispatcher> service;
    std::optional<Error> lost;
};

// "429 overloaded".
inline std::string problem(const std::optional<port::HttpResponse>& answer) {
    if (!answer) return "no answer";
    const protocol::JsonView body{answer->body};
    return std::to_string(answer->status) + " " + body["error"].text();
}

}  // namespace taskd::test

// The inside of a host: its processes by number, and what they share.
#pragma once

#include <array>
#include <atomic>
#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <unordered_map>

#include "execution.hpp"
#include "taskd/lua/host.hpp"

namespace taskd::lua {

struct Message {
    std::string from;  // empty: the node itself
    std::string topic;
    Value payload;
    std::size_t bytes = 0;  // as it lies in memory
};
Value to_value(Message message);

using Answer = std::function<void(Result<Value>)>;

struct Process {
    struct Parked {  // a sender that waits for room
        Message message;
        runtime::Delivered delivered;
        std::uint64_t number = 0;
        Alarms::Id alarm = 0;
    };
    struct Receiving {
        Answer answer;
        std::string topic;  // empty: any
        Alarms::Id alarm = 0;
        std::uint64_t number = 0;
    };

    runtime::ProcessNumber number = 0;
    std::string program;
    std::shared_ptr<Execution> execution;
    std::function<void(const ProcessEnded&)> on_end;

    std::mutex mutex;  // guards what follows
    std::deque<Message> inbox;
    std::size_t inbox_bytes = 0;
    std::deque<Parked> parked;
    struct Timer {
        Alarms::Id alarm = 0;
        std::size_t bytes = 0;
    };
    std::map<std::uint64_t, Timer> timers;  // messages of its own that go later; not after its end
    Alarms::Id cancel_alarm = 0;            // once it was asked to end
    std::optional<Receiving> receiving;
    std::uint64_t waits = 0;  // numbers of those who wait: for a message, or for room
    bool traps = false;
    bool ended = false;
};
using ProcessPtr = std::shared_ptr<Process>;

struct Host::Impl : std::enable_shared_from_this<Host::Impl> {
    Impl(HostSettings its_settings, const HostPorts& its_ports)
        : settings{std::move(its_settings)}, ports{its_ports} {}

    ProcessPtr find(runtime::ProcessNumber number) const;
    Result<runtime::ProcessId> spawn(SpawnRequest request);
    // Its call is prepared.
    Result<std::unique_ptr<Machine>> make_machine(const std::string& program,
                                                  std::vector<Value> arguments,
                                                  const std::string& shown);
    void ended(const ProcessPtr& process, Outcome outcome);
    void break_link(runtime::ProcessNumber number, const Value& told, const std::string& whose);
    void take_down(const Process& process, const runtime::ProcessEnd& end, const Error* error);
    void give(const ProcessPtr& process, Message message, Duration wait, bool unbounded,
              runtime::Delivered delivered);
    void park(const ProcessPtr& process, Message message, Duration wait,
              runtime::Delivered delivered);
    bool has_room(const Process& process, const Message& message) const;
    bool take_memory(std::size_t bytes) {
        return ports.memory == nullptr || ports.memory->take(bytes);
    }
    void give_memory_back(std::size_t bytes) {
        if (ports.memory != nullptr) ports.memory->give_back(bytes);
    }
    void tell(runtime::ProcessNumber number, std::string topic, Value payload);
    // too_many_timers, host_memory_full. Functions, which are no processes, share one count.
    Result<void> send_later(const ProcessPtr& process, Duration after, runtime::Package package);
    Result<void> send_later_for_function(Duration after, runtime::Package package,
                                         std::size_t bytes);
    void receive(const ProcessPtr& process, const std::string& topic,
                 std::optional<Duration> timeout, Answer answer);
    Result<void> terminate(runtime::ProcessNumber number, const std::string& why);
    Result<void> cancel(runtime::ProcessNumber number, const std::string& why, Duration grace);

    const HostSettings settings;
    const HostPorts ports;
    const std::vector<Module>* modules = nullptr;
    std::vector<Host::Watcher> watchers;
    FarProcesses* far = nullptr;

    struct Shard {
        mutable std::mutex mutex;
        std::unordered_map<runtime::ProcessNumber, ProcessPtr> processes;
    };
    std::array<Shard, 16> shards;
    Shard& shard_of(runtime::ProcessNumber number) { return shards[number % shards.size()]; }
    const Shard& shard_of(runtime::ProcessNumber number) const {
        return shards[number % shards.size()];
    }

    mutable std::mutex programs_mutex;
    std::map<std::string, ProgramSpec> programs;

    std::mutex alive_mutex;
    std::condition_variable all_gone;
    std::size_t alive = 0;
    bool ending = false;

    std::atomic<std::size_t> function_timers = 0;  // set by functions, which are no processes
    std::atomic<std::uint64_t> spawned = 0;
    std::atomic<std::uint64_t> failed = 0;
    std::atomic<std::uint64_t> received = 0;
    std::atomic<std::uint64_t> refused = 0;
};

// The handlers of `process` and `time`, in host_commands.cpp.
Result<void> add_process_commands(Host::Impl& host, runtime::Commands& commands);

}  // namespace taskd::lua

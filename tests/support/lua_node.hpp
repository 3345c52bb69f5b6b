// A node of processes as a role wires it, without a network: for tests and figures.
#pragma once

#include <algorithm>
#include <condition_variable>
#include <map>
#include <mutex>
#include <thread>

#include "taskd/base/assert.hpp"
#include "taskd/lua/functions.hpp"
#include "taskd/lua/host.hpp"
#include "taskd/lua/modules.hpp"
#include "taskd/protocol/value_json.hpp"

namespace taskd::support {

class SteadyNow final : public port::Clock {
  public:
    WallTime wall() const override { return WallTime{} + count(); }
    SteadyTime steady() const override { return SteadyTime{} + count(); }

  private:
    static Duration count() {
        return std::chrono::duration_cast<Duration>(
            std::chrono::steady_clock::now().time_since_epoch());
    }
};

class SilentLog final : public port::Log {
  public:
    bool takes(port::LogLevel) const override { return true; }
    void write(port::LogLevel, std::string_view message, Fields fields) override {
        const std::lock_guard lock{mutex_};
        lines_.emplace_back(message);
        for (const port::LogField& field : fields)
            lines_.back() += " " + std::string{field.name} + "=" + field.value;
    }
    std::vector<std::string> lines() const {
        const std::lock_guard lock{mutex_};
        return lines_;
    }

  private:
    mutable std::mutex mutex_;
    std::vector<std::string> lines_;
};

// What surrounds a node.
struct LuaWorld {
    std::string name = "here";
    runtime::NodeLink* link = nullptr;
    std::map<std::string, std::string, std::less<>> peers = {};
    std::uint64_t memory_max = limits::programs_memory_default;
    port::KeyStores* stores = nullptr;
};

class LuaNode {
  public:
    // `report(value)` of the module `test` is what a test waits for.
    explicit LuaNode(unsigned threads = 3, lua::HostSettings settings = {}, LuaWorld world = {})
        : memory_{world.memory_max},
          stores_{world.stores, formats_},
          relay_{{.node = world.name, .peers = std::move(world.peers)}, world.link},
          ids_{world.name},
          topology_{world.name, settings.name, nullptr},
          scheduler_{threads},
          host_{settings,
                {scheduler_, alarms_, commands_, relay_, topology_, ids_, clock_, log, &memory_}},
          functions_{{scheduler_, alarms_, commands_, ids_, clock_, log, &memory_}} {
        formats_.add(
            {"json", protocol::read_json_value, [](const Value& value) -> Result<std::string> {
                 return protocol::write_json_value(value);
             }});
        TASKD_ASSERT(host_.add_commands(commands_) && stores_.add_commands(commands_));
        commands_.freeze();
        modules_ = host_.modules();
        modules_.push_back(lua::Stores::module());
        std::ranges::move(lua::plain_modules(formats_), std::back_inserter(modules_));
        modules_.push_back(
            {"test",
             {{"report",
               lua::DirectFunction{[this](const std::vector<Value>& values) -> Result<Value> {
                   const std::lock_guard lock{mutex_};
                   reports_.push_back(values.empty() ? Value{} : values[0]);
                   changed_.notify_all();
                   return Value{};
               }}}}});
        host_.set_modules(&modules_);
        functions_.set_modules(&modules_);
    }

    void program(const std::string& name, const std::string& body, lua::MachineLimits limits = {}) {
        const std::string source =
            "local process, time, test = require('process'), require('time'), require('test')\n" +
            body;
        auto made = lua::Program::compile(
            name, source,
            {.modules = {"process", "time", "test", "store", "json", "text"}, .imports = {}});
        TASKD_ASSERT(made);
        host_.set_program(name, {.program = *made, .method = "", .limits = limits});
    }
    runtime::ProcessId spawn(const std::string& name, std::vector<Value> arguments = {}) {
        const auto id = host_.spawn({.program = name, .arguments = std::move(arguments)});
        TASKD_ASSERT(id);
        return *id;
    }

    // The first `count` reports, as texts; numbers as JSON has them.
    std::vector<std::string> reports(std::size_t count) {
        std::unique_lock lock{mutex_};
        changed_.wait_for(lock, std::chrono::seconds{60}, [&] { return reports_.size() >= count; });
        std::vector<std::string> texts;
        for (const Value& each : reports_)
            texts.push_back(each.kind == ValueKind::boolean ? (each.boolean ? "true" : "false")
                                                            : each.text);
        return texts;
    }
    bool wait_until_alive(std::size_t count) {
        for (int tries = 0; host_.counts().alive != count && tries < 6'000; ++tries)
            std::this_thread::sleep_for(std::chrono::milliseconds{10});
        return host_.counts().alive == count;
    }
    bool wait_until_alone() { return wait_until_alive(0); }

    lua::Host& host() { return host_; }
    lua::Functions& functions() { return functions_; }
    runtime::Relay& relay() { return relay_; }
    runtime::Topology& topology() { return topology_; }
    const lua::Scheduler& scheduler() const { return scheduler_; }
    const lua::MemoryPool& memory() const { return memory_; }
    // All but `left` bytes are taken, until it is emptied. False when more are taken already.
    bool fill_memory(std::uint64_t left) {
        const std::uint64_t used = memory_.used();
        if (used + left > memory_.max()) return false;
        filled_ = static_cast<std::size_t>(memory_.max() - used - left);
        return memory_.take(filled_);
    }
    void empty_memory() { memory_.give_back(std::exchange(filled_, 0)); }

    SilentLog log;

  private:
    SteadyNow clock_;
    std::mutex mutex_;
    std::condition_variable changed_;
    std::vector<Value> reports_;
    runtime::Transcoder formats_;
    std::vector<lua::Module> modules_;
    lua::MemoryPool memory_;
    std::size_t filled_ = 0;
    lua::Stores stores_;
    lua::Alarms alarms_;
    runtime::Commands commands_;
    runtime::Relay relay_;
    runtime::ProcessIds ids_;
    runtime::Topology topology_;
    lua::Scheduler scheduler_;
    lua::Host host_;
    lua::Functions functions_;
};

}  // namespace taskd::support

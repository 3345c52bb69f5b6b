// The components of `taskd up`: its registry, its children, their supervisor, and what keeps the
// dispatcher as entries say.
#pragma once

#include <charconv>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "entry_kinds.hpp"
#include "taskd/base/assert.hpp"
#include "taskd/io/entropy.hpp"
#include "taskd/io/http_exchange.hpp"
#include "taskd/io/loop.hpp"
#include "taskd/io/private_files.hpp"
#include "taskd/io/sqlite_history.hpp"
#include "taskd/runtime/event_bus.hpp"
#include "taskd/runtime/keys.hpp"
#include "taskd/runtime/registry.hpp"
#include "taskd/runtime/supervisor.hpp"
#include "taskd/service/entry_push.hpp"
#include "taskd/service/up.hpp"

namespace taskd::roles {

// The registry of the data directory.
class RegistryPart {
  public:
    static constexpr bool loads_beside = true;

    static Result<std::unique_ptr<RegistryPart>> make(const std::string& dir,
                                                      runtime::AppContext& context) {
        auto history = io::open_history(dir + "/registry.db");
        if (!history) return fail(std::move(history));
        auto registry = runtime::Registry::open(**history, context.get(runtime::clock_key),
                                                context.get(runtime::bus_key));
        if (!registry) return fail(std::move(registry));
        auto part = std::make_unique<RegistryPart>();
        part->held_path_ = dir + "/registry.held";
        part->history_ = std::move(*history);
        part->registry_ = std::move(*registry);
        return part;
    }
    runtime::Registry& registry() { return *registry_; }

    // The version that the dispatcher was brought to last, by whichever life of ours; its entries.
    std::vector<Entry> entries_held() {
        const auto text = io::read_whole_file(held_path_, limits::kibibyte);
        std::uint64_t version = 0;
        if (text) std::from_chars(text->data(), text->data() + text->size(), version);
        return history_->read(version).value_or(std::vector<Entry>{});
    }
    Result<void> note_held(std::uint64_t version) {
        return io::write_private_file(held_path_, std::to_string(version) + "\n");
    }

  private:
    std::string held_path_;
    std::unique_ptr<port::History> history_;
    std::unique_ptr<runtime::Registry> registry_;
};

// The children, those that entries declare among them: an entry goes over a type of the list.
class Children : public service::Up {
  public:
    Children(RegistryPart& registry, service::UpSettings settings, service::UpPorts ports,
             std::function<void()> ready)
        : Up{with_entries(std::move(settings), registry.registry()), std::move(ports),
             std::move(ready)} {}

  private:
    static service::UpSettings with_entries(service::UpSettings settings,
                                            const runtime::Registry& registry) {
        for (auto& worker : workers_of(registry.entries())) {
            std::erase_if(settings.workers,
                          [&](const auto& other) { return other.type == worker.type; });
            settings.workers.push_back(std::move(worker));
        }
        return settings;
    }
};

// The supervisor of the children. What it says of them keeps their addresses true.
class ChildrenPart : public runtime::Supervisor {
  public:
    ChildrenPart(runtime::AppContext& context, io::Loop& loop, runtime::EventBus& bus,
                 runtime::ProcessIds& ids, Children& up, std::function<void(int)> gave_up)
        : Supervisor{context, ids, io::random_seed(), std::move(gave_up)},
          loop_{loop},
          bus_{bus},
          up_{up} {
        for (auto& child : up.services())
            TASKD_ASSERT(add(std::move(child)));  // before the start it cannot fail
    }

    Result<void> start() {
        auto made = bus_.subscribe(
            "supervisor.state.(starting|running|failed)",
            [this](std::function<void()> job) { loop_.post_from_any_thread(std::move(job)); },
            [this](const bus::Delivery&) { up_.tell_endpoints(); });
        if (!made) return fail(std::move(made));
        changes_ = std::move(*made);
        return {};
    }

  private:
    io::Loop& loop_;
    runtime::EventBus& bus_;
    Children& up_;
    runtime::EventBus::Subscription changes_;
};

// Keeps workers, queues and schedules as the newest version of the registry says, whoever has
// written it. Looking costs the loop one read of SQLite's, which waits for no writer.
class EntriesPart {
  public:
    EntriesPart(runtime::AppContext& context, io::HttpExchange& http, protocol::ClusterKey key,
                RegistryPart& registry, Children& children, ChildrenPart& supervisor)
        : clock_{context.get(runtime::clock_key)},
          log_{context.get(runtime::log_key)},
          part_{registry},
          registry_{registry.registry()},
          children_{children},
          supervisor_{supervisor},
          push_{std::move(key), {http, context.get(runtime::timers_key), clock_, log_}},
          timer_{context.get(runtime::timers_key).make()} {
        for (auto& worker : workers_of(registry_.entries()))
            running_.emplace(worker.type, std::move(worker));
        push_.remember(registry.entries_held());
    }

    Result<void> start_entries() {
        look();
        return {};
    }
    void stop() {
        timer_->clear();
        push_.stop();
    }

  private:
    void look() {
        const auto moved = registry_.catch_up();
        if (!moved)
            log_.error("the registry cannot be read", {{"error", moved.error().to_string()}});
        if (moved && *moved) {
            log_.info("entries changed", {{"version", std::to_string(registry_.version())}});
            follow_workers();
        }
        const std::string url = children_.url("dispatcher");
        if (!url.empty() && held_ != registry_.version()) {
            held_ = registry_.version();
            auto entries = registry_.entries();
            std::ranges::move(service::schemas_of(children_.workers()),
                              std::back_inserter(entries));
            push_.hold(url, entries);
        }
        if (held_ && noted_ != held_ && push_.settled()) note_held();
        timer_->set(clock_.steady() + std::chrono::seconds{1}, [this] { look(); });
    }

    void note_held() {
        noted_ = held_;
        if (auto noted = part_.note_held(*held_); !noted)
            log_.error("cannot note the entries held", {{"error", noted.error().to_string()}});
    }

    // One step of each; the next follows when a worker has finished what it held and is gone.
    void follow_workers() {
        std::map<std::string, service::WorkerEntry> wanted;
        for (auto& worker : workers_of(registry_.entries()))
            wanted.emplace(worker.type, std::move(worker));
        std::vector<std::string> going;
        for (const auto& [type, worker] : running_)
            if (const auto found = wanted.find(type);
                found == wanted.end() || found->second != worker)
                going.push_back(service::Up::name_of(worker));
        for (const auto& [type, worker] : wanted) {
            const std::string name = service::Up::name_of(worker);
            if (running_.contains(type)) continue;
            if (children_.has(name)) {
                going.push_back(name);
                continue;
            }
            running_.emplace(type, worker);
            if (auto added = supervisor_.add(children_.add_worker(worker)); !added)
                log_.error("cannot start",
                           {{"service", name}, {"error", added.error().to_string()}});
        }
        for (const std::string& name : going)
            let_go(name);
    }

    void let_go(const std::string& name) {
        if (!leaving_.insert(name).second) return;
        supervisor_.remove(name, [this, name] {
            leaving_.erase(name);
            std::erase_if(running_, [&](const auto& each) {
                return service::Up::name_of(each.second) == name;
            });
            children_.forget(name);
            follow_workers();
        });
    }

    port::Clock& clock_;
    port::Log& log_;
    RegistryPart& part_;
    runtime::Registry& registry_;
    Children& children_;
    ChildrenPart& supervisor_;
    service::EntryPush push_;
    std::map<std::string, service::WorkerEntry> running_;  // of entries, by type
    std::set<std::string> leaving_;                        // names
    std::optional<std::uint64_t> held_;   // the version that the dispatcher is told
    std::optional<std::uint64_t> noted_;  // the one that it has taken
    std::unique_ptr<port::Timer> timer_;
};

}  // namespace taskd::roles

// The components of `taskd up` that its entries stand on: its registry, its children, their
// supervisor, the finder.
#pragma once

#include <fmt/format.h>

#include <functional>
#include <iterator>
#include <memory>
#include <sstream>
#include <string>
#include <utility>

#include "entry_kinds.hpp"
#include "taskd/base/assert.hpp"
#include "taskd/io/entropy.hpp"
#include "taskd/io/loop.hpp"
#include "taskd/io/private_files.hpp"
#include "taskd/io/sqlite_history.hpp"
#include "taskd/runtime/event_bus.hpp"
#include "taskd/runtime/finder.hpp"
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
        part->socket_path_ = registry_socket(dir);
        part->history_ = std::move(*history);
        part->registry_ = std::move(*registry);
        return part;
    }
    runtime::Registry& registry() { return *registry_; }
    const std::string& socket_path() const { return socket_path_; }

    // What the dispatcher may hold of the entries of earlier lives: a path there and an entry's id
    // on each line, neither of which has a space.
    service::PushedThings held() {
        service::PushedThings things;
        std::istringstream lines{
            io::read_whole_file(held_path_, held_bytes_max).value_or(std::string{})};
        for (std::string path, id; lines >> path >> id;)
            things.emplace(std::move(path), std::move(id));
        return things;
    }
    Result<void> note_held(const service::PushedThings& things) {
        std::string lines;
        for (const auto& [path, id] : things)
            fmt::format_to(std::back_inserter(lines), "{} {}\n", path, id);
        return io::write_private_file(held_path_, lines);
    }

  private:
    static constexpr std::size_t held_bytes_max = 64 * limits::mebibyte;

    std::string held_path_;
    std::string socket_path_;
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

// The finder of the registry's entries.
class FinderPart : public runtime::Finder {
  public:
    FinderPart(RegistryPart& registry, runtime::EventBus& bus) : Finder{registry.registry(), bus} {}
};

// The children outlive the services that stand for them.
struct OwnsChildren {
    explicit OwnsChildren(auto&&... arguments)
        : children_{std::forward<decltype(arguments)>(arguments)...} {}
    Children children_;
};

// The supervisor of the children. What it says of them keeps their addresses true.
class ChildrenPart : private OwnsChildren, public runtime::Supervisor {
  public:
    ChildrenPart(runtime::AppContext& context, io::Loop& loop, runtime::EventBus& bus,
                 runtime::ProcessIds& ids, RegistryPart& registry, service::UpSettings settings,
                 service::UpPorts ports, std::function<void()> ready,
                 std::function<void(int)> gave_up)
        : OwnsChildren{registry, std::move(settings), std::move(ports), std::move(ready)},
          Supervisor{context, ids, io::random_seed(), std::move(gave_up)},
          loop_{loop},
          bus_{bus} {
        for (auto& child : children_.services())
            TASKD_ASSERT(add(std::move(child)));  // before the start it cannot fail
    }
    Children& children() { return children_; }

    Result<void> start() {
        if (auto started = children_.start(); !started) return started;
        auto made = bus_.subscribe(
            "supervisor.state.(starting|running|failed)",
            [this](std::function<void()> job) { loop_.post_from_any_thread(std::move(job)); },
            [this](const bus::Delivery&) { children_.tell_endpoints(); });
        if (!made) return fail(std::move(made));
        changes_ = std::move(*made);
        return {};
    }
    void stop() {
        Supervisor::stop();
        children_.stop();
    }

  private:
    io::Loop& loop_;
    runtime::EventBus& bus_;
    runtime::EventBus::Subscription changes_;
};

}  // namespace taskd::roles

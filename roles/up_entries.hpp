// What keeps a running `taskd up` as its entries say: what follows from a change, and the socket on
// which `taskd registry` asks for one.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "service_follower.hpp"
#include "taskd/io/http_server.hpp"
#include "taskd/service/registry_api.hpp"
#include "up_listeners.hpp"

namespace taskd::roles {

// Keeps the workers that entries declare running as they say. A worker goes after those that need
// it, and comes after those it needs.
class WorkerFollower {
  public:
    WorkerFollower(port::Log& log, const runtime::Registry& registry, Children& children,
                   ChildrenPart& supervisor)
        : registry_{registry}, services_{deeds(log, children, supervisor), wanted()} {}

    void follow() { services_.follow(wanted()); }

  private:
    using Services = ServiceFollower<service::WorkerEntry>;

    Services::Forms wanted() const {
        Services::Forms workers;
        for (auto& worker : workers_of(registry_.entries())) {
            std::string name = service::Up::name_of(worker);
            workers.emplace(std::move(name), std::move(worker));
        }
        return workers;
    }

    static Services::Deeds deeds(port::Log& log, Children& children, ChildrenPart& supervisor) {
        return {.needs = [](const service::WorkerEntry& worker) { return worker.needs; },
                .same = std::equal_to<service::WorkerEntry>{},
                .is_there = [&children](const std::string& name) { return children.has(name); },
                .add =
                    [&](const std::string& name, const service::WorkerEntry& worker) {
                        if (auto added = supervisor.add(children.add_worker(worker)); !added)
                            log.error("cannot start",
                                      {{"service", name}, {"error", added.error().to_string()}});
                    },
                .remove =
                    [&](const std::string& name, std::function<void()> done) {
                        supervisor.remove(name, [&children, name, done = std::move(done)] {
                            children.forget(name);
                            done();
                        });
                    }};
    }

    const runtime::Registry& registry_;
    Services services_;
};

// Keeps workers, and what the dispatcher is told, as the newest version of the registry says,
// whoever has written it. Looking costs the loop one read of SQLite's, which waits for no writer.
class EntriesPart {
  public:
    EntriesPart(runtime::AppContext& context, io::Loop& loop, io::HttpExchange& http,
                const protocol::ClusterKey& key, RegistryPart& registry, ChildrenPart& supervisor)
        : clock_{context.get(runtime::clock_key)},
          log_{context.get(runtime::log_key)},
          registry_{registry.registry()},
          children_{supervisor.children()},
          push_{key,
                {http, context.get(runtime::timers_key), clock_, log_,
                 [&registry](const auto& things) { return registry.note_held(things); }}},
          workers_{log_, registry_, children_, supervisor},
          host_listener_{key, http, log_, registry_, children_},
          dispatcher_listener_{push_, registry_, children_},
          changes_{registry_, clock_, context.get(runtime::timers_key)},
          api_{{.change = [this](protocol::RegistryAsked asked,
                                 const auto& done) { change(std::move(asked), done); },
                .version = [this] { return registry_.version(); },
                .step = [this](std::uint64_t version) { return step(version); },
                .clock = clock_,
                .timers = context.get(runtime::timers_key)}},
          front_{{}, "up", [] { return std::nullopt; }},
          server_{loop, {.host = "unix:" + registry.socket_path()}, front_, log_},
          timer_{context.get(runtime::timers_key).make()} {
        push_.remember(registry.held());
        changes_.add(worker_listener_);
        changes_.add(host_listener_);
        changes_.add(dispatcher_listener_);
        api_.add_routes(front_);
    }

    Result<void> start_entries() {
        // Without it changes come by the file alone, and nobody can refuse them.
        if (auto listening = server_.listen(); !listening)
            log_.warn("entries cannot be changed through a socket",
                      {{"error", listening.error().to_string()}});
        followed_ = registry_.version();
        look();
        return {};
    }
    void stop() {
        timer_->clear();
        changes_.stop();
        api_.stop();
        server_.stop();
        push_.stop();
    }

    // `follows` runs after each change, whoever has made it.
    void on_change(std::function<void()> follows) { followers_.push_back(std::move(follows)); }

  private:
    void change(protocol::RegistryAsked asked, const runtime::RegistryChanges::Done& done) {
        const auto then = [this, done](const runtime::RegistryChanges::Made& made) {
            follow();
            host_listener_.when_told([done, made] { done(made); });
        };
        if (asked.restore) return changes_.restore(*asked.restore, then);
        auto valid = check_entries(std::move(asked.entries));
        if (!valid) return done(std::unexpected{valid.error()});
        changes_.apply(std::move(*valid), std::move(asked.note), then);
    }

    void look() {
        if (const auto moved = registry_.catch_up(); !moved)
            log_.error("the registry cannot be read", {{"error", moved.error().to_string()}});
        follow();
        timer_->set(clock_.steady() + std::chrono::seconds{1}, [this] { look(); });
    }

    void follow() {
        if (followed_ != registry_.version()) {
            followed_ = registry_.version();
            log_.info("entries changed", {{"version", std::to_string(registry_.version())}});
            workers_.follow();
            for (const auto& follows : followers_)
                follows();
            api_.moved();
        }
        if (changes_.busy()) return;
        const bool is_held = held_ == registry_.version() && held_host_ == children_.url("host");
        if (!children_.url("dispatcher").empty() && !is_held) {
            held_ = registry_.version();
            held_host_ = children_.url("host");
            dispatcher_listener_.hold();
        }
    }

    Result<std::vector<port::EntryChange>> step(std::uint64_t version) {
        const auto before = registry_.read(version - 1);
        if (!before) return std::unexpected{before.error()};
        const auto after = registry_.read(version);
        if (!after) return std::unexpected{after.error()};
        return runtime::changes_between(*before, *after);
    }

    port::Clock& clock_;
    port::Log& log_;
    runtime::Registry& registry_;
    Children& children_;
    service::EntryPush push_;
    WorkerFollower workers_;
    WorkerListener worker_listener_;
    HostListener host_listener_;
    DispatcherListener dispatcher_listener_;
    runtime::RegistryChanges changes_;
    service::RegistryApi api_;
    service::HttpFront front_;
    io::HttpServer server_;
    std::vector<std::function<void()>> followers_;
    std::optional<std::uint64_t> followed_;  // the version that workers are as
    std::optional<std::uint64_t> held_;      // the version that the dispatcher is told
    std::string held_host_;                  // where it was told that functions are
    std::unique_ptr<port::Timer> timer_;
};

}  // namespace taskd::roles

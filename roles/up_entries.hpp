// What keeps a running `taskd up` as its entries say: who is asked about a change, who does it, and
// the socket on which `taskd registry` asks for one.
#pragma once

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "entry_kinds.hpp"
#include "taskd/io/http_server.hpp"
#include "taskd/io/work_dir.hpp"
#include "taskd/runtime/registry_changes.hpp"
#include "taskd/service/entry_push.hpp"
#include "taskd/service/registry_api.hpp"
#include "up_parts.hpp"

namespace taskd::roles {

// Refuses workers that could not start.
class WorkerListener final : public runtime::RegistryListener {
  public:
    std::string_view name() const override { return "workers"; }
    bool concerns(std::string_view kind) const override { return kind.starts_with("worker."); }
    void prepare(const std::vector<port::EntryChange>& changes, Answer answer) override {
        for (const port::EntryChange& change : changes) {
            if (!change.after) continue;
            for (const service::WorkerEntry& worker : workers_of({*change.after})) {
                if (worker.command.empty()) continue;
                if (auto found = io::find_program(worker.command.front()); !found)
                    return answer(
                        fail(found.error().code, change.id + ": " + found.error().detail));
            }
        }
        answer({});
    }
};

// Asks the dispatcher whether it takes what is declared for it, by telling it.
class DispatcherListener final : public runtime::RegistryListener {
  public:
    DispatcherListener(service::EntryPush& push, const runtime::Registry& registry,
                       const Children& children)
        : push_{push}, registry_{registry}, children_{children} {}

    std::string_view name() const override { return "dispatcher"; }
    bool concerns(std::string_view kind) const override { return service::is_pushed_kind(kind); }
    void prepare(const std::vector<port::EntryChange>& changes, Answer answer) override {
        const std::string url = children_.url("dispatcher");
        if (url.empty()) return answer(fail(ErrorCode::not_ready, "it has not started yet"));
        std::map<std::string, Entry> entries;
        for (const Entry& entry : registry_.entries())
            entries.emplace(entry.id, entry);
        for (const port::EntryChange& change : changes) {
            entries.erase(change.id);
            if (change.after) entries.emplace(change.id, *change.after);
        }
        std::vector<Entry> wanted;
        for (auto& [id, entry] : entries)
            wanted.push_back(std::move(entry));
        push_.propose(url, with_schemas(std::move(wanted)), std::move(answer));
    }
    void undo() override { hold(); }

    // What the registry says is to hold there.
    void hold() { push_.hold(children_.url("dispatcher"), with_schemas(registry_.entries())); }

  private:
    std::vector<Entry> with_schemas(std::vector<Entry> entries) const {
        std::ranges::move(service::schemas_of(children_.workers()), std::back_inserter(entries));
        return entries;
    }

    service::EntryPush& push_;
    const runtime::Registry& registry_;
    const Children& children_;
};

// Keeps the workers that entries declare running as they say. A worker goes after those that need
// it, and comes after those it needs.
class WorkerFollower {
  public:
    WorkerFollower(port::Log& log, const runtime::Registry& registry, Children& children,
                   ChildrenPart& supervisor)
        : log_{log}, registry_{registry}, children_{children}, supervisor_{supervisor} {
        for (auto& worker : workers_of(registry_.entries()))
            running_.emplace(worker.type, std::move(worker));
    }

    // One step of each; the next follows when a worker has finished what it held and is gone.
    void follow() {
        std::map<std::string, service::WorkerEntry> wanted;
        for (auto& worker : workers_of(registry_.entries()))
            wanted.emplace(worker.type, std::move(worker));
        const std::set<std::string> going = those_that_go(wanted);
        for (bool more = true; more;) {
            more = false;
            for (const auto& [type, worker] : wanted)
                more = add(type, worker, going) || more;
        }
        for (const std::string& name : going)
            if (!is_needed(name)) let_go(name);
    }

  private:
    static std::string name_of(const service::WorkerEntry& worker) {
        return service::Up::name_of(worker);
    }

    bool needs_one_of(const service::WorkerEntry& worker,
                      const std::set<std::string>& names) const {
        return std::ranges::any_of(worker.needs,
                                   [&](const auto& need) { return names.contains(need); });
    }
    bool is_needed(const std::string& name) const {
        return std::ranges::any_of(
            running_, [&](const auto& each) { return needs_one_of(each.second, {name}); });
    }

    // What is not wanted as it is, what stands where another is wanted, and whoever needs those.
    std::set<std::string> those_that_go(
        const std::map<std::string, service::WorkerEntry>& wanted) const {
        std::set<std::string> going = leaving_;
        for (const auto& [type, worker] : running_)
            if (const auto found = wanted.find(type);
                found == wanted.end() || found->second != worker)
                going.insert(name_of(worker));
        for (const auto& [type, worker] : wanted)
            if (!running_.contains(type) && children_.has(name_of(worker)))
                going.insert(name_of(worker));
        for (bool more = true; more;) {
            more = false;
            for (const auto& [type, worker] : running_)
                if (needs_one_of(worker, going))
                    more = going.insert(name_of(worker)).second || more;
        }
        return going;
    }

    bool add(const std::string& type, const service::WorkerEntry& worker,
             const std::set<std::string>& going) {
        const bool waits = needs_one_of(worker, going) ||
                           !std::ranges::all_of(
                               worker.needs, [&](const auto& need) { return children_.has(need); });
        if (waits || running_.contains(type) || children_.has(name_of(worker))) return false;
        running_.emplace(type, worker);
        if (auto added = supervisor_.add(children_.add_worker(worker)); !added)
            log_.error("cannot start",
                       {{"service", name_of(worker)}, {"error", added.error().to_string()}});
        return true;
    }

    void let_go(const std::string& name) {
        if (!leaving_.insert(name).second) return;
        supervisor_.remove(name, [this, name] {
            leaving_.erase(name);
            std::erase_if(running_, [&](const auto& each) { return name_of(each.second) == name; });
            children_.forget(name);
            follow();
        });
    }

    port::Log& log_;
    const runtime::Registry& registry_;
    Children& children_;
    ChildrenPart& supervisor_;
    std::map<std::string, service::WorkerEntry> running_;  // of entries, by type
    std::set<std::string> leaving_;                        // names
};

// Keeps workers, and what the dispatcher is told, as the newest version of the registry says,
// whoever has written it. Looking costs the loop one read of SQLite's, which waits for no writer.
class EntriesPart {
  public:
    EntriesPart(runtime::AppContext& context, io::Loop& loop, io::HttpExchange& http,
                protocol::ClusterKey key, RegistryPart& registry, StoresPart& stores,
                ChildrenPart& supervisor)
        : clock_{context.get(runtime::clock_key)},
          log_{context.get(runtime::log_key)},
          part_{registry},
          registry_{registry.registry()},
          stores_{stores},
          children_{supervisor.children()},
          push_{std::move(key), {http, context.get(runtime::timers_key), clock_, log_}},
          workers_{log_, registry_, children_, supervisor},
          dispatcher_listener_{push_, registry_, children_},
          changes_{registry_, clock_, context.get(runtime::timers_key)},
          api_{[this](protocol::RegistryAsked asked, const auto& done) {
              change(std::move(asked), done);
          }},
          front_{{}, "up", [] { return std::nullopt; }},
          server_{loop, {.host = "unix:" + registry.socket_path()}, front_, log_},
          timer_{context.get(runtime::timers_key).make()} {
        push_.remember(registry.entries_held());
        changes_.add(worker_listener_);
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
        server_.stop();
        push_.stop();
    }

  private:
    void change(protocol::RegistryAsked asked, const runtime::RegistryChanges::Done& done) {
        const auto then = [this, done](const runtime::RegistryChanges::Made& made) {
            follow();
            done(made);
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
            stores_.follow();
            workers_.follow();
        }
        if (changes_.busy()) return;
        if (!children_.url("dispatcher").empty() && held_ != registry_.version()) {
            held_ = registry_.version();
            dispatcher_listener_.hold();
        }
        if (held_ && noted_ != held_ && push_.settled()) note_held();
    }

    void note_held() {
        noted_ = held_;
        if (auto noted = part_.note_held(*held_); !noted)
            log_.error("cannot note the entries held", {{"error", noted.error().to_string()}});
    }

    port::Clock& clock_;
    port::Log& log_;
    RegistryPart& part_;
    runtime::Registry& registry_;
    StoresPart& stores_;
    Children& children_;
    service::EntryPush push_;
    WorkerFollower workers_;
    WorkerListener worker_listener_;
    DispatcherListener dispatcher_listener_;
    runtime::RegistryChanges changes_;
    service::RegistryApi api_;
    service::HttpFront front_;
    io::HttpServer server_;
    std::optional<std::uint64_t> followed_;  // the version that workers are as
    std::optional<std::uint64_t> held_;      // the version that the dispatcher is told
    std::optional<std::uint64_t> noted_;     // the one that it has taken
    std::unique_ptr<port::Timer> timer_;
};

}  // namespace taskd::roles

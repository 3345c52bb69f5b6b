// Who is asked about a change of the entries of a running `taskd up`: whether its workers could
// start, its host could run the programs, its dispatcher takes what is declared for it.
#pragma once

#include <algorithm>
#include <chrono>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "entry_kinds.hpp"
#include "program_entries.hpp"
#include "taskd/io/http_exchange.hpp"
#include "taskd/io/work_dir.hpp"
#include "taskd/protocol/entry_json.hpp"
#include "taskd/protocol/problem.hpp"
#include "taskd/runtime/registry_changes.hpp"
#include "taskd/service/entry_push.hpp"
#include "taskd/service/http_front.hpp"
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

// The entries as they would be.
inline std::vector<Entry> entries_after(const runtime::Registry& registry,
                                        const std::vector<port::EntryChange>& changes) {
    std::map<std::string, Entry> entries;
    for (const Entry& entry : registry.entries())
        entries.emplace(entry.id, entry);
    for (const port::EntryChange& change : changes) {
        entries.erase(change.id);
        if (change.after) entries.emplace(change.id, *change.after);
    }
    std::vector<Entry> after;
    for (auto& [id, entry] : entries)
        after.push_back(std::move(entry));
    return after;
}

// Asks the host whether it could run the programs, and tells it once they are written. One that is
// away reads them when it comes.
class HostListener final : public runtime::RegistryListener {
  public:
    HostListener(const protocol::ClusterKey& key, port::HttpExchange& http, port::Log& log,
                 const runtime::Registry& registry, const Children& children)
        : key_{key}, http_{http}, log_{log}, registry_{registry}, children_{children} {}

    std::string_view name() const override { return "host"; }
    bool concerns(std::string_view kind) const override { return is_of_host(kind); }
    void prepare(const std::vector<port::EntryChange>& changes, Answer answer) override {
        const protocol::RegistryAsked asked{
            entries_of_host(entries_after(registry_, changes)), std::nullopt, {}};
        ask("/v1/entries/check", protocol::write_registry_asked(asked),
            [answer = std::move(answer)](const Result<void>& taken) {
                if (!taken && is_away(taken.error().code)) return answer({});
                answer(taken);
            });
    }
    void commit() override {
        ++telling_;
        ask("/v1/entries/reload", {}, [this](const Result<void>& taken) {
            if (!taken && !is_away(taken.error().code))
                log_.error("the host has not taken the entries",
                           {{"error", taken.error().to_string()}});
            if (--telling_ > 0) return;
            for (const auto& then : std::exchange(waiting_, {}))
                then();
        });
    }

    // When it has answered all that it was told: at once when that was nothing.
    void when_told(std::function<void()> then) {
        if (telling_ == 0) return then();
        waiting_.push_back(std::move(then));
    }

  private:
    static constexpr Duration patience = std::chrono::seconds{20};

    static bool is_away(ErrorCode code) {
        return code == ErrorCode::unreachable || code == ErrorCode::not_ready ||
               code == ErrorCode::shutting_down;
    }

    void ask(const std::string& target, std::string body,
             std::function<void(const Result<void>&)> then) {
        const std::string url = children_.url("host");
        if (url.empty()) return then(fail(ErrorCode::not_ready));
        port::HttpRequest request{"POST", target, {}, std::move(body)};
        if (!request.body.empty())
            request.headers.emplace_back("Content-Type", std::string{protocol::json_type});
        service::add_key(request.headers, key_);
        http_.send(url, std::move(request), patience,
                   [then = std::move(then)](const Result<port::HttpResponse>& answer) {
                       if (!answer) return then(std::unexpected{answer.error()});
                       if (answer->status == 200) return then({});
                       then(std::unexpected{protocol::parse_problem(answer->body, answer->status)});
                   });
    }

    const protocol::ClusterKey key_;
    port::HttpExchange& http_;
    port::Log& log_;
    const runtime::Registry& registry_;
    const Children& children_;
    std::size_t telling_ = 0;
    std::vector<std::function<void()>> waiting_;
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
        push_.propose(url, as_told(entries_after(registry_, changes)), std::move(answer));
    }
    void undo() override { hold(); }

    // What the registry says is to hold there.
    void hold() { push_.hold(children_.url("dispatcher"), as_told(registry_.entries())); }

  private:
    // With where functions are called, and what workers say of their payloads.
    std::vector<Entry> as_told(std::vector<Entry> entries) const {
        const std::string host = children_.url("host");
        for (Entry& entry : entries)
            entry = service::with_host(std::move(entry), host);
        std::ranges::move(service::schemas_of(children_.workers()), std::back_inserter(entries));
        return entries;
    }

    service::EntryPush& push_;
    const runtime::Registry& registry_;
    const Children& children_;
};

}  // namespace taskd::roles

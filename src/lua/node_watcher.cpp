// The asking half of watches over nodes.
#include <algorithm>
#include <atomic>
#include <map>
#include <optional>
#include <utility>

#include "taskd/lua/node_watches.hpp"
#include "taskd/protocol/json.hpp"
#include "taskd/protocol/problem.hpp"
#include "taskd/protocol/task_json.hpp"

namespace taskd::lua {
namespace {

using runtime::Delivered;
using runtime::ProcessNumber;

constexpr Duration retry = std::chrono::milliseconds{500};
constexpr Duration answer_patience = std::chrono::seconds{5};  // beyond what was asked for
// An answer that brings nothing comes no sooner, so that nobody is asked without a pause.
constexpr Duration pause_least = std::chrono::milliseconds{200};
// Nodes that are watched at a time: each holds a thread that waits for its answer.
constexpr std::size_t nodes_max = 60;

struct Key {
    ProcessNumber here = 0;
    FarProcesses::Tie kind = FarProcesses::Tie::monitor;
    ProcessNumber there = 0;

    friend auto operator<=>(const Key&, const Key&) = default;
};

struct One {
    std::uint64_t asked = 0;  // the first question that had it
    bool confirmed = false;   // the process is there
    Delivered done;           // until then
};

struct Node {
    std::map<Key, One> ties;
    std::vector<FailedLink> failed;  // not yet told
    std::uint64_t question = 0;      // the newest
    std::size_t told_ties = 0;       // that it had
    std::size_t told_failed = 0;
    Duration waits{0};
    SteadyTime asked_at{};
    std::optional<SessionId> session;
    std::optional<SteadyTime> failing_since;
    std::unique_ptr<port::Timer> timer;
    bool ask_posted = false;
};

}  // namespace

struct NodeWatcher::Impl : std::enable_shared_from_this<NodeWatcher::Impl> {
    Impl(NodeWatchSettings its_settings, const NodeWatchPorts& its_ports)
        : settings{std::move(its_settings)}, ports{its_ports} {}

    void tie(Tie kind, ProcessNumber here, const runtime::ProcessId& there, Delivered done);
    void untie(Tie kind, ProcessNumber here, const runtime::ProcessId& there);
    void ended(ProcessNumber number, const std::optional<Error>& error);

    void ask_soon(const std::string& name, Node& node);
    void ask(const std::string& name);
    void answered(const std::string& name, std::uint64_t question,
                  const Result<port::HttpResponse>& answer);
    void took(const std::string& name, Node& node, std::uint64_t question,
              const WatchAnswer& answer);
    bool settle(const std::string& name, Node& node, std::uint64_t question,
                const WatchAnswer& answer);
    void failed(const std::string& name, Node& node, std::uint64_t question, const Error& why);
    void lose(const std::string& name, const std::string& why, bool all);
    void tell(const std::string& name, const Key& key, const std::string& program,
              const Error* error);
    void count();

    runtime::ProcessId id_of(const std::string& name, ProcessNumber number) const {
        return {name, ports.topology.id_of(number).host, number};
    }

    const NodeWatchSettings settings;
    const NodeWatchPorts ports;
    std::map<std::string, Node> nodes;
    std::uint64_t questions = 0;  // a node that comes again goes on behind them
    std::atomic<std::size_t> all_ties = 0;
};

// ---- what programs ask --------------------------------------------------------------------------

void NodeWatcher::Impl::tie(Tie kind, ProcessNumber here, const runtime::ProcessId& there,
                            Delivered done) {
    if (!ports.topology.has(here)) return done(fail(ErrorCode::process_ended, "the watcher"));
    if (auto way = ports.relay.way_to(there.node); !way) return done(fail(std::move(way)));
    const auto found = nodes.find(there.node);
    if (found == nodes.end() && nodes.size() >= nodes_max)
        return done(fail(ErrorCode::too_many_watches, "nodes"));
    Node& node = found == nodes.end() ? nodes[there.node] : found->second;
    if (!node.timer) node.timer = ports.timers.make();
    // Each may come to be one that has failed.
    if (node.ties.size() + node.failed.size() >= limits::node_watches_max)
        return done(fail(ErrorCode::too_many_watches, there.node));
    const auto [at, fresh] = node.ties.try_emplace(Key{here, kind, there.number});
    if (!fresh) return done({});
    at->second.done = std::move(done);
    count();
    ask_soon(there.node, node);
}

void NodeWatcher::Impl::untie(Tie kind, ProcessNumber here, const runtime::ProcessId& there) {
    const auto found = nodes.find(there.node);
    if (found == nodes.end()) return;
    if (found->second.ties.erase(Key{here, kind, there.number}) == 0) return;
    count();
    ask_soon(there.node, found->second);
}

// One of this node.
void NodeWatcher::Impl::ended(ProcessNumber number, const std::optional<Error>& error) {
    for (auto& [name, node] : nodes) {
        auto at = node.ties.lower_bound(Key{number, Tie::monitor, 0});
        bool changed = false;
        while (at != node.ties.end() && at->first.here == number) {
            if (error && at->first.kind == Tie::link && at->second.asked != 0)
                node.failed.push_back(
                    {{at->first.there, number}, std::string{error->name()}, error->detail});
            at = node.ties.erase(at);
            changed = true;
        }
        if (changed) ask_soon(name, node);
    }
    count();
}

void NodeWatcher::Impl::count() {
    std::size_t all = 0;
    for (const auto& [name, node] : nodes)
        all += node.ties.size();
    all_ties = all;
}

// ---- asking -------------------------------------------------------------------------------------

void NodeWatcher::Impl::ask_soon(const std::string& name, Node& node) {
    if (std::exchange(node.ask_posted, true)) return;
    ports.timers.post([weak = weak_from_this(), name] {
        const auto self = weak.lock();
        if (!self) return;
        const auto found = self->nodes.find(name);
        if (found == self->nodes.end() || !found->second.ask_posted) return;
        self->ask(name);
    });
}

void NodeWatcher::Impl::ask(const std::string& name) {
    Node& node = nodes.at(name);
    node.ask_posted = false;
    node.timer->clear();
    WatchQuestion question{.node = ports.relay.node(),
                           .session = settings.session,
                           .number = node.question = ++questions,
                           .wait = settings.look,
                           .watch = {},
                           .links = {},
                           .failed = node.failed};
    for (auto& [key, one] : node.ties) {
        if (one.asked == 0) one.asked = node.question;
        if (!one.confirmed) question.wait = Duration{0};
        if (key.kind == Tie::monitor)
            question.watch.insert(key.there);
        else
            question.links.insert({key.there, key.here});
    }
    if (node.ties.empty() || !node.failed.empty()) question.wait = Duration{0};
    node.told_ties = node.ties.size();
    node.told_failed = node.failed.size();
    node.waits = question.wait;
    node.asked_at = ports.clock.steady();
    auto then = [weak = weak_from_this(), name,
                 number = node.question](const Result<port::HttpResponse>& answer) {
        if (const auto self = weak.lock()) self->answered(name, number, answer);
    };
    const auto way = ports.relay.way_to(name);
    if (!way)  // the name service has forgotten it
        return ports.timers.post(
            [then = std::move(then), error = way.error()] { then(std::unexpected{error}); });
    port::HttpRequest request{"POST",
                              "/v1/watches",
                              {{"Content-Type", std::string{protocol::json_type}}},
                              write_watch_question(question)};
    if (!settings.bearer.empty())
        request.headers.emplace_back("Authorization", "Bearer " + settings.bearer);
    ports.http.send(way->base_url, std::move(request), node.waits + answer_patience,
                    std::move(then));
}

void NodeWatcher::Impl::answered(const std::string& name, std::uint64_t question,
                                 const Result<port::HttpResponse>& answer) {
    const auto found = nodes.find(name);
    if (found == nodes.end() || question > found->second.question) return;
    Node& node = found->second;
    Result<WatchAnswer> read = std::unexpected{Error{ErrorCode::bad_answer, {}}};
    if (!answer)
        read = std::unexpected{answer.error()};
    else if (answer->status != 200)
        read = std::unexpected{protocol::parse_problem(answer->body, answer->status)};
    else
        read = read_watch_answer(answer->body);
    if (read) return took(name, node, question, *read);
    // Of an older question nobody needs to know: the newest tells.
    if (question == node.question) failed(name, node, question, read.error());
}

void NodeWatcher::Impl::took(const std::string& name, Node& node, std::uint64_t question,
                             const WatchAnswer& answer) {
    node.failing_since.reset();
    if (node.session && *node.session != answer.session) {
        lose(name, "it was started again", false);
        if (!nodes.contains(name)) return;
    }
    node.session = answer.session;
    const bool news = settle(name, node, question, answer);
    if (question != node.question) return;
    node.failed.erase(node.failed.begin(),
                      node.failed.begin() + static_cast<std::ptrdiff_t>(node.told_failed));
    node.told_failed = 0;
    if (node.ties.empty() && node.failed.empty() && node.told_ties == 0) {
        nodes.erase(name);
        return;
    }
    const SteadyTime now = ports.clock.steady();
    if (news || node.waits == Duration{0} || now - node.asked_at >= pause_least)
        return ask_soon(name, node);
    node.timer->set(node.asked_at + pause_least, [this, name] { ask(name); });
}

// Tells what has ended and, when this was the newest question, that the rest is there. Whether
// there was anything to tell.
bool NodeWatcher::Impl::settle(const std::string& name, Node& node, std::uint64_t question,
                               const WatchAnswer& answer) {
    std::map<ProcessNumber, const FarEnd*> ends;
    for (const FarEnd& end : answer.ended)
        ends.emplace(end.number, &end);
    std::vector<std::pair<Key, const FarEnd*>> told;
    std::vector<std::pair<Delivered, Result<void>>> outcomes;
    for (auto at = node.ties.begin(); at != node.ties.end();) {
        auto& [key, one] = *at;
        const auto end = ends.find(key.there);
        if (one.asked == 0 || one.asked > question) {
            ++at;
        } else if (end == ends.end()) {
            if (question == node.question && !std::exchange(one.confirmed, true))
                outcomes.emplace_back(std::move(one.done), Result<void>{});
            ++at;
        } else {
            if (one.confirmed)
                told.emplace_back(key, end->second);
            else
                outcomes.emplace_back(std::move(one.done), fail(ErrorCode::process_not_found,
                                                                to_text(id_of(name, key.there))));
            at = node.ties.erase(at);
        }
    }
    count();
    for (auto& [done, outcome] : outcomes)
        done(std::move(outcome));
    for (const auto& [key, end] : told) {
        const ErrorRow* row = find_error(end->kind);
        const Error error{row == nullptr ? ErrorCode::program_failed : row->code, end->message};
        tell(name, key, end->program, end->ok ? nullptr : &error);
    }
    return !told.empty() || !outcomes.empty();
}

void NodeWatcher::Impl::failed(const std::string& name, Node& node, std::uint64_t question,
                               const Error& why) {
    std::vector<Delivered> outcomes;
    for (auto at = node.ties.begin(); at != node.ties.end();) {
        One& one = at->second;
        if (one.confirmed || one.asked == 0 || one.asked > question) {
            ++at;
            continue;
        }
        outcomes.push_back(std::move(one.done));
        at = node.ties.erase(at);
    }
    count();
    const SteadyTime now = ports.clock.steady();
    if (!node.failing_since) node.failing_since = now;
    // Also when nothing is watched any more: that node has yet to hear what failed or was let go.
    if (now - *node.failing_since >= settings.lost_after)
        lose(name, why.to_string(), true);
    else
        node.timer->set(now + retry, [this, name] { ask(name); });
    for (const Delivered& done : outcomes)
        done(std::unexpected{why});
}

// All that was there is gone; without `all`, what has yet to be confirmed is asked for on.
void NodeWatcher::Impl::lose(const std::string& name, const std::string& why, bool all) {
    Node& node = nodes.at(name);
    std::vector<Key> told;
    std::vector<Delivered> outcomes;
    for (auto at = node.ties.begin(); at != node.ties.end();) {
        if (!at->second.confirmed && !all) {
            ++at;
            continue;
        }
        if (at->second.confirmed)
            told.push_back(at->first);
        else
            outcomes.push_back(std::move(at->second.done));
        at = node.ties.erase(at);
    }
    const std::size_t untold = std::exchange(node.failed, {}).size();
    node.told_failed = 0;
    if (all) nodes.erase(name);
    count();
    const Error error{ErrorCode::node_lost, name + ": " + why};
    if (!told.empty() || untold > 0)
        ports.log.warn("a node is lost", {{"node", name},
                                          {"watches", std::to_string(told.size())},
                                          {"failed_links", std::to_string(untold)},
                                          {"why", why}});
    for (const Delivered& done : outcomes)
        if (done) done(std::unexpected{error});
    for (const Key& key : told)
        tell(name, key, {}, &error);
}

void NodeWatcher::Impl::tell(const std::string& name, const Key& key, const std::string& program,
                             const Error* error) {
    const EndTold end{id_of(name, key.there), program, error};
    if (key.kind == Tie::monitor)
        ports.host.tell_exit(key.here, end);
    else if (error != nullptr)
        ports.host.break_link(key.here, end);
}

// ---- what others see ----------------------------------------------------------------------------

NodeWatcher::NodeWatcher(NodeWatchSettings settings, const NodeWatchPorts& ports)
    : impl_{std::make_shared<Impl>(std::move(settings), ports)} {
    ports.host.watch_ends([weak = std::weak_ptr{impl_}](ProcessNumber number, const std::string&,
                                                        const Error* error) {
        const auto self = weak.lock();
        if (!self || self->all_ties == 0) return;
        self->ports.post(
            [weak, number, error = error == nullptr ? std::nullopt : std::optional{*error}] {
                if (const auto alive = weak.lock()) alive->ended(number, error);
            });
    });
    ports.host.set_far(this);
}

NodeWatcher::~NodeWatcher() = default;

void NodeWatcher::tie(Tie kind, ProcessNumber here, runtime::ProcessId there, Delivered done) {
    impl_->ports.post([weak = std::weak_ptr{impl_}, kind, here, there = std::move(there),
                       done = std::move(done)]() mutable {
        if (const auto self = weak.lock()) self->tie(kind, here, there, std::move(done));
    });
}

void NodeWatcher::untie(Tie kind, ProcessNumber here, runtime::ProcessId there, Delivered done) {
    impl_->ports.post([weak = std::weak_ptr{impl_}, kind, here, there = std::move(there),
                       done = std::move(done)] {
        if (const auto self = weak.lock()) self->untie(kind, here, there);
        done({});
    });
}

std::size_t NodeWatcher::ties() const {
    return impl_->all_ties;
}

}  // namespace taskd::lua

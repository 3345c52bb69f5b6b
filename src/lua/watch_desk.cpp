// The answering half of watches over nodes.
#include <atomic>
#include <map>
#include <optional>
#include <utility>

#include "taskd/lua/node_watches.hpp"

namespace taskd::lua {
namespace {

using runtime::ProcessNumber;

constexpr std::size_t askers_max = 1'000;
constexpr Duration look_at_parked = std::chrono::seconds{1};

// A node as its newest question says.
struct Asker {
    struct Parked {
        std::function<bool()> gone;
        WatchDesk::Answer answer;
    };
    std::string node;
    std::uint64_t number = 0;
    std::set<ProcessNumber> watch;
    std::set<NodeLinkPair> links;
    std::map<ProcessNumber, FarEnd> ended;  // of those that it watches
    std::optional<Parked> parked;
    SteadyTime until{};  // it is answered, or, when it is not waiting, lost
    std::unique_ptr<port::Timer> timer;
};

}  // namespace

struct WatchDesk::Impl : std::enable_shared_from_this<WatchDesk::Impl> {
    Impl(NodeWatchSettings its_settings, const NodeWatchPorts& its_ports)
        : settings{std::move(its_settings)}, ports{its_ports} {}

    void take(WatchQuestion question, std::function<bool()> gone, const Answer& answer);
    void note(Asker& asker, WatchQuestion& question);
    void reply(SessionId session);
    void look(SessionId session);
    void lose(SessionId session);
    void ended(const FarEnd& end);
    void count();
    void break_link(const std::string& node, const NodeLinkPair& pair, const Error& error) {
        ports.host.break_link(
            pair.here, {{node, ports.topology.id_of(pair.there).host, pair.there}, {}, &error});
    }

    const NodeWatchSettings settings;
    const NodeWatchPorts ports;
    std::map<SessionId, Asker> askers;
    std::atomic<std::size_t> watched = 0;
    bool let_go = false;
};

void WatchDesk::Impl::count() {
    std::size_t all = 0;
    for (const auto& [session, asker] : askers)
        all += asker.watch.size();
    watched = all;
}

// What the question says in place of those before it.
void WatchDesk::Impl::note(Asker& asker, WatchQuestion& question) {
    for (const FailedLink& each : question.failed) {
        if (asker.links.erase(each.pair) == 0) continue;  // told before
        const ErrorRow* row = find_error(each.kind);
        break_link(asker.node, each.pair,
                   {row == nullptr ? ErrorCode::program_failed : row->code, each.message});
    }
    asker.number = question.number;
    asker.links = std::move(question.links);
    const std::set<ProcessNumber> before = std::exchange(asker.watch, std::move(question.watch));
    for (const NodeLinkPair& each : asker.links)
        asker.watch.insert(each.here);
    std::erase_if(asker.ended, [&](const auto& each) { return !asker.watch.contains(each.first); });
    count();  // from here on what ends is told
    // How one ended that was watched before is told, and may be on its way yet.
    for (const ProcessNumber each : asker.watch)
        if (!before.contains(each) && !ports.topology.has(each))
            asker.ended[each] = {.number = each,
                                 .ok = false,
                                 .program = {},
                                 .kind = std::string{row_of(ErrorCode::process_not_found).name},
                                 .message = "nobody knows how it ended"};
}

void WatchDesk::Impl::take(WatchQuestion question, std::function<bool()> gone,
                           const Answer& answer) {
    const SessionId session = question.session;
    const auto found = askers.find(session);
    if (found == askers.end() && askers.size() >= askers_max)
        return answer(fail(ErrorCode::too_many_watches, "nodes that ask"));
    Asker& asker = found == askers.end() ? askers[session] : found->second;
    if (question.number <= asker.number) return answer(WatchAnswer{settings.session, {}});
    if (!asker.timer) asker.timer = ports.timers.make();
    asker.node = question.node;
    if (asker.parked) {
        const auto before = std::move(asker.parked->answer);
        asker.parked.reset();
        before(WatchAnswer{settings.session, {}});
    }
    const Duration wait = question.wait;
    note(asker, question);
    asker.parked.emplace(std::move(gone), answer);
    if (let_go || wait == Duration{0} || !asker.ended.empty()) return reply(session);
    asker.until = ports.clock.steady() + wait;
    look(session);
}

// With all that has ended, until a newer question says that it was heard.
void WatchDesk::Impl::reply(SessionId session) {
    Asker& asker = askers.at(session);
    WatchAnswer answer{settings.session, {}};
    for (const auto& [number, end] : asker.ended)
        answer.ended.push_back(end);
    const auto told = std::move(asker.parked->answer);
    asker.parked.reset();
    if (asker.watch.empty()) {
        askers.erase(session);
    } else {
        asker.until = ports.clock.steady() + settings.lost_after;
        asker.timer->set(asker.until, [this, session] { look(session); });
    }
    told(std::move(answer));
}

void WatchDesk::Impl::look(SessionId session) {
    const auto found = askers.find(session);
    if (found == askers.end()) return;
    Asker& asker = found->second;
    const SteadyTime now = ports.clock.steady();
    if (asker.parked && (now >= asker.until || asker.parked->gone())) return reply(session);
    if (!asker.parked && now >= asker.until) return lose(session);
    const SteadyTime next =
        asker.parked ? std::min(asker.until, now + look_at_parked) : asker.until;
    asker.timer->set(next, [this, session] { look(session); });
}

void WatchDesk::Impl::lose(SessionId session) {
    auto gone = askers.extract(session);
    count();
    const Asker& asker = gone.mapped();
    if (asker.links.empty()) return;
    ports.log.warn("a node is lost", {{"node", asker.node},
                                      {"links", std::to_string(asker.links.size())},
                                      {"why", "it does not ask any more"}});
    const Error error{ErrorCode::node_lost, asker.node + ": it does not ask any more"};
    for (const NodeLinkPair& each : asker.links)
        break_link(asker.node, each, error);
}

void WatchDesk::Impl::ended(const FarEnd& end) {
    std::vector<SessionId> waiting;
    for (auto& [session, asker] : askers) {
        if (!asker.watch.contains(end.number)) continue;
        asker.ended.insert_or_assign(end.number, end);
        if (asker.parked) waiting.push_back(session);
    }
    for (const SessionId session : waiting)
        reply(session);
}

WatchDesk::WatchDesk(NodeWatchSettings settings, const NodeWatchPorts& ports)
    : impl_{std::make_shared<Impl>(std::move(settings), ports)} {
    ports.host.watch_ends([weak = std::weak_ptr{impl_}](ProcessNumber number,
                                                        const std::string& program,
                                                        const Error* error) {
        const auto self = weak.lock();
        if (!self || self->watched == 0) return;
        FarEnd end{number, error == nullptr, program, {}, {}};
        if (error != nullptr) {
            end.kind = error->name();
            end.message = error->detail;
        }
        self->ports.post([weak, end = std::move(end)] {
            if (const auto alive = weak.lock()) alive->ended(end);
        });
    });
}

WatchDesk::~WatchDesk() = default;

void WatchDesk::take(WatchQuestion question, std::function<bool()> gone, const Answer& answer) {
    impl_->take(std::move(question), std::move(gone), answer);
}

void WatchDesk::let_go() {
    impl_->let_go = true;
    std::vector<SessionId> waiting;
    for (const auto& [session, asker] : impl_->askers)
        if (asker.parked) waiting.push_back(session);
    for (const SessionId session : waiting)
        impl_->reply(session);
}

std::size_t WatchDesk::askers() const {
    return impl_->askers.size();
}

}  // namespace taskd::lua

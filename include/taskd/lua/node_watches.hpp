// Monitors and links that reach over nodes, in two halves, both on the loop.
//
// The watcher asks each node on which processes of this one watch or are linked to something: one
// question at a time, which says all of it and is answered when one of them has ended. Who is asked
// keeps nothing beyond the newest question; who asks keeps a watch until it has been told, has let
// go, or has ended. So each end is told once, and nothing is left behind on either side.
//
// The desk answers such questions. A node that does not ask any more is lost, as one that cannot be
// asked is (node_lost): the links to it are broken on both sides.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "taskd/lua/host.hpp"
#include "taskd/lua/watch_messages.hpp"
#include "taskd/port/http.hpp"
#include "taskd/port/timers.hpp"

namespace taskd::lua {

struct NodeWatchSettings {
    SessionId session;   // of this start of the node
    std::string bearer;  // for other nodes; empty: none
    Duration look = limits::node_look;
    Duration lost_after = limits::node_lost_after;
};

// All outlive both halves.
struct NodeWatchPorts {
    Host& host;
    runtime::Relay& relay;
    runtime::Topology& topology;
    port::HttpExchange& http;
    port::Timers& timers;
    const port::Clock& clock;
    port::Log& log;
    std::function<void(std::function<void()>)> post;  // to the loop, from any thread
};

class NodeWatcher final : public FarProcesses {
  public:
    NodeWatcher(NodeWatchSettings settings, const NodeWatchPorts& ports);
    ~NodeWatcher() override;  // on the loop; what was asked is not answered any more
    NodeWatcher(const NodeWatcher&) = delete;
    NodeWatcher& operator=(const NodeWatcher&) = delete;

    void tie(Tie kind, runtime::ProcessNumber here, runtime::ProcessId there,
             runtime::Delivered done) override;
    void untie(Tie kind, runtime::ProcessNumber here, runtime::ProcessId there,
               runtime::Delivered done) override;

    std::size_t ties() const;  // for tests: what it keeps

    struct Impl;

  private:
    std::shared_ptr<Impl> impl_;
};

class WatchDesk {
  public:
    WatchDesk(NodeWatchSettings settings, const NodeWatchPorts& ports);
    ~WatchDesk();  // on the loop; who waits is not answered any more
    WatchDesk(const WatchDesk&) = delete;
    WatchDesk& operator=(const WatchDesk&) = delete;

    using Answer = std::function<void(Result<WatchAnswer>)>;
    // `gone` says whether nobody waits for the answer any more. too_many_watches.
    void take(WatchQuestion question, std::function<bool()> gone, const Answer& answer);
    // Answers all who wait, so that a shutdown does not wait for them.
    void let_go();

    std::size_t askers() const;  // for tests: whom it remembers

    struct Impl;

  private:
    std::shared_ptr<Impl> impl_;
};

}  // namespace taskd::lua

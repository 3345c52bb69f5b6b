// Carries messages between processes, by the address of the receiver, in three stages:
//   local      the node is this one: into the mailbox of the host that runs the process
//   peer       a node of this cluster, whose address the settings or the name service tell
//   internode  a remote node whose name is its address, "10.0.0.7:4010", if the settings allow it:
//              what goes there carries the cluster key
// A message arrives once or not at all, and the sender is told which. Messages of one sender to one
// receiver arrive in their order. Thread-safe.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>

#include "taskd/base/limits.hpp"
#include "taskd/base/result.hpp"
#include "taskd/model/value.hpp"
#include "taskd/runtime/process_ids.hpp"

namespace taskd::runtime {

struct Package {
    ProcessId from;
    ProcessId to;
    std::string name;  // of the receiver, in place of its number (which is 0 then)
    std::string topic;
    Value payload;
    Duration wait{0};  // for room in the inbox; 0: told at once that there is none
};

// Told once: the package is in the receiver's inbox, or why not.
using Delivered = std::function<void(Result<void>)>;

// What runs processes on this node.
class Receiver {
  public:
    virtual ~Receiver() = default;
    // On a lane's thread; must not block. process_not_found, mailbox_full.
    virtual void deliver(Package package, Delivered delivered) = 0;
};

// To other nodes.
class NodeLink {
  public:
    virtual ~NodeLink() = default;
    // From any thread. Once, without repeating: unreachable, timed_out, or what the node says.
    virtual void send(const std::string& base_url, Package package, Delivered delivered) = 0;
};

struct RelaySettings {
    std::string node;
    std::map<std::string, std::string, std::less<>> peers;  // name to base url
    std::set<std::string, std::less<>> remotes = {};        // addresses that are allowed; "*": all
    std::size_t lanes = limits::relay_lanes;
    std::size_t lane_packages_max = limits::relay_lane_packages_max;
};

struct RelayCounts {
    std::uint64_t local = 0;  // packages handed to a receiver of this node
    std::uint64_t peer = 0;
    std::uint64_t internode = 0;
    std::uint64_t refused = 0;  // for want of room in a lane
};

class Relay {
  public:
    explicit Relay(RelaySettings settings, NodeLink* link = nullptr);
    ~Relay();  // stops
    Relay(const Relay&) = delete;
    Relay& operator=(const Relay&) = delete;

    // What waits is told process_ended, and what is sent within the node from now on. Once whoever
    // runs processes goes; says nothing the second time.
    void stop();

    // Before anything is sent to the host.
    void attach(const std::string& host, Receiver& receiver);
    // Nothing is delivered to it any more once this returns. Not within deliver().
    void detach(const std::string& host);

    // process_not_found for a host that is none here, node_unknown, mailbox_full, and what the
    // receiver or the other node says. `delivered` may run within the call.
    void send(Package package, Delivered delivered);

    // Peers beside those of the settings, which go over them; in place of those told before.
    void set_peers(std::map<std::string, std::string, std::less<>> peers);
    // Where a node other than this one is reached, and whether it is a peer. node_unknown.
    struct Way {
        std::string base_url;
        bool peer = false;
    };
    Result<Way> way_to(const std::string& node) const;

    const std::string& node() const;
    RelayCounts counts() const;

    // Which lane carries what a sender sends.
    static std::size_t lane_of(const ProcessId& sender, std::size_t lanes);

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace taskd::runtime

// A node of programs among others: it registers in the name service under its name, and finds its
// peers there. On the loop.
#pragma once

#include "role.hpp"
#include "taskd/runtime/relay.hpp"
#include "taskd/service/registrar.hpp"
#include "taskd/service/registry_watch.hpp"

namespace taskd::roles {

struct NodePresenceSettings {
    std::string nameservice_url;
    std::string node;
    SessionId session;
    std::string host;  // where others reach it; empty: where it speaks from
    std::uint16_t port = 0;
    Duration heartbeat = limits::heartbeat_interval;
};

class NodePresence {
  public:
    // All outlive it.
    NodePresence(const NodePresenceSettings& settings, Ground& ground, port::HttpExchange& http,
                 runtime::Relay& relay);

    void leave(std::function<void()> done) { registrar_.leave(std::move(done)); }

  private:
    void take(const RegistrySnapshot& registry);

    const std::string node_;
    port::Log& log_;
    runtime::Relay& relay_;
    std::map<std::string, std::string, std::less<>> peers_;
    service::Registrar registrar_;
    service::RegistryWatch watch_;
};

}  // namespace taskd::roles

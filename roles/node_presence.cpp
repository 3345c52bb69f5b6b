#include "node_presence.hpp"

#include "taskd/port/http.hpp"

namespace taskd::roles {
namespace {

Registration registration_of(const NodePresenceSettings& settings) {
    return {.instance = settings.node,
            .session = settings.session,
            .type = std::string{node_type},
            .host = settings.host,
            .port = settings.port,
            .concurrency = 1,
            .meta = "{}",
            .registered_at = {},
            .renewed_at = {}};
}

}  // namespace

NodePresence::NodePresence(const NodePresenceSettings& settings, Ground& ground,
                           port::HttpExchange& http, runtime::Relay& relay)
    : node_{settings.node},
      log_{*ground.log},
      relay_{relay},
      registrar_{
          {registration_of(settings), settings.nameservice_url, ground.key, settings.heartbeat},
          {http, *ground.clock, ground.loop, *ground.log}},
      watch_{settings.nameservice_url,
             ground.key,
             http,
             *ground.clock,
             ground.loop,
             *ground.log,
             [this](const RegistrySnapshot& registry) { take(registry); }} {}

void NodePresence::take(const RegistrySnapshot& registry) {
    std::map<std::string, std::string, std::less<>> peers;
    for (const Registration& each : registry.registrations)
        if (each.type == node_type && each.instance != node_)
            peers.emplace(each.instance, port::base_url(each.host, each.port));
    for (const auto& [name, url] : peers)
        if (const auto known = peers_.find(name); known == peers_.end() || known->second != url)
            log_.info("found a peer", {{"node", name}, {"url", url}});
    for (const auto& [name, url] : peers_)
        if (!peers.contains(name)) log_.info("a peer has gone", {{"node", name}});
    peers_ = peers;
    relay_.set_peers(std::move(peers));
}

}  // namespace taskd::roles

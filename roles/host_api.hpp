// The HTTP side of a host: its processes, messages to them, and calls of its functions.
#pragma once

#include <functional>
#include <map>
#include <memory>

#include "program_lifecycle.hpp"
#include "taskd/lua/functions.hpp"
#include "taskd/lua/host.hpp"
#include "taskd/lua/modules.hpp"
#include "taskd/lua/node_watches.hpp"
#include "taskd/runtime/transcoder.hpp"
#include "taskd/service/http_front.hpp"

namespace taskd::roles {

// What a host holds of its entries, or would hold of others.
struct HostEntries {
    std::function<Result<HeldPrograms>(const std::vector<Entry>& entries)> check;
    std::function<Result<HeldPrograms>()> reload;
    std::function<std::vector<std::string>()> functions;  // names
};

struct HostApiPorts {
    lua::Host& host;
    lua::Functions& functions;
    runtime::Relay& relay;
    runtime::Topology& topology;
    lua::Post post;  // answers are given on the loop
    const runtime::Transcoder& formats;
    const port::Clock& clock;
    port::Timers& timers;
    lua::WatchDesk& desk;
};

class HostApi {
  public:
    HostApi(const HostApiPorts& ports, HostEntries entries)
        : ports_{ports}, entries_{std::move(entries)} {}

    void add_routes(service::HttpFront& front);

  private:
    void list(service::Call call) const;
    void spawn(service::Call call);
    void end(service::Call call);
    void message(service::Call call);
    void watch(service::Call call);
    void list_functions(service::Call call) const;
    void call_function(service::Call call);
    void check_entries(service::Call call) const;
    void reload_entries(service::Call call) const;

    HostApiPorts ports_;
    HostEntries entries_;
    std::uint64_t calls_ = 0;
    std::map<std::uint64_t, std::unique_ptr<port::Timer>> timers_;  // of calls with a bound
};

// Messages to other nodes: POST /v1/messages of theirs, once.
class HttpLink final : public runtime::NodeLink {
  public:
    HttpLink(port::HttpExchange& http, lua::Post post, const runtime::Transcoder& formats,
             protocol::ClusterKey key)
        : http_{http}, post_{std::move(post)}, formats_{formats}, key_{std::move(key)} {}

    void send(const std::string& base_url, runtime::Package package,
              runtime::Delivered delivered) override;

  private:
    port::HttpExchange& http_;
    lua::Post post_;
    const runtime::Transcoder& formats_;
    protocol::ClusterKey key_;
};

}  // namespace taskd::roles

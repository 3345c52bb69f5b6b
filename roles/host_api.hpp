// The HTTP side of a host: its processes, messages to them, and calls of its functions.
#pragma once

#include "taskd/lua/functions.hpp"
#include "taskd/lua/host.hpp"
#include "taskd/lua/modules.hpp"
#include "taskd/lua/node_watches.hpp"
#include "taskd/runtime/transcoder.hpp"
#include "taskd/service/http_front.hpp"

namespace taskd::roles {

struct HostApiPorts {
    lua::Host& host;
    lua::Functions& functions;
    runtime::Relay& relay;
    runtime::Topology& topology;
    lua::Post post;  // answers are given on the loop
    const runtime::Transcoder& formats;
    lua::WatchDesk& desk;
};

class HostApi {
  public:
    explicit HostApi(const HostApiPorts& ports) : ports_{ports} {}

    void add_routes(service::HttpFront& front);
    // Once, before requests come: what GET /v1/functions lists.
    void set_functions(std::vector<std::string> names) { names_ = std::move(names); }

  private:
    void list(service::Call call) const;
    void spawn(service::Call call);
    void end(service::Call call);
    void message(service::Call call);
    void watch(service::Call call);
    void list_functions(service::Call call) const;
    void call_function(service::Call call);

    HostApiPorts ports_;
    std::vector<std::string> names_;
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

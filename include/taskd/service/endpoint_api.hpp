// Routes that people declare, each backed by a task or by a function of a host: what they say of
// them, and the requests that come there. Kept in a file beside the store. On the loop.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <string>

#include "taskd/port/background.hpp"
#include "taskd/port/files.hpp"
#include "taskd/protocol/endpoint_json.hpp"
#include "taskd/service/http_front.hpp"

namespace taskd::service {

struct EndpointPorts {
    port::Files* files = nullptr;  // none: they last as long as the process
    port::Background& lane;        // where the file is written
    port::HttpExchange& http;      // to hosts
};

class EndpointApi {
  public:
    // Tasks are submitted at the front, and functions called at their hosts, as anybody does, with
    // `key`.
    EndpointApi(std::string path, EndpointPorts ports, HttpFront& front, protocol::ClusterKey key);

    // Reads the file, before the loop runs: store_damaged, io_failed. Then serves.
    Result<void> start();

  private:
    using Endpoints = std::map<std::string, protocol::Endpoint>;

    void list(Call call);
    void get(Call call);
    void put(Call call);
    void remove(Call call);
    // What one request wants of an endpoint; nothing: that it goes.
    struct Change {
        Call call;
        std::string name;
        std::optional<protocol::Endpoint> to;
    };

    // Answers once it is durable; in turn, so that what a failed write takes back is its own.
    void change(Change change);
    void next_change();
    std::optional<Error> why_not(const Change& change) const;
    void write(const std::shared_ptr<Change>& change);
    std::optional<protocol::Endpoint> set(const std::string& name,
                                          std::optional<protocol::Endpoint> to);
    bool serve(Call& call);
    void begin(const protocol::Endpoint& endpoint, const protocol::PathValues& values, Call call);
    void submit(const protocol::Endpoint& endpoint, const std::string& payload, Call call);
    void call_function(const protocol::Endpoint& endpoint, std::string payload, Call call);

    const std::string path_;
    EndpointPorts ports_;
    HttpFront& front_;
    protocol::ClusterKey key_;
    Endpoints endpoints_;
    std::deque<Change> changes_;  // to come
    bool writing_ = false;
};

}  // namespace taskd::service

// The modules that programs may require, beside those of their host (`process`, `time`,
// `functions`): what each part of a role lends to programs.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "taskd/lua/host.hpp"
#include "taskd/lua/module.hpp"
#include "taskd/port/http.hpp"
#include "taskd/port/key_store.hpp"
#include "taskd/port/log.hpp"
#include "taskd/port/timers.hpp"
#include "taskd/runtime/event_bus.hpp"
#include "taskd/runtime/transcoder.hpp"

namespace taskd::lua {

// Pure ones: `json` and `yaml` (encode, decode), `text` (upper, lower, fold, length, trim, split,
// lines), `crypto` (sha256, sha1, hmac_sha256, to_base64, from_base64, random).
std::vector<Module> plain_modules(const runtime::Transcoder& formats);
// `log`: debug, info, warn, error (message, fields).
Module log_module(port::Log& log);

using Post = std::function<void(std::function<void()>)>;  // to the loop, from any thread

// The dispatcher's API as `tasks`, `workflows`, `topics` and `queue`, and other services as `http`.
// Processes and functions have room of their own: one kind does not keep the other waiting.
struct ApiPorts {
    port::HttpExchange& http;
    port::Timers& timers;
    const port::Clock& clock;
    const runtime::Topology& topology;  // says which of them are processes
    Post post;
    const runtime::Transcoder& formats;
    std::string dispatcher_url;
    std::string bearer;  // for the dispatcher alone; empty: none
    std::size_t exchanges_max = limits::program_exchanges_max;  // of each kind
    Duration exchange_patience = limits::exchange_patience;     // for a turn
};
class Api {
  public:
    explicit Api(ApiPorts ports);
    ~Api();  // on the loop; what was asked is not answered any more
    Api(const Api&) = delete;
    Api& operator=(const Api&) = delete;

    std::vector<Module> modules() const;
    Result<void> add_commands(runtime::Commands& commands);

    struct Impl;

  private:
    std::shared_ptr<Impl> impl_;
};

// The role's event bus as `events`: publish(topic, fields) below "app.", and subscribe(pattern),
// whose events come to the process's inbox under the topic "event" until it ends.
class Events {
  public:
    Events(runtime::EventBus& bus, runtime::Relay& relay, const runtime::Topology& topology,
           Post post);

    static Module module();
    Result<void> add_commands(runtime::Commands& commands);
    // Its subscriptions end with it. From any thread.
    void ended(runtime::ProcessNumber process);

    struct Impl;

  private:
    std::shared_ptr<Impl> impl_;
};

// The stores of a role as `store`: get, find, put, compare_and_set, delete, list. Values are kept
// as JSON. What is asked waits for its turn on threads of its own, because a store waits for the
// disk.
class Stores {
  public:
    // Without stores every name is store_not_found. `stores` and `formats` outlive it.
    Stores(port::KeyStores* stores, const runtime::Transcoder& formats);
    ~Stores();  // what was asked is answered first
    Stores(const Stores&) = delete;
    Stores& operator=(const Stores&) = delete;

    static Module module();
    Result<void> add_commands(runtime::Commands& commands);

    struct Impl;

  private:
    std::shared_ptr<Impl> impl_;
};

}  // namespace taskd::lua

// What programs stand on in a role: scheduler, relay, topology, commands, host and functions, and
// the modules that programs may require.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "role.hpp"
#include "taskd/lua/functions.hpp"
#include "taskd/lua/host.hpp"
#include "taskd/lua/modules.hpp"
#include "taskd/port/http.hpp"

namespace taskd::roles {

struct ProgramsSettings {
    std::string node;
    unsigned threads = 2;
    std::string dispatcher_url;
    std::map<std::string, std::string, std::less<>> peers = {};
    lua::HostSettings host = {};
};

// On the loop; `http` and `link` outlive it.
class Programs {
  public:
    Programs(ProgramsSettings settings, Ground& ground, port::HttpExchange& http,
             runtime::NodeLink* link = nullptr);

    // Hands all handlers to the dispatcher of commands and freezes it: command_twice.
    Result<void> freeze();

    lua::Host& host() { return host_; }
    lua::Functions& functions() { return functions_; }
    runtime::Relay& relay() { return relay_; }
    runtime::Topology& topology() { return topology_; }
    const runtime::Commands& commands() const { return commands_; }
    lua::SchedulerCounts scheduler_counts() const { return scheduler_.counts(); }

  private:
    // In the order in which one needs the other: what runs programs ends first.
    lua::Api api_;
    runtime::ProcessIds ids_;
    runtime::Topology topology_;
    runtime::Commands commands_;
    lua::Alarms alarms_;
    std::vector<lua::Module> modules_;
    lua::Scheduler scheduler_;
    runtime::Relay relay_;
    lua::Events events_;
    lua::Host host_;
    lua::Functions functions_;
};

// All modules there are, for whoever allows every one.
const std::vector<std::string>& module_names();

// A program from a file, which may require these modules: file_missing, bad_program,
// module_not_allowed for a module that is none.
Result<lua::ProgramPtr> load_program(const std::string& path,
                                     const std::vector<std::string>& modules);

}  // namespace taskd::roles

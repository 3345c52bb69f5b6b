// What programs stand on in a role: scheduler, relay, topology, commands, host and functions, and
// the modules that programs may require.
#pragma once

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
    unsigned threads = 2;  // that run programs
    std::string dispatcher_url;
    lua::HostSettings host = {};
    std::uint64_t memory_max = limits::programs_memory_default;  // of all programs together
    std::size_t exchanges_max = limits::program_exchanges_max;   // of processes, and of functions
    Duration exchange_patience = limits::exchange_patience;
};

// All outlive the programs.
struct ProgramsPorts {
    Ground& ground;
    port::HttpExchange& http;
    runtime::ProcessIds& ids;
    runtime::Commands& commands;
    runtime::Topology& topology;
    runtime::Relay& relay;  // stops with them
    port::KeyStores* stores = nullptr;
};

class Programs {
  public:
    // On the loop. Hands its handlers to the dispatcher of commands, which is to be frozen before
    // anything runs: command_twice.
    static Result<std::unique_ptr<Programs>> make(const ProgramsSettings& settings,
                                                  const ProgramsPorts& ports);

    lua::Host& host() { return host_; }
    lua::Functions& functions() { return functions_; }
    lua::SchedulerCounts scheduler_counts() const { return scheduler_.counts(); }

  private:
    Programs(const ProgramsSettings& settings, const ProgramsPorts& ports);

    // In the order in which one needs the other: what runs programs ends first.
    lua::Api api_;
    lua::MemoryPool memory_;
    lua::Stores stores_;
    lua::Alarms alarms_;
    std::vector<lua::Module> modules_;
    lua::Scheduler scheduler_;
    struct StopsRelay {
        runtime::Relay& relay;
        ~StopsRelay() { relay.stop(); }
    } relay_;
    lua::Events events_;
    lua::Host host_;
    lua::Functions functions_;
};

lua::Post post_to(io::Loop& loop);

// All modules there are, for whoever allows every one.
const std::vector<std::string>& module_names();

// A program from a file, which may require these modules: file_missing, bad_program,
// module_not_allowed for a module that is none.
Result<lua::ProgramPtr> load_program(const std::string& path,
                                     const std::vector<std::string>& modules);

}  // namespace taskd::roles

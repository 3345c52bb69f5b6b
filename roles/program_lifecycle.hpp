// What a host runs, as its entries say, now and whenever they change: functions and programs of the
// newest version, and the processes that begin by themselves. On the loop.
#pragma once

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "program_entries.hpp"
#include "program_source.hpp"
#include "programs.hpp"
#include "service_follower.hpp"
#include "taskd/port/timers.hpp"
#include "taskd/runtime/supervisor.hpp"

namespace taskd::roles {

// What a host holds, or would.
struct HeldPrograms {
    std::size_t functions = 0;
    std::size_t processes = 0;
    std::uint64_t version = 0;  // of the registry; 0: files
};

class ProgramLifecycle {
  public:
    ProgramLifecycle(Ground& ground, ProgramSource& source, runtime::Supervisor& supervisor,
                     runtime::Topology& topology);

    // What runs them, and the stores that they may use, if any; before the start.
    void bind(Programs& programs, io::KeyStoreFolder* stores) {
        programs_ = &programs;
        stores_ = stores;
    }
    // Functions and programs, then the processes. What a registry holds that cannot be run keeps
    // nobody from starting: the next version may mend it.
    Result<void> start();
    Result<void> start_entries();
    void stop();

    // Whether these could be held in place of what is: the errors of compile_entries, memory_limit.
    Result<HeldPrograms> check(const std::vector<Entry>& entries) const;
    // Reads them again, where they came from. What is new or newer counts from now on, processes of
    // older programs are told, those of programs that are gone are ended. After an error all is as
    // it was.
    Result<HeldPrograms> reload();

    std::vector<std::string> functions() const;  // names

  private:
    Result<void> can_run(const ProgramEntries& entries) const;
    void take(ProgramEntries entries);
    void take_functions(const ProgramEntries& entries);
    void set(const FunctionEntry& function);
    void try_unmade();
    void take_processes(const ProgramEntries& entries);
    void take_stores(const ProgramEntries& entries);
    void follow();
    void look();
    void note(const Result<HeldPrograms>& held);
    void end_all_of(const std::string& program);
    HeldPrograms counts_of(const ProgramEntries& entries) const;
    ServiceFollower<ProcessEntry>::Deeds deeds();

    Ground& ground_;
    ProgramSource& source_;
    runtime::Supervisor& supervisor_;
    runtime::Topology& topology_;
    Programs* programs_ = nullptr;
    io::KeyStoreFolder* stores_ = nullptr;
    ProgramEntries held_;
    std::set<std::string> unmade_;  // functions of it that there was no memory for
    ServiceFollower<ProcessEntry> services_;
    bool running_ = false;  // processes begin
    std::unique_ptr<port::Timer> timer_;
    std::unique_ptr<port::Timer> unmade_timer_;
    Duration unmade_pause_{};  // until they are tried again
};

}  // namespace taskd::roles

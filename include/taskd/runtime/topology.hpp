// Which process began which, who is told when one ends, and who ends with it. Pure bookkeeping of
// one host's processes by number; thread-safe.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "taskd/base/result.hpp"
#include "taskd/bus/event.hpp"
#include "taskd/runtime/process_ids.hpp"

namespace taskd::runtime {

using ProcessNumber = std::uint64_t;

struct ProcessRow {
    ProcessNumber number = 0;
    ProcessNumber parent = 0;  // 0: nobody's child
    std::string runs;          // the program
    std::string name;          // registered, or empty
};

// What the end of a process leads to.
struct ProcessEnd {
    std::vector<ProcessNumber> children;  // end with it
    std::vector<ProcessNumber> linked;    // end with it, or are told when they trap
    std::vector<ProcessNumber> monitors;  // are told
};

// Tells process.started and process.stopped (pid, program, and how it ended).
class Topology {
  public:
    static constexpr bool loads_beside = true;
    // Links and monitors of all processes together; about 100 MB.
    static constexpr std::size_t ties_max_default = 1'000'000;

    Topology(std::string node, std::string host, bus::Publisher* bus,
             std::size_t ties_max = ties_max_default)
        : node_{std::move(node)}, host_{std::move(host)}, bus_{bus}, ties_max_{ties_max} {}

    // process_ended when the parent has ended meanwhile.
    Result<void> begin(ProcessNumber number, ProcessNumber parent, std::string runs);
    ProcessEnd end(ProcessNumber number, const std::string& how);

    // process_not_found for one that is not there (any more); too_many_watches.
    Result<void> link(ProcessNumber a, ProcessNumber b);
    Result<void> unlink(ProcessNumber a, ProcessNumber b);
    Result<void> monitor(ProcessNumber watcher, ProcessNumber watched);
    Result<void> demonitor(ProcessNumber watcher, ProcessNumber watched);

    Result<void> give_name(ProcessNumber number, const std::string& name);  // name_taken
    ProcessNumber find_name(std::string_view name) const;                   // 0: nobody has it

    bool has(ProcessNumber number) const;
    std::size_t count() const;
    // By number, `max` at most, from the one behind `after` on.
    std::vector<ProcessRow> rows(ProcessNumber after, std::size_t max) const;

    ProcessId id_of(ProcessNumber number) const { return {node_, host_, number}; }

  private:
    struct One {
        ProcessNumber parent = 0;
        std::string runs;
        std::string name;
        std::set<ProcessNumber> children;
        std::set<ProcessNumber> links;
        std::set<ProcessNumber> watchers;
        std::set<ProcessNumber> watches;
    };
    One* find(ProcessNumber number);
    Result<void> tie(std::set<ProcessNumber>& of_first, ProcessNumber second,
                     std::set<ProcessNumber>& of_second, ProcessNumber first);
    Result<void> untie(std::set<ProcessNumber>& of_first, ProcessNumber second,
                       std::set<ProcessNumber>& of_second, ProcessNumber first);
    template <class Change>  // of what two processes know of each other
    Result<void> change(ProcessNumber a, ProcessNumber b, Change make);
    void tell(std::string_view topic, ProcessNumber number, const std::string& runs,
              const std::string& how) const;

    const std::string node_;
    const std::string host_;
    bus::Publisher* const bus_;
    const std::size_t ties_max_;
    mutable std::mutex mutex_;  // guards what follows
    std::map<ProcessNumber, One> processes_;
    std::size_t ties_ = 0;
    std::map<std::string, ProcessNumber, std::less<>> names_;
};

}  // namespace taskd::runtime

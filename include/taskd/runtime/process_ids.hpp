// Ids of the processes of a node: "{node@host|7}", where a host is what runs them. A number is
// never given twice by one node. Thread-safe.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>

#include "taskd/base/result.hpp"

namespace taskd::runtime {

struct ProcessId {
    std::string node;
    std::string host;
    std::uint64_t number = 0;

    friend bool operator==(const ProcessId&, const ProcessId&) = default;
};
std::string to_text(const ProcessId& id);
Result<ProcessId> parse_process_id(std::string_view text);  // invalid_field

class ProcessIds {
  public:
    static constexpr bool loads_beside = true;

    explicit ProcessIds(std::string node) : node_{std::move(node)} {}

    ProcessId next(std::string_view host) {
        return {node_, std::string{host}, newest_.fetch_add(1, std::memory_order_relaxed) + 1};
    }

  private:
    std::string node_;
    std::atomic<std::uint64_t> newest_ = 0;
};

}  // namespace taskd::runtime

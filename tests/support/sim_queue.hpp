// The simulated world's one queue of events, ordered by time and, at the same time, by the order in
// which they were added. Events belong to an owner (a host) and can be dropped with it.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "taskd/base/time.hpp"

namespace taskd::test {

class SimQueue {
  public:
    using Job = std::move_only_function<void()>;
    using Owner = std::uint32_t;

    struct Ticket {
        std::uint32_t slot = UINT32_MAX;
        std::uint32_t round = 0;
    };
    struct Next {
        Duration at;
        Owner owner;
    };

    Ticket add(Duration at, Owner owner, Job job);
    void cancel(Ticket ticket);  // harmless when it has run or was cancelled
    // Destroys every event of this owner unrun; returns how many.
    std::size_t drop(Owner owner);

    bool empty() { return !settle(); }
    // The earliest event; only when not empty().
    Next next();
    Job take();  // removes the earliest event
    void postpone(
        Duration until);  // moves the earliest event, behind all that are due then already

  private:
    struct Item {
        Duration at;
        std::uint64_t tie;
        std::uint32_t slot;
        std::uint32_t round;
    };
    struct Slot {
        Job job;
        Owner owner = 0;
        std::uint32_t round = 0;
        bool used = false;
    };
    static bool later(const Item& a, const Item& b) {
        return a.at != b.at ? a.at > b.at : a.tie > b.tie;
    }

    bool settle();  // removes cancelled items from the top; false when nothing is left
    void push(Item item);
    Item pop();
    Job release(std::uint32_t slot);
    void sweep();

    std::vector<Item> heap_;
    std::vector<Slot> slots_;
    std::vector<std::uint32_t> free_;
    std::uint64_t next_tie_ = 0;
    std::size_t stale_ = 0;  // items in the heap whose event was cancelled
};

}  // namespace taskd::test

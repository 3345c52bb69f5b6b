// The events that one subscriber has not taken yet: so many and no more. What goes when there is no
// room is the subscriber's choice, and it is told how much it missed. Pure.
#pragma once

#include <cstdint>
#include <deque>
#include <vector>

#include "taskd/bus/event.hpp"

namespace taskd::bus {

enum class WhenFull : std::uint8_t {
    drop_oldest,  // for those who want to know how it stands
    drop_newest,  // for those who want to know how it began
};

struct Delivery {
    EventPtr event;
    std::uint64_t lost_before = 0;  // events between the one taken before and this one
};

class Mailbox {
  public:
    Mailbox(std::size_t capacity, WhenFull when_full);  // capacity: at least 1

    void put(EventPtr event);
    // The oldest first, at most so many.
    std::vector<Delivery> take(std::size_t most);

    bool empty() const { return waiting_.empty(); }
    std::size_t size() const { return waiting_.size(); }
    std::uint64_t lost() const { return lost_; }  // since it was made

  private:
    std::size_t capacity_;
    WhenFull when_full_;
    std::deque<Delivery> waiting_;
    std::uint64_t lost_ = 0;
    std::uint64_t untold_ = 0;  // lost behind all that wait
};

}  // namespace taskd::bus

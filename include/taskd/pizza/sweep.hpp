// Lets go of rows that are old: what a service keeps does not grow for ever. On the loop; the rows
// go on the lane, some at a time.
#pragma once

#include <memory>
#include <optional>
#include <string_view>

#include "taskd/pizza/service.hpp"

namespace taskd::pizza {

class Sweep {
  public:
    static constexpr std::int64_t rows_max = 1000;

    // `sql` deletes up to ?2 of the rows older than ?1. With them go events that were put aside as
    // long ago: the store has parked_table.
    Sweep(std::string_view sql, Duration keep, const World& world);
    void start() { turn(); }

  private:
    void turn();
    WallTime believed_now();

    std::string_view sql_;
    Duration keep_;
    Desk& desk_;
    const port::Clock& clock_;
    port::Log& log_;
    std::unique_ptr<port::Timer> timer_;
    std::optional<Duration> lead_;  // of the clock on the wall before the steady one
};

}  // namespace taskd::pizza

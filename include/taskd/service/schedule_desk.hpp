// Looks after the schedules: works out when each is due, and gives each time its turn. What a turn
// does is the engine's; here is the calendar and the timer.
//
// All calls on the loop's thread.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "taskd/port/calendar.hpp"
#include "taskd/service/core.hpp"

namespace taskd::service {

class ScheduleDesk {
  public:
    ScheduleDesk(Core& core, port::Calendar& calendar, const port::Clock& clock,
                 port::Timers& timers, port::Log& log);

    // After recovery: from now on times have their turn.
    void start();

    // Whether it can be worked out: invalid_field, unknown_zone.
    Result<void> check(const ScheduleSpec& spec) const;
    // What was decided, once it is durable. schedule_not_found and what a submit is refused for.
    using Done = std::function<void(const engine::Decision&)>;
    void set(ScheduleSpec spec, Done done);
    void remove(const std::string& name, Done done);
    void pause(engine::PauseSchedule command, Done done);
    void run_now(const std::string& name, Done done);

    struct Backfilled {
        std::size_t submitted = 0;
        std::size_t there = 0;  // were submitted before
        std::optional<Error> refused;
    };
    // Every time from `from` to `to` that has no task yet gets it. schedule_not_found,
    // too_many_tasks beyond limits::backfill_max, invalid_field when times are still to come.
    void backfill(const std::string& name, WallTime from, WallTime to,
                  std::function<void(const Backfilled&)> done);

    // The next times after `after`, without a look at pauses. schedule_not_found, unknown_zone.
    Result<std::vector<WallTime>> times_after(const std::string& name, WallTime after,
                                              std::size_t count) const;

  private:
    struct Entry {
        Plan plan;
        std::string zone;
        std::optional<WallTime> next;
        std::optional<WallTime> read_to;  // while what has come is read, part by part
        std::vector<WallTime> open;       // have come and not had their turn
        std::uint64_t older = 0;
        bool busy = false;    // a turn is on its way
        bool broken = false;  // its zone is gone, and told so
    };
    struct Backfill;

    void changed(const std::string& name);
    void forget(const std::string& name);
    Result<std::vector<WallTime>> times(const Plan& plan, const std::string& zone, WallTime after,
                                        std::size_t count, std::optional<WallTime> until) const;
    void plan_next(const std::string& name, Entry& entry, WallTime after);
    void wake();
    void arm();
    void collect(const std::string& name);
    void look_at_clock();
    void fire(const std::string& name);
    void fired(const std::string& name, const engine::Decision& decision);
    void step(std::shared_ptr<Backfill> backfill);

    Core& core_;
    port::Calendar& calendar_;
    const port::Clock& clock_;
    port::Timers& timers_;
    port::Log& log_;
    std::unique_ptr<port::Timer> timer_;
    std::map<std::string, Entry> entries_;
    std::set<std::pair<WallTime, std::string>> due_;
    WallTime looked_at_ = WallTime::min();  // the clock, when it was last looked at
};

}  // namespace taskd::service

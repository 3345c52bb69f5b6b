#include "taskd/pizza/sweep.hpp"

#include <algorithm>

namespace taskd::pizza {
namespace {

using namespace std::chrono_literals;

constexpr Duration often = 100ms;
constexpr Duration seldom = 1h;
constexpr Duration leap = 24h;

// What the broker would not take is for people to look at, and no longer than all else.
constexpr std::string_view old_parked =
    "DELETE FROM parked WHERE number IN (SELECT number FROM parked WHERE time < ?1 LIMIT ?2)";

struct Gone {
    std::int64_t rows = 0;
    bool more = false;
};

Result<Gone> let_go(io::SqliteStore& store, std::string_view sql, std::int64_t before) {
    Gone gone;
    for (const std::string_view each : {sql, old_parked}) {
        const auto rows = store.run(each, {before, Sweep::rows_max});
        if (!rows) return std::unexpected{rows.error()};
        gone.rows += *rows;
        gone.more = gone.more || *rows == Sweep::rows_max;
    }
    return gone;
}

}  // namespace

Sweep::Sweep(std::string_view sql, Duration keep, const World& world)
    : sql_{sql},
      keep_{keep},
      desk_{world.desk},
      clock_{world.clock},
      log_{world.log},
      timer_{world.timers.make()} {}

// A clock that leaps ahead by more than a day is not believed as long as this process lives: what
// is gone does not come back when it is set right.
WallTime Sweep::believed_now() {
    const Duration steady = clock_.steady().time_since_epoch();
    const Duration lead = clock_.wall().time_since_epoch() - steady;
    if (!lead_ || lead <= *lead_ + leap)
        lead_ = lead;
    else
        log_.warn("the clock leapt ahead; old rows are told by the one before",
                  {{"seconds", std::to_string((lead - *lead_) / 1s)}});
    return WallTime{steady + *lead_};
}

void Sweep::turn() {
    const auto before = (believed_now() - keep_).time_since_epoch().count();
    desk_.ask<Gone>(
        [sql = sql_, before](io::SqliteStore& store) { return let_go(store, sql, before); },
        [this](const Result<Gone>& gone) {
            if (!gone)
                log_.warn("old rows stay for now", {{"error", gone.error().to_string()}});
            else if (gone->rows > 0)
                log_.info("old rows are let go of", {{"rows", std::to_string(gone->rows)}});
            const bool more = gone && gone->more;
            const Duration pause = more ? often : std::clamp<Duration>(keep_ / 4, often, seldom);
            timer_->set(clock_.steady() + pause, [this] { turn(); });
        });
}

}  // namespace taskd::pizza

#include "taskd/pizza/sweep.hpp"

#include <algorithm>

namespace taskd::pizza {
namespace {

using namespace std::chrono_literals;

constexpr Duration often = 100ms;
constexpr Duration seldom = 1h;

}  // namespace

Sweep::Sweep(std::string_view sql, Duration keep, const World& world)
    : sql_{sql},
      keep_{keep},
      desk_{world.desk},
      clock_{world.clock},
      log_{world.log},
      timer_{world.timers.make()} {}

void Sweep::turn() {
    const auto before = (clock_.wall() - keep_).time_since_epoch().count();
    desk_.ask<std::int64_t>(
        [sql = sql_, before](io::SqliteStore& store) { return store.run(sql, {before, rows_max}); },
        [this](Result<std::int64_t> gone) {
            if (!gone)
                log_.warn("old rows stay for now", {{"error", gone.error().to_string()}});
            else if (*gone > 0)
                log_.info("old rows are let go of", {{"rows", std::to_string(*gone)}});
            const bool more = gone && *gone == rows_max;
            const Duration pause = more ? often : std::clamp<Duration>(keep_ / 4, often, seldom);
            timer_->set(clock_.steady() + pause, [this] { turn(); });
        });
}

}  // namespace taskd::pizza

// Lets go of tasks that ended long ago, and of the oldest beyond so many: a sweep over the view in
// id order, a page at a time, whose tasks the engine deletes. Nothing of a sweep is written down:
// after a restart it begins anew. Nothing goes that ended a short while ago, that a group which has
// not ended counts, or whose idempotency key still stands for it.
#pragma once

#include <memory>
#include <optional>

#include "taskd/service/core.hpp"

namespace taskd::service {

struct RetentionSettings {
    Duration keep = limits::keep_default;  // succeeded, cancelled and expired tasks
    Duration keep_dead = limits::keep_dead_default;
    std::uint64_t count = limits::keep_count_default;  // ended tasks; beyond it the oldest go
    Duration least = limits::kept_at_least;            // tests alone have it shorter
    Duration interval = limits::sweep_interval;        // from one sweep to the next
    // Until the first sweep of everything; the next ones follow after limits::sweep_all_interval.
    Duration all_at_first = std::chrono::hours{1};
};

class Retention {
  public:
    Retention(RetentionSettings settings, Core& core, port::Clock& clock, port::Timers& timers,
              port::Log& log);

    void start();
    const RetentionSettings& settings() const { return settings_; }
    std::uint64_t dropped() const { return dropped_; }              // since the start
    std::optional<WallTime> swept_at() const { return swept_at_; }  // when a sweep ended
    void report(port::MetricSink& sink) const;

  private:
    void next(Duration wait);
    void begin();
    void ask();
    void found(const Result<TaskPage>& page);
    bool may_go(const Task& task, WallTime now, bool crowded) const;
    bool is_young(const Task& task, WallTime now, bool crowded) const;
    void end_sweep();
    void wait_for_next();

    RetentionSettings settings_;
    Core& core_;
    port::Clock& clock_;
    port::Log& log_;
    std::unique_ptr<port::Timer> timer_;
    std::optional<TaskId> after_;  // where the sweep is
    bool to_the_end_ = false;      // of this sweep: it does not stop at what is young
    SteadyTime to_the_end_at_{};   // when the next one is
    std::optional<WallTime> swept_at_;
    std::uint64_t dropped_ = 0;
    std::uint64_t told_ = 0;  // of them, said in the log
};

}  // namespace taskd::service

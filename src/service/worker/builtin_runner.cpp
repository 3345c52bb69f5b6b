#include "taskd/service/builtin_runner.hpp"

#include <algorithm>

namespace taskd::service {

using protocol::LeaseKey;

BuiltinRunner::BuiltinRunner(const work::WorkType& type, port::Background& lane, port::Clock& clock,
                             port::Timers& timers, std::size_t inline_bytes_max)
    : type_{type},
      lane_{lane},
      clock_{clock},
      timers_{timers},
      inline_bytes_max_{inline_bytes_max} {}

BuiltinRunner::~BuiltinRunner() = default;

void BuiltinRunner::run(TaskRun run, std::function<void(RunEnd)> done) {
    const LeaseKey lease = run.lease;
    running_[lease].done = std::move(done);
    if (run.payload.size() <= inline_bytes_max_)
        return worked(lease, work::run_work(type_, run.payload));
    auto payload = std::make_shared<const std::string>(std::move(run.payload));
    auto outcome = std::make_shared<Outcome>();
    lane_.run([&type = type_, payload, outcome] { *outcome = work::run_work(type, *payload); },
              [this, lease, outcome, alive = std::weak_ptr{alive_}] {
                  if (!alive.expired()) worked(lease, std::move(*outcome));
              });
}

void BuiltinRunner::worked(const LeaseKey& lease, Outcome outcome) {
    const auto found = running_.find(lease);
    if (found == running_.end()) return;  // stopped meanwhile
    if (!outcome) return finish(lease, std::unexpected{RunFailure{std::move(outcome.error()), {}}});
    if (outcome->sleep_first == Duration{0}) return finish(lease, std::move(outcome->result_json));
    found->second.asleep = clock_.steady();
    found->second.sleeps = outcome->sleep_first;
    found->second.timer = timers_.make();
    found->second.timer->set(
        clock_.steady() + outcome->sleep_first,
        [this, lease, result = std::move(outcome->result_json)] { finish(lease, result); });
}

void BuiltinRunner::finish(const LeaseKey& lease, RunEnd end) {
    // Kept until it returns: the timer whose call this may be goes with it.
    const auto node = running_.extract(lease);
    node.mapped().done(std::move(end));
}

std::optional<Progress> BuiltinRunner::progress(const LeaseKey& lease) const {
    const auto found = running_.find(lease);
    if (found == running_.end() || found->second.sleeps == Duration{0}) return std::nullopt;
    const Duration slept = clock_.steady() - found->second.asleep;
    Progress progress;
    progress.percent = static_cast<std::uint8_t>(
        std::clamp<std::int64_t>(100 * slept / found->second.sleeps, 0, 100));
    return progress;
}

void BuiltinRunner::stop(const LeaseKey& lease, std::function<void()> gone) {
    running_.erase(lease);
    gone();
}

}  // namespace taskd::service

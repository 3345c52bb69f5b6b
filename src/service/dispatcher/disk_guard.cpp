#include "taskd/service/disk_guard.hpp"

#include <algorithm>

namespace taskd::service {
namespace {

std::string mebibytes(std::uint64_t bytes) {
    return std::to_string(bytes / limits::mebibyte) + " MiB";
}

}  // namespace

DiskGuard::DiskGuard(DiskGuardSettings settings, port::Files* files, port::Background& lane,
                     Core& core, port::Clock& clock, port::Timers& timers, port::Log& log)
    : settings_{std::move(settings)},
      files_{files},
      lane_{lane},
      core_{core},
      clock_{clock},
      log_{log},
      timer_{timers.make()} {}

void DiskGuard::start() {
    if (files_ != nullptr) look();
}

void DiskGuard::look() {
    auto space = std::make_shared<Result<port::DiskSpace>>();
    lane_.run([files = files_, dir = settings_.dir, space] { *space = files->space(dir); },
              [this, space] { looked(*space); });
}

void DiskGuard::looked(const Result<port::DiskSpace>& space) {
    timer_->set(clock_.steady() + limits::disk_look_interval, [this] { look(); });
    if (!space) {
        // Nobody knows; the journal's own room is the bound then.
        if (!std::exchange(failed_, true))
            log_.warn("the disk's free space is not known", {{"error", space.error().to_string()}});
        space_.reset();
        low_ = false;
        return core_.hold_new_work(std::nullopt);
    }
    failed_ = false;
    space_ = *space;
    reserve_ = settings_.reserve.value_or(std::min(
        space->total_bytes / limits::disk_reserve_divisor, limits::disk_reserve_default_most));
    const std::uint64_t enough = low_ ? reserve_ + reserve_ / 4 : reserve_;
    const bool low = space->free_bytes < enough;
    if (low != low_)
        log_.warn(low ? "little of the disk is left: new tasks are refused"
                      : "the disk has room again: new tasks are taken",
                  {{"free", mebibytes(space->free_bytes)}, {"reserve", mebibytes(reserve_)}});
    low_ = low;
    if (!low_) return core_.hold_new_work(std::nullopt);
    core_.hold_new_work(Error{ErrorCode::disk_full, mebibytes(space->free_bytes) + " are left, " +
                                                        mebibytes(reserve_) + " are kept free"});
}

void DiskGuard::report(port::MetricSink& sink) const {
    if (!space_) return;
    sink.put(port::Metric::disk_free_bytes, space_->free_bytes);
    sink.put(port::Metric::disk_low, low_ ? 1.0 : 0.0);
}

}  // namespace taskd::service

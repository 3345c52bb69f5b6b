// Watches the free space of the disk under the data directory: below the reserve new tasks are
// refused (disk_full) while those there go on and end; a quarter above it they are taken again.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "taskd/port/files.hpp"
#include "taskd/service/core.hpp"

namespace taskd::service {

struct DiskGuardSettings {
    std::string dir;  // the data directory
    // 0: nothing is refused. None: a share of the disk, and at most so much (limits.hpp).
    std::optional<std::uint64_t> reserve;
};

class DiskGuard {
  public:
    // Without `files` nobody looks.
    DiskGuard(DiskGuardSettings settings, port::Files* files, port::Background& lane, Core& core,
              port::Clock& clock, port::Timers& timers, port::Log& log);

    void start();
    // As it was last seen; none before.
    const std::optional<port::DiskSpace>& space() const { return space_; }
    std::uint64_t reserve() const { return reserve_; }
    bool low() const { return low_; }
    void report(port::MetricSink& sink) const;

  private:
    void look();
    void looked(const Result<port::DiskSpace>& space);

    DiskGuardSettings settings_;
    port::Files* files_;
    port::Background& lane_;
    Core& core_;
    port::Clock& clock_;
    port::Log& log_;
    std::unique_ptr<port::Timer> timer_;
    std::optional<port::DiskSpace> space_;
    std::uint64_t reserve_ = 0;
    bool low_ = false;
    bool failed_ = false;  // and told so
};

}  // namespace taskd::service

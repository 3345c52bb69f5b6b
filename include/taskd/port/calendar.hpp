// Port: time zones as their spans between the jumps of their clocks.
#pragma once

#include <string>

#include "taskd/base/result.hpp"
#include "taskd/model/cron.hpp"

namespace taskd::port {

class Calendar {
  public:
    virtual ~Calendar() = default;
    // The span around an instant; unknown_zone for a name that is no IANA zone.
    virtual Result<ZoneSpan> span(const std::string& zone, WallTime at) = 0;
};

}  // namespace taskd::port

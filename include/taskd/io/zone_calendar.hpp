// Time zones from the system's database (the tzdata package), which the system keeps new.
#pragma once

#include "taskd/port/calendar.hpp"

namespace taskd::io {

class ZoneCalendar final : public port::Calendar {
  public:
    Result<ZoneSpan> span(const std::string& zone, WallTime at) override;
};

}  // namespace taskd::io

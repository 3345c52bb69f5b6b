// Port: reads the clocks. The only source of time outside io/.
#pragma once

#include "taskd/base/time.hpp"

namespace taskd::port {

class Clock {
  public:
    virtual ~Clock() = default;
    virtual WallTime wall() const = 0;      // may jump
    virtual SteadyTime steady() const = 0;  // never goes back; no meaning across processes
};

}  // namespace taskd::port

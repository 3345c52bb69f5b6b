// A log that also tells the bus: each record kept is an event "log.<level>" with the fields msg and
// those of the record. What a handler of such an event logs itself is logged and not told, so that
// no record leads to another for ever.
#pragma once

#include "taskd/bus/event.hpp"
#include "taskd/port/log.hpp"

namespace taskd::runtime {

class BusLog final : public port::Log {
  public:
    BusLog(port::Log& inner, bus::Publisher& bus) : inner_{inner}, bus_{bus} {}

    bool takes(port::LogLevel level) const override { return inner_.takes(level); }
    void write(port::LogLevel level, std::string_view message,
               std::initializer_list<port::LogField> fields) override;

  private:
    port::Log& inner_;
    bus::Publisher& bus_;
};

}  // namespace taskd::runtime

// Names to numeric addresses by the system's own rules, on a lane.
#pragma once

#include "taskd/io/lane.hpp"
#include "taskd/port/datagram.hpp"

namespace taskd::io {

class Resolver final : public port::Resolver {
  public:
    explicit Resolver(Loop& loop) : lane_{loop, "resolver"} {}

    // The first address of the system's answer; unreachable when the name has none now.
    void resolve(const std::string& host, std::uint16_t port,
                 std::function<void(Result<port::Endpoint>)> then) override;

  private:
    Lane lane_;
};

}  // namespace taskd::io

// A seeded generator (xoshiro256**, Blackman and Vigna 2018). Handed in where chance is needed, so
// that a seed replays a run. Not for secrets.
#pragma once

#include <array>
#include <cstdint>

namespace taskd {

class Random {
  public:
    explicit Random(std::uint64_t seed);

    std::uint64_t next();

    // Uniform in [0, bound); bound is at least 1.
    std::uint64_t below(std::uint64_t bound);

    // True in `share` of `whole` calls.
    bool chance(std::uint64_t share, std::uint64_t whole) { return below(whole) < share; }

  private:
    std::array<std::uint64_t, 4> state_;
};

}  // namespace taskd

// How far a worker says it has come with a task. Kept in memory while the attempt runs, and gone
// with it: neither journal nor view has it. Values only.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "taskd/base/time.hpp"

namespace taskd {

struct Progress {
    std::optional<std::uint8_t> percent;  // 0 to 100
    std::string note;                     // one line for people
    std::string details;                  // one JSON value, or empty
    WallTime at{};                        // when it was heard

    friend bool operator==(const Progress&, const Progress&) = default;
};

}  // namespace taskd

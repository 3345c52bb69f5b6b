// Tasks that belong together: how many of them have ended and how, and the task that is submitted
// once all of them have. Values only.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "taskd/model/task.hpp"

namespace taskd {

enum class GroupState : std::uint8_t { open = 1, closed = 2, done = 3 };  // on disk
std::string_view to_text(GroupState state);

struct Group {
    GroupId id;
    std::string name;                    // for people; may be empty
    std::optional<TaskSpec> completion;  // without an id: it is made when it is submitted
    GroupState state = GroupState::open;
    WallTime made_at;
    std::optional<WallTime> ended_at;
    std::optional<TaskId> completed_by;  // the completion task, once it is submitted
    std::uint64_t tasks = 0;             // members, and of them those that have ended
    std::uint64_t succeeded = 0;
    std::uint64_t dead = 0;
    std::uint64_t cancelled = 0;
    std::uint64_t expired = 0;
    std::vector<TaskId> failed;  // not succeeded; the first limits::group_failed_shown_max

    std::uint64_t ended() const { return succeeded + dead + cancelled + expired; }
    friend bool operator==(const Group&, const Group&) = default;
};

}  // namespace taskd

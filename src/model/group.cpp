#include "taskd/model/group.hpp"

#include "taskd/base/assert.hpp"

namespace taskd {

std::string_view to_text(GroupState state) {
    switch (state) {
        case GroupState::open:
            return "open";
        case GroupState::closed:
            return "closed";
        case GroupState::done:
            return "done";
    }
    TASKD_ASSERT(false);
    return {};
}

}  // namespace taskd

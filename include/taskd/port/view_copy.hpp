// Port: a copy of the whole view into one file, made in parts between other calls. Threads: every
// call on the view's lane.
#pragma once

#include <optional>
#include <string>

#include "taskd/port/view.hpp"

namespace taskd::port {

class ViewCopy {
  public:
    virtual ~ViewCopy() = default;
    // Goes on with the copy into the new file `path`, or begins it: the mark that it stands at once
    // it is whole, none before. What is stored meanwhile is in it too. disk_full, io_failed.
    virtual Result<std::optional<ViewMark>> copy_some(const std::string& path) = 0;
    // Gives up what is not whole; its file is left to the caller.
    virtual void drop_copy() = 0;
};

}  // namespace taskd::port

// Port: a copy of the whole view into one file, made in parts between other calls, with what lies
// in files beside it. Threads: every call on the view's lane.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "taskd/port/view.hpp"

namespace taskd::port {

struct ViewCopied {
    ViewMark mark;  // where the copy stands
    std::uint64_t log_bytes = 0;

    friend bool operator==(const ViewCopied&, const ViewCopied&) = default;
};

class ViewCopy {
  public:
    virtual ~ViewCopy() = default;
    // Goes on with the copy into the new file `path`, or begins it: answers once it is whole, none
    // before. What is stored until the view itself is copied is in it too. `logs` is the folder of
    // what tasks print, taken along; empty: not. The endpoints go along too. disk_full, io_failed;
    // view_corrupt when a body that lies beside the view is damaged.
    virtual Result<std::optional<ViewCopied>> copy_some(const std::string& path,
                                                        const std::string& logs) = 0;
    // Gives up what is not whole; its file is left to the caller.
    virtual void drop_copy() = 0;
};

}  // namespace taskd::port

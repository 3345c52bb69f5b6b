// Port: what tasks print while they run: one bounded stream of bytes for each lease. What came last
// may be lost in a crash of the machine, never in the middle of what is kept.
//
// Every call on one lane. A stream begins with its first append; bytes that were lost, or that the
// writer skipped, leave a gap which readers step over.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "taskd/base/ids.hpp"
#include "taskd/base/result.hpp"

namespace taskd::port {

struct LogStream {
    TaskId id;
    LeaseEpoch epoch;
    friend auto operator<=>(const LogStream&, const LogStream&) = default;
};

// Bytes without a gap between them.
struct LogPart {
    std::uint64_t from = 0;
    std::string bytes;
    std::uint64_t end = 0;  // of the whole stream: where the next append goes on
};

class TaskLogs {
  public:
    virtual ~TaskLogs() = default;

    // Puts `bytes` at place `at` of the stream and answers its end. What the stream has already is
    // skipped, so that an append may be said again. log_full when the rest of it was dropped;
    // disk_full or io_failed when nothing was kept.
    virtual Result<std::uint64_t> append(const LogStream& stream, std::uint64_t at,
                                         std::string_view bytes) = 0;
    // The first bytes at or behind `from`, at most `bytes_max`; none from a stream that ends there
    // or that is not there (its end is 0). io_failed.
    virtual Result<LogPart> read(const LogStream& stream, std::uint64_t from,
                                 std::size_t bytes_max) = 0;
    // The next tasks behind `after`, or the first, that have streams. io_failed.
    virtual Result<std::vector<TaskId>> tasks(std::optional<TaskId> after, std::size_t limit) = 0;
    // All streams of a task. None is not an error.
    virtual Result<void> remove(const TaskId& id) = 0;
    // What was appended so far outlives the machine, if this succeeds.
    virtual Result<void> sync() = 0;
};

}  // namespace taskd::port

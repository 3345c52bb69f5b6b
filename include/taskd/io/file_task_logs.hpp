// port::TaskLogs in files, one for each stream: DIR/xx/TASK-ID.EPOCH, where xx is the id's last
// byte. src/io/store/README.md has the format. The oldest tasks' streams go when all of them
// together are too large. One thread at a time.
#pragma once

#include <memory>
#include <string>

#include "taskd/base/limits.hpp"
#include "taskd/port/files.hpp"
#include "taskd/port/task_logs.hpp"

namespace taskd::io {

struct FileTaskLogsSettings {
    std::string dir;
    std::size_t stream_bytes_max = limits::log_bytes_max;
    std::uint64_t bytes_max = limits::logs_bytes_default;  // of all files
};

class FileTaskLogs final : public port::TaskLogs {
  public:
    // Touches nothing yet: the first call looks at what is there.
    FileTaskLogs(port::Files& files, FileTaskLogsSettings settings);
    ~FileTaskLogs() override;

    Result<std::uint64_t> append(const port::LogStream& stream, std::uint64_t at,
                                 std::string_view bytes) override;
    Result<port::LogPart> read(const port::LogStream& stream, std::uint64_t from,
                               std::size_t bytes_max) override;
    Result<std::vector<TaskId>> tasks(std::optional<TaskId> after, std::size_t limit) override;
    Result<void> remove(const TaskId& id) override;
    Result<void> sync() override;

    std::uint64_t bytes_used();  // of all files, in blocks of the disk

  private:
    class Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace taskd::io

// One rotated log file of one process: NAME.log, and the full ones before it NAME.1.log (the
// newest) to NAME.N.log. Made with mode 0640. What cannot be written is lost and counted; nothing
// here blocks for longer than a write, and no fault of the disk leaves. Not thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "taskd/io/log.hpp"

namespace taskd::io {

class LogFile {
  public:
    // When another process logs under this name in this folder: NAME-2, NAME-3 and so on.
    static Result<std::unique_ptr<LogFile>> open(const LogSettings& settings);
    ~LogFile();
    LogFile(const LogFile&) = delete;
    LogFile& operator=(const LogFile&) = delete;

    // Adds a line with its end. False when it was lost.
    bool write(std::string_view line);
    // False when the file cannot be opened by its name; then the old one stays.
    bool reopen();

    std::uint64_t lines_lost() const { return lines_lost_; }
    const std::string& path() const { return path_; }

  private:
    LogFile(const LogSettings& settings, std::string stem, int lock);
    void rotate();
    bool put_aside();
    bool append(std::string_view line);
    std::string path_of(std::uint32_t age) const;

    std::string stem_;  // with the folder, without ".log"
    std::string path_;
    std::uint64_t bytes_max_;
    std::uint32_t files_max_;
    int lock_;
    int file_ = -1;
    std::uint64_t bytes_ = 0;
    std::uint64_t lines_lost_ = 0;
};

}  // namespace taskd::io

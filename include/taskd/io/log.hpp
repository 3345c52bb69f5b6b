// The process's log: on stderr, lines for people on a terminal and logfmt otherwise; and, when
// asked, in a rotated file. One record is one line, whatever it holds. Thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "taskd/base/limits.hpp"
#include "taskd/base/result.hpp"
#include "taskd/base/time.hpp"
#include "taskd/port/log.hpp"

namespace taskd::io {

enum class LogFormat { automatic, text, logfmt, json };

struct LogSettings {
    port::LogLevel level = port::LogLevel::info;
    std::string role;      // "dispatcher"
    std::string instance;  // empty: left out
    LogFormat format = LogFormat::automatic;
    int descriptor = 2;   // where lines go
    bool colour = false;  // text on a terminal only
    std::string dir;      // of the file; empty: none. It is made when it is missing
    std::string file;     // its name without ".log": "worker-sum-1"
    std::uint64_t file_bytes_max = limits::log_file_bytes_default;
    std::uint32_t files_max = limits::log_files_default;  // full ones kept; 0: never full
};

// "trace", "debug", "info", "warn", "error".
std::optional<port::LogLevel> parse_log_level(std::string_view text);
std::string_view to_text(port::LogLevel level);
// "auto", "text", "logfmt", "json".
std::optional<LogFormat> parse_log_format(std::string_view text);

// A log whose settings may change while it runs.
class ProcessLog : public port::Log {
  public:
    virtual void set_level(port::LogLevel level) = 0;
    virtual void set_format(LogFormat format) = 0;
    // Opens the file by its name again: somebody has moved it away.
    virtual void reopen() = 0;
    // Of the file: a full disk neither blocks nor ends anybody, it loses lines.
    virtual std::uint64_t lines_lost() const = 0;
    virtual std::string file_path() const = 0;  // empty: none
};

// io_failed or disk_full when the file cannot be opened, which can happen only with a `dir`.
Result<std::unique_ptr<ProcessLog>> make_log(const LogSettings& settings);

}  // namespace taskd::io

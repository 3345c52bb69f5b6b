// The process's log on stderr: lines for people on a terminal, logfmt otherwise. One record is one
// line, whatever it holds. Thread-safe.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "taskd/base/result.hpp"
#include "taskd/base/time.hpp"
#include "taskd/port/log.hpp"

namespace taskd::io {

enum class LogFormat { automatic, text, logfmt };

struct LogSettings {
    port::LogLevel level = port::LogLevel::info;
    std::string role;      // "dispatcher"
    std::string instance;  // empty: left out
    LogFormat format = LogFormat::automatic;
    int descriptor = 2;  // where lines go
};

// "trace", "debug", "info", "warn", "error".
std::optional<port::LogLevel> parse_log_level(std::string_view text);
std::string_view to_text(port::LogLevel level);

std::optional<LogFormat> parse_log_format(std::string_view text);  // "auto", "text", "logfmt"

// A log whose settings may change while it runs.
class ProcessLog : public port::Log {
  public:
    virtual void set_level(port::LogLevel level) = 0;
    virtual void set_format(LogFormat format) = 0;
};

std::unique_ptr<ProcessLog> make_log(const LogSettings& settings);

}  // namespace taskd::io

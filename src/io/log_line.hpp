// One log record as one line.
#pragma once

#include <span>
#include <string>

#include "taskd/io/log.hpp"

namespace taskd::io {

struct LogRecord {
    WallTime at;
    port::LogLevel level = port::LogLevel::info;
    std::string_view message;
    std::span<const port::LogField> fields;
};

// {"ts":"2026-01-02T03:04:05.006Z","level":"info","role":"dispatcher",…,"msg":"…","field":"value"}
std::string json_line(const LogSettings& settings, const LogRecord& record);
// ts=2026-01-02T03:04:05.006Z level=info role=dispatcher instance=a msg="…" field=value
std::string logfmt_line(const LogSettings& settings, const LogRecord& record);
// 2026-01-02T03:04:05.006Z INFO  dispatcher-a: message field=value
std::string text_line(const LogSettings& settings, const LogRecord& record, bool colour);

}  // namespace taskd::io

// Port: log records. A message says what happened; fields carry the particulars.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

namespace taskd::port {

enum class LogLevel : std::uint8_t { trace, debug, info, warn, error };

struct LogField {
    std::string_view name;
    std::string value;
};

// Names that every line has of its own; no field may take one.
constexpr bool is_line_field(std::string_view name) {
    return name == "ts" || name == "level" || name == "role" || name == "instance" || name == "msg";
}

class Log {
  public:
    virtual ~Log() = default;
    // Whether such a record would be kept: asked before costly fields are made.
    virtual bool takes(LogLevel level) const = 0;
    // A line about a task names it in a field task_id, one about a request its trace in trace_id.
    virtual void write(LogLevel level, std::string_view message,
                       std::initializer_list<LogField> fields) = 0;

    using Fields = std::initializer_list<LogField>;
    void debug(std::string_view message, Fields fields = {}) {
        write(LogLevel::debug, message, fields);
    }
    void info(std::string_view message, Fields fields = {}) {
        write(LogLevel::info, message, fields);
    }
    void warn(std::string_view message, Fields fields = {}) {
        write(LogLevel::warn, message, fields);
    }
    void error(std::string_view message, Fields fields = {}) {
        write(LogLevel::error, message, fields);
    }
};

}  // namespace taskd::port

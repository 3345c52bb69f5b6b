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

class Log {
  public:
    virtual ~Log() = default;
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

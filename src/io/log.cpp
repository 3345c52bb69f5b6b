#include "taskd/io/log.hpp"

#include <spdlog/logger.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/base_sink.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <mutex>

#include "io/log_line.hpp"
#include "taskd/io/clock.hpp"

namespace taskd::io {
namespace {

constexpr std::array<std::string_view, 5> level_names = {"trace", "debug", "info", "warn", "error"};

// One write a line, so that lines of several processes on one pipe do not mix.
class DescriptorSink final : public spdlog::sinks::base_sink<std::mutex> {
  public:
    explicit DescriptorSink(int descriptor) : descriptor_{descriptor} {}

  protected:
    void sink_it_(const spdlog::details::log_msg& message) override {
        std::string line{message.payload.data(), message.payload.size()};
        line += '\n';
        std::string_view rest = line;
        while (!rest.empty()) {
            const ssize_t written = ::write(descriptor_, rest.data(), rest.size());
            if (written < 0 && errno == EINTR) continue;
            if (written <= 0) return;  // nowhere left to say so
            rest.remove_prefix(static_cast<std::size_t>(written));
        }
    }
    void flush_() override {}

  private:
    int descriptor_;
};

class SpdLog final : public ProcessLog {
  public:
    explicit SpdLog(const LogSettings& settings)
        : settings_{settings},
          clock_{make_system_clock()},
          logger_{"taskd", std::make_shared<DescriptorSink>(settings.descriptor)} {
        set_format(settings.format);
        logger_.set_level(to_spd(settings.level));
    }

    void set_level(port::LogLevel level) override { logger_.set_level(to_spd(level)); }

    void set_format(LogFormat format) override {
        if (format == LogFormat::automatic)
            format = isatty(settings_.descriptor) != 0 ? LogFormat::text : LogFormat::logfmt;
        format_ = format;
    }

    void write(port::LogLevel level, std::string_view message,
               std::initializer_list<port::LogField> fields) override {
        if (!logger_.should_log(to_spd(level))) return;
        const LogRecord record{
            .at = clock_->wall(), .level = level, .message = message, .fields = fields};
        const std::string line = format_.load() == LogFormat::text ? text_line(settings_, record)
                                                                   : logfmt_line(settings_, record);
        logger_.log(to_spd(level), spdlog::string_view_t{line.data(), line.size()});
    }

  private:
    static spdlog::level::level_enum to_spd(port::LogLevel level) {
        return static_cast<spdlog::level::level_enum>(level);  // both count from trace
    }

    LogSettings settings_;
    std::atomic<LogFormat> format_;
    std::unique_ptr<port::Clock> clock_;
    spdlog::logger logger_;
};

}  // namespace

std::optional<port::LogLevel> parse_log_level(std::string_view text) {
    for (std::size_t i = 0; i < level_names.size(); ++i)
        if (level_names[i] == text) return static_cast<port::LogLevel>(i);
    return std::nullopt;
}

std::string_view to_text(port::LogLevel level) {
    return level_names[static_cast<std::size_t>(level)];
}

std::optional<LogFormat> parse_log_format(std::string_view text) {
    if (text == "auto") return LogFormat::automatic;
    if (text == "text") return LogFormat::text;
    if (text == "logfmt") return LogFormat::logfmt;
    return std::nullopt;
}

std::unique_ptr<ProcessLog> make_log(const LogSettings& settings) {
    return std::make_unique<SpdLog>(settings);
}

}  // namespace taskd::io

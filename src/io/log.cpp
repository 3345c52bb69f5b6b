#include "taskd/io/log.hpp"

#include <spdlog/logger.h>
#include <spdlog/sinks/base_sink.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <mutex>

#include "io/log_file.hpp"
#include "io/log_line.hpp"
#include "taskd/base/assert.hpp"
#include "taskd/io/clock.hpp"

namespace taskd::io {
namespace {

constexpr std::array<std::string_view, 5> level_names = {"trace", "debug", "info", "warn", "error"};
constexpr std::array<std::string_view, 4> format_names = {"auto", "text", "logfmt", "json"};

std::string line_as(LogFormat format, const LogSettings& settings, const LogRecord& record,
                    bool colour) {
    if (format == LogFormat::json) return json_line(settings, record);
    if (format == LogFormat::text) return text_line(settings, record, colour);
    return logfmt_line(settings, record);
}

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
    SpdLog(const LogSettings& settings, std::unique_ptr<LogFile> file)
        : settings_{settings},
          is_terminal_{isatty(settings.descriptor) != 0},
          clock_{make_system_clock()},
          logger_{"taskd", std::make_shared<DescriptorSink>(settings.descriptor)},
          file_{std::move(file)} {
        set_format(settings.format);
        set_level(settings.level);
    }

    void set_level(port::LogLevel level) override { logger_.set_level(to_spd(level)); }
    void set_format(LogFormat format) override { format_ = format; }
    bool takes(port::LogLevel level) const override { return logger_.should_log(to_spd(level)); }

    void write(port::LogLevel level, std::string_view message,
               std::initializer_list<port::LogField> fields) override {
        if (!takes(level)) return;
        for (const auto& field : fields)
            TASKD_ASSERT(!port::is_line_field(field.name));
        const LogRecord record{
            .at = clock_->wall(), .level = level, .message = message, .fields = fields};
        write_stream(record);
        if (file_) write_file(record);
    }

    void reopen() override {
        if (!file_) return;
        bool done = false;
        {
            const std::lock_guard lock{mutex_};
            done = file_->reopen();
        }
        if (!done) error("the log file cannot be opened again", {{"path", file_->path()}});
    }

    std::uint64_t lines_lost() const override {
        const std::lock_guard lock{mutex_};
        return file_ ? file_->lines_lost() : 0;
    }
    std::string file_path() const override { return file_ ? file_->path() : std::string{}; }

  private:
    static spdlog::level::level_enum to_spd(port::LogLevel level) {
        return static_cast<spdlog::level::level_enum>(level);  // both count from trace
    }

    void write_stream(const LogRecord& record) {
        LogFormat format = format_;
        if (format == LogFormat::automatic)
            format = is_terminal_ ? LogFormat::text : LogFormat::logfmt;
        const std::string line =
            line_as(format, settings_, record, settings_.colour && is_terminal_);
        logger_.log(to_spd(record.level), spdlog::string_view_t{line.data(), line.size()});
    }

    // The first line that is lost is told on the stream, and the first that is not again.
    void write_file(const LogRecord& record) {
        const std::string line = line_as(format_, settings_, record, false) + '\n';
        bool begins = false;
        std::uint64_t lost = 0;
        {
            const std::lock_guard lock{mutex_};
            const bool written = file_->write(line);
            begins = !written && !std::exchange(losing_, true);
            if (written && std::exchange(losing_, false))
                lost = file_->lines_lost() - std::exchange(lost_told_, file_->lines_lost());
        }
        if (begins) tell("the log file cannot be written, lines are lost", {});
        if (lost > 0) tell("the log file is written again", std::to_string(lost));
    }

    void tell(std::string_view message, const std::string& lines) {
        const port::LogField fields[] = {{"path", file_->path()}, {"lines_lost", lines}};
        const LogRecord record{.at = clock_->wall(),
                               .level = port::LogLevel::warn,
                               .message = message,
                               .fields = std::span{fields}.first(lines.empty() ? 1 : 2)};
        write_stream(record);
        if (lines.empty()) return;
        const std::string line = line_as(format_, settings_, record, false) + '\n';
        const std::lock_guard lock{mutex_};
        file_->write(line);
    }

    LogSettings settings_;
    bool is_terminal_;
    std::atomic<LogFormat> format_{};
    std::unique_ptr<port::Clock> clock_;
    spdlog::logger logger_;
    mutable std::mutex mutex_;  // guards what follows
    std::unique_ptr<LogFile> file_;
    bool losing_ = false;
    std::uint64_t lost_told_ = 0;
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
    for (std::size_t i = 0; i < format_names.size(); ++i)
        if (format_names[i] == text) return static_cast<LogFormat>(i);
    return std::nullopt;
}

Result<std::unique_ptr<ProcessLog>> make_log(const LogSettings& settings) {
    std::unique_ptr<LogFile> file;
    if (!settings.dir.empty()) {
        auto opened = LogFile::open(settings);
        if (!opened) return fail(std::move(opened));
        file = std::move(*opened);
    }
    return std::make_unique<SpdLog>(settings, std::move(file));
}

}  // namespace taskd::io

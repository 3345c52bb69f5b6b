// A log that keeps its records: the twin of the real one.
#pragma once

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "taskd/base/assert.hpp"
#include "taskd/port/log.hpp"

namespace taskd::test {

class MemoryLog final : public port::Log {
  public:
    struct Entry {
        port::LogLevel level;
        std::string message;
        std::vector<std::pair<std::string, std::string>> fields;
    };

    // Records below the level are left out, as by the real one.
    explicit MemoryLog(port::LogLevel level = port::LogLevel::trace) : level_{level} {}

    bool takes(port::LogLevel level) const override { return level >= level_; }
    void write(port::LogLevel level, std::string_view message,
               std::initializer_list<port::LogField> fields) override {
        if (level < level_) return;
        Entry& entry = entries.emplace_back(Entry{level, std::string{message}, {}});
        for (const auto& field : fields) {
            TASKD_ASSERT(!port::is_line_field(field.name));
            entry.fields.emplace_back(field.name, field.value);
        }
    }

    // How often this was said.
    std::size_t count(std::string_view message) const {
        return static_cast<std::size_t>(std::ranges::count(entries, message, &Entry::message));
    }

    std::vector<Entry> entries;

  private:
    port::LogLevel level_;
};

}  // namespace taskd::test

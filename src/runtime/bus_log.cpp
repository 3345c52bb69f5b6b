#include "taskd/runtime/bus_log.hpp"

#include <array>

#include "taskd/base/limits.hpp"
#include "taskd/runtime/event_bus.hpp"

namespace taskd::runtime {
namespace {

constexpr std::string_view topic_prefix = "log.";
constexpr std::array<std::string_view, 5> topics = {"log.trace", "log.debug", "log.info",
                                                    "log.warn", "log.error"};

std::string cut(std::string_view text) {
    return std::string{text.substr(0, limits::bus_log_text_max)};
}

}  // namespace

void BusLog::write(port::LogLevel level, std::string_view message,
                   std::initializer_list<port::LogField> fields) {
    inner_.write(level, message, fields);
    if (!inner_.takes(level) || EventBus::is_telling(topic_prefix)) return;
    std::vector<bus::EventField> told{{"msg", cut(message)}};
    for (const port::LogField& field : fields)
        told.push_back({std::string{field.name}, cut(field.value)});
    bus_.publish(topics[static_cast<std::size_t>(level)], std::move(told));
}

}  // namespace taskd::runtime

// A bus that keeps what it is told, and hands it on at once: the twin of the real one.
#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "taskd/base/assert.hpp"
#include "taskd/bus/event.hpp"
#include "taskd/bus/pattern.hpp"

namespace taskd::test {

class MemoryBus final : public bus::Publisher {
  public:
    void publish(std::string_view topic, std::vector<bus::EventField> fields) override {
        TASKD_ASSERT(bus::is_topic(topic));
        events.push_back({std::string{topic}, std::move(fields), {}});
        if (listen) listen(events.back());
    }

    std::vector<bus::Event> events;
    std::function<void(const bus::Event&)> listen;
};

}  // namespace taskd::test

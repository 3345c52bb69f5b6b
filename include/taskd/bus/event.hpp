// What happened, as parts of one process tell each other: a topic and named texts. Pure.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "taskd/base/time.hpp"

namespace taskd::bus {

struct EventField {
    std::string name;
    std::string value;

    friend bool operator==(const EventField&, const EventField&) = default;
};

struct Event {
    std::string topic;
    std::vector<EventField> fields;
    WallTime at{};

    // A field's value; empty when there is none of that name.
    std::string_view field(std::string_view name) const {
        for (const EventField& each : fields)
            if (each.name == name) return each.value;
        return {};
    }
};

using EventPtr = std::shared_ptr<const Event>;

// Where events are told. Whoever tells is never held up by those who listen.
class Publisher {
  public:
    virtual ~Publisher() = default;
    // `topic` is_topic(); from any thread.
    virtual void publish(std::string_view topic, std::vector<EventField> fields) = 0;
    // Whether anybody listens to it, and a number that is another whenever somebody has begun or
    // ended to: for whoever would have much to make that nobody hears.
    virtual bool is_wanted(std::string_view /*topic*/) const { return true; }
    virtual std::uint64_t listener_changes() const { return 0; }
};

}  // namespace taskd::bus

// Port: what the view has of topics and groups. A part of the view, on its lane.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "taskd/base/result.hpp"
#include "taskd/model/topic_changes.hpp"

namespace taskd::port {

class TopicRows {
  public:
    // Events from `from` on in their order, those that are there; of dead letters, where no copy
    // is kept yet, the event itself.
    virtual Result<std::vector<TopicEvent>> events(const EventRange& range) = 0;
    // The first event that was published then or later; they are taken to be in order of time.
    virtual Result<std::optional<EventSequence>> event_at(const std::string& topic,
                                                          WallTime time) = 0;
    virtual Result<void> each_topic(const std::function<void(const Topic&)>& take) = 0;
    virtual Result<void> each_subscription(
        const std::function<void(const Subscription&)>& take) = 0;
    // Dead letters, those that were redriven and are not settled too.
    virtual Result<void> each_letter(
        const std::function<void(const TopicChanges::Letter&)>& take) = 0;
    // Of the newest limits::event_ids_in_memory events whose publisher chose the id, oldest first:
    // topic, sequence, source and id.
    virtual Result<void> each_event_id(const std::function<void(const TopicEvent&)>& take) = 0;

  protected:
    ~TopicRows() = default;
};

}  // namespace taskd::port

// Lets go of events that topics keep no longer, by age, size and count: a bounded number a turn,
// found in the view, recorded by the engine. Nothing of it is remembered; after a restart it begins
// anew.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "taskd/service/core.hpp"

namespace taskd::service {

class TopicKeeper {
  public:
    TopicKeeper(Core& core, port::Clock& clock, port::Timers& timers, port::Log& log);

    void start();
    void report(port::MetricSink& sink) const;

  private:
    // Whether a topic may have something to let go; only then it is looked at.
    bool may_go(const Topic& topic) const;
    void begin();
    void next();
    void look(const std::string& topic);
    void found(const Topic& topic, const std::vector<TopicEvent>& oldest);

    Core& core_;
    port::Clock& clock_;
    port::Log& log_;
    std::unique_ptr<port::Timer> timer_;
    std::vector<std::string> left_;  // of this round
    WallTime round_at_{};
    // Of the oldest event of a topic: its place, and when it was published.
    std::map<std::string, std::pair<EventSequence, WallTime>> oldest_;
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace taskd::service

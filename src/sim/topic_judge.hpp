// What may stand in the journal of topics and groups, and what must have come of them in the end.
// It knows the rules as they are promised, and nothing of how the engine keeps them.
#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "taskd/model/pattern.hpp"
#include "taskd/model/record.hpp"

namespace taskd::sim {

class TopicJudge {
  public:
    using Blame = std::function<void(std::string)>;

    void take(Sequence sequence, const TopicChanged& record, const Blame& blame);
    void take(Sequence sequence, const TopicRemoved& record, const Blame& blame);
    void take(Sequence sequence, const TopicTrimmed& record, const Blame& blame);
    void take(Sequence sequence, const EventPublished& record, const Blame& blame);
    void take(Sequence sequence, const SubscriptionChanged& record, const Blame& blame);
    void take(Sequence sequence, const SubscriptionRemoved& record, const Blame& blame);
    void take(Sequence sequence, const DeliveriesLeased& record, const Blame& blame);
    void take(Sequence sequence, const DeliveriesEnded& record, const Blame& blame);
    void take(Sequence sequence, const DeadLettersChanged& record, const Blame& blame);
    void take(Sequence sequence, const GapsTold& record, const Blame& blame);

    // A publisher was told that its event stands there.
    void promised(const DeliveryKey& event, const std::string& id, const Blame& blame) const;
    // Nothing is under way any more: every event was had by every group, is its dead letter, or was
    // lost to retention and counted.
    void at_rest(const Blame& blame) const;
    std::size_t open() const;  // deliveries that are not settled
    std::uint64_t published() const { return published_; }
    std::uint64_t acknowledged() const { return acknowledged_; }

  private:
    enum class Fate : std::uint8_t { waiting, leased, acknowledged, dead, lost };
    struct Out {
        Fate fate = Fate::waiting;
        LeaseEpoch epoch;
        bool redriven = false;
    };
    struct Log {
        EventSequence oldest{1};
        EventSequence newest;
        std::map<EventSequence, std::pair<std::string, std::string>> events;  // id and key
        std::set<std::string> ids;
    };
    struct Reader {
        Pattern pattern;
        bool ordered = false;
        std::uint32_t attempts_max = 0;
        LeaseEpoch epoch;
        std::map<std::string, EventSequence> from;  // where it began
        std::map<DeliveryKey, Out> out;             // what came in
    };

    Reader* reader(const std::string& group, const char* record, const Blame& blame);
    void begins(const std::string& topic);
    void leases(Reader& reader, const DeliveriesLeased& record, const DeliveriesLeased::Item& item,
                const Blame& blame);

    std::map<std::string, Log> logs_;
    std::map<std::string, Reader> readers_;
    std::set<std::pair<DeliveryKey, std::string>> removed_;  // or trimmed; and their ids
    std::uint64_t published_ = 0;
    std::uint64_t acknowledged_ = 0;
};

}  // namespace taskd::sim

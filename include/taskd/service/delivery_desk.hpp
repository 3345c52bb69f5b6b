// Consumers that ask for deliveries of their group: answers each with what the engine leases to it,
// at once or when something comes, and takes back what was leased to one who has left meanwhile.
#pragma once

#include <functional>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "taskd/protocol/topic_json.hpp"
#include "taskd/service/core.hpp"

namespace taskd::service {

class DeliveryDesk {
  public:
    DeliveryDesk(Core& core, port::Clock& clock, port::Timers& timers);
    ~DeliveryDesk();

    // Runs `answer` once, when what was leased is durable, or with nothing when the wait is over;
    // with an error when the group is not there (any more). too_many_waiters at the bound. `gone`
    // tells that nobody waits any more.
    using Answer = std::function<void(const Result<engine::TopicAnswer>&)>;
    Result<void> ask(const std::string& group, const protocol::DeliveryQuestion& question,
                     std::shared_ptr<const bool> gone, Answer answer);
    // Something was decided that may let waiting consumers have something: in the same turn.
    void serve();
    // Records that are durable.
    void on_records(const RecordBatch& batch);
    // From now on nobody waits: answered with what there is.
    void let_go();
    std::size_t waiting() const { return questions_; }

  private:
    struct Question {
        std::string group;
        std::string consumer;
        std::size_t max = 1;
        SteadyTime until{};
        std::shared_ptr<const bool> gone;
        Answer answer;
        std::unique_ptr<port::Timer> timer;
        bool is_gone() const { return gone && *gone; }
    };
    using Shared = std::shared_ptr<Question>;

    void attempt(const Shared& question);
    void decided(const Shared& question, const engine::Decision& decision);
    void wait(const Shared& question);
    void finish(const Shared& question, Result<engine::TopicAnswer> answer);
    void give_back(const std::string& group, const engine::TopicAnswer& answer);
    void drop_gone();
    void arm();

    Core& core_;
    port::Clock& clock_;
    port::Timers& timers_;
    std::map<std::string, std::list<Shared>> waiting_;  // by group, in the order they came
    std::size_t questions_ = 0;                         // waiting and asking
    bool let_go_ = false;
    bool serving_ = false;
    std::unique_ptr<port::Timer> retry_timer_;
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace taskd::service

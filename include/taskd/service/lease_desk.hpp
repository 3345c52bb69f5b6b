// Workers that come by HTTP and ask for tasks: gives each who asks what the engine leases to it,
// and takes back what was leased to somebody who has left meanwhile.
#pragma once

#include <functional>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "taskd/protocol/lease_json.hpp"
#include "taskd/service/core.hpp"

namespace taskd::service {

struct PullerFigures {
    std::string instance;
    std::vector<std::string> types;
    std::size_t slots = 0;  // what it holds and what it asks for
    bool asks = false;
    WallTime heard_at;
};

class LeaseDesk {
  public:
    // `taken` tells the names of workers that come another way.
    using TakenName = std::function<bool(const std::string& instance)>;
    LeaseDesk(Core& core, port::Clock& clock, port::Timers& timers, Duration lease_duration,
              TakenName taken);
    ~LeaseDesk();

    // Runs `answer` once with what was leased: at the end of the first turn that leased something,
    // or with nothing when the wait is over; no more of it than one answer holds, however much was
    // asked for. shutting_down after let_go(), too_many_waiters at the bound, registration_conflict
    // for a name that is somebody else's. `gone` tells that the client has left: then nothing is
    // leased to it any more and `answer` may not run.
    using Answer = std::function<void(const std::vector<engine::LeaseRef>&)>;
    Result<void> ask(protocol::LeaseQuestion question, std::shared_ptr<const bool> gone,
                     Answer answer);
    // Whether the output is for a worker that pulls; then it is taken.
    bool on_output(const engine::Output& output);
    // A worker has spoken of its leases.
    void heard(const std::string& instance);
    // From now on nobody waits: answered with what there is.
    void let_go();

    std::vector<PullerFigures> figures() const;

  private:
    struct Question {
        std::vector<std::string> types;
        std::size_t max = 1;
        std::vector<engine::LeaseRef> got;
        std::size_t bytes = 0;  // of their payloads
        std::shared_ptr<const bool> gone;
        Answer answer;
        std::unique_ptr<port::Timer> timer;
        bool answering = false;

        bool full() const;
        std::size_t room(std::size_t task_bytes) const;
    };
    struct Puller {
        std::list<Question> questions;
        std::vector<std::string> types;       // as asked last
        std::vector<engine::LeaseRef> given;  // in an answer or on the way to one
        std::size_t task_bytes = 0;           // of a payload, about, as they came lately
        SteadyTime heard{};
        WallTime heard_at;
    };

    void finish(const std::string& instance, std::list<Question>::iterator question);
    void give_back(const std::string& instance, const engine::LeaseRef& lease);
    static void note_size(Puller& puller, std::size_t bytes);
    // Tells the engine how much this worker takes now.
    void update(const std::string& instance);
    void update_soon(const std::string& instance);
    void sweep();
    void arm_sweep();

    Core& core_;
    port::Clock& clock_;
    port::Timers& timers_;
    Duration lease_duration_;
    TakenName taken_;
    std::map<std::string, Puller> pullers_;
    std::size_t questions_ = 0;
    bool let_go_ = false;
    std::unique_ptr<port::Timer> sweep_timer_;
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // posts may come after our end
};

}  // namespace taskd::service

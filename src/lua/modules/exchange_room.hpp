// So many requests at a time, of one kind of caller: what others wait for does not hold these up.
// Who waits too long for a turn is told so by name, before anything was sent. On the loop.
#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <string>

#include "taskd/port/clock.hpp"
#include "taskd/port/http.hpp"
#include "taskd/port/timers.hpp"

namespace taskd::lua {

// All outlive the room.
struct ExchangeRoomPorts {
    port::HttpExchange& http;
    port::Timers& timers;
    const port::Clock& clock;
};

class ExchangeRoom {
  public:
    struct Asked {
        std::uint64_t number = 0;  // of it alone
        std::string base_url;
        port::HttpRequest request;
        Duration timeout;
    };
    using Then = std::function<void(Result<port::HttpResponse>)>;

    // `patience` is for a turn; `whose` stands in errors.
    ExchangeRoom(const ExchangeRoomPorts& ports, std::size_t max, Duration patience,
                 std::string whose);

    // As the exchange's own: `then` runs once, unless the room is gone before, or it was let go.
    // Also: overloaded.
    void send(Asked asked, Then then);
    // Nobody waits for that one any more: unless it is under way it is not sent.
    void let_go(std::uint64_t number);

  private:
    struct One {
        Asked asked;
        SteadyTime deadline;
        Then then;
        std::unique_ptr<port::Timer> timer = {};  // while it waits for its turn
    };

    void begin(One one);
    void begin_waiting();
    Error overloaded() const;

    const ExchangeRoomPorts ports_;
    const std::size_t max_;
    const Duration patience_;
    const std::string whose_;
    std::size_t under_way_ = 0;
    std::list<One> waiting_;
    const std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace taskd::lua

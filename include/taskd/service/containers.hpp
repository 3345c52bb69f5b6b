// What the monitor knows of the containers around it: asks the engine's API on a Unix socket again
// and again, one container after the other, and follows its events in spans of time, so that no
// request stays open and none is missed. Without an engine it says so and tries on.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "taskd/model/container.hpp"
#include "taskd/port/clock.hpp"
#include "taskd/port/http.hpp"
#include "taskd/port/log.hpp"
#include "taskd/port/timers.hpp"

namespace taskd::protocol {
class JsonWriter;
}

namespace taskd::service {

struct ContainersSettings {
    std::string socket;  // path; empty: nobody looks
    Duration interval = std::chrono::seconds{2};
    Duration interval_without = std::chrono::seconds{10};  // while there is no engine
    Duration timeout = std::chrono::seconds{5};
    std::size_t shown_max = 100;
    std::size_t log_lines = 10;
    std::size_t events_max = 50;
};

class Containers {
  public:
    Containers(ContainersSettings settings, port::HttpExchange& http, port::Clock& clock,
               port::Timers& timers, port::Log& log);

    void start();
    // {"state": "shown|off|absent|forbidden|unreachable", ...}
    void write(protocol::JsonWriter& json) const;

  private:
    struct Sample {
        std::uint64_t cpu_ns = 0;
        SteadyTime at{};
    };
    using Take = std::function<void(const std::string& body)>;

    // One round: the list, then each container's parts, then the events since the round before.
    void look();
    void look_at(std::size_t number);
    void look_at_log(std::size_t number);
    void look_at_use(std::size_t number);
    void look_at_events();
    void finish_round();

    // `otherwise` also when the engine refuses: bad_answer.
    void ask(std::string target, Take take, std::function<void(const Error&)> otherwise);
    // A container may go between two questions, or hang: what it was asked last is left out then,
    // and all else goes on.
    void ask_about(std::string target, Take take, std::function<void()> otherwise);
    void failed(const Error& error);
    void take_use(Container& container, const std::string& body);
    void take_events(const std::string& body);

    ContainersSettings settings_;
    port::HttpExchange& http_;
    port::Clock& clock_;
    port::Log& log_;
    std::unique_ptr<port::Timer> timer_;
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // answers may come after our end

    std::vector<Container> round_;  // being asked for
    std::vector<Container> shown_;
    std::size_t left_out_ = 0;  // beyond shown_max
    std::map<std::string, Sample> samples_;
    std::deque<ContainerEvent> events_;
    WallTime events_until_{};  // what lies before is told
    std::optional<Error> fault_;
    bool looked_ = false;
};

}  // namespace taskd::service

// A member of a consumer group: makes the group, asks for as many events as it has room for, keeps
// them while they are worked on, says how each ended. Goes on whatever happens to the broker. What
// it is given may come twice; whoever handles it must bear that. All on the loop.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "taskd/pizza/broker.hpp"
#include "taskd/pizza/retry.hpp"
#include "taskd/port/clock.hpp"
#include "taskd/port/log.hpp"
#include "taskd/port/timers.hpp"

namespace taskd::pizza {

struct ConsumerSettings {
    std::string group;
    std::string pattern;  // of topics
    std::string name;     // of this member
    std::size_t slots = 1;
    Duration ack_timeout = std::chrono::seconds{30};
};

struct Delivery {
    std::string id;
    std::uint64_t attempt = 1;
    std::string topic;
    std::string traceparent;
    WallTime published_at{};
    std::string data;  // one JSON value
};

// Released: it could not be begun here, through no fault of its own.
enum class DeliveryEnd : std::uint8_t { done, failed, released };

class Consumer {
  public:
    using Done = std::function<void(DeliveryEnd, std::string why)>;
    using Handler = std::function<void(const Delivery&, Done)>;

    Consumer(ConsumerSettings settings, Broker& broker, port::Timers& timers,
             const port::Clock& clock, port::Log& log, Handler handler);

    void start() { step(); }
    // Asks for no more; done when what is held has ended and the broker was told, as far as it
    // answers. What an open question still brings meanwhile is given back.
    void drain(std::function<void()> done);
    bool connected() const { return made_ && !retry_.failing(); }
    // Why it does nothing, or not what it should: for /readyz.
    std::vector<std::string> reasons() const;
    std::size_t held() const { return held_.size(); }

  private:
    enum class How : std::uint8_t { done, failed, released };
    struct Word {
        std::string id;
        How how = How::done;
        std::string why;  // it failed
    };
    void step();
    void make_group();
    void ask();
    void take(std::string_view body);
    void give_back(std::string_view body);
    void ended(const std::string& id, DeliveryEnd end, const std::string& why);
    void say();
    std::string words_body(std::size_t count) const;
    void renew();
    void failed(const Error& error);
    void rest(const std::string& why);
    void learn_timeout(std::string_view body);
    void look_drained();

    ConsumerSettings settings_;
    Broker& broker_;
    const port::Clock& clock_;
    port::Log& log_;
    Handler handler_;
    std::string target_;
    std::unique_ptr<port::Timer> timer_;
    std::unique_ptr<port::Timer> renew_timer_;
    std::unique_ptr<port::Timer> say_timer_;
    std::unique_ptr<port::Timer> rest_timer_;
    Retry retry_;
    Retry say_retry_;
    Retry rest_retry_;
    bool resting_ = false;
    Duration ack_timeout_;  // the group's: who came last has set it
    bool made_ = false;
    bool asking_ = false;
    bool saying_ = false;
    std::map<std::string, bool> held_;
    std::vector<Word> words_;  // to be said
    std::function<void()> drained_;
    bool stopping_ = false;
};

}  // namespace taskd::pizza

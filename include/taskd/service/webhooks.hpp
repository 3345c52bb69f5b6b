// Groups whose events go to a webhook: leases them as a consumer of its own, posts each as a
// CloudEvent with a signature, and ends the lease by what the answer says. Never blocks the loop:
// the calls are the HTTP client's.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "taskd/port/http.hpp"
#include "taskd/service/core.hpp"

namespace taskd::service {

class Webhooks {
  public:
    // Calls on their way: those that all groups share, and with the one that each has of its own.
    static constexpr std::size_t shared_calls = 64;
    static constexpr std::size_t calls_max = 128;

    static constexpr std::size_t answer_bytes_max = 4 * limits::kibibyte;  // more is not looked at

    // `http` makes calls_max calls at a time, and cuts their answers at answer_bytes_max.
    Webhooks(Core& core, port::HttpExchange& http, port::Clock& clock, port::Timers& timers,
             port::Log& log);

    void start();
    void on_records(const RecordBatch& batch);
    // From now on nothing is called; what is out is answered for, or comes again after a start.
    void let_go() { let_go_ = true; }
    void report(port::MetricSink& sink) const;

  private:
    struct Group {
        std::size_t calls = 0;  // on their way
        bool asking = false;
    };

    void pump_all();
    void pump(const std::string& name);
    void pump_soon();
    std::size_t room_of(const Group& group) const;
    const Webhook* hook_of(const std::string& group) const;
    void call(const std::string& group, const engine::TopicAnswer::Leased& leased);
    void answered(const std::string& group, engine::EndDeliveries::Item item);
    void say(const std::string& group, engine::EndDeliveries::Item item,
             std::function<void()> then);
    void again_soon();
    void arm();

    Core& core_;
    port::HttpExchange& http_;
    port::Clock& clock_;
    port::Timers& timers_;
    port::Log& log_;
    std::map<std::string, Group> groups_;
    std::unique_ptr<port::Timer> timer_;
    std::unique_ptr<port::Timer> room_timer_;
    bool room_awaited_ = false;
    // What came of deliveries, while the journal has no room for it.
    std::vector<std::pair<std::string, engine::EndDeliveries::Item>> unsaid_;
    std::size_t out_ = 0;  // on their way or asked for, of all groups
    std::uint64_t called_ = 0;
    bool pump_posted_ = false;
    bool let_go_ = false;
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace taskd::service

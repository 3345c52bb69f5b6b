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
    void call(const std::string& group, const engine::TopicAnswer::Leased& leased);
    void answered(const std::string& group, engine::EndDeliveries::Item item);
    void arm();

    Core& core_;
    port::HttpExchange& http_;
    port::Clock& clock_;
    port::Timers& timers_;
    port::Log& log_;
    std::map<std::string, Group> groups_;
    std::unique_ptr<port::Timer> timer_;
    std::uint64_t called_ = 0;
    bool let_go_ = false;
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace taskd::service

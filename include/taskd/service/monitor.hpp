// The monitor: asks dispatcher and name service how they stand, by itself and never per request,
// and shows the newest answers: GET / a page for people, GET /v1/overview for programs.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "taskd/port/clock.hpp"
#include "taskd/port/http.hpp"
#include "taskd/port/log.hpp"
#include "taskd/port/timers.hpp"
#include "taskd/protocol/datagram.hpp"
#include "taskd/service/containers.hpp"
#include "taskd/service/http_front.hpp"

namespace taskd::service {

struct MonitorSettings {
    std::string dispatcher_url;
    std::string nameservice_url;
    protocol::ClusterKey key;
    Duration interval = std::chrono::seconds{1};
    Duration timeout = std::chrono::seconds{3};
    Duration search_timeout = std::chrono::seconds{9};  // the page waits a second longer
    std::string container_socket;                       // path; empty: containers are not looked at
};

class Monitor {
  public:
    // `page` is the HTML that GET / answers.
    Monitor(MonitorSettings settings, std::string_view page, port::HttpExchange& http,
            port::Clock& clock, port::Timers& timers, port::Log& log);

    Result<void> start();
    void add_routes(HttpFront& front);

    // Each role has answered or failed at least once: what is shown is true.
    bool has_looked() const;
    std::string overview() const;

    void report(port::MetricSink& sink) const;

  private:
    // One thing that is asked again and again; `body` is its newest answer.
    struct Source {
        std::string name;  // for people
        std::string url;
        std::string target;
        std::string field;  // of the answer, to be shown alone; empty: the whole answer
        std::string body;   // raw JSON; empty until it answered
        std::string why;    // why it could not be asked last
        bool reachable = false;
        bool asked = false;
        bool told = false;  // that it is away
        std::unique_ptr<port::Timer> timer;
    };

    void ask(Source& source);
    void pass_on(Call call);  // to the dispatcher, and its answer back
    void answered(Source& source, const Result<port::HttpResponse>& answer);
    static Result<std::string> read(const Source& source, const Result<port::HttpResponse>& answer);

    MonitorSettings settings_;
    std::string_view page_;
    port::HttpExchange& http_;
    port::Clock& clock_;
    port::Log& log_;
    Source stats_;
    Source workers_;
    Source registrations_;
    Containers containers_;
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // answers may come after our end
};

}  // namespace taskd::service

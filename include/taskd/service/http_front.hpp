// The front of every role's HTTP side: routes by a table, checks the cluster key, answers health
// and the contract. Handlers get calls that passed.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "taskd/base/random.hpp"
#include "taskd/port/clock.hpp"
#include "taskd/port/http.hpp"
#include "taskd/port/log.hpp"
#include "taskd/port/metrics.hpp"
#include "taskd/protocol/datagram.hpp"
#include "taskd/protocol/problem.hpp"
#include "taskd/protocol/target.hpp"
#include "taskd/protocol/task_json.hpp"

namespace taskd::service {

// One request on its way through a handler.
struct Call {
    port::HttpRequest request;
    protocol::Target target;
    std::vector<std::string> parameters;  // what stood for {…} in the pattern
    port::HttpResponder respond;
    Random* chance = nullptr;  // for a new trace id
    std::string trace;         // once it was asked for

    // The request's own (traceparent), else a new one.
    const std::string& trace_id();
    void drop_body();                            // once it is read: the call may wait for long
    bool sends(std::string_view media) const;    // its body is of that kind
    bool accepts(std::string_view media) const;  // it asks for that kind by name
    void answer(int status, std::string json);
    void answer(const Error& error, std::optional<std::size_t> index = {});
};

port::HttpResponse json_response(int status, std::string json);
port::HttpResponse problem_response(const Error& error, const protocol::ProblemExtras& extras = {});

// Why a role may not be given work: not_ready while it starts or waits, shutting_down at its end.
struct NotReady {
    ErrorCode code = ErrorCode::not_ready;
    std::vector<std::string> reasons;
};
using Readiness = std::function<std::optional<NotReady>()>;

inline constexpr std::string_view any_media = "*/*";  // the handler looks itself

struct Route {
    std::string_view method;
    std::string_view pattern;             // "/v1/tasks/{id}/cancel"
    std::vector<std::string_view> query;  // names it takes; others are unknown_field
    std::function<void(Call&&)> handle;
    std::vector<std::string_view> media = {protocol::json_type};  // what a body may be
    bool tagged = false;  // answers carry an ETag, and 304 to who has the same already
};

// What a front looks at its requests with; without a clock it does not look.
struct FrontWatch {
    port::Log* log = nullptr;  // a line a request, at level debug
    const port::Clock* clock = nullptr;
    std::uint64_t seed = 1;            // of trace ids
    port::Metrics* metrics = nullptr;  // served at /metrics
    bool metrics_open = false;         // without the key
    bool is_public = false;            // listens beyond loopback, under names that nobody said
};

class HttpFront : public port::HttpHandler {
  public:
    HttpFront(protocol::ClusterKey key, std::string role, Readiness readiness,
              FrontWatch watch = {});

    void add(Route route);
    // Asked about paths that no route has; it may take the call, and then answers it.
    void add_last(std::function<bool(Call&)> serve) { last_ = std::move(serve); }
    // missing_key, wrong_key; without a key foreign_origin.
    std::optional<Error> refused(const port::HttpRequest& request) const;
    void handle(port::HttpRequest&& request, port::HttpResponder respond) override;
    bool refuses(const port::HttpRequest& head) const override;  // without the key

    const std::vector<Route>& routes() const { return routes_; }
    void report(port::MetricSink& sink) const;

  private:
    bool needs_key(const protocol::Target& target) const;
    std::optional<Error> foreign(const port::HttpRequest& request) const;
    void enter(const Route& route, Call&& call) const;
    void health(Call call) const;
    struct Line;  // what the log will say of a request
    port::HttpResponder watched(Call& call, std::size_t number);
    void tell(const Line& line, int status, Duration took) const;
    void turn_away(Call call, const Error& error);

    // Of one route; the last is of requests that found none.
    struct Figures {
        std::vector<std::pair<int, std::uint64_t>> by_status;
        port::Histogram seconds{port::MetricKind::seconds};
        void note(int status, Duration took);
    };

    protocol::ClusterKey key_;
    std::string role_;
    Readiness readiness_;
    FrontWatch watch_;
    Random random_;
    std::vector<Route> routes_;
    std::function<bool(Call&)> last_;
    std::vector<Figures> figures_;  // beside routes_
    Figures unrouted_;
};

// "Bearer …" for a request of ours; nothing is added without a key.
void add_key(port::HttpHeaders& headers, const protocol::ClusterKey& key);

}  // namespace taskd::service

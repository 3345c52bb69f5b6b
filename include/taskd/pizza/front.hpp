// The HTTP side of a service: routes by a table, health, figures and the contract; its own problems
// in the form of RFC 9457. Handlers get calls whose path and method fit. All on the loop.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "taskd/base/random.hpp"
#include "taskd/pizza/order_form.hpp"
#include "taskd/pizza/span.hpp"
#include "taskd/port/clock.hpp"
#include "taskd/port/http.hpp"
#include "taskd/port/log.hpp"
#include "taskd/port/metrics.hpp"
#include "taskd/protocol/target.hpp"

namespace taskd::pizza {

struct Problem {
    int status = 500;
    std::string_view error;  // "invalid_order"
    std::string_view title;
    std::string detail = {};
    std::vector<FieldFault> fields = {};
    std::string reason = {};
    std::vector<std::string> reasons = {};
    bool retryable = false;
};
port::HttpResponse problem_of(const Problem& problem, std::string_view trace_id);

// One request on its way through a handler.
struct Call {
    port::HttpRequest request;
    protocol::Target target;
    std::vector<std::string> parameters;  // what stood for {…} in the pattern
    TraceSpot trace;
    WallTime at;
    port::HttpResponder respond;

    std::string_view header(std::string_view name) const {
        return port::find_header(request.headers, name);
    }
    void answer(int status, std::string json, port::HttpHeaders headers = {});
    void refuse(const Problem& problem, port::HttpHeaders headers = {});
    void refuse(const Error& error);  // a fault of ours or of the store
};

struct Route {
    std::string_view method;
    std::string_view pattern;  // "/orders/{orderId}"
    std::function<void(Call)> handle;
    std::string_view media = "application/json";  // what a body may be
};

struct FrontSettings {
    std::string role;          // "pizza-order"
    std::string metrics_key;   // asked for at /metrics; empty: open
    std::string_view openapi;  // both as JSON; the second may be empty
    std::string_view asyncapi;
    std::uint64_t seed = 1;
};

class Front final : public port::HttpHandler {
  public:
    // Why it may not be given work; empty when it may.
    using Reasons = std::function<std::vector<std::string>()>;

    Front(FrontSettings settings, const port::Clock& clock, port::Metrics& metrics, port::Log& log,
          Reasons reasons);

    void add(Route route);
    void shut() { shutting_ = true; }  // /readyz says so from now on
    void handle(port::HttpRequest&& request, port::HttpResponder respond) override;

  private:
    struct Figures {
        std::vector<std::pair<int, std::uint64_t>> by_status;
        port::Histogram seconds{port::MetricKind::seconds};
        void note(int status, Duration took);
    };
    void add_common();
    void ready(Call call);
    void turn_away(Call& call, const Error& error, port::HttpHeaders headers);
    port::HttpResponder watched(port::HttpResponder respond, std::size_t number, std::string trace);
    void report(port::MetricSink& sink) const;

    FrontSettings settings_;
    const port::Clock& clock_;
    port::Metrics& metrics_;
    port::Log& log_;
    Reasons reasons_;
    Random random_;
    bool shutting_ = false;
    std::vector<Route> routes_;
    std::vector<Figures> figures_;  // beside routes_
    Figures unrouted_;
};

// A "limit" of the query: 100 unless said, 1 to 1,000; invalid_field.
Result<std::int64_t> limit_of(const protocol::Target& target);

}  // namespace taskd::pizza

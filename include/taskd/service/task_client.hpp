// The client's side of the dispatcher's API, as a command line uses it: it blocks, and it goes on
// over broken connections. Whoever submits has made the task's id, so saying it again after a
// broken connection never makes a second task.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "taskd/base/random.hpp"
#include "taskd/base/result.hpp"
#include "taskd/model/task.hpp"
#include "taskd/port/clock.hpp"
#include "taskd/port/http.hpp"
#include "taskd/protocol/datagram.hpp"

namespace taskd::service {

struct TaskClientSettings {
    protocol::ClusterKey key;
    Duration retry_for{0};                        // how long failures in a row are borne
    Duration timeout = std::chrono::seconds{30};  // of one exchange, beside what it waits for
    std::uint64_t seed = 0;
};

struct TaskClientPorts {
    std::function<Result<port::HttpResponse>(port::HttpRequest, Duration timeout)> call;  // blocks
    std::function<void(Duration)> pause;                                                  // blocks
    std::function<void(const Error&)> trying_again;  // once for failures in a row
    port::Clock& clock;
    // May be empty; else told now and then what is waited for, and for how long already.
    std::function<void(const struct TaskOutcome&, Duration)> waiting = {};
    std::function<void()> waited = {};  // behind the last of those
};

// How a task stands, as far as a client needs it.
struct TaskOutcome {
    std::string id;
    std::string state;
    std::string result;  // raw JSON, once succeeded
    std::optional<TaskError> error;
    std::string waiting;  // what it waits for, for people

    bool ended() const { return state == "succeeded" || error_state(); }
    bool error_state() const {
        return state == "dead" || state == "cancelled" || state == "expired";
    }
};

class TaskClient {
  public:
    TaskClient(TaskClientSettings settings, TaskClientPorts ports);

    struct Answer {
        int status = 0;
        std::string body;
        port::HttpHeaders headers = {};
    };
    // An answer of 2xx, after as many tries as `retry_for` allows; the last error otherwise. The
    // server may take `waits` longer than usual.
    Result<Answer> ask(const std::string& method, const std::string& target,
                       const std::string& body = {}, Duration waits = Duration{0});

    // Makes it durable and waits for its end: an outcome that has ended, or timed_out.
    Result<TaskOutcome> submit(const TaskSpec& spec, Duration wait);
    // Makes it durable; the outcome has not ended.
    Result<TaskOutcome> submit_and_leave(const TaskSpec& spec);
    // All or none of them, one request; as they stand once they are durable.
    Result<std::vector<TaskOutcome>> submit_batch(const std::vector<TaskSpec>& specs);
    // Of limits::result_ids_max full ids at most, in their order, when all have ended or `wait` is
    // over; task_not_found when one is unknown.
    Result<std::vector<TaskOutcome>> results(const std::vector<std::string>& ids, Duration wait);
    // By full id or a unique part of one. timed_out when it has not ended after `wait`.
    Result<TaskOutcome> await(const std::string& id, Duration wait);

  private:
    Result<Answer> try_once(const std::string& method, const std::string& target,
                            const std::string& body, Duration waits);
    Result<std::vector<TaskOutcome>> ask_for_results(const std::vector<std::string>& ids,
                                                     SteadyTime end);
    Result<Answer> patiently(const std::function<Result<Answer>()>& attempt);
    Result<TaskOutcome> await_until(const std::string& id, SteadyTime begin, SteadyTime end);
    Result<TaskOutcome> await_silently(const std::string& id, SteadyTime begin, SteadyTime end);
    Duration part_of_wait(SteadyTime end) const;
    std::unexpected<Error> late(const std::string& id);

    TaskClientSettings settings_;
    TaskClientPorts ports_;
    Random random_;
};

// Whether the same request may get through a little later.
bool is_worth_retrying(ErrorCode code);

// Reads what the API says of one task, whole or brief; bad_answer when it is none.
Result<TaskOutcome> parse_outcome(std::string_view body);

}  // namespace taskd::service

// Submits tasks and reads their results from any C++ program. Installed as taskd::client.
//
// Calls block, and go on over broken connections and restarts of the dispatcher for as long as
// `retry_for` says. Ids are made here, so what is said twice is done once. One thread at a time
// uses a Client. Nothing is thrown; errors have the names of taskd/base/error_table.inc. While a
// Client lives the process ignores SIGPIPE.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "taskd/base/result.hpp"

namespace taskd {

struct ClientSettings {
    std::string url = "http://127.0.0.1:4000";    // or "unix:/path/to/socket"
    std::string key = {};                         // the cluster key; empty: none
    std::chrono::milliseconds retry_for{30'000};  // how long failures in a row are borne
    std::chrono::milliseconds timeout{30'000};    // of one exchange, beside what it waits for
    std::function<void(const Error&)> trying_again = {};  // once for failures in a row
};

// What to do. What is left out is as config/openapi.yaml says of a submit.
struct NewTask {
    std::string type = {};
    std::string payload = "null";      // one JSON value, passed on as it stands
    std::string id = {};               // a version 7 UUID; made when it is empty
    std::string key = {};              // whose task it is, within its queue
    std::string idempotency_key = {};  // the submit is done once under this name
    std::map<std::string, std::string> labels = {};
    std::optional<unsigned> priority = {};      // 0 to 9, 9 first
    std::optional<unsigned> attempts_max = {};  // from 1
    std::optional<std::chrono::milliseconds> delay = {};
    std::optional<std::chrono::milliseconds> timeout = {};        // of one attempt
    std::optional<std::chrono::milliseconds> total_timeout = {};  // until it has ended
};

// Why an attempt did not succeed.
struct Failure {
    std::string code = {};  // for programs
    std::string message = {};
    bool permanent = false;                                     // not to be tried again
    std::optional<std::chrono::milliseconds> retry_after = {};  // not before; a worker may say it
};

// How a task stands.
struct Outcome {
    std::string id;
    std::string state = {};             // "queued", "running", … "succeeded", "dead", …
    std::string result = {};            // one JSON value, once it has succeeded
    std::optional<Failure> error = {};  // once it has ended otherwise
    bool ended() const;
    bool succeeded() const { return state == "succeeded"; }
};

class Client {
  public:
    explicit Client(ClientSettings settings);
    ~Client();
    Client(Client&&) noexcept;
    Client& operator=(Client&&) noexcept;

    // Durable when it returns. Also: bad_json for a payload that is none, invalid_id, and what
    // config/openapi.yaml says of POST /v1/tasks.
    Result<Outcome> submit(const NewTask& task);
    // All of them or none, in their order; up to 10,000 tasks and 16 MiB at a time.
    Result<std::vector<Outcome>> submit_many(std::span<const NewTask> tasks);
    // Submits and waits for the end; timed_out when there is none within `wait`: the task goes on.
    Result<Outcome> run(const NewTask& task, std::chrono::milliseconds wait);

    // Waits for the end of one; timed_out as above. By full id or a unique part of one.
    Result<Outcome> result(const std::string& id, std::chrono::milliseconds wait);
    // Of full ids in their order, when all have ended or the wait is over.
    Result<std::vector<Outcome>> results(std::span<const std::string> ids,
                                         std::chrono::milliseconds wait);
    // task_finished when it has ended otherwise.
    Result<Outcome> cancel(const std::string& id, const std::string& reason = {});
    // All that is known of it: the JSON object that GET /v1/tasks/{id} answers.
    Result<std::string> get(const std::string& id);

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

// A text as JSON, and back; the text is UTF-8. invalid_field when the JSON is no string.
std::string json_of(std::string_view text);
Result<std::string> text_of(std::string_view json);

}  // namespace taskd

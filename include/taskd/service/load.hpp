// Load on a dispatcher: submits at a rate that does not wait for answers (open loop), or as fast as
// it goes, and collects every result. A slow server shows as latency and never as a lower rate,
// because a task's clock starts when it was due. Results are compared with what the built-in work
// gives. On the loop, by ports alone.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "taskd/base/random.hpp"
#include "taskd/base/result.hpp"
#include "taskd/model/task.hpp"
#include "taskd/port/clock.hpp"
#include "taskd/port/http.hpp"
#include "taskd/port/timers.hpp"
#include "taskd/protocol/datagram.hpp"

namespace taskd::service {

struct LoadShare {
    std::string type;
    std::uint32_t weight = 1;

    friend bool operator==(const LoadShare&, const LoadShare&) = default;
};
// "sum=5,hash=2,wait"; bad_usage for what cannot be read.
Result<std::vector<LoadShare>> parse_load_mix(std::string_view text);

struct LoadSettings {
    std::string url;
    protocol::ClusterKey key;
    std::vector<LoadShare> mix;
    double rate = 0;  // tasks a second; 0: as fast as it goes
    Duration span = std::chrono::seconds{10};
    Duration patience = std::chrono::seconds{60};  // for what is still out after the last submit
    std::size_t submitters = 8;                    // requests under way at a time
    std::size_t collectors = 8;
    std::size_t batch_max = 200;
    std::size_t outstanding_max = 20'000;  // as fast as it goes: no more tasks out than this
    std::uint64_t seed = 0;
};

// Latencies in microseconds, kept whole: a percentile is one that was measured.
class Latencies {
  public:
    void add(Duration latency) { values_.push_back(latency.count()); }
    std::size_t count() const { return values_.size(); }
    // The smallest that at least `share` of all do not exceed; 0 without any.
    Duration percentile(double share);

  private:
    std::vector<std::int64_t> values_;
};

struct LoadReport {
    std::uint64_t offered = 0;    // were due
    std::uint64_t submitted = 0;  // were acknowledged
    std::uint64_t succeeded = 0;
    std::uint64_t dead = 0;
    std::uint64_t cancelled = 0;
    std::uint64_t wrong = 0;     // succeeded with another result than the built-in work gives
    std::uint64_t missing = 0;   // acknowledged, then unknown to the server
    std::uint64_t repeated = 0;  // requests sent again
    std::map<std::string, std::uint64_t> refused;  // tasks by error name
    Duration submitting{};                         // first to last acknowledgement
    Duration whole{};                              // first submit to last result
    Latencies to_submit;                           // due to acknowledged
    Latencies to_result;                           // due to result in hand

    std::uint64_t came_back() const { return succeeded + dead + cancelled; }
    bool all_came_back() const { return came_back() == offered && wrong == 0; }
};

class Load {
  public:
    Load(LoadSettings settings, port::HttpExchange& http, port::Clock& clock, port::Timers& timers);
    ~Load();

    // Calls `done` once, when everything has come back or patience is out.
    void start(std::function<void(LoadReport)> done);

  private:
    struct Pending {
        const LoadShare* share = nullptr;
        std::string payload;
        SteadyTime due;
    };
    using Batch = std::vector<TaskId>;

    void tick();
    void make_due();
    void make_task(SteadyTime due);
    void pump();
    void submit(Batch batch);
    void submitted(Batch batch, const Result<port::HttpResponse>& answer);
    void collect();
    void collected(const Batch& batch, const Result<port::HttpResponse>& answer);
    void take_results(std::string_view body, const Batch& batch);
    void take_end(std::string_view raw, std::unordered_map<TaskId, Pending>::iterator pending);
    void finish_if_done();
    void send(const char* target, std::string body, Duration timeout,
              std::function<void(Result<port::HttpResponse>)> then);
    void later(std::function<void()> job);

    LoadSettings settings_;
    port::HttpExchange& http_;
    port::Clock& clock_;
    port::Timers& timers_;
    Random random_;
    std::uint64_t weights_ = 0;
    std::function<void(LoadReport)> done_;
    LoadReport report_;
    SteadyTime started_at_;
    std::unordered_map<TaskId, Pending> pending_;  // every task that has not come back
    std::deque<TaskId> to_submit_;
    std::deque<TaskId> to_collect_;
    std::size_t submits_under_way_ = 0;
    std::size_t collects_under_way_ = 0;
    std::unique_ptr<port::Timer> tick_timer_;
    std::map<std::uint64_t, std::unique_ptr<port::Timer>> pauses_;
    std::uint64_t last_pause_ = 0;
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // answers may come after our end
};

}  // namespace taskd::service

// The pool of threads behind HttpExchange.
#include <chrono>
#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <set>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "io/http/blocking_client.hpp"
#include "taskd/io/clock.hpp"
#include "taskd/io/http_exchange.hpp"

namespace taskd::io {
namespace {

using std::chrono::steady_clock;

// Connections a thread keeps; beyond, it starts anew.
constexpr std::size_t kept_connections_max = 32;
constexpr Duration client_slack = std::chrono::milliseconds{200};

}  // namespace

struct HttpExchange::Pool : std::enable_shared_from_this<Pool> {
    struct Job {
        std::string base_url;
        BaseUrl base;
        port::HttpRequest request;
        steady_clock::time_point deadline;
        std::function<void(Result<port::HttpResponse>)> then;  // loop
        std::unique_ptr<port::Timer> timer;                    // loop
        BlockingClient* client = nullptr;                      // under the pool's mutex: on its way
        Result<port::HttpResponse> result = fail(ErrorCode::timed_out);
    };

    Pool(Loop& owner, HttpExchangeSettings how)
        : loop{owner}, settings{how}, clock{make_system_clock()} {}

    void send(std::shared_ptr<Job> job, Duration timeout);
    void expire(const std::shared_ptr<Job>& job);
    void finish(const std::shared_ptr<Job>& job, Result<port::HttpResponse> result);
    void finish_later(std::shared_ptr<Job> job, Error error);
    bool begin_thread();
    void work();
    void perform(const std::shared_ptr<Job>& job,
                 std::map<std::string, std::unique_ptr<BlockingClient>>& clients);
    void stop();

    Loop& loop;
    const HttpExchangeSettings settings;
    const std::unique_ptr<port::Clock> clock;
    std::set<std::shared_ptr<Job>> live;  // loop: what has not been answered
    bool stopped = false;                 // loop

    std::mutex mutex;
    std::condition_variable wake;
    std::condition_variable ended;
    std::deque<std::shared_ptr<Job>> waiting;  // under mutex
    std::set<Job*> running;                    // under mutex
    std::size_t idle = 0;                      // under mutex: threads that wait for a job
    bool ending = false;                       // under mutex
    std::vector<std::jthread> threads;         // loop
};

void HttpExchange::Pool::send(std::shared_ptr<Job> job, Duration timeout) {
    live.insert(job);
    bool full = false;
    bool need_thread = false;
    {
        const std::lock_guard lock{mutex};
        full = waiting.size() >= settings.waiting_max;
        if (!full) waiting.push_back(job);
        need_thread = waiting.size() > idle && threads.size() < settings.threads_max;
    }
    if (full) return finish_later(job, {ErrorCode::overloaded, "too many requests wait"});
    job->timer = loop.make();
    job->timer->set(clock->steady() + timeout, [this, weak = std::weak_ptr{job}] {
        if (const auto held = weak.lock()) expire(held);
    });
    if (!need_thread || !begin_thread()) wake.notify_one();
    if (!threads.empty()) return;
    {
        const std::lock_guard lock{mutex};
        std::erase(waiting, job);
    }
    finish_later(job, {ErrorCode::overloaded, "no thread can be made"});
}

// Where the system allows no more threads, those there are do the work.
bool HttpExchange::Pool::begin_thread() {
    try {
        threads.emplace_back([self = shared_from_this()] { self->work(); });
        return true;
    } catch (const std::system_error&) {
        return false;
    }
}

// Waiting, it is taken back; on its way, it is broken off and ends as timed out.
void HttpExchange::Pool::expire(const std::shared_ptr<Job>& job) {
    {
        const std::lock_guard lock{mutex};
        std::erase(waiting, job);
        if (job->client != nullptr) job->client->interrupt();
    }
    finish(job, fail(ErrorCode::timed_out, job->base.host_header()));
}

void HttpExchange::Pool::finish(const std::shared_ptr<Job>& job,
                                Result<port::HttpResponse> result) {
    if (stopped || live.erase(job) == 0) return;
    job->timer.reset();
    const auto then = std::exchange(job->then, nullptr);
    then(std::move(result));
}

void HttpExchange::Pool::finish_later(std::shared_ptr<Job> job, Error error) {
    loop.post([self = shared_from_this(), job = std::move(job), error = std::move(error)] {
        self->finish(job, std::unexpected{error});
    });
}

void HttpExchange::Pool::work() {
    std::map<std::string, std::unique_ptr<BlockingClient>> clients;
    std::unique_lock lock{mutex};
    for (;;) {
        ++idle;
        wake.wait(lock, [&] { return ending || !waiting.empty(); });
        --idle;
        if (ending) return;
        const auto job = std::move(waiting.front());
        waiting.pop_front();
        lock.unlock();
        perform(job, clients);
        lock.lock();
    }
}

void HttpExchange::Pool::perform(const std::shared_ptr<Job>& job,
                                 std::map<std::string, std::unique_ptr<BlockingClient>>& clients) {
    if (clients.size() >= kept_connections_max && !clients.contains(job->base_url)) clients.clear();
    auto& client = clients[job->base_url];
    if (!client) client = std::make_unique<BlockingClient>(job->base, settings);
    {
        const std::lock_guard lock{mutex};
        if (ending) return;
        job->client = client.get();
        running.insert(job.get());
    }
    const auto left = std::chrono::duration_cast<Duration>(job->deadline - steady_clock::now());
    // The loop's timer ends it; the client's own limit only stands behind that.
    auto result = client->call(std::move(job->request), std::max(left, Duration{0}) + client_slack);
    {
        const std::lock_guard lock{mutex};
        job->client = nullptr;
        running.erase(job.get());
        job->result = std::move(result);
    }
    ended.notify_all();
    loop.post_from_any_thread(
        [self = shared_from_this(), job] { self->finish(job, std::move(job->result)); });
}

void HttpExchange::Pool::stop() {
    if (std::exchange(stopped, true)) return;
    // Here and now: a job may be held by its thread for a little longer.
    for (const auto& job : live) {
        job->timer.reset();
        job->then = nullptr;
    }
    live.clear();
    std::unique_lock lock{mutex};
    ending = true;
    waiting.clear();
    wake.notify_all();
    // Again and again: a call may be between two sockets.
    while (!running.empty()) {
        for (Job* job : running)
            job->client->interrupt();
        ended.wait_for(lock, std::chrono::milliseconds{10});
    }
    lock.unlock();
    threads.clear();
}

HttpExchange::HttpExchange(Loop& loop, HttpExchangeSettings settings)
    : pool_{std::make_shared<Pool>(loop, settings)} {}

HttpExchange::~HttpExchange() {
    stop();
}

void HttpExchange::stop() {
    pool_->stop();
}

void HttpExchange::send(const std::string& base_url, port::HttpRequest request, Duration timeout,
                        std::function<void(Result<port::HttpResponse>)> then) {
    if (pool_->stopped) return;
    auto base = parse_base_url(base_url);
    auto job = std::make_shared<Pool::Job>();
    job->base_url = base_url;
    job->request = std::move(request);
    job->deadline = steady_clock::now() + timeout;
    job->then = std::move(then);
    if (!base) {
        pool_->live.insert(job);
        return pool_->finish_later(std::move(job), base.error());
    }
    job->base = std::move(*base);
    pool_->send(std::move(job), timeout);
}

}  // namespace taskd::io

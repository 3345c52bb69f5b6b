#include "taskd/lua/scheduler.hpp"

#include <pthread.h>

#include <atomic>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

#include "taskd/base/assert.hpp"

namespace taskd::lua {
namespace {

using JobPtr = std::shared_ptr<Job>;

// Every so many turns a thread looks at what everybody shares first, and halfway between at the
// oldest of its own: those who wake each other are always the newest. A prime, so that it does not
// fall into step with what programs do.
constexpr unsigned oldest_every = 61;

struct Worker {
    std::mutex mutex;
    std::deque<JobPtr> jobs;  // the newest at the back
};

}  // namespace

struct Scheduler::Impl {
    explicit Impl(unsigned count) : workers(count) {}

    void work(std::size_t number);
    JobPtr next(std::size_t number, unsigned turn);
    JobPtr take_own_newest(std::size_t number);
    JobPtr take_own_oldest(std::size_t number);
    JobPtr take_shared();
    JobPtr steal(std::size_t thief);
    void put(Worker& worker, JobPtr job);
    void wake_one();
    bool sleep();

    std::vector<Worker> workers;
    std::mutex shared_mutex;
    std::deque<JobPtr> shared;

    std::atomic<int> idle = 0;  // threads that look a last time, or sleep
    std::mutex sleep_mutex;     // guards what follows
    std::condition_variable wake;
    int calls = 0;                     // threads that were told to wake and have not yet
    std::atomic<bool> ending = false;  // set under the mutex, for those who sleep

    std::atomic<std::uint64_t> ran = 0;
    std::atomic<std::uint64_t> stolen = 0;
    std::atomic<std::uint64_t> slept = 0;
    std::vector<std::jthread> threads;
};

namespace {

thread_local void* scheduler_here = nullptr;
thread_local std::size_t worker_here = 0;

}  // namespace

// ---- taking -------------------------------------------------------------------------------------

JobPtr Scheduler::Impl::take_own_newest(std::size_t number) {
    Worker& own = workers[number];
    const std::lock_guard lock{own.mutex};
    if (own.jobs.empty()) return nullptr;
    JobPtr job = std::move(own.jobs.back());
    own.jobs.pop_back();
    return job;
}

JobPtr Scheduler::Impl::take_own_oldest(std::size_t number) {
    Worker& own = workers[number];
    const std::lock_guard lock{own.mutex};
    if (own.jobs.empty()) return nullptr;
    JobPtr job = std::move(own.jobs.front());
    own.jobs.pop_front();
    return job;
}

JobPtr Scheduler::Impl::take_shared() {
    const std::lock_guard lock{shared_mutex};
    if (shared.empty()) return nullptr;
    JobPtr job = std::move(shared.front());
    shared.pop_front();
    return job;
}

// The older half of the first other thread that has any; the oldest is run at once.
JobPtr Scheduler::Impl::steal(std::size_t thief) {
    std::vector<JobPtr> loot;
    for (std::size_t step = 1; step < workers.size() && loot.empty(); ++step) {
        Worker& victim = workers[(thief + step) % workers.size()];
        const std::lock_guard lock{victim.mutex};
        for (std::size_t count = (victim.jobs.size() + 1) / 2; count > 0; --count) {
            loot.push_back(std::move(victim.jobs.front()));
            victim.jobs.pop_front();
        }
    }
    if (loot.empty()) return nullptr;
    stolen.fetch_add(loot.size(), std::memory_order_relaxed);
    if (loot.size() > 1) {
        Worker& own = workers[thief];
        const std::lock_guard lock{own.mutex};
        for (std::size_t at = loot.size(); at > 1; --at)  // the older ones come first here too
            own.jobs.push_back(std::move(loot[at - 1]));
    }
    if (loot.size() > 1) wake_one();
    return std::move(loot.front());
}

JobPtr Scheduler::Impl::next(std::size_t number, unsigned turn) {
    if (turn % oldest_every == 0)
        if (JobPtr job = take_shared()) return job;
    if (turn % oldest_every == oldest_every / 2)
        if (JobPtr job = take_own_oldest(number)) return job;
    if (JobPtr job = take_own_newest(number)) return job;
    if (JobPtr job = take_shared()) return job;
    return steal(number);
}

// ---- sleeping -----------------------------------------------------------------------------------

// Whoever puts a job in looks for idle threads after that; whoever becomes idle says so before it
// looks a last time. So one of them sees the other.
void Scheduler::Impl::wake_one() {
    if (idle.load() == 0) return;
    const std::lock_guard lock{sleep_mutex};
    if (calls >= idle.load()) return;
    ++calls;
    wake.notify_one();
}

// False at the end.
bool Scheduler::Impl::sleep() {
    slept.fetch_add(1, std::memory_order_relaxed);
    std::unique_lock lock{sleep_mutex};
    wake.wait(lock, [this] { return ending || calls > 0; });
    if (calls > 0) --calls;
    return !ending;
}

void Scheduler::Impl::work(std::size_t number) {
    pthread_setname_np(pthread_self(), "programs");
    scheduler_here = this;
    worker_here = number;
    for (unsigned turn = 1;; ++turn) {
        JobPtr job = next(number, turn);
        if (!job) {
            idle.fetch_add(1);
            job = next(number, 0);
            const bool goes_on = job != nullptr || sleep();
            idle.fetch_sub(1);
            if (!goes_on) return;
            if (!job) continue;
        }
        if (ending.load(std::memory_order_relaxed)) return;
        ran.fetch_add(1, std::memory_order_relaxed);
        job->run();
    }
}

void Scheduler::Impl::put(Worker& worker, JobPtr job) {
    const std::lock_guard lock{worker.mutex};
    worker.jobs.push_back(std::move(job));
}

Scheduler::Scheduler(unsigned threads) : impl_{std::make_unique<Impl>(threads)} {
    TASKD_ASSERT(threads > 0);
    for (std::size_t number = 0; number < threads; ++number)
        impl_->threads.emplace_back([this, number] { impl_->work(number); });
}

Scheduler::~Scheduler() {
    {
        const std::lock_guard lock{impl_->sleep_mutex};
        impl_->ending = true;
    }
    impl_->wake.notify_all();
    impl_->threads.clear();
}

void Scheduler::submit(std::shared_ptr<Job> job) {
    if (scheduler_here != impl_.get()) return submit_last(std::move(job));
    impl_->put(impl_->workers[worker_here], std::move(job));
    impl_->wake_one();
}

void Scheduler::submit_last(std::shared_ptr<Job> job) {
    {
        const std::lock_guard lock{impl_->shared_mutex};
        impl_->shared.push_back(std::move(job));
    }
    impl_->wake_one();
}

unsigned Scheduler::threads() const {
    return static_cast<unsigned>(impl_->workers.size());
}

SchedulerCounts Scheduler::counts() const {
    return {.ran = impl_->ran.load(), .stolen = impl_->stolen.load(), .slept = impl_->slept.load()};
}

}  // namespace taskd::lua

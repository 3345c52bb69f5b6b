#include "taskd/io/lane.hpp"

#include <pthread.h>
#include <sys/resource.h>
#include <unistd.h>

#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "taskd/io/memory.hpp"

namespace taskd::io {
namespace {

constexpr auto quiet_after = std::chrono::seconds{1};

}  // namespace

struct Lane::Shared {
    explicit Shared(Loop& owner) : loop{owner} {}

    struct Work {
        std::function<void()> job;
        std::function<void()> then;
    };

    Loop& loop;
    std::mutex mutex;
    std::condition_variable wake;
    std::deque<Work> waiting;                 // under mutex
    std::vector<std::function<void()>> done;  // under mutex
    bool told = false;    // under mutex: the loop has been asked to look at done
    bool ending = false;  // under mutex
    bool gone = false;    // loop's thread alone

    // Runs on the loop what has been finished so far.
    void tell() {
        std::vector<std::function<void()>> ready;
        {
            const std::lock_guard lock{mutex};
            ready.swap(done);
            told = false;
        }
        for (auto& then : ready)
            if (!gone && then) then();
    }

    // False when another thread is at it, or work has come.
    bool trim(std::unique_lock<std::mutex>& lock) {
        std::optional<MemoryTrim> memory{std::in_place};
        lock.unlock();
        const bool begun = memory->begin();
        lock.lock();
        bool whole = false;
        while (begun && !whole && !ending && waiting.empty()) {
            lock.unlock();
            whole = memory->step();
            lock.lock();
        }
        lock.unlock();  // what it holds goes, and nobody waits for that
        memory.reset();
        lock.lock();
        return whole;
    }

    // Waits for work; once there has been none for a while what the last has left is given back.
    void wait(std::unique_lock<std::mutex>& lock) {
        const auto awaited = [this] { return ending || !waiting.empty(); };
        do {
            if (wake.wait_for(lock, quiet_after, awaited)) return;
        } while (!trim(lock));
        wake.wait(lock, awaited);
    }

    static void work(const std::shared_ptr<Shared>& self) {
        std::unique_lock lock{self->mutex};
        for (;;) {
            self->wait(lock);
            if (self->waiting.empty()) return;
            Work next = std::move(self->waiting.front());
            self->waiting.pop_front();
            lock.unlock();
            next.job();
            next.job = nullptr;
            lock.lock();
            self->done.push_back(std::move(next.then));
            if (self->told) continue;
            self->told = true;
            self->loop.post_from_any_thread([self] { self->tell(); });
        }
    }
};

struct Lane::Thread {
    std::jthread thread;
};

Lane::Lane(Loop& loop, const std::string& name, int nice)
    : shared_{std::make_shared<Shared>(loop)}, thread_{std::make_unique<Thread>()} {
    thread_->thread = std::jthread{[shared = shared_, nice] {
        // For Linux a thread is a process here. One that cannot be nicer works all the same.
        if (nice > 0) ::setpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()), nice);
        Shared::work(shared);
    }};
    pthread_setname_np(thread_->thread.native_handle(), name.substr(0, 15).c_str());
}

Lane::~Lane() {
    shared_->gone = true;
    {
        const std::lock_guard lock{shared_->mutex};
        shared_->ending = true;
    }
    shared_->wake.notify_one();
    thread_->thread.join();
    // Destroyed here, on the loop's thread and while their owners still stand.
    const std::lock_guard lock{shared_->mutex};
    shared_->done.clear();
}

void Lane::run(std::function<void()> job, std::function<void()> then) {
    {
        const std::lock_guard lock{shared_->mutex};
        shared_->waiting.push_back({std::move(job), std::move(then)});
    }
    shared_->wake.notify_one();
}

}  // namespace taskd::io

// A service's store on a lane beside the loop: what is asked runs there, one after the other, and
// the answer comes back on the loop.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "taskd/io/sqlite_store.hpp"
#include "taskd/port/background.hpp"

namespace taskd::pizza {

class Desk {
  public:
    Desk(io::SqliteStore& store, port::Background& lane) : store_{store}, lane_{lane} {}

    // `work` runs on the lane and must not touch what the loop owns.
    template <class T>
    void ask(std::function<Result<T>(io::SqliteStore&)> work, std::function<void(Result<T>)> then) {
        auto answer = std::make_shared<Result<T>>(fail(ErrorCode::internal, "not asked yet"));
        // Not by `this`: the lane finishes its jobs when the desk may have gone.
        lane_.run([&store = store_, work = std::move(work), answer] { *answer = work(store); },
                  [answer, then = std::move(then)] { then(std::move(*answer)); });
    }
    // The same within one transaction.
    template <class T>
    void change(std::function<Result<T>(io::SqliteStore&)> work,
                std::function<void(Result<T>)> then) {
        ask<T>(
            [work = std::move(work)](io::SqliteStore& store) {
                Result<T> answer = fail(ErrorCode::internal, "not asked yet");
                auto done = store.transaction([&]() -> Result<void> {
                    answer = work(store);
                    if (!answer) return std::unexpected{answer.error()};
                    return {};
                });
                if (answer && !done) answer = std::unexpected{done.error()};
                return answer;
            },
            std::move(then));
    }

  private:
    io::SqliteStore& store_;
    port::Background& lane_;
};

// For tests that kill a service at a chosen place: the process ends as by kill -9 when the
// environment names the place in TASKD_PIZZA_CRASH.
void crash_point(std::string_view place);

}  // namespace taskd::pizza

// A worker of the installed package: one handler for each way a task can go.
#include <taskd/worker.hpp>

#include <cstdlib>
#include <iostream>
#include <stdexcept>
#include <thread>

using namespace std::chrono_literals;

int main() {
    const char* key = std::getenv("TASKD_KEY");
    taskd::Worker worker{{.url = std::getenv("TASKD_URL"),
                          .key = key == nullptr ? "" : key,
                          .name = "crew",
                          .concurrency = 4,
                          .stop_on_signals = true,
                          .trying_again = [](const taskd::Error& error) {
                              std::cerr << error.to_string() << std::endl;
                          }}};
    worker.on("twice", [](taskd::LeasedTask& task) -> taskd::TaskResult {
        return std::to_string(2 * std::stoll(task.payload()));
    });
    worker.on("broken", [](taskd::LeasedTask&) -> taskd::TaskResult {
        return std::unexpected{taskd::Failure{"no_good", "it is broken", true}};
    });
    worker.on("flaky", [](taskd::LeasedTask& task) -> taskd::TaskResult {
        if (task.attempt() >= 3) return taskd::json_of("at last");
        return std::unexpected{taskd::Failure{.code = "not_yet", .retry_after = 1ms}};
    });
    worker.on("thrower",
              [](taskd::LeasedTask&) -> taskd::TaskResult { throw std::runtime_error{"thrown"}; });
    worker.on("babble", [](taskd::LeasedTask&) -> taskd::TaskResult { return "{no json"; });
    worker.on("large", [](taskd::LeasedTask&) -> taskd::TaskResult {
        return taskd::json_of(std::string(2'000'000, 'x'));
    });
    // Works until nobody wants it any more.
    worker.on("endless", [](taskd::LeasedTask& task) -> taskd::TaskResult {
        task.log("it has begun\n");
        for (unsigned turn = 0; task.wanted(); ++turn) {
            task.progress(turn % 100, "turn " + std::to_string(turn));
            std::this_thread::sleep_for(5ms);
        }
        std::cout << "not wanted" << std::endl;
        return std::unexpected{taskd::Failure{"stopped"}};
    });
    const auto done = worker.run();
    if (!done) std::cout << "error " << done.error().name() << std::endl;
    return done ? 0 : 1;
}

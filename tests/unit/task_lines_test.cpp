// Many tasks, one a line, in many requests at once: what they hold and what a turn takes is
// bounded.
#include <algorithm>

#include "dispatcher_world.hpp"

using namespace taskd;
using namespace taskd::test;
using namespace std::chrono_literals;

namespace {

struct World : DispatcherWorld {
    using Answer = std::shared_ptr<std::optional<port::HttpResponse>>;

    explicit World(const service::DispatcherSettings& settings = {})
        : DispatcherWorld{limits::frame_bytes_max, settings} {
        world.run_for(1s);
    }

    Answer submit_lines(std::string body) {
        auto answer = std::make_shared<std::optional<port::HttpResponse>>();
        service->front().handle({.method = "POST",
                                 .target = "/v1/tasks",
                                 .headers = {{"Content-Type", "application/x-ndjson"}},
                                 .body = std::move(body)},
                                [answer](port::HttpResponse got) { *answer = std::move(got); });
        return answer;
    }
    // The most tasks of one batch since there were so many batches.
    std::size_t most_at_once(std::size_t before) const {
        return *std::max_element(tape.commits.begin() + static_cast<std::ptrdiff_t>(before),
                                 tape.commits.end());
    }
    std::uint64_t submitted() { return service->core().engine().totals().submitted; }
};

std::string lines_of(std::size_t count, const std::string& type = "kept") {
    std::string body;
    for (std::size_t i = 0; i < count; ++i)
        body += R"({"type":")" + type + "\"}\n";
    return body;
}

std::ptrdiff_t taken_in(const World::Answer& answer) {
    REQUIRE(answer->has_value());
    REQUIRE((*answer)->status == 200);
    return std::ranges::count((*answer)->body, '\n');
}

// A task, and as many blank lines as a request may have: room is set aside for all of them.
std::string longest() {
    return lines_of(1) + std::string(limits::submit_lines_max - 1, '\n');
}

}  // namespace

TEST_CASE("a turn takes a thousand lines, however many requests have some") {
    World world;
    const std::size_t before = world.tape.commits.size();
    std::vector<World::Answer> answers;
    for (int i = 0; i < 8; ++i)
        answers.push_back(world.submit_lines(lines_of(1'500)));
    for (int i = 0; i < 40; ++i)
        answers.push_back(world.submit_lines(lines_of(5)));
    world.world.run_for(5s);
    for (int i = 0; i < 8; ++i)
        CHECK(taken_in(answers[static_cast<std::size_t>(i)]) == 1'500);
    for (std::size_t i = 8; i < answers.size(); ++i)
        CHECK(taken_in(answers[i]) == 5);
    CHECK(world.submitted() == 8 * 1'500 + 40 * 5);
    CHECK(world.most_at_once(before) <= limits::submit_lines_step);
    CHECK(world.tape.commits.size() - before < 20);  // and short requests share a turn
}

TEST_CASE("long lines count for more, so that a turn does not grow with them") {
    service::DispatcherSettings settings;
    settings.core.unviewed_bytes_max = 256 * limits::mebibyte;
    World world{settings};
    const std::size_t before = world.tape.commits.size();
    std::string body;
    for (int i = 0; i < 15; ++i)
        body += R"({"type":"kept","payload":")" + std::string(1'000'000, 'x') + "\"}\n";
    std::vector<World::Answer> answers;
    for (int i = 0; i < 4; ++i)
        answers.push_back(world.submit_lines(body));
    world.world.run_for(5s);
    for (const auto& each : answers)
        CHECK(taken_in(each) == 15);
    CHECK(world.submitted() == 60);
    CHECK(world.most_at_once(before) <= 5);
}

TEST_CASE("a short request waits for one step of a long one, not for all of it") {
    World world;
    const auto large = world.submit_lines(lines_of(50'000));
    const auto small = world.submit_lines(lines_of(5));
    world.world.run_until([&] { return small->has_value(); }, 5s);
    CHECK(taken_in(small) == 5);
    CHECK_FALSE(large->has_value());
    CHECK(world.submitted() < 5'000);
    world.world.run_for(10s);
    CHECK(taken_in(large) == 50'000);
}

TEST_CASE("requests of lines beyond what may be under way are refused, and nothing else is lost") {
    service::DispatcherSettings settings;
    settings.core.unviewed_bytes_max = 256 * limits::mebibyte;
    World world{settings};
    world.journal_lane.hold();
    std::vector<World::Answer> answers;
    for (int i = 0; i < 40; ++i)
        answers.push_back(world.submit_lines(longest()));
    world.world.run_for(1s);
    const auto refused =
        std::ranges::count_if(answers, [](const auto& each) { return each->has_value(); });
    CHECK(refused == 40 - 27);  // of 9.2 MiB each
    for (const auto& each : answers)
        if (each->has_value()) {
            CHECK(problem(*each) == "429 overloaded");
            CHECK(port::find_header((*each)->headers, "Retry-After") == "1");
        }
    world.journal_lane.release();
    world.world.run_for(5s);
    CHECK(std::ranges::count_if(answers, [](const auto& each) {
              return each->has_value() && (*each)->status == 200;
          }) == 27);
    CHECK(world.submitted() == 27);
    // What they held is free again.
    const auto next = world.submit_lines(longest());
    world.world.run_for(1s);
    CHECK(taken_in(next) == 1);
}

TEST_CASE("a request of lines is refused as a whole while new tasks are") {
    World world;
    world.view_lane.hold();
    REQUIRE(world.submit()->status == 202);
    world.world.run_for(limits::view_lag_max + 1s);
    const auto refused = world.submit_lines(lines_of(3));
    REQUIRE(refused->has_value());
    CHECK(problem(*refused) == "429 overloaded");
    world.view_lane.release();
    world.world.run_for(1s);
    const auto taken = world.submit_lines(lines_of(3));
    world.world.run_for(1s);
    CHECK(taken_in(taken) == 3);
}

TEST_CASE("a dispatcher on its way out answers each line of what it was asked") {
    World world;
    const auto answer = world.submit_lines(lines_of(3'000));
    world.service->drain([] {});
    world.world.run_for(5s);
    CHECK(taken_in(answer) == 3'000);
    CHECK((*answer)->body.find("shutting_down") != std::string::npos);
}

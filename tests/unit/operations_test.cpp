// The pace of an operation at a dispatcher.
#include "catch.hpp"
#include "dispatcher_world.hpp"

using namespace taskd;
using namespace taskd::test;
using namespace std::chrono_literals;

TEST_CASE("an operation does as many a second as was asked") {
    const int rate = GENERATE(4, 10, 25);
    DispatcherWorld world;
    std::string tasks = "[";
    for (int i = 0; i < 100; ++i)
        tasks += R"({"type":"sum","payload":[1]},)";
    tasks.back() = ']';
    REQUIRE(world.ask("POST", "/v1/tasks", tasks)->status == 202);
    const auto begun =
        world.ask("POST", "/v1/operations",
                  R"({"action":"cancel","q":"type:sum","rate":)" + std::to_string(rate) + "}");
    REQUIRE(begun->status == 202);
    const std::string one = "/v1/operations/" + protocol::JsonView{begun->body}["id"].text();
    const auto changed = [&] {
        return protocol::JsonView{world.ask("GET", one)->body}["changed"].number().value_or(0);
    };
    world.world.run_for(2s);
    INFO(rate << " a second");
    const double soon = static_cast<double>(changed());
    CHECK(soon >= 1.5 * rate);
    CHECK(soon <= 2.5 * rate + 1);
    world.world.run_for(100s / rate);
    CHECK(changed() == 100);
}

// The order in which parts that need each other are made.
#include "taskd/runtime/levels.hpp"

#include "catch.hpp"
#include "taskd/base/random.hpp"

using namespace taskd;
using namespace taskd::runtime;

TEST_CASE("a level is one more than the deepest need", "[levels]") {
    const std::vector<Node> nodes{{"api", {"core", "log"}},
                                  {"core", {"store", "log"}},
                                  {"store", {}},
                                  {"log", {}},
                                  {"x", {}}};
    const auto levels = levels_of(nodes);
    REQUIRE(levels);
    CHECK(*levels == std::vector<std::size_t>{2, 1, 0, 0, 0});
    CHECK(path_to(nodes, *levels, 0) == "store > core > api");
    CHECK(path_to(nodes, *levels, 4) == "x");
    CHECK(levels_of({})->empty());
}

TEST_CASE("a level may be higher than needs ask for, and what stands above it rises", "[levels]") {
    const std::vector<Node> nodes{
        {"api", {"core", "log"}}, {"core", {"store"}}, {"store", {}, 3}, {"log", {}}, {"x", {}, 8}};
    const auto levels = levels_of(nodes);
    REQUIRE(levels);
    CHECK(*levels == std::vector<std::size_t>{5, 4, 3, 0, 8});
    CHECK(path_to(nodes, *levels, 0) == "store > core > api");
    CHECK(path_to(nodes, *levels, 4) == "x");
}

TEST_CASE("a circle and a missing part are named with their path", "[levels]") {
    const auto fault = [](const std::vector<Node>& nodes) {
        const auto levels = levels_of(nodes);
        REQUIRE_FALSE(levels);
        return std::pair{levels.error().code, levels.error().detail};
    };
    CHECK(fault({{"a", {"b"}}, {"b", {"c"}}, {"c", {"b"}}}) ==
          std::pair{ErrorCode::dependency_cycle, std::string{"b > c > b"}});
    CHECK(fault({{"a", {"a"}}}) == std::pair{ErrorCode::dependency_cycle, std::string{"a > a"}});
    CHECK(fault({{"a", {}}, {"b", {"a", "z"}}}) ==
          std::pair{ErrorCode::dependency_missing, std::string{"b needs z, which is not there"}});
}

TEST_CASE("in any graph without circles each stands above all it needs", "[levels]") {
    for (std::uint64_t seed = 1; seed <= 200; ++seed) {
        Random random{seed};
        std::vector<Node> nodes(random.below(30) + 1);
        for (std::size_t i = 0; i < nodes.size(); ++i) {
            nodes[i].name = "n" + std::to_string(i);
            for (std::size_t j = 0; j < i; ++j)
                if (random.chance(1, 4)) nodes[i].needs.push_back("n" + std::to_string(j));
        }
        const auto levels = levels_of(nodes);
        REQUIRE(levels);
        for (std::size_t i = 0; i < nodes.size(); ++i) {
            std::size_t expected = 0;
            for (const auto& need : nodes[i].needs)
                expected = std::max(expected, (*levels)[std::stoul(need.substr(1))] + 1);
            CHECK((*levels)[i] == expected);
        }
        // One need back closes a circle.
        std::size_t low = 0;
        for (std::size_t i = 0; i < nodes.size(); ++i)
            if (!nodes[i].needs.empty()) low = i;
        if (nodes[low].needs.empty()) continue;
        nodes[std::stoul(nodes[low].needs[0].substr(1))].needs.push_back(nodes[low].name);
        const auto broken = levels_of(nodes);
        REQUIRE_FALSE(broken);
        CHECK(broken.error().code == ErrorCode::dependency_cycle);
    }
}

TEST_CASE("a long chain needs no deep stack", "[levels]") {
    std::vector<Node> nodes;
    for (int i = 0; i < 100'000; ++i)
        nodes.push_back({std::to_string(i), {std::to_string(i + 1)}});
    nodes.push_back({"100000", {}});
    const auto levels = levels_of(nodes);
    REQUIRE(levels);
    CHECK(levels->front() == 100'000);
}

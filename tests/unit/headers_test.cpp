// The engine's own structures against plain ones: headers by id, lines, the heap of deadlines.
#include <deque>
#include <map>
#include <set>

#include "catch.hpp"
#include "engine/headers.hpp"
#include "random_model.hpp"

using namespace taskd;
using namespace taskd::engine;

TEST_CASE("headers are found by their id while tables grow and shrink") {
    for (std::uint64_t seed = 1; seed <= 5; ++seed) {
        Random random{seed};
        Headers headers;
        std::map<TaskId, Slot> known;
        std::vector<TaskId> gone;
        for (int i = 0; i < 40'000; ++i) {
            // Grows first, then goes up and down.
            if (known.empty() || random.chance(i < 20'000 ? 4 : 2, 5)) {
                const TaskId id = support::random_id(random);
                const Slot slot = headers.add(id);
                REQUIRE(slot != 0);
                known[id] = slot;
            } else {
                auto each = known.lower_bound(support::random_id(random));
                if (each == known.end()) each = known.begin();
                headers.remove(each->second);
                gone.push_back(each->first);
                known.erase(each);
            }
            const TaskId asked = support::random_id(random);
            REQUIRE(headers.find(asked) == 0);
        }
        CHECK(headers.size() == known.size());
        for (const auto& [id, slot] : known) {
            REQUIRE(headers.find(id) == slot);
            REQUIRE(headers[slot].id == id);
        }
        for (const TaskId& id : gone)
            REQUIRE(headers.find(id) == 0);
        std::size_t seen = 0;
        headers.each([&](const Header& header) { seen += known.contains(header.id) ? 1 : 0; });
        CHECK(seen == known.size());
    }
}

TEST_CASE("a line keeps its order when its members leave from anywhere") {
    Random random{7};
    Headers headers;
    Line line;
    std::deque<Slot> expected;
    for (int i = 0; i < 3'000; ++i) {
        if (expected.empty() || random.chance(3, 5)) {
            const Slot slot = headers.add(support::random_id(random));
            line.push_back(headers, slot);
            expected.push_back(slot);
        } else {
            const auto at = expected.begin() + static_cast<long>(random.below(expected.size()));
            line.remove(headers, *at);
            headers.remove(*at);
            expected.erase(at);
        }
        CHECK(line.empty() == expected.empty());
    }
    std::deque<Slot> found;
    for (Slot slot = line.first; slot != 0; slot = headers[slot].after)
        found.push_back(slot);
    CHECK(found == expected);
    CHECK(line.last == expected.back());
}

TEST_CASE("the earliest deadline comes first, equal ones by id") {
    Random random{11};
    Headers headers;
    DeadlineHeap heap{headers};
    std::set<std::pair<EngineTime, TaskId>> expected;
    for (int i = 0; i < 20'000; ++i) {
        if (expected.empty() || random.chance(3, 5)) {
            const Slot slot = headers.add(support::random_id(random));
            headers[slot].deadline =
                EngineTime{Duration{static_cast<std::int64_t>(random.below(500))}};
            heap.put(slot);
            expected.insert({headers[slot].deadline, headers[slot].id});
        } else {
            auto each = expected.begin();
            if (random.chance(1, 2)) std::advance(each, random.below(expected.size()) % 50);
            const Slot slot = headers.find(each->second);
            heap.remove(slot);
            headers.remove(slot);
            expected.erase(each);
        }
        REQUIRE(heap.empty() == expected.empty());
        if (!heap.empty()) REQUIRE(headers[heap.first()].id == expected.begin()->second);
    }
    for (const std::int64_t now : {-1, 0, 100, 250, 1'000}) {
        std::vector<TaskId> found;
        for (const Slot slot : heap.due(EngineTime{Duration{now}}, 700))
            found.push_back(headers[slot].id);
        std::vector<TaskId> due;
        for (const auto& [at, id] : expected)
            if (at <= EngineTime{Duration{now}} && due.size() < 700) due.push_back(id);
        CHECK(found == due);
    }
}

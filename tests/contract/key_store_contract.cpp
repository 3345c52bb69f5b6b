// What every store of values under keys promises: the real one and its twin in memory.
#include <atomic>
#include <thread>

#include "catch.hpp"
#include "disk_worlds.hpp"
#include "manual_clock.hpp"
#include "memory_key_store.hpp"
#include "taskd/base/random.hpp"
#include "taskd/io/private_files.hpp"

using namespace taskd;
using namespace taskd::test;
using namespace std::chrono_literals;

namespace {

constexpr io::KeyStoreSettings small{.bytes_max = 1'000, .value_bytes_max = 400, .ttl = {}};

struct World {
    explicit World(bool on_disk, const io::KeyStoreSettings& with = small)
        : real{on_disk}, settings{with} {
        reopen();
    }
    void reopen() {
        if (!real) {
            if (!store) store = std::make_shared<MemoryKeyStore>(settings, clock);
            return;
        }
        store.reset();
        auto opened = io::open_key_store(path, settings, clock);
        REQUIRE(opened);
        store = std::move(*opened);
    }
    std::string value(std::string_view key) {
        const auto found = store->get(key);
        REQUIRE(found);
        return *found ? (*found)->value : "none";
    }
    std::string keys(const port::KeyQuery& query) {
        const auto found = store->list(query);
        REQUIRE(found);
        std::string text;
        for (const port::KeptKey& each : *found)
            text += each.key + " ";
        return text;
    }

    bool real;
    io::KeyStoreSettings settings;
    support::TempDir dir;
    std::string path = dir.path() + "/kept.db";
    support::ManualClock clock;
    std::shared_ptr<port::KeyStore> store;
};

ErrorCode code_of(const auto& result) {
    REQUIRE_FALSE(result.has_value());
    return result.error().code;
}

}  // namespace

TEST_CASE("what is put is there, also when the store is opened again", "[store]") {
    World world{GENERATE(true, false)};
    CHECK(world.value("a") == "none");
    const std::string bytes{"\0\xff{}", 4};
    CHECK(world.store->put("a", bytes, {}).value() == 1);
    CHECK(world.store->put("ä/b", "", {}).value() == 2);
    CHECK(world.store->put("a", "other", {}).value() == 3);
    CHECK(world.store->put("c", bytes, {}).value() == 4);
    world.reopen();
    CHECK(world.store->get("a").value() == port::KeptValue{"other", 3, std::nullopt});
    CHECK(world.value("ä/b").empty());
    CHECK(world.value("c") == bytes);
    CHECK(world.store->remove("a").value());
    CHECK_FALSE(world.store->remove("a").value());
    world.reopen();
    CHECK(world.value("a") == "none");
    CHECK(world.store->put("a", "again", {}).value() > 4);  // no version is given twice
    CHECK(world.store->stats().value().keys == 3);
    CHECK(world.store->stats().value().bytes == 1 + 5 + 4 + 1 + 4);
}

TEST_CASE("a value changes only from the version that was seen", "[store]") {
    World world{GENERATE(true, false)};
    const std::uint64_t first = world.store->compare_and_set("a", 0, "1", {}).value();
    CHECK(code_of(world.store->compare_and_set("a", 0, "x", {})) == ErrorCode::key_changed);
    const std::uint64_t second = world.store->compare_and_set("a", first, "2", {}).value();
    CHECK(code_of(world.store->compare_and_set("a", first, "x", {})) == ErrorCode::key_changed);
    CHECK(world.value("a") == "2");
    REQUIRE(world.store->remove("a"));
    CHECK(code_of(world.store->compare_and_set("a", second, "x", {})) == ErrorCode::key_changed);
    CHECK(world.store->compare_and_set("a", 0, "3", {}).value() > second);
}

TEST_CASE("keys are listed in their order, page by page", "[store]") {
    World world{GENERATE(true, false)};
    for (const char* key : {"b/2", "a", "b/1", "c", "b", "b/10", "b0"})
        REQUIRE(world.store->put(key, "v", {}));
    CHECK(world.keys({}) == "a b b/1 b/10 b/2 b0 c ");
    CHECK(world.keys({.prefix = "b/", .after = {}}) == "b/1 b/10 b/2 ");
    CHECK(world.keys({.prefix = "b/", .after = "b/1", .limit = 1}) == "b/10 ");
    CHECK(world.keys({.prefix = "x", .after = {}}).empty());
    CHECK(world.store->list({.prefix = "c", .after = {}}).value() ==
          std::vector{port::KeptKey{"c", 4, 1, std::nullopt}});
}

TEST_CASE("a value goes when its time is over", "[store]") {
    World world{GENERATE(true, false)};
    REQUIRE(world.store->put("a", "1", {.ttl = 10s}));
    REQUIRE(world.store->put("b", "2", {.ttl = 20s}));
    REQUIRE(world.store->put("c", "3", {}));
    CHECK(world.store->get("a").value()->expires_at == world.clock.wall() + 10s);
    world.clock.advance(10s);
    CHECK(world.value("a") == "none");
    CHECK(world.keys({}) == "b c ");
    CHECK_FALSE(world.store->remove("a").value());
    CHECK(world.store->compare_and_set("a", 0, "new", {}));
    world.clock.advance(10s);
    CHECK(world.keys({}) == "a c ");
    REQUIRE(world.store->put("c", "3", {}));  // and sweeps
    CHECK(world.store->stats().value().keys == 2);
    CHECK(world.store->stats().value().bytes == 6);
}

TEST_CASE("a store may have a time of its own for what it keeps", "[store]") {
    io::KeyStoreSettings settings = small;
    settings.ttl = 5s;
    World world{GENERATE(true, false), settings};
    REQUIRE(world.store->put("a", "1", {}));
    REQUIRE(world.store->put("b", "1", {.ttl = 1h}));
    world.clock.advance(5s);
    CHECK(world.keys({}) == "b ");
}

TEST_CASE("a store has its bounds, and each has a name", "[store]") {
    World world{GENERATE(true, false)};
    const std::string most(400, 'x');
    CHECK(code_of(world.store->put("", "v", {})) == ErrorCode::invalid_field);
    CHECK(code_of(world.store->get(std::string(limits::key_bytes_max + 1, 'k'))) ==
          ErrorCode::invalid_field);
    CHECK(code_of(world.store->remove("")) == ErrorCode::invalid_field);
    CHECK(code_of(world.store->put("a", most + "x", {})) == ErrorCode::value_too_large);
    CHECK(code_of(world.store->compare_and_set("a", 0, most + "x", {})) ==
          ErrorCode::value_too_large);
    REQUIRE(world.store->put("a", most, {.ttl = 1s}));
    REQUIRE(world.store->put("b", most, {}));
    CHECK(code_of(world.store->put("c", most, {})) == ErrorCode::store_full);
    CHECK(world.keys({}) == "a b ");  // nothing has happened
    CHECK(world.store->stats().value().bytes == 802);
    CHECK(world.store->put("b", std::string(300, 'y'), {}));  // in place of what it had
    world.clock.advance(1s);
    REQUIRE(world.store->put("c", most, {}));  // what has expired makes room
    CHECK(world.keys({}) == "b c ");
    CHECK(world.store->stats().value().bytes == 702);
}

TEST_CASE("what is done to a store at random is what its twin says", "[store]") {
    for (std::uint64_t seed = 1; seed <= 3; ++seed) {
        INFO("seed " << seed);
        Random random{seed};
        World real{true};
        World twin{false};
        for (int step = 0; step < 120; ++step) {
            const std::string key = "k" + std::to_string(random.below(8));
            const std::string value(random.below(420), static_cast<char>('a' + step % 26));
            port::PutOptions options;
            if (random.chance(1, 3))
                options.ttl = Duration{static_cast<std::int64_t>(1 + random.below(9)) * 1'000};
            const std::uint64_t expected = random.below(60);
            const auto act = [&](port::KeyStore& store, std::uint64_t what) -> std::string {
                const auto told = [](const auto& result) {
                    return result ? std::to_string(*result)
                                  : std::string{row_of(result.error().code).name};
                };
                if (what < 4) return told(store.put(key, value, options));
                if (what < 6) return told(store.compare_and_set(key, expected, value, options));
                return told(store.remove(key));
            };
            const std::uint64_t what = random.below(8);
            REQUIRE(act(*real.store, what) == act(*twin.store, what));
            const Duration by{static_cast<std::int64_t>(random.below(3)) * 1'000};
            real.clock.advance(by);
            twin.clock.advance(by);
            if (step % 40 == 39) real.reopen();
            REQUIRE(real.store->list({}).value() == twin.store->list({}).value());
        }
    }
}

TEST_CASE("several threads use one store", "[store]") {
    World world{true, {}};
    std::atomic<int> failures = 0;
    std::vector<std::thread> threads;
    for (int number = 0; number < 4; ++number)
        threads.emplace_back([&] {
            for (int i = 0; i < 20; ++i)
                for (bool added = false; !added;) {
                    const auto seen = world.store->get("sum");
                    if (!seen) ++failures;
                    const std::string now = *seen ? (*seen)->value : "0";
                    const auto set =
                        world.store->compare_and_set("sum", *seen ? (*seen)->version : 0,
                                                     std::to_string(std::stoi(now) + 1), {});
                    added = set.has_value();
                    if (!set && set.error().code != ErrorCode::key_changed) ++failures;
                }
        });
    for (std::thread& each : threads)
        each.join();
    CHECK(failures == 0);
    CHECK(world.value("sum") == "80");
}

TEST_CASE("the stores of a folder are those that were declared", "[store]") {
    const support::TempDir dir;
    const support::ManualClock clock;
    const std::string folder = dir.path() + "/stores";
    io::KeyStoreFolder stores{folder, clock};
    CHECK(code_of(stores.find("shop:carts")) == ErrorCode::store_not_found);
    stores.declare("shop:carts", small);
    const auto carts = stores.find("shop:carts").value();
    CHECK(stores.find("shop:carts").value() == carts);
    REQUIRE(carts->put("a", "1", {}));
    stores.withdraw("shop:carts");
    CHECK(code_of(stores.find("shop:carts")) == ErrorCode::store_not_found);
    CHECK(carts->get("a").value().has_value());  // for who holds it
    stores.declare("shop:carts", {});
    CHECK(stores.find("shop:carts").value()->get("a").value()->value == "1");
    stores.declare("a:b", {});
    CHECK_FALSE(stores.find("a:b").value()->get("a").value().has_value());
}

TEST_CASE("a file that is no store is refused by name", "[store]") {
    const support::TempDir dir;
    const support::ManualClock clock;
    const std::string path = dir.path() + "/kept.db";
    REQUIRE(io::write_private_file(path, std::string(4'096, 'x')));
    CHECK(code_of(io::open_key_store(path, {}, clock)) == ErrorCode::view_corrupt);
    CHECK(code_of(io::open_key_store(dir.path() + "/none/kept.db", {}, clock)) ==
          ErrorCode::io_failed);
}

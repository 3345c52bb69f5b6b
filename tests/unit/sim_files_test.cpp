// The simulated disk: what it keeps, what it may lose, and that it loses all of it somewhere.
#include "sim_files.hpp"
#include "catch.hpp"
#include "disk_worlds.hpp"

using namespace taskd;
using namespace taskd::support;
using port::OpenMode;

TEST_CASE("what was synced outlives a power cut and what was not may be lost, kept or torn") {
    SimFilesHits all;
    for (std::uint64_t seed = 0; seed < 200; ++seed) {
        INFO("seed " << seed);
        SimFiles disk{seed};
        REQUIRE(disk.make_dir("/d"));
        put_file(disk, "/d/a", std::string(2'048, 'o'));
        REQUIRE(disk.sync_dir("/d"));
        {
            const auto file = disk.open("/d/a", OpenMode::read_write).value();
            REQUIRE(file->write(512, std::string(1'024, 'n')));
            REQUIRE(file->write(2'048, std::string(600, 'n')));
            disk.cut_power();
            CHECK(file->write(0, "x").error().code == ErrorCode::io_failed);
            disk.power_on();
            CHECK(file->sync().error().code == ErrorCode::io_failed);  // died with the power
        }
        const std::string bytes = get_file(disk, "/d/a");
        CHECK(bytes.substr(0, 512) == std::string(512, 'o'));
        CHECK(bytes.substr(1'536, 512) == std::string(512, 'o'));
        CHECK(bytes.find_first_not_of("no", 0) >= 2'048);
        CHECK(bytes.size() <= 2'648);
        CHECK(disk.snapshot() == disk.snapshot());
        all.sectors_kept += disk.hits().sectors_kept;
        all.sectors_lost += disk.hits().sectors_lost;
        all.sectors_torn += disk.hits().sectors_torn;
        all.sizes_lost += disk.hits().sizes_lost;
    }
    CHECK(all.sectors_kept > 100);
    CHECK(all.sectors_lost > 100);
    CHECK(all.sectors_torn > 100);
    CHECK(all.sizes_lost > 50);
}

TEST_CASE("names that were not synced come back in any combination that can be") {
    std::map<std::string, int> outcomes;
    for (std::uint64_t seed = 0; seed < 300; ++seed) {
        SimFiles disk{seed};
        REQUIRE(disk.make_dir("/d"));
        put_file(disk, "/d/a", "a");
        REQUIRE(disk.sync_dir("/d"));
        put_file(disk, "/d/b", "b");
        REQUIRE(disk.rename("/d/b", "/d/a"));
        REQUIRE(disk.remove("/d/a"));
        disk.cut_power();
        disk.power_on();
        std::string outcome;
        for (const auto& [path, bytes] : disk.snapshot())
            outcome += path + "=" + bytes + " ";
        ++outcomes[outcome];
    }
    CHECK(outcomes["/d/a=a "] > 20);
    CHECK(outcomes["/d/a=a /d/b=b "] > 20);
    CHECK(outcomes["/d/a=b "] > 20);
    CHECK(outcomes[""] > 20);
    CHECK(outcomes.size() == 4);
}

TEST_CASE("the power goes at the operation asked for") {
    for (std::uint64_t cut = 1; cut <= 4; ++cut) {
        SimFiles disk{1, {.cut_at = cut}};
        REQUIRE(disk.make_dir("/d"));
        auto file = disk.open("/d/a", OpenMode::create);
        CHECK(file.has_value() == (cut > 1));
        if (!file) continue;
        CHECK((*file)->write(0, "x").has_value() == (cut > 2));
        CHECK((*file)->sync().has_value() == (cut > 3));
        CHECK_FALSE(disk.sync_dir("/d").has_value());
        CHECK(disk.hits().cuts == 1);
    }
}

TEST_CASE("a full disk takes what fits and says so") {
    SimFiles disk{1, {.capacity_bytes = 1'000}};
    REQUIRE(disk.make_dir("/d"));
    const auto file = disk.open("/d/a", OpenMode::create).value();
    REQUIRE(file->write(0, std::string(900, 'a')));
    CHECK(file->write(900, std::string(200, 'b')).error().code == ErrorCode::disk_full);
    CHECK(file->size() == 1'000u);
    CHECK(file->write(0, std::string(1'000, 'c')).has_value());
    CHECK(file->truncate(1'001).error().code == ErrorCode::disk_full);
    REQUIRE(file->truncate(500));
    CHECK(file->write(500, std::string(500, 'd')).has_value());
    CHECK(disk.hits().disk_full == 2);
}

TEST_CASE("a failed sync loses sectors that a later sync does not bring back") {
    std::uint64_t lost = 0;
    for (std::uint64_t seed = 0; seed < 20; ++seed) {
        SimFiles disk{seed};
        REQUIRE(disk.make_dir("/d"));
        const auto file = disk.open("/d/a", OpenMode::create).value();
        REQUIRE(disk.sync_dir("/d"));
        REQUIRE(file->write(0, std::string(5'120, 'a')));
        disk.faults.sync_fails_at = disk.syncs() + 1;
        CHECK(file->sync().error().code == ErrorCode::io_failed);
        CHECK(file->sync().has_value());
        CHECK(get_file(disk, "/d/a") == std::string(5'120, 'a'));  // the cache still has it
        disk.cut_power();
        disk.power_on();
        if (get_file(disk, "/d/a") != std::string(5'120, 'a')) ++lost;
    }
    CHECK(lost > 10);
}

TEST_CASE("a lying sync keeps nothing for sure") {
    std::uint64_t lost = 0;
    for (std::uint64_t seed = 0; seed < 20; ++seed) {
        SimFiles disk{seed, {.sync_lies_share = 1'000}};
        REQUIRE(disk.make_dir("/d"));
        put_file(disk, "/d/a", std::string(5'120, 'a'));
        REQUIRE(disk.sync_dir("/d"));
        CHECK(disk.hits().syncs_lied == 2);
        disk.cut_power();
        disk.power_on();
        if (disk.content("/d/a") != std::string(5'120, 'a')) ++lost;
    }
    CHECK(lost > 10);
}

TEST_CASE("the same seed gives the same disk") {
    const auto run = [] {
        SimFiles disk{42};
        REQUIRE(disk.make_dir("/d"));
        for (const char* path : {"/d/a", "/d/b", "/d/c"}) {
            const auto file = disk.open(path, OpenMode::create).value();
            REQUIRE(file->write(0, std::string(3'000, path[3])));
        }
        disk.cut_power();
        disk.power_on();
        return disk.snapshot();
    };
    CHECK(run() == run());
}

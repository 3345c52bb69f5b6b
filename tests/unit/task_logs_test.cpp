// The files of the tasks' logs: torn tails, power cuts, full disks, and the bound of all together.
#include "catch.hpp"
#include "sim_files.hpp"
#include "taskd/io/file_task_logs.hpp"

using namespace taskd;
using namespace taskd::support;
using port::LogStream;

namespace {

const LogStream stream{*TaskId::parse("018bcfe5-687b-7000-8000-0000000000ab"), LeaseEpoch{3}};
const std::string path = "logs/ab/018bcfe5-687b-7000-8000-0000000000ab.3";

io::FileTaskLogs open_logs(SimFiles& disk, std::uint64_t bytes_max = limits::logs_bytes_least) {
    return io::FileTaskLogs{disk, {.dir = "logs", .bytes_max = bytes_max}};
}

}  // namespace

TEST_CASE("a log file whose tail is torn anywhere keeps what came before") {
    SimFiles disk{1};
    {
        auto logs = open_logs(disk);
        REQUIRE(logs.append(stream, 0, "first line\n"));
        REQUIRE(logs.append(stream, 11, "second line\n"));
    }
    const std::string whole = *disk.content(path);
    for (std::size_t size = 0; size <= whole.size(); ++size) {
        disk.set_content(path, whole.substr(0, size));
        auto logs = open_logs(disk);
        const std::string kept = logs.read(stream, 0, 100)->bytes;
        CHECK(std::string{"first line\nsecond line\n"}.starts_with(kept));
        CHECK((kept.empty() || kept.ends_with('\n')));
        CHECK(kept.empty() == (size < 31));
        // It goes on behind what it kept, and a reader sees a gap where something was lost.
        REQUIRE(logs.append(stream, 23, "third line\n") == 34u);
        CHECK(logs.read(stream, 23, 100)->bytes == "third line\n");
        CHECK(open_logs(disk).read(stream, 23, 100)->bytes == "third line\n");
    }
}

TEST_CASE("a byte of a log file that has changed is not shown") {
    SimFiles disk{1};
    {
        auto logs = open_logs(disk);
        REQUIRE(logs.append(stream, 0, "first line\n"));
        REQUIRE(logs.append(stream, 11, "second line\n"));
    }
    const std::string whole = *disk.content(path);
    for (std::size_t at = 31; at < whole.size(); ++at) {
        std::string changed = whole;
        changed[at] = static_cast<char>(changed[at] ^ 0x20);
        disk.set_content(path, changed);
        CHECK(open_logs(disk).read(stream, 0, 100)->bytes == "first line\n");
    }
}

TEST_CASE("a power cut at any moment takes no synced line") {
    std::uint64_t cut = 1;
    for (bool was_cut = true; was_cut; ++cut) {
        SimFiles disk{cut, {.cut_at = cut}};
        auto logs = open_logs(disk);
        std::string written, synced;
        while (written.size() < 3'000) {
            const std::string line = "a line of some length, " + std::to_string(written.size());
            if (!logs.append(stream, written.size(), line)) break;
            written += line;
            if (written.size() % 5 != 0) continue;
            if (!logs.sync()) break;
            synced = written;
        }
        was_cut = !disk.powered();
        if (was_cut) disk.power_on();
        auto again = open_logs(disk);
        const auto kept = again.read(stream, 0, limits::log_read_bytes_max);
        INFO("cut at " << cut);
        REQUIRE(kept);
        CHECK(kept->bytes.starts_with(synced));
        // A write that was cut short may have reached the disk whole.
        CHECK(kept->bytes.substr(0, written.size()) == written.substr(0, kept->bytes.size()));
        if (!was_cut) CHECK(kept->bytes == written);
    }
    CHECK(cut > 20);
}

TEST_CASE("a full disk refuses an append by name and takes it when there is room") {
    SimFiles disk{1};
    auto logs = open_logs(disk);
    REQUIRE(logs.append(stream, 0, "before\n"));
    disk.faults.capacity_bytes = disk.bytes_used();
    CHECK(logs.append(stream, 7, std::string(5'000, 'x')).error().code == ErrorCode::disk_full);
    CHECK(logs.read(stream, 0, 100)->bytes == "before\n");
    disk.faults.capacity_bytes = 0;
    CHECK(logs.append(stream, 7, "after\n") == 13u);
    CHECK(logs.read(stream, 0, 100)->bytes == "before\nafter\n");
}

TEST_CASE("a log that has nothing has no file") {
    SimFiles disk{1};
    auto logs = open_logs(disk);
    CHECK(logs.append(stream, 0, "") == 0u);
    CHECK(disk.snapshot().empty());
    REQUIRE(logs.append(stream, 0, "a line\n") == 7u);
    CHECK(logs.append(stream, 0, "") == 7u);
    CHECK(logs.append(stream, 7, "") == 7u);
    REQUIRE(logs.remove(stream.id));
    CHECK(disk.snapshot().empty());
}

TEST_CASE("all logs together are bounded: the oldest tasks' go") {
    SimFiles disk{1};
    Random random{1};
    std::vector<TaskId> ids;
    {
        auto logs = open_logs(disk, 40 * 4'096);
        for (int i = 0; i < 60; ++i) {
            ids.push_back(TaskId::make(WallTime{std::chrono::seconds{i}}, random));
            REQUIRE(logs.append({ids.back(), LeaseEpoch{1}}, 0, std::string(2'000, 'x')) == 2'000u);
            CHECK(logs.bytes_used() <= 40 * 4'096);
        }
        CHECK(logs.read({ids.front(), LeaseEpoch{1}}, 0, 10)->end == 0u);
        CHECK(logs.read({ids[19], LeaseEpoch{1}}, 0, 10)->end == 0u);
        CHECK(logs.read({ids[20], LeaseEpoch{1}}, 0, 10)->end == 2'000u);
    }
    // Another life counts what is there.
    auto logs = open_logs(disk, 40 * 4'096);
    CHECK(logs.bytes_used() == 40 * 4'096);
    // One that writes on is not dropped for its own sake.
    REQUIRE(logs.append({ids[20], LeaseEpoch{1}}, 2'000, std::string(9'000, 'y')) == 11'000u);
    CHECK(logs.read({ids[20], LeaseEpoch{1}}, 0, 10)->end == 11'000u);
    CHECK(logs.read({ids[21], LeaseEpoch{1}}, 0, 10)->end == 0u);
    CHECK(logs.bytes_used() <= 40 * 4'096);
}

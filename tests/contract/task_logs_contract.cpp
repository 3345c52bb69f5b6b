// What every port::TaskLogs promises: files on the real disk, files on the simulated one, the twin.
#include "catch.hpp"
#include "disk_worlds.hpp"
#include "memory_task_logs.hpp"
#include "taskd/io/file_task_logs.hpp"

using namespace taskd;
using namespace taskd::support;
using port::LogStream;

namespace {

constexpr std::size_t stream_bytes_max = 20'000;

struct LogsWorld {
    explicit LogsWorld(const std::string& kind) : name{kind} {
        if (kind == "twin") {
            logs = std::make_unique<test::MemoryTaskLogs>(stream_bytes_max);
            return;
        }
        disk = make_disk_world(kind == "real" ? DiskKind::real : DiskKind::simulated);
        reopen();
    }
    // As another process would; the twin stays as it is.
    void reopen() {
        if (!disk.files) return;
        logs.reset();
        logs = std::make_unique<io::FileTaskLogs>(
            *disk.files, io::FileTaskLogsSettings{.dir = disk.dir + "/logs",
                                                  .stream_bytes_max = stream_bytes_max,
                                                  .bytes_max = limits::logs_bytes_least});
    }

    std::string name;
    DiskWorld disk;
    std::unique_ptr<port::TaskLogs> logs;
};

LogStream stream_of(unsigned task, std::uint64_t epoch = 1) {
    std::string id = "018bcfe5-687b-7000-8000-000000000000";
    const std::string digits = std::to_string(task);
    id.replace(id.size() - digits.size(), digits.size(), digits);
    return {*TaskId::parse(id), LeaseEpoch{epoch}};
}

}  // namespace

#define ON_EVERY_FORM                                                          \
    LogsWorld world{GENERATE(as<std::string>{}, "real", "simulated", "twin")}; \
    INFO(world.name);                                                          \
    port::TaskLogs& logs = *world.logs

TEST_CASE("a stream grows at its end and is read from any place") {
    ON_EVERY_FORM;
    const LogStream one = stream_of(1), two = stream_of(2);
    CHECK(logs.read(one, 0, 100)->end == 0u);
    CHECK(logs.append(one, 0, "hello ") == 6u);
    CHECK(logs.append(two, 0, "other") == 5u);
    CHECK(logs.append(one, 6, "world") == 11u);
    CHECK(logs.read(one, 0, 100)->bytes == "hello world");
    CHECK(logs.read(one, 4, 3)->bytes == "o w");
    CHECK(logs.read(one, 4, 3)->from == 4u);
    CHECK(logs.read(one, 4, 3)->end == 11u);
    CHECK(logs.read(one, 11, 100)->bytes.empty());
    CHECK(logs.read(one, 50, 100)->bytes.empty());
    CHECK(logs.read(two, 0, 100)->bytes == "other");
    CHECK(logs.sync());
}

TEST_CASE("tasks that have streams are told in their order, a page at a time") {
    ON_EVERY_FORM;
    CHECK(logs.tasks({}, 10)->empty());
    std::vector<TaskId> all;
    for (const unsigned task : {3U, 1U, 5U, 2U, 4U})
        for (const std::uint64_t epoch : {1, 2})
            REQUIRE(logs.append(stream_of(task, epoch), 0, "x"));
    CHECK(logs.append(stream_of(6), 0, "") == 0u);
    for (unsigned task = 1; task <= 5; ++task)
        all.push_back(stream_of(task).id);
    world.reopen();
    port::TaskLogs& again = *world.logs;
    CHECK(again.tasks({}, 10) == all);
    CHECK(again.tasks({}, 2) == std::vector{all[0], all[1]});
    CHECK(again.tasks(all[1], 2) == std::vector{all[2], all[3]});
    CHECK(again.tasks(all[4], 2)->empty());
    REQUIRE(again.remove(all[0]));
    CHECK(again.tasks({}, 1) == std::vector{all[1]});
}

TEST_CASE("an append that is said again is kept once") {
    ON_EVERY_FORM;
    const LogStream one = stream_of(1);
    CHECK(logs.append(one, 0, "abc") == 3u);
    CHECK(logs.append(one, 0, "abc") == 3u);
    CHECK(logs.append(one, 1, "bcde") == 5u);
    CHECK(logs.append(one, 0, "ab") == 5u);
    CHECK(logs.read(one, 0, 100)->bytes == "abcde");
}

TEST_CASE("readers step over what the writer skipped") {
    ON_EVERY_FORM;
    const LogStream one = stream_of(1);
    CHECK(logs.append(one, 0, "abc") == 3u);
    CHECK(logs.append(one, 10, "xyz") == 13u);
    CHECK(logs.append(one, 13, "!") == 14u);
    CHECK(logs.read(one, 0, 100)->bytes == "abc");
    const auto behind = logs.read(one, 3, 100);
    CHECK(behind->from == 10u);
    CHECK(behind->bytes == "xyz!");
    CHECK(logs.append(one, 4, "late") == 14u);  // it has gone on
    CHECK(logs.read(one, 11, 1)->bytes == "y");
}

TEST_CASE("a stream is bounded, and keeps what fits") {
    ON_EVERY_FORM;
    const LogStream one = stream_of(1);
    CHECK(logs.append(one, 0, std::string(19'998, 'x')) == 19'998u);
    CHECK(logs.append(one, 19'998, "1234").error().code == ErrorCode::log_full);
    CHECK(logs.append(one, 19'998, "1234").error().code == ErrorCode::log_full);
    CHECK(logs.append(one, 50'000, "1234").error().code == ErrorCode::log_full);
    const auto tail = logs.read(one, 19'990, 100);
    CHECK(tail->bytes == "xxxxxxxx12");
    CHECK(tail->end == 20'000u);
}

TEST_CASE("streams of one task go together, others stay") {
    ON_EVERY_FORM;
    REQUIRE(logs.append(stream_of(7, 1), 0, "first"));
    REQUIRE(logs.append(stream_of(7, 12), 0, "second"));
    REQUIRE(logs.append(stream_of(8, 1), 0, "other"));
    REQUIRE(logs.remove(stream_of(7).id));
    REQUIRE(logs.remove(stream_of(9).id));
    CHECK(logs.read(stream_of(7, 1), 0, 10)->end == 0u);
    CHECK(logs.read(stream_of(7, 12), 0, 10)->end == 0u);
    CHECK(logs.read(stream_of(8, 1), 0, 10)->bytes == "other");
    CHECK(logs.append(stream_of(7, 1), 0, "anew") == 4u);
}

TEST_CASE("many small appends are read back in parts, also by another life") {
    ON_EVERY_FORM;
    const LogStream one = stream_of(1);
    std::string all;
    while (all.size() < 10'000) {
        const std::string line = "line " + std::to_string(all.size()) + "\n";
        REQUIRE(logs.append(one, all.size(), line) == all.size() + line.size());
        all += line;
    }
    world.reopen();
    port::TaskLogs& again = *world.logs;
    std::string read;
    while (read.size() < all.size()) {
        const auto part = again.read(one, read.size(), 777);
        REQUIRE(part);
        REQUIRE(!part->bytes.empty());
        read += part->bytes;
    }
    CHECK(read == all);
    CHECK(again.append(one, all.size(), "more") == all.size() + 4);
}

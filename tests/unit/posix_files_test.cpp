// What only the real disk can show: errors of the system by name, and locks across processes.
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>
#include <csignal>

#include "catch.hpp"
#include "disk_worlds.hpp"
#include "taskd/io/posix_files.hpp"

using namespace taskd;
using namespace taskd::support;

TEST_CASE("a full device is disk_full with its path") {
    const auto files = io::make_posix_files();
    const auto file = files->open("/dev/full", port::OpenMode::read_write).value();
    const auto written = file->write(0, "x");
    REQUIRE_FALSE(written.has_value());
    CHECK(written.error().code == ErrorCode::disk_full);
    CHECK(written.error().detail.find("/dev/full") != std::string::npos);
}

TEST_CASE("a folder is no file to write to") {
    const TempDir temp;
    const auto files = io::make_posix_files();
    CHECK(files->open(temp.path(), port::OpenMode::create).error().code == ErrorCode::io_failed);
}

TEST_CASE("a program started while the lock is held does not keep it") {
    const TempDir temp;
    const auto files = io::make_posix_files();
    const std::string path = temp.path() + "/lock";
    auto lock = files->lock(path).value();
    pid_t child = 0;
    char name[] = "sleep";
    char seconds[] = "60";
    char* arguments[] = {name, seconds, nullptr};
    REQUIRE(::posix_spawn(&child, "/bin/sleep", nullptr, nullptr, arguments, environ) == 0);
    CHECK(files->lock(path).error().code == ErrorCode::store_locked);
    lock.reset();
    CHECK(files->lock(path).has_value());
    ::kill(child, SIGKILL);
    int status = 0;
    CHECK(::waitpid(child, &status, 0) == child);
}

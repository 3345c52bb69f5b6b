// What every port::Files promises, on the real disk and on the simulated one.
#include "catch.hpp"
#include "disk_worlds.hpp"

using namespace taskd;
using namespace taskd::support;
using port::OpenMode;

namespace {

std::string read_at(port::File& file, std::uint64_t offset, std::size_t size) {
    std::string bytes(size, '?');
    bytes.resize(file.read(offset, bytes).value());
    return bytes;
}

}  // namespace

#define ON_EVERY_DISK                                                                  \
    const auto world = make_disk_world(GENERATE(DiskKind::real, DiskKind::simulated)); \
    INFO(world.name);                                                                  \
    port::Files& files = *world.files;                                                 \
    const std::string path = world.dir + "/a"

TEST_CASE("a file holds what was written where it was written") {
    ON_EVERY_DISK;
    const auto file = files.open(path, OpenMode::create).value();
    CHECK(file->size() == 0u);
    REQUIRE(file->write(0, "hello"));
    REQUIRE(file->write(1'000, "far"));
    CHECK(file->size() == 1'003u);
    CHECK(read_at(*file, 0, 5) == "hello");
    CHECK(read_at(*file, 998, 5) == std::string("\0\0far", 5));
    REQUIRE(file->write(1, "E"));
    CHECK(read_at(*file, 0, 5) == "hEllo");
    CHECK(read_at(*file, 1'000, 10) == "far");  // fewer only at the end
    CHECK(read_at(*file, 5'000, 10).empty());
    CHECK(file->sync().has_value());
}

TEST_CASE("a file is cut and grown with zeros") {
    ON_EVERY_DISK;
    const auto file = files.open(path, OpenMode::create).value();
    REQUIRE(file->write(0, "0123456789"));
    REQUIRE(file->truncate(4));
    CHECK(file->size() == 4u);
    REQUIRE(file->truncate(6));
    CHECK(read_at(*file, 0, 10) == std::string("0123\0\0", 6));
}

TEST_CASE("create keeps what is there, and two handles see one file") {
    ON_EVERY_DISK;
    put_file(files, path, "kept");
    const auto one = files.open(path, OpenMode::create).value();
    const auto two = files.open(path, OpenMode::read_write).value();
    REQUIRE(two->write(4, " on"));
    CHECK(read_at(*one, 0, 20) == "kept on");
}

TEST_CASE("what is missing is said to be so, and reading does not make it") {
    ON_EVERY_DISK;
    CHECK(files.open(path, OpenMode::read).error().code == ErrorCode::file_missing);
    CHECK(files.open(path, OpenMode::read_write).error().code == ErrorCode::file_missing);
    CHECK(files.open(world.dir + "/no/a", OpenMode::create).error().code ==
          ErrorCode::file_missing);
    CHECK(files.list(world.dir + "/no").error().code == ErrorCode::file_missing);
    CHECK(files.rename(path, path + "b").error().code == ErrorCode::file_missing);
    CHECK(files.sync_dir(world.dir + "/no").error().code == ErrorCode::file_missing);
    CHECK(files.remove(path).has_value());
    CHECK(files.list(world.dir).value().empty());
}

TEST_CASE("a handle for reading does not write") {
    ON_EVERY_DISK;
    put_file(files, path, "kept");
    const auto file = files.open(path, OpenMode::read).value();
    CHECK(file->write(0, "lost").error().code == ErrorCode::io_failed);
    CHECK(get_file(files, path) == "kept");
}

TEST_CASE("rename replaces, and what was open stays readable") {
    ON_EVERY_DISK;
    put_file(files, path, "old");
    put_file(files, path + "2", "new");
    const auto old = files.open(path, OpenMode::read).value();
    REQUIRE(files.rename(path + "2", path));
    REQUIRE(files.sync_dir(world.dir));
    CHECK(get_file(files, path) == "new");
    CHECK(read_at(*old, 0, 9) == "old");
    CHECK(files.list(world.dir).value() == std::vector<std::string>{"a"});
}

TEST_CASE("a folder lists its plain files sorted") {
    ON_EVERY_DISK;
    for (const char* name : {"b", "a", "c.seg"})
        put_file(files, world.dir + "/" + name, "x");
    REQUIRE(files.make_dir(world.dir + "/sub/deeper"));
    REQUIRE(files.make_dir(world.dir + "/sub/deeper"));
    put_file(files, world.dir + "/sub/deeper/inside", "x");
    CHECK(files.list(world.dir).value() == std::vector<std::string>{"a", "b", "c.seg"});
    CHECK(files.list(world.dir + "/sub/deeper").value() == std::vector<std::string>{"inside"});
    REQUIRE(files.remove(path));
    CHECK(files.list(world.dir).value() == std::vector<std::string>{"b", "c.seg"});
    CHECK(files.make_dir(world.dir + "/b").error().code == ErrorCode::io_failed);
}

TEST_CASE("a lock keeps a second holder out and goes with its holder") {
    ON_EVERY_DISK;
    auto lock = files.lock(path);
    REQUIRE(lock.has_value());
    CHECK(files.lock(path).error().code == ErrorCode::store_locked);
    // Opening and closing the file does not lose the lock.
    CHECK(files.open(path, OpenMode::read_write).has_value());
    CHECK(files.lock(path).error().code == ErrorCode::store_locked);
    lock->reset();
    CHECK(files.lock(path).has_value());
}

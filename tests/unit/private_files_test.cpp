// Small private files on the real file system.
#include "taskd/io/private_files.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "catch.hpp"

using namespace taskd;

namespace {

struct Folder {
    Folder() {
        std::string name = std::filesystem::temp_directory_path() / "taskd_private_XXXXXX";
        REQUIRE(::mkdtemp(name.data()) != nullptr);
        path = name;
    }
    ~Folder() { std::filesystem::remove_all(path); }
    std::string path;
};

unsigned mode_of(const std::string& path) {
    struct stat status{};
    REQUIRE(::stat(path.c_str(), &status) == 0);
    return status.st_mode & 0777U;
}

}  // namespace

TEST_CASE("a private file is its owner's alone, as are the folders made for it") {
    const Folder folder;
    const std::string path = folder.path + "/a/b/key";
    REQUIRE(io::write_private_file(path, "secret\n"));
    CHECK(mode_of(path) == 0600);
    CHECK(mode_of(folder.path + "/a") == 0700);
    CHECK(mode_of(folder.path + "/a/b") == 0700);
    CHECK(io::read_whole_file(path, 100) == "secret\n");
}

TEST_CASE("a private file is replaced as a whole") {
    const Folder folder;
    const std::string path = folder.path + "/note";
    REQUIRE(io::write_private_file(path, "a long first version"));
    std::ifstream reader{path};  // holds on to the first
    REQUIRE(io::write_private_file(path, "second"));
    std::string old;
    std::getline(reader, old);
    CHECK(old == "a long first version");
    CHECK(io::read_whole_file(path, 100) == "second");
    CHECK(std::distance(std::filesystem::directory_iterator{folder.path}, {}) == 1);
}

TEST_CASE("faults come back by name") {
    const Folder folder;
    CHECK(io::read_whole_file(folder.path + "/none", 10).error().code == ErrorCode::file_missing);
    CHECK(io::read_whole_file(folder.path, 10).error().code == ErrorCode::file_missing);
    REQUIRE(io::write_private_file(folder.path + "/eleven", "12345678901"));
    CHECK(io::read_whole_file(folder.path + "/eleven", 10).error().code ==
          ErrorCode::task_too_large);
    CHECK(io::read_whole_file(folder.path + "/eleven", 11)->size() == 11);
    // A folder cannot be made below a file.
    CHECK_FALSE(io::write_private_file(folder.path + "/eleven/x", ""));
    if (::access("/dev/full", W_OK) == 0) CHECK_FALSE(io::write_private_file("/dev/full/x", "y"));
    io::remove_file(folder.path + "/eleven");
    io::remove_file(folder.path + "/eleven");
    CHECK_FALSE(std::filesystem::exists(folder.path + "/eleven"));
}

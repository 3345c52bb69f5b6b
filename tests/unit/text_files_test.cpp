// Texts of a folder, read whole with their digests.
#include "taskd/io/text_files.hpp"

#include "catch.hpp"
#include "disk_worlds.hpp"
#include "taskd/base/limits.hpp"
#include "taskd/io/private_files.hpp"

using namespace taskd;

TEST_CASE("texts of a folder are read in their order, with their digests", "[entries]") {
    const support::TempDir dir;
    const auto put = [&](const std::string& path, const std::string& text) {
        REQUIRE(io::write_private_file(dir.path() + "/" + path, text));
    };
    put("a/one.txt", "one");
    put("a/b/two.txt", "zwö");
    put("c", "");
    const auto all = io::read_text_files(dir.path(), "a");
    REQUIRE(all);
    REQUIRE(all->size() == 2);
    CHECK(all->at(0).path == "a/b/two.txt");
    CHECK(all->at(1).text == "one");
    CHECK(all->at(1).sha256 == "7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed");
    CHECK(io::read_text_files(dir.path(), "./c")->front().path == "c");
    CHECK(io::read_text_files(dir.path(), "none").error().code == ErrorCode::file_missing);
    put("bytes", "\xff");
    CHECK(io::read_text_files(dir.path(), "bytes").error().code == ErrorCode::invalid_field);
    put("large", std::string(limits::embed_bytes_max + 1, 'x'));
    CHECK(io::read_text_files(dir.path(), "large").error().code == ErrorCode::task_too_large);
    for (std::size_t i = 0; i <= limits::embed_files_max; ++i)
        put("many/" + std::to_string(i), "");
    CHECK(io::read_text_files(dir.path(), "many").error().code == ErrorCode::task_too_large);
}

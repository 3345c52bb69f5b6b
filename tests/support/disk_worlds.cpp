#include "disk_worlds.hpp"

#include <cstdlib>
#include <filesystem>

#include "sim_files.hpp"
#include "taskd/base/assert.hpp"
#include "taskd/io/posix_files.hpp"

namespace taskd::support {

TempDir::TempDir() {
    path_ = (std::filesystem::temp_directory_path() / "taskd-test-XXXXXX").string();
    TASKD_ASSERT(::mkdtemp(path_.data()) != nullptr);
}

TempDir::~TempDir() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
}

DiskWorld make_disk_world(DiskKind kind) {
    DiskWorld world;
    if (kind == DiskKind::real) {
        world.name = "real disk";
        world.temp = std::make_unique<TempDir>();
        world.files = io::make_posix_files();
        world.dir = world.temp->path() + "/data";
    } else {
        world.name = "simulated disk";
        world.files = std::make_unique<SimFiles>(1);
        world.dir = "/sim/data";
    }
    TASKD_ASSERT(world.files->make_dir(world.dir).has_value());
    return world;
}

void put_file(port::Files& files, const std::string& path, std::string_view bytes) {
    auto file = files.open(path, port::OpenMode::create);
    TASKD_ASSERT(file.has_value());
    TASKD_ASSERT((*file)->truncate(0).has_value());
    TASKD_ASSERT((*file)->write(0, bytes).has_value());
    TASKD_ASSERT((*file)->sync().has_value());
}

std::string get_file(port::Files& files, const std::string& path) {
    auto file = files.open(path, port::OpenMode::read);
    TASKD_ASSERT(file.has_value());
    std::string bytes((*file)->size().value(), '\0');
    TASKD_ASSERT((*file)->read(0, bytes).value() == bytes.size());
    return bytes;
}

}  // namespace taskd::support

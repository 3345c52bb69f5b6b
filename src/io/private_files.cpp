#include "taskd/io/private_files.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <ctime>
#include <filesystem>
#include <system_error>

namespace taskd::io {
namespace {

class Descriptor {
  public:
    explicit Descriptor(int value) : value_{value} {}
    ~Descriptor() {
        if (value_ > STDERR_FILENO) ::close(value_);
    }
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
    int get() const { return value_; }

  private:
    int value_;
};

std::unexpected<Error> failed(ErrorCode code, const std::string& path) {
    return fail(code, path + ": " + std::generic_category().message(errno));
}

bool write_all(int file, std::string_view bytes) {
    while (!bytes.empty()) {
        const ssize_t count = ::write(file, bytes.data(), bytes.size());
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) return false;
        bytes.remove_prefix(static_cast<std::size_t>(count));
    }
    return true;
}

// A name that is new in its folder is on disk with the folder.
Result<void> sync_folder_of(const std::string& path) {
    const std::filesystem::path parent = std::filesystem::path{path}.parent_path();
    const std::string dir = parent.empty() ? "." : parent.string();
    const Descriptor folder{::open(dir.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
    const bool synced = folder.get() >= 0 && ::fsync(folder.get()) == 0;
    // Some file systems have nothing there to sync.
    if (!synced && errno != EINVAL) return failed(ErrorCode::io_failed, dir);
    return {};
}

// Parents first, each for the owner alone.
void make_private_dir(const std::filesystem::path& dir) {
    if (dir.empty()) return;
    std::error_code ignored;
    if (std::filesystem::is_directory(dir, ignored)) return;
    make_private_dir(dir.parent_path());
    if (::mkdir(dir.c_str(), S_IRWXU) == 0) (void)sync_folder_of(dir);
}

}  // namespace

Result<std::string> read_whole_file(const std::string& path, std::size_t bytes_max) {
    const bool is_stdin = path == "-";
    const Descriptor file{is_stdin ? STDIN_FILENO : ::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
    if (file.get() < 0) return failed(ErrorCode::file_missing, path);
    std::string content;
    char block[64 * 1024];
    while (true) {
        const ssize_t count = ::read(file.get(), block, sizeof block);
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) return failed(ErrorCode::file_missing, path);
        if (count == 0) return content;
        content.append(block, static_cast<std::size_t>(count));
        if (content.size() > bytes_max)
            return fail(ErrorCode::task_too_large,
                        path + " has more than " + std::to_string(bytes_max) + " bytes");
    }
}

Result<void> replace_file(const std::string& path, const std::string& content, Readers readers) {
    make_private_dir(std::filesystem::path{path}.parent_path());
    const std::string fresh = path + ".new." + std::to_string(::getpid());
    const Descriptor file{
        ::open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, S_IRUSR | S_IWUSR)};
    if (file.get() < 0) return failed(ErrorCode::io_failed, fresh);
    const bool open_to_all = readers == Readers::everybody;
    if (open_to_all) ::fchmod(file.get(), S_IRUSR | S_IWUSR | S_IRGRP | S_IROTH);
    if (!write_all(file.get(), content) || ::fdatasync(file.get()) != 0 ||
        ::rename(fresh.c_str(), path.c_str()) != 0) {
        const auto error =
            failed(errno == ENOSPC ? ErrorCode::disk_full : ErrorCode::io_failed, path);
        ::unlink(fresh.c_str());
        return error;
    }
    return sync_folder_of(path);
}

void remove_file(const std::string& path) {
    ::unlink(path.c_str());
}

void pause_for(Duration duration) {
    const auto seconds = std::chrono::floor<std::chrono::seconds>(duration);
    const auto rest = std::chrono::nanoseconds{duration - seconds};
    timespec left{static_cast<std::time_t>(seconds.count()), static_cast<long>(rest.count())};
    while (::nanosleep(&left, &left) != 0 && errno == EINTR) {
    }
}

}  // namespace taskd::io

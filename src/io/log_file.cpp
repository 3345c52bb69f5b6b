#include "io/log_file.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <system_error>

namespace taskd::io {
namespace {

constexpr mode_t file_mode = S_IRUSR | S_IWUSR | S_IRGRP;
constexpr mode_t dir_mode = S_IRWXU | S_IRGRP | S_IXGRP;

std::unexpected<Error> failed(const std::string& path, int code) {
    return fail(code == ENOSPC || code == EDQUOT ? ErrorCode::disk_full : ErrorCode::io_failed,
                path + ": " + std::generic_category().message(code));
}

// Whatever the umask says: exactly this mode when the file is new.
int open_fresh(const std::string& path) {
    const int fresh =
        ::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_EXCL | O_CLOEXEC, file_mode);
    if (fresh >= 0) ::fchmod(fresh, file_mode);
    return fresh;
}

int open_log(const std::string& path) {
    const int fresh = open_fresh(path);
    if (fresh >= 0 || errno != EEXIST) return fresh;
    return ::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, file_mode);
}

bool is_there(const std::string& path) {
    struct stat found{};
    return ::lstat(path.c_str(), &found) == 0;
}

// What another program took away need not be moved.
bool move(const std::string& from, const std::string& to) {
    return std::rename(from.c_str(), to.c_str()) == 0 || errno == ENOENT;
}

std::uint64_t size_of(int file) {
    struct stat found{};
    return ::fstat(file, &found) == 0 ? static_cast<std::uint64_t>(found.st_size) : 0;
}

// The lock of a name, held until the process ends; -1 when another process has it.
Result<int> lock_name(const std::string& path) {
    const int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, file_mode);
    if (file < 0) return failed(path, errno);
    if (::flock(file, LOCK_EX | LOCK_NB) == 0) return file;
    const int code = errno;
    ::close(file);
    if (code != EWOULDBLOCK) return failed(path, code);
    return -1;
}

}  // namespace

LogFile::LogFile(const LogSettings& settings, std::string stem, int lock)
    : stem_{std::move(stem)},
      path_{stem_ + ".log"},
      bytes_max_{settings.file_bytes_max},
      files_max_{settings.files_max},
      lock_{lock} {}

LogFile::~LogFile() {
    if (file_ >= 0) ::close(file_);
    ::close(lock_);
}

Result<std::unique_ptr<LogFile>> LogFile::open(const LogSettings& settings) {
    if (::mkdir(settings.dir.c_str(), dir_mode) != 0 && errno != EEXIST)
        return failed(settings.dir, errno);
    for (unsigned number = 1; number <= limits::log_writers_max; ++number) {
        const std::string name =
            number == 1 ? settings.file : settings.file + "-" + std::to_string(number);
        auto lock = lock_name(settings.dir + "/." + name + ".lock");
        if (!lock) return fail(std::move(lock));
        if (*lock < 0) continue;
        std::unique_ptr<LogFile> file{new LogFile{settings, settings.dir + "/" + name, *lock}};
        file->file_ = open_log(file->path_);
        if (file->file_ < 0) return failed(file->path_, errno);
        file->bytes_ = size_of(file->file_);
        return file;
    }
    return fail(ErrorCode::io_failed,
                settings.dir + ": too many processes log as " + settings.file);
}

std::string LogFile::path_of(std::uint32_t age) const {
    return age == 0 ? path_ : stem_ + "." + std::to_string(age) + ".log";
}

bool LogFile::write(std::string_view line) {
    const bool is_full = files_max_ > 0 && bytes_ > 0 && bytes_ + line.size() > bytes_max_;
    if (is_full) rotate();  // if it cannot be, the file in hand goes on
    if (append(line)) return true;
    ++lines_lost_;
    return false;
}

bool LogFile::append(std::string_view line) {
    const std::uint64_t before = bytes_;
    while (!line.empty()) {
        const ssize_t written = ::write(file_, line.data(), line.size());
        if (written < 0 && errno == EINTR) continue;
        if (written <= 0) {
            // No half lines: what came after would seem to belong to them.
            if (bytes_ != before && ::ftruncate(file_, static_cast<off_t>(before)) == 0)
                bytes_ = before;
            return false;
        }
        line.remove_prefix(static_cast<std::size_t>(written));
        bytes_ += static_cast<std::uint64_t>(written);
    }
    return true;
}

// The new file is there before any other is touched.
void LogFile::rotate() {
    const std::string next = stem_ + ".new";
    ::unlink(next.c_str());  // of a process that was killed
    const int fresh = open_fresh(next);
    if (fresh < 0) return;
    bool placed = put_aside();
    if (placed && std::rename(next.c_str(), path_.c_str()) != 0) {
        placed = false;
        move(path_of(1), path_);
    }
    if (!placed) {
        ::close(fresh);
        ::unlink(next.c_str());
        return;
    }
    ::close(file_);
    file_ = fresh;
    bytes_ = 0;
}

// Each one older, up to the first gap; without any the oldest makes room. So a try that failed
// half-way costs nothing when it is made again.
bool LogFile::put_aside() {
    std::uint32_t age = 1;
    while (age < files_max_ && is_there(path_of(age)))
        ++age;
    for (; age > 0; --age)
        if (!move(path_of(age - 1), path_of(age))) return false;
    return true;
}

bool LogFile::reopen() {
    const int fresh = open_log(path_);
    if (fresh < 0) return false;
    ::close(file_);
    file_ = fresh;
    bytes_ = size_of(fresh);
    return true;
}

}  // namespace taskd::io

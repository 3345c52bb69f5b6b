#include "taskd/io/posix_files.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <system_error>

namespace taskd::io {
namespace {

// Only the owner reads what tasks carry.
constexpr mode_t file_mode = 0600;
constexpr mode_t dir_mode = 0700;

[[nodiscard]] std::unexpected<Error> fail_errno(const char* what, const std::string& path) {
    const int number = errno;
    ErrorCode code = ErrorCode::io_failed;
    if (number == ENOSPC || number == EDQUOT) code = ErrorCode::disk_full;
    if (number == ENOENT || number == ENOTDIR) code = ErrorCode::file_missing;
    return fail(code,
                std::string{what} + " " + path + ": " + std::generic_category().message(number));
}

template <class Call>
auto retry_interrupted(Call call) {
    for (;;) {
        const auto result = call();
        if (result != -1 || errno != EINTR) return result;
    }
}

class Descriptor {
  public:
    explicit Descriptor(int number) : number_{number} {}
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
    ~Descriptor() {
        if (number_ >= 0) ::close(number_);
    }

    int number() const { return number_; }
    bool open() const { return number_ >= 0; }

  private:
    int number_;
};

int open_retried(const std::string& path, int flags) {
    return retry_interrupted([&] { return ::open(path.c_str(), flags | O_CLOEXEC, file_mode); });
}

class PosixFile final : public port::File {
  public:
    PosixFile(int descriptor, std::string path) : descriptor_{descriptor}, path_{std::move(path)} {}

    Result<std::size_t> read(std::uint64_t offset, std::span<char> into) override {
        std::size_t done = 0;
        while (done < into.size()) {
            const ssize_t count = retry_interrupted([&] {
                return ::pread(descriptor_.number(), into.data() + done, into.size() - done,
                               static_cast<off_t>(offset + done));
            });
            if (count < 0) return fail_errno("read", path_);
            if (count == 0) break;
            done += static_cast<std::size_t>(count);
        }
        return done;
    }

    Result<void> write(std::uint64_t offset, std::string_view bytes) override {
        while (!bytes.empty()) {
            const ssize_t count = retry_interrupted([&] {
                return ::pwrite(descriptor_.number(), bytes.data(), bytes.size(),
                                static_cast<off_t>(offset));
            });
            if (count < 0) return fail_errno("write", path_);
            offset += static_cast<std::uint64_t>(count);
            bytes.remove_prefix(static_cast<std::size_t>(count));
        }
        return {};
    }

    Result<void> sync() override {
        // Not tried again, whatever the error: after one the kernel forgets what was dirty.
        if (::fdatasync(descriptor_.number()) != 0) return fail_errno("sync", path_);
        return {};
    }

    Result<void> truncate(std::uint64_t size) override {
        if (retry_interrupted(
                [&] { return ::ftruncate(descriptor_.number(), static_cast<off_t>(size)); }) != 0)
            return fail_errno("truncate", path_);
        return {};
    }

    Result<std::uint64_t> size() override {
        struct stat status{};
        if (::fstat(descriptor_.number(), &status) != 0) return fail_errno("size of", path_);
        return static_cast<std::uint64_t>(status.st_size);
    }

  private:
    Descriptor descriptor_;
    std::string path_;
};

// An open file description lock. A process lock (F_SETLK) would be lost as soon as anything in this
// process closed the file, and would not keep out a second opener here. Children share the
// description only until they exec: close-on-exec takes it from them.
class PosixLock final : public port::FileLock {
  public:
    explicit PosixLock(int descriptor) : descriptor_{descriptor} {}

  private:
    Descriptor descriptor_;
};

Result<void> sync_folder(const std::string& path) {
    const Descriptor folder{open_retried(path, O_RDONLY | O_DIRECTORY)};
    if (!folder.open()) return fail_errno("open", path);
    if (::fsync(folder.number()) != 0) return fail_errno("sync", path);
    return {};
}

std::string parent_of(const std::string& path) {
    const std::size_t slash = path.find_last_of('/');
    if (slash == std::string::npos) return ".";
    return slash == 0 ? "/" : path.substr(0, slash);
}

class PosixFiles final : public port::Files {
  public:
    Result<std::unique_ptr<port::File>> open(const std::string& path,
                                             port::OpenMode mode) override {
        int flags = O_RDONLY;
        if (mode == port::OpenMode::read_write) flags = O_RDWR;
        if (mode == port::OpenMode::create) flags = O_RDWR | O_CREAT;
        const int descriptor = open_retried(path, flags);
        if (descriptor < 0) return fail_errno("open", path);
        return std::make_unique<PosixFile>(descriptor, path);
    }

    Result<std::vector<std::string>> list(const std::string& dir) override {
        DIR* stream = ::opendir(dir.c_str());
        if (stream == nullptr) return fail_errno("list", dir);
        const std::unique_ptr<DIR, int (*)(DIR*)> closing{stream, ::closedir};
        std::vector<std::string> names;
        for (;;) {
            errno = 0;
            const dirent* entry = ::readdir(stream);
            if (entry == nullptr) break;
            struct stat status{};
            if (::fstatat(::dirfd(stream), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) != 0) {
                if (errno == ENOENT) continue;  // gone meanwhile
                return fail_errno("list", dir);
            }
            if (S_ISREG(status.st_mode)) names.emplace_back(entry->d_name);
        }
        if (errno != 0) return fail_errno("list", dir);
        std::sort(names.begin(), names.end());
        return names;
    }

    Result<void> rename(const std::string& from, const std::string& to) override {
        if (std::rename(from.c_str(), to.c_str()) != 0) return fail_errno("rename", from);
        return {};
    }

    Result<void> remove(const std::string& path) override {
        if (::unlink(path.c_str()) != 0 && errno != ENOENT) return fail_errno("remove", path);
        return {};
    }

    Result<void> make_dir(const std::string& path) override {
        if (::mkdir(path.c_str(), dir_mode) == 0) return sync_folder(parent_of(path));
        if (errno == EEXIST) {
            struct stat status{};
            if (::stat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode)) return {};
            errno = EEXIST;
            return fail_errno("make folder", path);
        }
        const std::string parent = parent_of(path);
        if (errno != ENOENT || parent == path) return fail_errno("make folder", path);
        if (const auto made = make_dir(parent); !made) return made;
        if (::mkdir(path.c_str(), dir_mode) != 0 && errno != EEXIST)
            return fail_errno("make folder", path);
        return sync_folder(parent);
    }

    Result<void> sync_dir(const std::string& path) override { return sync_folder(path); }

    Result<port::DiskSpace> space(const std::string& dir) override {
        struct statvfs status{};
        if (retry_interrupted([&] { return ::statvfs(dir.c_str(), &status); }) != 0)
            return fail_errno("space of", dir);
        const std::uint64_t block = status.f_frsize;
        return port::DiskSpace{status.f_bavail * block, status.f_blocks * block};
    }

    Result<std::unique_ptr<port::FileLock>> lock(const std::string& path) override {
        const int descriptor = open_retried(path, O_RDWR | O_CREAT);
        if (descriptor < 0) return fail_errno("open", path);
        auto lock = std::make_unique<PosixLock>(descriptor);
        struct flock whole{};
        whole.l_type = F_WRLCK;
        whole.l_whence = SEEK_SET;
        if (retry_interrupted([&] { return ::fcntl(descriptor, F_OFD_SETLK, &whole); }) == 0)
            return lock;
        if (errno == EAGAIN || errno == EACCES) return fail(ErrorCode::store_locked, path);
        return fail_errno("lock", path);
    }
};

}  // namespace

std::unique_ptr<port::Files> make_posix_files() {
    return std::make_unique<PosixFiles>();
}

}  // namespace taskd::io

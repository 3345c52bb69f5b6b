#include "taskd/io/work_dir.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "taskd/io/posix_files.hpp"

namespace taskd::io {
namespace {

namespace fs = std::filesystem;

// Longer than any process stands between a folder and its lock.
constexpr std::chrono::minutes making_takes{10};

std::unexpected<Error> fail_at(const std::string& path, int number) {
    return fail(number == ENOSPC ? ErrorCode::disk_full : ErrorCode::io_failed,
                path + ": " + std::strerror(number));
}

std::string default_base() {
    const char* temp = std::getenv("TMPDIR");
    const std::string folder = temp == nullptr || *temp != '/' ? "/tmp" : temp;
    return folder + "/taskd-work-" + std::to_string(geteuid());
}

// Others may write where it lies: what is there must be ours.
Result<void> make_or_find(const std::string& path) {
    if (make_private_dir(path)) return {};
    struct stat status{};
    if (lstat(path.c_str(), &status) != 0) return fail_at(path, errno);
    if (S_ISDIR(status.st_mode) && status.st_uid == geteuid()) return {};
    return fail(ErrorCode::io_failed, path + " is not a folder of this user");
}

Result<void> make_base(const std::string& base) {
    std::error_code error;
    fs::create_directories(fs::path{base}.parent_path(), error);
    if (error) return fail_at(base, error.value());
    return make_or_find(base);
}

// The lock goes last: who is killed meanwhile leaves a folder that is known to be left.
void remove_locked(const std::string& path) {
    std::error_code error;
    for (const auto& entry : fs::directory_iterator{path, error})
        if (entry.path().filename() != "lock") (void)remove_tree(entry.path().string());
    (void)remove_tree(path);
}

bool is_old(const fs::directory_entry& entry) {
    std::error_code error;
    const auto changed = entry.last_write_time(error);
    return !error && changed < fs::file_time_type::clock::now() - making_takes;
}

// Folders whose lock nobody holds; in a folder that is ours also those without a lock that nobody
// makes or removes now: elsewhere they may be anybody's.
void remove_leftovers(port::Files& files, const std::string& base, bool is_ours) {
    std::error_code error;
    for (const auto& entry : fs::directory_iterator{base, error}) {
        const std::string path = entry.path().string();
        if (!entry.is_directory(error) || entry.is_symlink(error)) continue;
        if (fs::exists(path + "/lock", error)) {
            if (const auto held = files.lock(path + "/lock")) remove_locked(path);
        } else if (is_ours && is_old(entry)) {
            (void)remove_tree(path);
        }
    }
}

}  // namespace

Result<void> make_private_dir(const std::string& path) {
    if (mkdir(path.c_str(), 0700) != 0) return fail_at(path, errno);
    return {};
}

Result<void> remove_tree(const std::string& path) {
    std::error_code error;
    fs::remove_all(path, error);
    if (!error) return {};
    // A program may have taken the right to look into a folder of its own away.
    for (auto each =
             fs::recursive_directory_iterator{path, fs::directory_options::skip_permission_denied,
                                              error};
         each != fs::recursive_directory_iterator{}; each.increment(error)) {
        if (error) break;
        std::error_code ignored;
        if (each->is_directory(ignored) && !each->is_symlink(ignored))
            fs::permissions(each->path(), fs::perms::owner_all, fs::perm_options::add, ignored);
    }
    fs::remove_all(path, error);
    if (error) return fail_at(path, error.value());
    return {};
}

Result<std::string> find_program(const std::string& name) {
    if (name.find('/') != std::string::npos) {
        std::error_code error;
        const std::string path = fs::absolute(name, error).string();
        if (!error && access(path.c_str(), X_OK) == 0 && !fs::is_directory(path, error))
            return path;
        return fail(ErrorCode::file_missing, name + " is no program");
    }
    const char* all = std::getenv("PATH");
    std::string_view rest = all == nullptr ? "/usr/local/bin:/usr/bin:/bin" : all;
    while (!rest.empty() && !name.empty()) {
        const std::string_view folder = rest.substr(0, rest.find(':'));
        rest.remove_prefix(std::min(rest.size(), folder.size() + 1));
        std::string path{folder};
        path.append("/").append(name);
        std::error_code error;
        if (folder.starts_with('/') && access(path.c_str(), X_OK) == 0 &&
            !fs::is_directory(path, error))
            return path;
    }
    return fail(ErrorCode::file_missing, "'" + name + "' is in no folder of PATH");
}

Result<std::unique_ptr<WorkDir>> WorkDir::make(std::string base, const std::string& name) {
    const bool is_ours = base.empty();
    if (is_ours) base = default_base();
    std::error_code error;
    base = fs::absolute(base, error).string();
    if (auto made = make_base(base); !made) return std::unexpected{made.error()};
    const auto files = make_posix_files();
    remove_leftovers(*files, base, is_ours);
    std::string path = base + "/" + name;
    if (auto made = make_private_dir(path); !made) return std::unexpected{made.error()};
    auto lock = files->lock(path + "/lock");
    if (!lock) return std::unexpected{lock.error()};
    return std::unique_ptr<WorkDir>{new WorkDir{std::move(path), std::move(*lock)}};
}

Result<void> WorkDir::make_dir(const std::string& path) {
    const std::string lock = path_ + "/lock";
    if (access(lock.c_str(), F_OK) != 0 && errno == ENOENT) {
        if (auto made = make_base(fs::path{path_}.parent_path().string()); !made) return made;
        if (auto made = make_or_find(path_); !made) return made;
        auto locked = make_posix_files()->lock(lock);
        if (!locked) return std::unexpected{locked.error()};
        lock_ = std::move(*locked);
    }
    return make_private_dir(path);
}

WorkDir::~WorkDir() {
    remove_locked(path_);
}

}  // namespace taskd::io

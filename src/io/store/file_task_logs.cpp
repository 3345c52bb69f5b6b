#include "taskd/io/file_task_logs.hpp"

#include <charconv>
#include <list>
#include <map>
#include <optional>
#include <set>

#include "io/store/hashed_folders.hpp"
#include "io/store/task_log_file.hpp"

namespace taskd::io {
namespace {

constexpr std::uint64_t block_bytes = 4'096;
// Files kept open: those written to or read lately.
constexpr std::size_t open_max = 64;

std::uint64_t in_blocks(std::uint64_t bytes) {
    return (bytes + block_bytes - 1) / block_bytes * block_bytes;
}

std::size_t folder_of(const TaskId& id) {
    return static_cast<unsigned char>(id.bytes().back());
}

std::optional<port::LogStream> parse_name(std::string_view name) {
    const std::size_t dot = name.find('.');
    const auto id = TaskId::parse(name.substr(0, dot));
    if (!id || dot == std::string_view::npos) return std::nullopt;
    port::LogStream stream{*id, {}};
    const std::string_view epoch = name.substr(dot + 1);
    const auto [end, error] =
        std::from_chars(epoch.data(), epoch.data() + epoch.size(), stream.epoch.value);
    if (error != std::errc{} || end != epoch.data() + epoch.size()) return std::nullopt;
    return stream;
}

}  // namespace

class FileTaskLogs::Impl {
  public:
    Impl(port::Files& files, FileTaskLogsSettings settings)
        : files_{files}, settings_{std::move(settings)} {}

    Result<std::uint64_t> append(const port::LogStream& stream, std::uint64_t at,
                                 std::string_view bytes);
    Result<port::LogPart> read(const port::LogStream& stream, std::uint64_t from,
                               std::size_t bytes_max);
    Result<std::vector<TaskId>> tasks(std::optional<TaskId> after, std::size_t limit);
    Result<void> remove(const TaskId& id);
    Result<void> sync();
    std::uint64_t bytes_used();

  private:
    struct Open {
        port::LogStream stream;
        std::unique_ptr<TaskLogFile> file;
        bool dirty = false;
    };
    using OpenFiles = std::list<Open>;  // the newest use first
    // The task's id as sorted by time, then the epoch.
    using Sizes = std::map<port::LogStream, std::uint64_t>;

    std::string folder(std::size_t number) const {
        return settings_.dir + "/" + hashed_folder_name(number);
    }
    std::string path_of(const port::LogStream& stream) const {
        return folder(folder_of(stream.id)) + "/" + stream.id.to_string() + "." +
               std::to_string(stream.epoch.value);
    }
    Result<void> look();
    Result<Open*> open(const port::LogStream& stream, port::OpenMode mode);
    Result<void> make_folder(const TaskId& id);
    Result<void> drop(Sizes::iterator which);
    Result<void> make_room(const TaskId& but_of);
    void resize(const port::LogStream& stream, std::uint64_t file_bytes);

    port::Files& files_;
    FileTaskLogsSettings settings_;
    bool looked_ = false;
    Sizes sizes_;
    std::uint64_t used_ = 0;
    OpenFiles open_;
    std::map<port::LogStream, OpenFiles::iterator> open_by_stream_;
    std::set<std::size_t> folders_made_;
    std::set<std::size_t> folders_dirty_;
};

// What an earlier life left.
Result<void> FileTaskLogs::Impl::look() {
    if (looked_) return {};
    sizes_.clear();
    used_ = 0;
    for (std::size_t number = 0; number < hashed_folders; ++number) {
        const auto names = files_.list(folder(number));
        if (!names && names.error().code == ErrorCode::file_missing) continue;
        if (!names) return std::unexpected{names.error()};
        folders_made_.insert(number);
        for (const std::string& name : *names) {
            const auto stream = parse_name(name);
            if (!stream) continue;
            const auto file = files_.open(folder(number) + "/" + name, port::OpenMode::read);
            if (!file) return std::unexpected{file.error()};
            const auto size = (*file)->size();
            if (!size) return std::unexpected{size.error()};
            resize(*stream, *size);
        }
    }
    looked_ = true;
    return {};
}

void FileTaskLogs::Impl::resize(const port::LogStream& stream, std::uint64_t file_bytes) {
    std::uint64_t& size = sizes_[stream];
    used_ += in_blocks(file_bytes) - size;
    size = in_blocks(file_bytes);
}

Result<FileTaskLogs::Impl::Open*> FileTaskLogs::Impl::open(const port::LogStream& stream,
                                                           port::OpenMode mode) {
    if (const auto found = open_by_stream_.find(stream); found != open_by_stream_.end()) {
        open_.splice(open_.begin(), open_, found->second);
        return &open_.front();
    }
    auto file = TaskLogFile::open(files_, path_of(stream), mode);
    if (!file) return std::unexpected{file.error()};
    if (open_.size() == open_max) {
        // Best effort, as everything here.
        if (open_.back().dirty) (void)open_.back().file->sync();
        open_by_stream_.erase(open_.back().stream);
        open_.pop_back();
    }
    open_.push_front({stream, std::move(*file), false});
    open_by_stream_[stream] = open_.begin();
    return &open_.front();
}

Result<void> FileTaskLogs::Impl::make_folder(const TaskId& id) {
    const std::size_t number = folder_of(id);
    if (folders_made_.contains(number)) return {};
    if (auto made = files_.make_dir(folder(number)); !made) return made;
    folders_made_.insert(number);
    return {};
}

Result<std::uint64_t> FileTaskLogs::Impl::append(const port::LogStream& stream, std::uint64_t at,
                                                 std::string_view bytes) {
    if (auto looked = look(); !looked) return std::unexpected{looked.error()};
    const bool is_new = !sizes_.contains(stream);
    if (is_new && bytes.empty()) return 0;
    if (auto made = make_folder(stream.id); !made) return std::unexpected{made.error()};
    auto found = open(stream, port::OpenMode::create);
    if (!found) return std::unexpected{found.error()};
    if (is_new) folders_dirty_.insert(folder_of(stream.id));
    TaskLogFile& file = *(*found)->file;
    const std::uint64_t end = file.end();
    if (at + bytes.size() <= end) return end;
    if (at < end) {
        bytes.remove_prefix(static_cast<std::size_t>(end - at));
        at = end;
    }
    const std::uint64_t most = settings_.stream_bytes_max;
    const std::uint64_t room = at < most ? most - at : 0;
    const std::uint64_t on_disk = file.file_bytes() + TaskLogFile::header_bytes;
    const bool full = room < bytes.size() || on_disk + bytes.size() > 2 * most;
    bytes = bytes.substr(0, static_cast<std::size_t>(room));
    if (on_disk + bytes.size() > 2 * most) bytes = {};
    if (!bytes.empty()) {
        if (auto appended = file.append(at, bytes); !appended) {
            // Opened anew, it knows what the disk took.
            open_by_stream_.erase(stream);
            open_.pop_front();
            return std::unexpected{appended.error()};
        }
        (*found)->dirty = true;
    }
    const std::uint64_t now = file.end();
    resize(stream, file.file_bytes());
    if (auto made = make_room(stream.id); !made) return std::unexpected{made.error()};
    if (full) return fail(ErrorCode::log_full, std::to_string(most) + " bytes");
    return now;
}

// The oldest go first; the one just written to is the last that would.
Result<void> FileTaskLogs::Impl::make_room(const TaskId& but_of) {
    for (auto oldest = sizes_.begin(); used_ > settings_.bytes_max && oldest != sizes_.end();) {
        const auto next = std::next(oldest);
        if (oldest->first.id != but_of)
            if (auto dropped = drop(oldest); !dropped) return dropped;
        oldest = next;
    }
    return {};
}

Result<void> FileTaskLogs::Impl::drop(Sizes::iterator which) {
    if (const auto found = open_by_stream_.find(which->first); found != open_by_stream_.end()) {
        open_.erase(found->second);
        open_by_stream_.erase(found);
    }
    if (auto removed = files_.remove(path_of(which->first)); !removed) return removed;
    used_ -= which->second;
    sizes_.erase(which);
    return {};
}

Result<port::LogPart> FileTaskLogs::Impl::read(const port::LogStream& stream, std::uint64_t from,
                                               std::size_t bytes_max) {
    if (auto looked = look(); !looked) return std::unexpected{looked.error()};
    if (!sizes_.contains(stream)) return port::LogPart{from, {}, 0};
    auto found = open(stream, port::OpenMode::read_write);
    if (!found) return std::unexpected{found.error()};
    return (*found)->file->read(from, bytes_max);
}

Result<std::vector<TaskId>> FileTaskLogs::Impl::tasks(std::optional<TaskId> after,
                                                      std::size_t limit) {
    if (auto looked = look(); !looked) return std::unexpected{looked.error()};
    std::vector<TaskId> ids;
    auto each = after ? sizes_.upper_bound({*after, LeaseEpoch{UINT64_MAX}}) : sizes_.begin();
    for (; each != sizes_.end() && ids.size() < limit; ++each)
        if (ids.empty() || ids.back() != each->first.id) ids.push_back(each->first.id);
    return ids;
}

Result<void> FileTaskLogs::Impl::remove(const TaskId& id) {
    if (auto looked = look(); !looked) return looked;
    for (auto each = sizes_.lower_bound({id, LeaseEpoch{0}});
         each != sizes_.end() && each->first.id == id;) {
        const auto next = std::next(each);
        if (auto dropped = drop(each); !dropped) return dropped;
        each = next;
    }
    return {};
}

Result<void> FileTaskLogs::Impl::sync() {
    for (Open& each : open_) {
        if (!each.dirty) continue;
        if (auto synced = each.file->sync(); !synced) return synced;
        each.dirty = false;
    }
    while (!folders_dirty_.empty()) {
        if (auto synced = files_.sync_dir(folder(*folders_dirty_.begin())); !synced) return synced;
        folders_dirty_.erase(folders_dirty_.begin());
    }
    return {};
}

std::uint64_t FileTaskLogs::Impl::bytes_used() {
    (void)look();
    return used_;
}

FileTaskLogs::FileTaskLogs(port::Files& files, FileTaskLogsSettings settings)
    : impl_{std::make_unique<Impl>(files, std::move(settings))} {}
FileTaskLogs::~FileTaskLogs() = default;

Result<std::uint64_t> FileTaskLogs::append(const port::LogStream& stream, std::uint64_t at,
                                           std::string_view bytes) {
    return impl_->append(stream, at, bytes);
}
Result<port::LogPart> FileTaskLogs::read(const port::LogStream& stream, std::uint64_t from,
                                         std::size_t bytes_max) {
    return impl_->read(stream, from, bytes_max);
}
Result<std::vector<TaskId>> FileTaskLogs::tasks(std::optional<TaskId> after, std::size_t limit) {
    return impl_->tasks(after, limit);
}
Result<void> FileTaskLogs::remove(const TaskId& id) {
    return impl_->remove(id);
}
Result<void> FileTaskLogs::sync() {
    return impl_->sync();
}
std::uint64_t FileTaskLogs::bytes_used() {
    return impl_->bytes_used();
}

}  // namespace taskd::io

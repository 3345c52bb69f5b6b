#include "sim_files.hpp"

#include <algorithm>
#include <cstring>

#include "taskd/base/assert.hpp"

namespace taskd::support {
namespace {

std::string parent_of(const std::string& path) {
    const std::size_t slash = path.find_last_of('/');
    if (slash == std::string::npos) return ".";
    return slash == 0 ? "/" : path.substr(0, slash);
}

}  // namespace

struct SimFiles::Node {
    std::string now;                // as the running program reads it
    std::string durable;            // as the disk has it for sure
    std::set<std::uint64_t> dirty;  // sectors that differ and are not yet lost for good

    void mark(std::uint64_t begin, std::uint64_t end) {
        for (std::uint64_t s = begin / sector_bytes; s * sector_bytes < end; ++s)
            dirty.insert(s);
    }

    void make_durable(std::uint64_t sector) {
        const std::uint64_t begin = sector * sector_bytes;
        if (begin >= now.size()) return;
        const std::uint64_t size = std::min<std::uint64_t>(sector_bytes, now.size() - begin);
        if (durable.size() < begin + size) durable.resize(begin + size);
        std::memcpy(durable.data() + begin, now.data() + begin, size);
    }

    void make_durable() {
        for (const std::uint64_t sector : dirty)
            make_durable(sector);
        durable.resize(now.size());
        dirty.clear();
    }
};

struct SimFiles::EntryChange {
    std::string from;  // empty: a new file
    std::string to;    // empty: a removal
    std::shared_ptr<Node> node;
};

class SimFiles::OpenFile final : public port::File {
  public:
    OpenFile(SimFiles& disk, std::shared_ptr<Node> node, std::string path, bool writable)
        : disk_{disk},
          node_{std::move(node)},
          path_{std::move(path)},
          generation_{disk.generation_},
          writable_{writable} {}

    Result<std::size_t> read(std::uint64_t offset, std::span<char> into) override {
        if (const auto on = disk_.check_power(generation_, path_); !on)
            return std::unexpected{on.error()};
        if (offset >= node_->now.size()) return std::size_t{0};
        const std::size_t size = std::min<std::size_t>(into.size(), node_->now.size() - offset);
        std::memcpy(into.data(), node_->now.data() + offset, size);
        return size;
    }

    Result<void> write(std::uint64_t offset, std::string_view bytes) override {
        if (const auto on = check_writable(); !on) return on;
        const std::string_view part =
            bytes.substr(0, disk_.room_for(node_->now.size(), offset, bytes.size()));
        if (!part.empty()) {
            grow_to(offset + part.size());
            node_->now.replace(offset, part.size(), part);
            node_->mark(offset, offset + part.size());
        }
        if (const auto counted = disk_.count_operation(path_); !counted) return counted;
        if (part.size() < bytes.size()) return fail(ErrorCode::disk_full, path_);
        return {};
    }

    Result<void> sync() override {
        if (const auto on = disk_.check_power(generation_, path_); !on) return on;
        bool lies = false;
        if (const auto begun = disk_.begin_sync(path_, lies); !begun) {
            if (disk_.powered_) lose_some();
            return begun;
        }
        if (!lies) node_->make_durable();
        return {};
    }

    Result<void> truncate(std::uint64_t size) override {
        if (const auto on = check_writable(); !on) return on;
        if (size > node_->now.size()) {
            const std::uint64_t growth = size - node_->now.size();
            if (disk_.room_for(node_->now.size(), node_->now.size(), growth) < growth)
                return fail(ErrorCode::disk_full, path_);
            grow_to(size);
        } else {
            node_->now.resize(size);
            node_->dirty.erase(node_->dirty.lower_bound((size + sector_bytes - 1) / sector_bytes),
                               node_->dirty.end());
        }
        return disk_.count_operation(path_);
    }

    Result<std::uint64_t> size() override {
        if (const auto on = disk_.check_power(generation_, path_); !on)
            return std::unexpected{on.error()};
        return node_->now.size();
    }

  private:
    Result<void> check_writable() const {
        if (!writable_) return fail(ErrorCode::io_failed, path_ + " is open for reading only");
        return disk_.check_power(generation_, path_);
    }

    // After a failed sync the kernel takes the pages for clean: what did not reach the disk never
    // will.
    void lose_some() {
        for (const std::uint64_t sector : node_->dirty)
            if (disk_.random_.chance(1, 2)) node_->make_durable(sector);
        node_->dirty.clear();
    }

    void grow_to(std::uint64_t size) {
        if (size <= node_->now.size()) return;
        node_->mark(node_->now.size(), size);
        node_->now.resize(size);
    }

    SimFiles& disk_;
    std::shared_ptr<Node> node_;
    std::string path_;
    std::uint64_t generation_;
    bool writable_;
};

class SimFiles::Lock final : public port::FileLock {
  public:
    Lock(SimFiles& disk, std::string path)
        : disk_{disk}, path_{std::move(path)}, generation_{disk.generation_} {}
    Lock(const Lock&) = delete;
    Lock& operator=(const Lock&) = delete;
    ~Lock() override {
        if (disk_.generation_ == generation_) disk_.locks_.erase(path_);
    }

  private:
    SimFiles& disk_;
    std::string path_;
    std::uint64_t generation_;
};

SimFiles::SimFiles(std::uint64_t seed, SimFilesFaults starting) : faults{starting}, random_{seed} {}
SimFiles::~SimFiles() = default;

void SimFiles::cut_power() {
    if (!powered_) return;
    powered_ = false;
    ++hits_.cuts;
}

void SimFiles::power_on() {
    TASKD_ASSERT(!powered_);
    settle_entries();
    for (auto& [path, node] : durable_names_)
        settle_content(*node);
    names_ = durable_names_;
    locks_.clear();
    ++generation_;
    powered_ = true;
}

void SimFiles::settle_entries() {
    // A journaled file system keeps a prefix of the changes; others may keep any of them.
    const bool prefix = random_.chance(1, 2);
    const std::uint64_t kept = random_.below(entry_changes_.size() + 1);
    for (std::size_t i = 0; i < entry_changes_.size(); ++i) {
        const bool keep = prefix ? i < kept : random_.chance(1, 2);
        ++(keep ? hits_.entries_kept : hits_.entries_lost);
        if (keep) change_entry(entry_changes_[i], durable_names_);
    }
    entry_changes_.clear();
}

void SimFiles::settle_content(Node& node) {
    std::uint64_t size = node.durable.size();
    if (node.now.size() != size) {
        const std::uint64_t low = std::min<std::uint64_t>(size, node.now.size());
        const std::uint64_t high = std::max<std::uint64_t>(size, node.now.size());
        switch (random_.below(3)) {
            case 0:
                break;
            case 1:
                size = node.now.size();
                break;
            default:
                size = low + random_.below(high - low + 1);
        }
        if (size != node.now.size()) ++hits_.sizes_lost;
    }
    node.durable.resize(size);
    for (const std::uint64_t sector : node.dirty) {
        const std::uint64_t begin = sector * sector_bytes;
        const std::uint64_t end = std::min<std::uint64_t>(
            {begin + sector_bytes, size, static_cast<std::uint64_t>(node.now.size())});
        if (begin >= end) continue;
        std::uint64_t from = begin;
        std::uint64_t to = end;
        switch (random_.below(3)) {
            case 0:
                ++hits_.sectors_kept;
                break;
            case 1:
                ++hits_.sectors_lost;
                to = begin;
                break;
            default:
                ++hits_.sectors_torn;
                (random_.chance(1, 2) ? from : to) = begin + random_.below(end - begin);
        }
        std::memcpy(node.durable.data() + from, node.now.data() + from, to - from);
    }
    node.dirty.clear();
    node.now = node.durable;
}

std::uint64_t SimFiles::bytes_used() const {
    std::uint64_t used = 0;
    for (const auto& [path, node] : names_)
        used += node->now.size();
    return used;
}

std::optional<std::string> SimFiles::content(const std::string& path) const {
    const auto found = names_.find(path);
    if (found == names_.end()) return std::nullopt;
    return found->second->now;
}

void SimFiles::set_content(const std::string& path, std::string bytes) {
    auto& node = names_[path];
    if (!node) node = std::make_shared<Node>();
    node->now = std::move(bytes);
    node->durable = node->now;
    node->dirty.clear();
    durable_names_[path] = node;
}

std::map<std::string, std::string> SimFiles::snapshot() const {
    std::map<std::string, std::string> all;
    for (const auto& [path, node] : names_)
        all[path] = node->now;
    return all;
}

Result<void> SimFiles::check_power(std::uint64_t generation, const std::string& path) const {
    if (powered_ && generation == generation_) return {};
    return fail(ErrorCode::io_failed, "the power is off: " + path);
}

// Called when the operation has taken effect, so that a cut finds it among the unsynced.
Result<void> SimFiles::count_operation(const std::string& path) {
    if (++operations_ == faults.cut_at) cut_power();
    return check_power(generation_, path);
}

Result<void> SimFiles::begin_sync(const std::string& path, bool& lies) {
    if (const auto counted = count_operation(path); !counted) return counted;
    if (++syncs_ == faults.sync_fails_at) {
        ++hits_.syncs_failed;
        return fail(ErrorCode::io_failed, "sync " + path);
    }
    lies = faults.sync_lies_share > 0 && random_.chance(faults.sync_lies_share, 1'000);
    if (lies) ++hits_.syncs_lied;
    return {};
}

// Does nothing when an earlier change that it builds upon was lost.
void SimFiles::change_entry(EntryChange change, Names& names) const {
    if (!change.from.empty()) {
        const auto found = names.find(change.from);
        if (found == names.end() || found->second != change.node) return;
        names.erase(found);
    }
    if (!change.to.empty()) names[change.to] = change.node;
}

// How many of `bytes` to be written at `offset` the disk has room for.
std::uint64_t SimFiles::room_for(std::uint64_t old_size, std::uint64_t offset,
                                 std::uint64_t bytes) {
    const std::uint64_t end = offset + bytes;
    if (faults.capacity_bytes == 0 || end <= old_size) return bytes;
    const std::uint64_t used = bytes_used();
    const std::uint64_t room = faults.capacity_bytes > used ? faults.capacity_bytes - used : 0;
    if (end - old_size <= room) return bytes;
    ++hits_.disk_full;
    const std::uint64_t reach = old_size + room;
    return reach > offset ? reach - offset : 0;
}

Result<std::unique_ptr<port::File>> SimFiles::open(const std::string& path, port::OpenMode mode) {
    if (const auto on = check_power(generation_, path); !on) return std::unexpected{on.error()};
    const auto found = names_.find(path);
    const bool writable = mode != port::OpenMode::read;
    if (found != names_.end())
        return std::make_unique<OpenFile>(*this, found->second, path, writable);
    if (mode != port::OpenMode::create || !dirs_.contains(parent_of(path)))
        return fail(ErrorCode::file_missing, path);
    if (dirs_.contains(path)) return fail(ErrorCode::io_failed, path + " is a folder");
    const auto node = std::make_shared<Node>();
    names_[path] = node;
    entry_changes_.push_back({{}, path, node});
    if (const auto counted = count_operation(path); !counted)
        return std::unexpected{counted.error()};
    return std::make_unique<OpenFile>(*this, node, path, writable);
}

Result<std::vector<std::string>> SimFiles::list(const std::string& dir) {
    if (const auto on = check_power(generation_, dir); !on) return std::unexpected{on.error()};
    if (!dirs_.contains(dir)) return fail(ErrorCode::file_missing, dir);
    std::vector<std::string> found;
    for (const auto& [path, node] : names_)
        if (parent_of(path) == dir) found.push_back(path.substr(path.find_last_of('/') + 1));
    return found;
}

Result<void> SimFiles::rename(const std::string& from, const std::string& to) {
    if (const auto on = check_power(generation_, from); !on) return on;
    const auto found = names_.find(from);
    if (found == names_.end() || !dirs_.contains(parent_of(to)))
        return fail(ErrorCode::file_missing, from);
    EntryChange change{from, to, found->second};
    change_entry(change, names_);
    entry_changes_.push_back(std::move(change));
    return count_operation(from);
}

Result<void> SimFiles::remove(const std::string& path) {
    if (const auto on = check_power(generation_, path); !on) return on;
    const auto found = names_.find(path);
    if (found == names_.end()) return {};
    EntryChange change{path, {}, found->second};
    change_entry(change, names_);
    entry_changes_.push_back(std::move(change));
    return count_operation(path);
}

Result<void> SimFiles::make_dir(const std::string& path) {
    if (const auto on = check_power(generation_, path); !on) return on;
    if (names_.contains(path)) return fail(ErrorCode::io_failed, path + " is a file");
    for (std::string dir = path; dirs_.insert(dir).second && dir != parent_of(dir);)
        dir = parent_of(dir);
    return {};
}

Result<void> SimFiles::sync_dir(const std::string& path) {
    if (const auto on = check_power(generation_, path); !on) return on;
    if (!dirs_.contains(path)) return fail(ErrorCode::file_missing, path);
    bool lies = false;
    if (const auto begun = begin_sync(path, lies); !begun) return begun;
    if (lies) return {};
    std::erase_if(entry_changes_, [&](const EntryChange& change) {
        if (parent_of(change.from.empty() ? change.to : change.from) != path &&
            parent_of(change.to.empty() ? change.from : change.to) != path)
            return false;
        change_entry(change, durable_names_);
        return true;
    });
    return {};
}

Result<port::DiskSpace> SimFiles::space(const std::string& dir) {
    if (const auto on = check_power(generation_, dir); !on) return std::unexpected{on.error()};
    if (!dirs_.contains(dir)) return fail(ErrorCode::file_missing, dir);
    const std::uint64_t used = bytes_used();
    const std::uint64_t total = faults.capacity_bytes == 0 ? endless_bytes : faults.capacity_bytes;
    return port::DiskSpace{total > used ? total - used : 0, total};
}

Result<std::unique_ptr<port::FileLock>> SimFiles::lock(const std::string& path) {
    if (const auto on = check_power(generation_, path); !on) return std::unexpected{on.error()};
    if (!dirs_.contains(parent_of(path))) return fail(ErrorCode::file_missing, path);
    if (!locks_.insert(path).second) return fail(ErrorCode::store_locked, path);
    if (!names_.contains(path)) set_content(path, {});
    return std::make_unique<Lock>(*this, path);
}

}  // namespace taskd::support

// A deterministic disk in memory behind port::Files. It keeps what was synced, and makes of the
// rest what a power cut may: each unsynced sector kept, lost or torn on its own, folder entries in
// a prefix or a subset, sizes old, new or between. It also fills up, fails syncs and lies about
// them. One thread.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "taskd/base/random.hpp"
#include "taskd/port/files.hpp"

namespace taskd::support {

struct SimFilesFaults {
    std::uint64_t cut_at = 0;           // power goes at this mutating operation, from 1; 0: never
    std::uint64_t sync_fails_at = 0;    // this sync (file or folder) fails, from 1; 0: none
    std::uint64_t sync_lies_share = 0;  // of a thousand syncs do nothing and say they did
    std::uint64_t capacity_bytes = 0;   // of all files together; 0: no end
};

// How often each fault struck, so that a run can show that it met them.
struct SimFilesHits {
    std::uint64_t cuts = 0;
    std::uint64_t sectors_kept = 0;
    std::uint64_t sectors_lost = 0;
    std::uint64_t sectors_torn = 0;
    std::uint64_t sizes_lost = 0;
    std::uint64_t entries_kept = 0;
    std::uint64_t entries_lost = 0;
    std::uint64_t disk_full = 0;
    std::uint64_t syncs_failed = 0;
    std::uint64_t syncs_lied = 0;
};

class SimFiles final : public port::Files {
  public:
    static constexpr std::size_t sector_bytes = 512;
    static constexpr std::uint64_t endless_bytes = 1ULL << 40;  // said of a disk without an end

    explicit SimFiles(std::uint64_t seed, SimFilesFaults faults = {});
    ~SimFiles() override;

    // May be changed at any time; counts go on.
    SimFilesFaults faults;

    // The power goes now. Until power_on() every call fails; files and locks held before stay dead.
    void cut_power();
    void power_on();  // decides what the disk kept
    bool powered() const { return powered_; }

    // Writes, syncs, truncations, new files, renames, removals, folder syncs so far.
    std::uint64_t operations() const { return operations_; }
    std::uint64_t syncs() const { return syncs_; }
    std::uint64_t bytes_used() const;
    const SimFilesHits& hits() const { return hits_; }

    // For tests that damage or compare a file by hand: as it reads now, and durable at once.
    std::optional<std::string> content(const std::string& path) const;
    void set_content(const std::string& path, std::string bytes);
    // All files and what reads from them, to compare whole disks.
    std::map<std::string, std::string> snapshot() const;

    Result<std::unique_ptr<port::File>> open(const std::string& path, port::OpenMode mode) override;
    Result<std::vector<std::string>> list(const std::string& dir) override;
    Result<void> rename(const std::string& from, const std::string& to) override;
    Result<void> remove(const std::string& path) override;
    Result<void> make_dir(const std::string& path) override;
    Result<void> sync_dir(const std::string& path) override;
    Result<port::DiskSpace> space(const std::string& dir) override;
    Result<std::unique_ptr<port::FileLock>> lock(const std::string& path) override;

  private:
    struct Node;
    struct EntryChange;
    class OpenFile;
    class Lock;
    using Names = std::map<std::string, std::shared_ptr<Node>>;

    Result<void> check_power(std::uint64_t generation, const std::string& path) const;
    Result<void> count_operation(const std::string& path);
    Result<void> begin_sync(const std::string& path, bool& lies);
    void change_entry(EntryChange change, Names& names) const;
    void settle_entries();
    void settle_content(Node& node);
    std::uint64_t room_for(std::uint64_t old_size, std::uint64_t offset, std::uint64_t bytes);

    Random random_;
    SimFilesHits hits_;
    bool powered_ = true;
    std::uint64_t generation_ = 1;  // of the power; handles of an older one are dead
    std::uint64_t operations_ = 0;
    std::uint64_t syncs_ = 0;
    Names names_;
    Names durable_names_;
    std::vector<EntryChange> entry_changes_;  // not yet durable, in order
    std::set<std::string> dirs_;
    std::set<std::string> locks_;
};

}  // namespace taskd::support

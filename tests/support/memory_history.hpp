// Versions of a registry in memory: the twin of the real history.
#pragma once

#include <algorithm>
#include <map>
#include <vector>

#include "taskd/port/history.hpp"

namespace taskd::test {

class MemoryHistory final : public port::History {
  public:
    Result<port::RegistryVersion> append(std::uint64_t base, WallTime at, const std::string& note,
                                         const std::vector<port::EntryChange>& changes) override {
        if (refuses) return fail(ErrorCode::disk_full, "as told");
        if (base != versions_.size())
            return fail(ErrorCode::registry_moved, std::to_string(versions_.size()));
        std::map<std::string, Entry> entries;
        if (base > 0) entries = states_.back();
        for (const port::EntryChange& change : changes) {
            entries.erase(change.id);
            if (change.after) entries.emplace(change.id, *change.after);
        }
        states_.push_back(std::move(entries));
        versions_.push_back({base + 1, at, note, changes.size()});
        return versions_.back();
    }
    Result<std::uint64_t> newest() override { return versions_.size(); }
    Result<std::vector<port::RegistryVersion>> list(std::uint64_t before,
                                                    std::size_t most) override {
        std::vector<port::RegistryVersion> found;
        for (auto each = versions_.rbegin(); each != versions_.rend(); ++each)
            if ((before == 0 || each->number < before) && found.size() < most)
                found.push_back(*each);
        return found;
    }
    Result<std::vector<Entry>> read(std::uint64_t version) override {
        if (version > versions_.size())
            return fail(ErrorCode::version_not_found, std::to_string(version));
        std::vector<Entry> entries;
        if (version == 0) return entries;
        for (const auto& [id, entry] : states_[version - 1])
            entries.push_back({entry.id, entry.kind, entry.body});
        return entries;
    }

    bool refuses = false;

  private:
    std::vector<port::RegistryVersion> versions_;
    std::vector<std::map<std::string, Entry>> states_;
};

}  // namespace taskd::test

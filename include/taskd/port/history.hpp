// Port: the versions of a registry. A version is what changed since the one before; nothing of the
// past is ever altered.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "taskd/base/result.hpp"
#include "taskd/base/time.hpp"
#include "taskd/model/entry.hpp"

namespace taskd::port {

// One entry before and after; what is not there was made, or removed.
struct EntryChange {
    std::string id;
    std::optional<Entry> before;
    std::optional<Entry> after;

    friend bool operator==(const EntryChange&, const EntryChange&) = default;
};

struct RegistryVersion {
    std::uint64_t number = 0;  // from 1
    WallTime at{};
    std::string note;  // why; may be empty
    std::uint64_t changes = 0;

    friend bool operator==(const RegistryVersion&, const RegistryVersion&) = default;
};

class History {
  public:
    virtual ~History() = default;
    // The next version, durable when it returns. registry_moved when `base` is not the newest one:
    // somebody else was faster.
    virtual Result<RegistryVersion> append(std::uint64_t base, WallTime at, const std::string& note,
                                           const std::vector<EntryChange>& changes) = 0;
    virtual Result<std::uint64_t> newest() = 0;  // 0: there is none
    // Newest first, at most so many, below `before` unless that is 0.
    virtual Result<std::vector<RegistryVersion>> list(std::uint64_t before, std::size_t most) = 0;
    // All entries as they stood at a version, by id; none at 0. version_not_found.
    virtual Result<std::vector<Entry>> read(std::uint64_t version) = 0;
};

}  // namespace taskd::port

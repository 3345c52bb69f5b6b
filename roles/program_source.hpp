// Where the entries of a host come from: files, or the registry of a data directory, which others
// write.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "taskd/port/history.hpp"
#include "taskd/runtime/entries.hpp"

namespace taskd::roles {

struct ProgramSourceSettings {
    std::vector<std::string> files;  // and folders
    runtime::StageSettings stages;   // of files
    std::string registry;            // the data directory, in place of files; else empty
};

class ProgramSource {
  public:
    static constexpr bool loads_beside = true;

    explicit ProgramSource(ProgramSourceSettings settings) : settings_{std::move(settings)} {}

    // Programs, and the contracts that they implement, as they are now. A registry that is not
    // there yet has none.
    Result<std::vector<Entry>> read();
    // Whether somebody has changed the registry since; files are not looked at.
    Result<bool> moved();

    bool is_registry() const { return !settings_.registry.empty(); }
    std::uint64_t version() const { return version_; }  // of the registry, that was read last

  private:
    Result<std::uint64_t> newest();

    const ProgramSourceSettings settings_;
    std::unique_ptr<port::History> history_;
    std::uint64_t version_ = 0;
};

}  // namespace taskd::roles

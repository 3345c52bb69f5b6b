// The registry of entries: every change is one transaction and one new version. Tells
// registry.entry.created, .updated and .deleted (id, kind, version). Changes that parts of a role
// have a say in go through RegistryChanges. On one thread.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "taskd/base/result.hpp"
#include "taskd/bus/event.hpp"
#include "taskd/port/clock.hpp"
#include "taskd/port/history.hpp"

namespace taskd::runtime {

// What leads from one set of entries to the other, by id.
std::vector<port::EntryChange> changes_between(const std::vector<Entry>& from,
                                               const std::vector<Entry>& to);

// Those whose id matches: "shop:*" with "*" for any characters, "~bill|pay" a regular expression
// (ECMAScript), "^shop:" a beginning, "$:bill" an end. invalid_field for an expression that is
// none.
Result<std::vector<Entry>> find_entries(const std::vector<Entry>& entries,
                                        std::string_view pattern);

class Registry {
  public:
    // `history`, `clock` and `bus` outlive it. Reads the newest version.
    static Result<std::unique_ptr<Registry>> open(port::History& history, const port::Clock& clock,
                                                  bus::Publisher& bus);

    // All entries are these from now on. No change, no version: answers none then. registry_moved.
    Result<std::optional<port::RegistryVersion>> apply(const std::vector<Entry>& entries,
                                                       const std::string& note);
    // The entries of that version once more, as a new one. version_not_found.
    Result<std::optional<port::RegistryVersion>> restore(std::uint64_t version);
    // What somebody else has written since; tells of it as of its own, and answers whether there
    // was any.
    Result<bool> catch_up();
    // All entries as they stood at a version. version_not_found.
    Result<std::vector<Entry>> read(std::uint64_t version) { return history_.read(version); }
    static std::string note_of_restore(std::uint64_t version);

    std::uint64_t version() const { return version_; }
    const std::vector<Entry>& entries() const { return entries_; }  // by id
    const Entry* find(std::string_view id) const;

  private:
    Registry(port::History& history, const port::Clock& clock, bus::Publisher& bus)
        : history_{history}, clock_{clock}, bus_{bus} {}
    void tell(const std::vector<port::EntryChange>& changes);

    port::History& history_;
    const port::Clock& clock_;
    bus::Publisher& bus_;
    std::uint64_t version_ = 0;
    std::vector<Entry> entries_;
};

}  // namespace taskd::runtime

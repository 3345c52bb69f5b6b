// The registry of entries: every change is one transaction and one new version; whoever is
// concerned may refuse it, and then nothing has happened. Tells registry.entry.created, .updated
// and .deleted (id, kind, version). On one thread.
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

// Asked before a change is written; those asked before are told to undo it when a later one
// refuses, or when it cannot be written.
class RegistryListener {
  public:
    virtual ~RegistryListener() = default;
    virtual Result<void> accept(const std::vector<port::EntryChange>& changes) = 0;
    virtual void undo(const std::vector<port::EntryChange>& changes) = 0;
};

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

    void add(RegistryListener& listener);  // asked in this order

    // All entries are these from now on. No change, no version: answers none then. entry_refused
    // with who said why; registry_moved.
    Result<std::optional<port::RegistryVersion>> apply(const std::vector<Entry>& entries,
                                                       const std::string& note);
    // The entries of that version once more, as a new one. version_not_found.
    Result<std::optional<port::RegistryVersion>> restore(std::uint64_t version);
    // What somebody else has written since; tells of it as of its own, and answers whether there
    // was any. Nobody may refuse it.
    Result<bool> catch_up();

    std::uint64_t version() const { return version_; }
    const std::vector<Entry>& entries() const { return entries_; }  // by id
    const Entry* find(std::string_view id) const;

  private:
    Registry(port::History& history, const port::Clock& clock, bus::Publisher& bus)
        : history_{history}, clock_{clock}, bus_{bus} {}
    Result<void> ask(const std::vector<port::EntryChange>& changes);
    void undo(std::size_t asked, const std::vector<port::EntryChange>& changes);
    void tell(const std::vector<port::EntryChange>& changes);

    port::History& history_;
    const port::Clock& clock_;
    bus::Publisher& bus_;
    std::vector<RegistryListener*> listeners_;
    std::uint64_t version_ = 0;
    std::vector<Entry> entries_;
};

}  // namespace taskd::runtime

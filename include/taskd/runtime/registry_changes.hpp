// Changes of a registry that others have a say in. Each part that is concerned is asked before a
// change is written, one after the other, and makes ready for it; one that refuses, or does not
// answer in time, undoes it all, and then nothing has happened. One change at a time. On the loop.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "taskd/base/limits.hpp"
#include "taskd/port/timers.hpp"
#include "taskd/runtime/registry.hpp"

namespace taskd::runtime {

// A part that stands on entries of some kinds.
class RegistryListener {
  public:
    using Answer = std::function<void(Result<void>)>;

    virtual ~RegistryListener() = default;
    virtual std::string_view name() const = 0;  // who refused
    virtual bool concerns(std::string_view kind) const = 0;
    // `changes`: those that concern it, at least one. Answers once, at once or later; what comes
    // after its time was over is not heard. What holds now is what the registry says.
    virtual void prepare(const std::vector<port::EntryChange>& changes, Answer answer) = 0;
    // Exactly one of them follows each prepare(), whatever it answered, or whether it did: what it
    // was asked for is so now; or nothing has happened, and all is as the registry says.
    virtual void commit() {}
    virtual void undo() {}
};

class RegistryChanges {
  public:
    using Made = Result<std::optional<port::RegistryVersion>>;
    using Done = std::function<void(const Made&)>;

    // `registry`, `clock` and `timers` outlive it. A part has `timeout` to answer, and a little
    // more for each change that it is asked about.
    RegistryChanges(Registry& registry, const port::Clock& clock, port::Timers& timers,
                    Duration timeout = limits::listener_timeout);
    ~RegistryChanges();
    RegistryChanges(const RegistryChanges&) = delete;
    RegistryChanges& operator=(const RegistryChanges&) = delete;

    void add(RegistryListener& listener);  // asked in this order

    // All entries are these from now on. No change, no version: answers none then. entry_refused
    // with who said why; registry_moved when another change is on its way, or somebody else has
    // written one meanwhile.
    void apply(std::vector<Entry> entries, std::string note, Done done);
    // The entries of that version once more, as a new one. version_not_found.
    void restore(std::uint64_t version, Done done);

    bool busy() const { return change_ != nullptr; }
    void stop();  // nobody is told any more

  private:
    struct Change;

    std::vector<port::EntryChange> concerning(const RegistryListener& listener) const;
    void ask_next();
    void answered(std::uint64_t question, const Result<void>& answer);
    void write();
    void give_up(const Error& error);

    Registry& registry_;
    const port::Clock& clock_;
    Duration timeout_;
    std::vector<RegistryListener*> listeners_;
    std::unique_ptr<Change> change_;  // the one on its way
    std::uint64_t questions_ = 0;     // asked so far; an answer to an older one comes too late
    std::unique_ptr<port::Timer> timer_;
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace taskd::runtime

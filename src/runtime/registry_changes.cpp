#include "taskd/runtime/registry_changes.hpp"

#include <algorithm>
#include <utility>

#include "taskd/base/duration_text.hpp"

namespace taskd::runtime {
namespace {

constexpr Duration time_each = std::chrono::milliseconds{20};

}  // namespace

struct RegistryChanges::Change {
    std::vector<Entry> entries;
    std::string note;
    std::uint64_t base = 0;  // the version that it changes
    std::vector<port::EntryChange> changes;
    std::size_t next = 0;                  // of the listeners
    std::vector<RegistryListener*> asked;  // to be told how it ended
    Done done;
};

RegistryChanges::RegistryChanges(Registry& registry, const port::Clock& clock, port::Timers& timers,
                                 Duration timeout)
    : registry_{registry}, clock_{clock}, timeout_{timeout}, timer_{timers.make()} {}

RegistryChanges::~RegistryChanges() = default;

void RegistryChanges::add(RegistryListener& listener) {
    listeners_.push_back(&listener);
}

void RegistryChanges::apply(std::vector<Entry> entries, std::string note, Done done) {
    if (change_) return done(fail(ErrorCode::registry_moved, "another change is on its way"));
    // What others have written counts before it is compared.
    if (const auto newest = registry_.catch_up(); !newest)
        return done(std::unexpected{newest.error()});
    auto changes = changes_between(registry_.entries(), entries);
    if (changes.empty()) return done(std::nullopt);
    change_ = std::make_unique<Change>(Change{.entries = std::move(entries),
                                              .note = std::move(note),
                                              .base = registry_.version(),
                                              .changes = std::move(changes),
                                              .next = 0,
                                              .asked = {},
                                              .done = std::move(done)});
    ask_next();
}

void RegistryChanges::restore(std::uint64_t version, Done done) {
    auto entries = registry_.read(version);
    if (!entries) return done(std::unexpected{entries.error()});
    apply(std::move(*entries), Registry::note_of_restore(version), std::move(done));
}

void RegistryChanges::stop() {
    timer_->clear();
    change_.reset();
    alive_.reset();
}

std::vector<port::EntryChange> RegistryChanges::concerning(const RegistryListener& listener) const {
    std::vector<port::EntryChange> some;
    for (const port::EntryChange& change : change_->changes) {
        const bool before = change.before && listener.concerns(change.before->kind);
        if (before || (change.after && listener.concerns(change.after->kind)))
            some.push_back(change);
    }
    return some;
}

void RegistryChanges::ask_next() {
    while (change_->next < listeners_.size()) {
        RegistryListener& listener = *listeners_[change_->next++];
        const auto changes = concerning(listener);
        if (changes.empty()) continue;
        change_->asked.push_back(&listener);
        const std::uint64_t question = ++questions_;
        const Duration time = timeout_ + static_cast<std::int64_t>(changes.size()) * time_each;
        timer_->set(clock_.steady() + time, [this, question, time] {
            answered(question, fail(ErrorCode::timed_out, "no answer within " + to_text(time)));
        });
        return listener.prepare(
            changes, [this, question, alive = std::weak_ptr{alive_}](const Result<void>& answer) {
                if (!alive.expired()) answered(question, answer);
            });
    }
    write();
}

void RegistryChanges::answered(std::uint64_t question, const Result<void>& answer) {
    if (!change_ || question != questions_) return;  // too late, or twice
    ++questions_;
    timer_->clear();
    if (answer) return ask_next();
    std::string who{change_->asked.back()->name()};
    give_up({ErrorCode::entry_refused, who + ": " + answer.error().to_string()});
}

void RegistryChanges::write() {
    if (registry_.version() != change_->base)
        return give_up({ErrorCode::registry_moved,
                        "the newest version is " + std::to_string(registry_.version())});
    const auto made = registry_.apply(change_->entries, change_->note);
    if (!made) return give_up(made.error());
    const auto change = std::move(change_);
    for (RegistryListener* listener : change->asked)
        listener->commit();
    change->done(made);
}

void RegistryChanges::give_up(const Error& error) {
    const auto change = std::move(change_);
    for (auto each = change->asked.rbegin(); each != change->asked.rend(); ++each)
        (*each)->undo();
    change->done(std::unexpected{error});
}

}  // namespace taskd::runtime

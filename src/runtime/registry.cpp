#include "taskd/runtime/registry.hpp"

#include <algorithm>
#include <map>

namespace taskd::runtime {

std::vector<port::EntryChange> changes_between(const std::vector<Entry>& from,
                                               const std::vector<Entry>& to) {
    std::map<std::string_view, port::EntryChange> all;
    for (const Entry& entry : from) {
        port::EntryChange& change = all[entry.id];
        change.id = entry.id;
        change.before = entry;
    }
    for (const Entry& entry : to) {
        port::EntryChange& change = all[entry.id];
        change.id = entry.id;
        change.after = entry;
    }
    std::vector<port::EntryChange> changes;
    for (auto& [id, change] : all)
        if (change.before != change.after) changes.push_back(std::move(change));
    return changes;
}

Result<std::unique_ptr<Registry>> Registry::open(port::History& history, const port::Clock& clock,
                                                 bus::Publisher& bus) {
    std::unique_ptr<Registry> registry{new Registry{history, clock, bus}};
    const auto newest = history.newest();
    if (!newest) return std::unexpected{newest.error()};
    auto entries = history.read(*newest);
    if (!entries) return fail(std::move(entries));
    registry->version_ = *newest;
    registry->entries_ = std::move(*entries);
    return registry;
}

Result<std::optional<port::RegistryVersion>> Registry::apply(const std::vector<Entry>& entries,
                                                             const std::string& note) {
    const auto changes = changes_between(entries_, entries);
    if (changes.empty()) return std::nullopt;
    auto version = history_.append(version_, clock_.wall(), note, changes);
    if (!version) return fail(std::move(version));
    version_ = version->number;
    entries_ = entries;
    std::ranges::sort(entries_, {}, &Entry::id);
    tell(changes);
    return std::optional{std::move(*version)};
}

Result<std::optional<port::RegistryVersion>> Registry::restore(std::uint64_t version) {
    const auto entries = read(version);
    if (!entries) return std::unexpected{entries.error()};
    return apply(*entries, note_of_restore(version));
}

std::string Registry::note_of_restore(std::uint64_t version) {
    return "restored from version " + std::to_string(version);
}

Result<bool> Registry::catch_up() {
    const auto newest = history_.newest();
    if (!newest) return std::unexpected{newest.error()};
    if (*newest == version_) return false;
    auto entries = history_.read(*newest);
    if (!entries) return fail(std::move(entries));
    const auto changes = changes_between(entries_, *entries);
    version_ = *newest;
    entries_ = std::move(*entries);
    tell(changes);
    return true;
}

const Entry* Registry::find(std::string_view id) const {
    const auto found = std::ranges::find(entries_, id, &Entry::id);
    return found == entries_.end() ? nullptr : &*found;
}

void Registry::tell(const std::vector<port::EntryChange>& changes) {
    for (const port::EntryChange& change : changes) {
        const std::string what = !change.before ? "created" : !change.after ? "deleted" : "updated";
        const Entry& entry = change.after ? *change.after : *change.before;
        bus_.publish(
            "registry.entry." + what,
            {{"id", entry.id}, {"kind", entry.kind}, {"version", std::to_string(version_)}});
    }
}

}  // namespace taskd::runtime

#include "taskd/runtime/topology.hpp"

namespace taskd::runtime {
namespace {

Result<void> missing(const ProcessId& id) {
    return fail(ErrorCode::process_not_found, to_text(id));
}

std::vector<ProcessNumber> listed(const std::set<ProcessNumber>& numbers) {
    return {numbers.begin(), numbers.end()};
}

}  // namespace

Topology::One* Topology::find(ProcessNumber number) {
    const auto found = processes_.find(number);
    return found == processes_.end() ? nullptr : &found->second;
}

template <class Change>
Result<void> Topology::change(ProcessNumber a, ProcessNumber b, Change make) {
    const std::lock_guard lock{mutex_};
    One* first = find(a);
    One* second = find(b);
    if (first == nullptr) return missing(id_of(a));
    if (second == nullptr) return missing(id_of(b));
    return make(*first, *second);
}

// Whether there is room for what two processes would have of each other.
Result<void> Topology::tie(std::set<ProcessNumber>& of_first, ProcessNumber second,
                           std::set<ProcessNumber>& of_second, ProcessNumber first) {
    if (of_first.contains(second)) return {};
    if (ties_ == ties_max_) return fail(ErrorCode::too_many_watches, node_);
    ++ties_;
    of_first.insert(second);
    of_second.insert(first);
    return {};
}

Result<void> Topology::untie(std::set<ProcessNumber>& of_first, ProcessNumber second,
                             std::set<ProcessNumber>& of_second, ProcessNumber first) {
    ties_ -= of_first.erase(second);
    of_second.erase(first);
    return {};
}

void Topology::tell(std::string_view topic, ProcessNumber number, const std::string& runs,
                    const std::string& how) const {
    if (bus_ == nullptr) return;
    std::vector<bus::EventField> fields{{"pid", to_text(id_of(number))}, {"program", runs}};
    if (!how.empty()) fields.push_back({"how", how});
    bus_->publish(topic, std::move(fields));
}

Result<void> Topology::begin(ProcessNumber number, ProcessNumber parent, std::string runs) {
    const std::lock_guard lock{mutex_};
    if (parent != 0) {
        One* over = find(parent);
        if (over == nullptr) return fail(ErrorCode::process_ended, to_text(id_of(parent)));
        over->children.insert(number);
    }
    tell("process.started", number, runs, {});
    processes_[number] = {.parent = parent, .runs = std::move(runs)};
    return {};
}

ProcessEnd Topology::end(ProcessNumber number, const std::string& how) {
    const std::lock_guard lock{mutex_};
    const auto found = processes_.find(number);
    if (found == processes_.end()) return {};
    const One one = std::move(found->second);
    processes_.erase(found);
    ties_ -= one.links.size() + one.watchers.size() + one.watches.size();
    if (one.watches.contains(number)) ++ties_;  // itself: one tie, and twice in the sums
    if (!one.name.empty()) names_.erase(one.name);
    if (One* parent = find(one.parent)) parent->children.erase(number);
    for (const ProcessNumber each : one.links)
        if (One* other = find(each)) other->links.erase(number);
    for (const ProcessNumber each : one.watchers)
        if (One* watcher = find(each)) watcher->watches.erase(number);
    for (const ProcessNumber each : one.watches)
        if (One* watched = find(each)) watched->watchers.erase(number);
    for (const ProcessNumber each : one.children)
        if (One* child = find(each)) child->parent = 0;
    tell("process.stopped", number, one.runs, how);
    return {.children = listed(one.children),
            .linked = listed(one.links),
            .monitors = listed(one.watchers)};
}

Result<void> Topology::link(ProcessNumber a, ProcessNumber b) {
    if (a == b) return fail(ErrorCode::invalid_field, "a process is not linked to itself");
    return change(a, b,
                  [&](One& first, One& second) { return tie(first.links, b, second.links, a); });
}

Result<void> Topology::unlink(ProcessNumber a, ProcessNumber b) {
    return change(a, b,
                  [&](One& first, One& second) { return untie(first.links, b, second.links, a); });
}

Result<void> Topology::monitor(ProcessNumber watcher, ProcessNumber watched) {
    return change(watcher, watched, [&](One& first, One& second) {
        return tie(first.watches, watched, second.watchers, watcher);
    });
}

Result<void> Topology::demonitor(ProcessNumber watcher, ProcessNumber watched) {
    return change(watcher, watched, [&](One& first, One& second) {
        return untie(first.watches, watched, second.watchers, watcher);
    });
}

Result<void> Topology::give_name(ProcessNumber number, const std::string& name) {
    const std::lock_guard lock{mutex_};
    One* one = find(number);
    if (one == nullptr) return missing(id_of(number));
    const auto [held, fresh] = names_.try_emplace(name, number);
    if (!fresh && held->second != number)
        return fail(ErrorCode::name_taken, name + " by " + to_text(id_of(held->second)));
    if (fresh && !one->name.empty()) names_.erase(one->name);
    one->name = name;
    return {};
}

ProcessNumber Topology::find_name(std::string_view name) const {
    const std::lock_guard lock{mutex_};
    const auto found = names_.find(name);
    return found == names_.end() ? 0 : found->second;
}

bool Topology::has(ProcessNumber number) const {
    const std::lock_guard lock{mutex_};
    return processes_.contains(number);
}

std::size_t Topology::count() const {
    const std::lock_guard lock{mutex_};
    return processes_.size();
}

std::vector<ProcessRow> Topology::rows(ProcessNumber after, std::size_t max) const {
    const std::lock_guard lock{mutex_};
    std::vector<ProcessRow> rows;
    for (auto at = processes_.upper_bound(after); at != processes_.end() && rows.size() < max; ++at)
        rows.push_back({.number = at->first,
                        .parent = at->second.parent,
                        .runs = at->second.runs,
                        .name = at->second.name});
    return rows;
}

}  // namespace taskd::runtime

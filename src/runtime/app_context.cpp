#include "taskd/runtime/app_context.hpp"

#include <algorithm>
#include <mutex>

namespace taskd::runtime {

void AppContext::put(std::string_view name, Entry entry) {
    const std::unique_lock lock{mutex_};
    TASKD_ASSERT(!sealed());
    const bool is_first = entries_.emplace(name, entry).second;
    TASKD_ASSERT(is_first);
}

// Under the lock, so that the seal comes after every put that began before it; the readers' acquire
// then sees them all.
void AppContext::seal() {
    const std::unique_lock lock{mutex_};
    sealed_.store(true, std::memory_order_release);
}

void* AppContext::find(std::string_view name, const void* type) const {
    if (sealed()) return look_up(name, type);
    const std::shared_lock lock{mutex_};
    return look_up(name, type);
}

void* AppContext::look_up(std::string_view name, const void* type) const {
    const auto found = entries_.find(name);
    if (found == entries_.end()) return nullptr;
    TASKD_ASSERT(found->second.type == type);
    return found->second.part;
}

std::vector<std::string> AppContext::names() const {
    std::vector<std::string> names;
    const std::shared_lock lock{mutex_};
    for (const auto& [name, entry] : entries_)
        names.emplace_back(name);
    std::ranges::sort(names);
    return names;
}

}  // namespace taskd::runtime

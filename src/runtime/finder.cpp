#include "taskd/runtime/finder.hpp"

#include <regex>

#include "taskd/runtime/entries.hpp"
#include "taskd/runtime/registry.hpp"

namespace taskd::runtime {

Result<std::vector<Entry>> find_entries(const std::vector<Entry>& entries,
                                        std::string_view pattern) {
    const char how = pattern.empty() ? '\0' : pattern.front();
    const std::string_view rest = pattern.substr(pattern.empty() ? 0 : 1);
    std::regex expression;
    if (how == '~') {
        try {
            expression = std::regex{rest.begin(), rest.end()};
        } catch (const std::regex_error& error) {
            return fail(ErrorCode::invalid_field, "the expression: " + std::string{error.what()});
        }
    }
    std::vector<Entry> found;
    for (const Entry& entry : entries) {
        const bool takes = how == '~'   ? std::regex_search(entry.id, expression)
                           : how == '^' ? entry.id.starts_with(rest)
                           : how == '$' ? entry.id.ends_with(rest)
                                        : matches_glob(pattern, entry.id);
        if (takes) found.push_back(entry);
    }
    return found;
}

void Finder::attach(AppContext& context) {
    context.put(finder_key, *this);
}

Result<EventBus::Subscription> Finder::watch(std::string id, EventBus::Post post,
                                             std::function<void(const Entry*)> told) {
    return bus_.subscribe(
        "registry.entry.*", std::move(post),
        [this, id = std::move(id), told = std::move(told)](const bus::Delivery& delivery) {
            // What was missed may have been of this one.
            if (delivery.lost_before == 0 && delivery.event->field("id") != id) return;
            told(registry_.find(id));
        });
}

}  // namespace taskd::runtime

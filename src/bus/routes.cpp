#include "taskd/bus/routes.hpp"

#include <algorithm>

namespace taskd::bus {

void Routes::add(Id id, Pattern pattern) {
    if (pattern.is_exact())
        exact_[pattern.text()].push_back(id);
    else
        patterns_.emplace_back(id, std::move(pattern));
}

void Routes::remove(Id id) {
    for (auto each = exact_.begin(); each != exact_.end();) {
        std::erase(each->second, id);
        each = each->second.empty() ? exact_.erase(each) : std::next(each);
    }
    std::erase_if(patterns_, [id](const auto& each) { return each.first == id; });
}

void Routes::find(std::string_view topic, std::vector<Id>& found) const {
    found.clear();
    if (const auto exact = exact_.find(std::string{topic}); exact != exact_.end())
        found = exact->second;
    for (const auto& [id, pattern] : patterns_)
        if (pattern.matches(topic)) found.push_back(id);
    std::ranges::sort(found);
}

std::size_t Routes::size() const {
    std::size_t count = patterns_.size();
    for (const auto& [topic, ids] : exact_)
        count += ids.size();
    return count;
}

}  // namespace taskd::bus

// Finds entries of a registry, and watches single ones. On the registry's thread.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "taskd/runtime/app_context.hpp"
#include "taskd/runtime/event_bus.hpp"
#include "taskd/runtime/registry.hpp"

namespace taskd::runtime {

class Finder {
  public:
    // Both outlive it; `bus` is the one that the registry tells.
    Finder(const Registry& registry, EventBus& bus) : registry_{registry}, bus_{bus} {}
    void attach(AppContext& context);

    // By a pattern as find_entries takes it. invalid_field.
    Result<std::vector<Entry>> find(std::string_view pattern) const {
        return find_entries(registry_.entries(), pattern);
    }
    const Entry* entry(std::string_view id) const { return registry_.find(id); }

    // `told` runs by `post`, on the registry's thread, after each change of this one entry; with
    // what it is now, nullptr when it is gone. It ends with the subscription.
    // too_many_subscribers.
    [[nodiscard]] Result<EventBus::Subscription> watch(std::string id, EventBus::Post post,
                                                       std::function<void(const Entry*)> told);

  private:
    const Registry& registry_;
    EventBus& bus_;
};

inline constexpr ContextKey<Finder> finder_key{"finder"};

}  // namespace taskd::runtime

// The stores that entries declare, as a component of `taskd up`.
#pragma once

#include <set>
#include <string>

#include "taskd/io/key_stores.hpp"
#include "up_entries.hpp"

namespace taskd::roles {

class StoresPart {
  public:
    StoresPart(const std::string& dir, runtime::AppContext& context, RegistryPart& registry,
               EntriesPart& entries)
        : registry_{registry.registry()},
          folder_{dir + "/stores", context.get(runtime::clock_key)} {
        follow();
        entries.on_change([this] { follow(); });
    }
    void attach(runtime::AppContext& context) {
        context.put<port::KeyStores>(runtime::stores_key, folder_);
    }

    // As the newest version says.
    void follow() {
        std::set<std::string> now;
        for (const Entry& entry : registry_.entries()) {
            if (entry.kind != "store") continue;
            const auto settings = store_settings(entry);
            TASKD_ASSERT(settings);  // it was checked before it was kept
            folder_.declare(entry.id, *settings);
            now.insert(entry.id);
        }
        for (const std::string& id : declared_)
            if (!now.contains(id)) folder_.withdraw(id);
        declared_ = std::move(now);
    }

  private:
    const runtime::Registry& registry_;
    io::KeyStoreFolder folder_;
    std::set<std::string> declared_;
};

}  // namespace taskd::roles

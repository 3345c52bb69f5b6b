// Stores of values under keys, each a SQLite file. Thread-safe: a lock for each store. One process
// at a time uses a file for long; another one waits for it a little, then store_locked.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "taskd/base/limits.hpp"
#include "taskd/port/clock.hpp"
#include "taskd/port/key_store.hpp"

namespace taskd::io {

struct KeyStoreSettings {
    std::uint64_t bytes_max = limits::store_bytes_default;  // keys and values
    std::size_t value_bytes_max = limits::store_value_bytes_max;
    std::optional<Duration> ttl;  // of values that are put without one

    friend bool operator==(const KeyStoreSettings&, const KeyStoreSettings&) = default;
};

// Made when it is missing. store_too_new for a file of a later version; view_corrupt, io_failed,
// disk_full, store_locked as SQLite says. `clock` outlives it.
Result<std::shared_ptr<port::KeyStore>> open_key_store(const std::string& path,
                                                       const KeyStoreSettings& settings,
                                                       const port::Clock& clock);

// The stores of a data directory: DIR/NAMESPACE:NAME.db, opened when they are first asked for. A
// file stays when its entry goes, and is there again when the entry comes back.
class KeyStoreFolder final : public port::KeyStores {
  public:
    KeyStoreFolder(std::string dir, const port::Clock& clock)
        : dir_{std::move(dir)}, clock_{clock} {}

    // There is such a store from now on; who holds it already keeps the settings it had.
    void declare(const std::string& id, const KeyStoreSettings& settings);
    void withdraw(const std::string& id);
    Result<std::shared_ptr<port::KeyStore>> find(const std::string& id) override;

  private:
    struct One {
        KeyStoreSettings settings;
        std::shared_ptr<port::KeyStore> store;  // once it is open
    };
    const std::string dir_;
    const port::Clock& clock_;
    std::mutex mutex_;
    std::map<std::string, One> stores_;
};

}  // namespace taskd::io

// Port: values kept under keys, for functions, processes and other parts of a role. What a call has
// changed is durable when it returns. Thread-safe; calls block.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "taskd/base/result.hpp"
#include "taskd/base/time.hpp"

namespace taskd::port {

struct KeptValue {
    std::string value;          // bytes; what they mean is the caller's affair
    std::uint64_t version = 0;  // from 1; grows with each change of the store, never given twice
    std::optional<WallTime> expires_at;

    friend bool operator==(const KeptValue&, const KeptValue&) = default;
};

struct PutOptions {
    std::optional<Duration> ttl;  // of this value; none: the store's own, which may be none
};

struct KeyQuery {
    std::string prefix;
    std::string after;  // keys behind this one; empty: from the first
    std::size_t limit = 100;
};

struct KeptKey {
    std::string key;
    std::uint64_t version = 0;
    std::uint64_t bytes = 0;  // of the value
    std::optional<WallTime> expires_at;

    friend bool operator==(const KeptKey&, const KeptKey&) = default;
};

struct KeyStoreStats {
    std::uint64_t keys = 0;
    std::uint64_t bytes = 0;  // of keys and values; those expired count until they are swept
};

// Keys are texts of 1 to limits::key_bytes_max bytes: invalid_field.
class KeyStore {
  public:
    virtual ~KeyStore() = default;

    // None when there is no such key, or its time is over.
    virtual Result<std::optional<KeptValue>> get(std::string_view key) = 0;
    // Answers the new version. value_too_large; store_full when it does not fit, even without what
    // has expired; disk_full.
    virtual Result<std::uint64_t> put(std::string_view key, std::string_view value,
                                      const PutOptions& options) = 0;
    // As put, if the key's version is `expected` (0: there is none), else key_changed.
    virtual Result<std::uint64_t> compare_and_set(std::string_view key, std::uint64_t expected,
                                                  std::string_view value,
                                                  const PutOptions& options) = 0;
    // Whether there was one.
    virtual Result<bool> remove(std::string_view key) = 0;
    // In the order of their bytes; at most limits::store_page_max.
    virtual Result<std::vector<KeptKey>> list(const KeyQuery& query) = 0;
    virtual Result<KeyStoreStats> stats() = 0;
};

// The stores of a role, by the ids of their entries: "shop:carts".
class KeyStores {
  public:
    virtual ~KeyStores() = default;
    // store_not_found. A store goes on working for who holds it after its entry went.
    virtual Result<std::shared_ptr<KeyStore>> find(const std::string& id) = 0;
};

}  // namespace taskd::port

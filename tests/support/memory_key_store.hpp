// Values under keys in memory: the twin of the real stores. For one thread.
#pragma once

#include <algorithm>
#include <map>

#include "taskd/io/key_stores.hpp"

namespace taskd::test {

class MemoryKeyStore final : public port::KeyStore {
  public:
    MemoryKeyStore(const io::KeyStoreSettings& settings, const port::Clock& clock)
        : settings_{settings}, clock_{clock} {}

    Result<std::optional<port::KeptValue>> get(std::string_view key) override {
        if (auto valid = check(key); !valid) return std::unexpected{valid.error()};
        const auto found = values_.find(key);
        if (found == values_.end() || is_over(found->second)) return std::nullopt;
        return found->second;
    }
    Result<std::uint64_t> put(std::string_view key, std::string_view value,
                              const port::PutOptions& options) override {
        if (auto valid = check(key); !valid) return std::unexpected{valid.error()};
        if (value.size() > settings_.value_bytes_max) return fail(ErrorCode::value_too_large);
        std::uint64_t others = 0;
        std::erase_if(values_, [&](const auto& each) { return is_over(each.second); });
        for (const auto& [name, kept] : values_)
            if (name != key) others += name.size() + kept.value.size();
        if (others + key.size() + value.size() > settings_.bytes_max)
            return fail(ErrorCode::store_full);
        port::KeptValue kept{std::string{value}, ++version_, std::nullopt};
        if (const auto ttl = options.ttl ? options.ttl : settings_.ttl)
            kept.expires_at = clock_.wall() + *ttl;
        values_.insert_or_assign(std::string{key}, std::move(kept));
        return version_;
    }
    Result<std::uint64_t> compare_and_set(std::string_view key, std::uint64_t expected,
                                          std::string_view value,
                                          const port::PutOptions& options) override {
        if (auto valid = check(key); !valid) return std::unexpected{valid.error()};
        if (value.size() > settings_.value_bytes_max) return fail(ErrorCode::value_too_large);
        const auto found = get(key).value();
        if ((found ? found->version : 0) != expected) return fail(ErrorCode::key_changed);
        return put(key, value, options);
    }
    Result<bool> remove(std::string_view key) override {
        if (auto valid = check(key); !valid) return std::unexpected{valid.error()};
        const bool was_there = get(key).value().has_value();
        const auto found = values_.find(key);
        if (found == values_.end()) return false;
        values_.erase(found);
        version_ += was_there ? 1 : 0;
        return was_there;
    }
    Result<std::vector<port::KeptKey>> list(const port::KeyQuery& query) override {
        std::vector<port::KeptKey> keys;
        for (const auto& [key, kept] : values_)
            if (key > query.after && key.starts_with(query.prefix) && !is_over(kept) &&
                keys.size() < std::min(query.limit, limits::store_page_max))
                keys.push_back({key, kept.version, kept.value.size(), kept.expires_at});
        return keys;
    }
    Result<port::KeyStoreStats> stats() override {
        port::KeyStoreStats stats{values_.size(), 0};
        for (const auto& [key, kept] : values_)
            stats.bytes += key.size() + kept.value.size();
        return stats;
    }

  private:
    static Result<void> check(std::string_view key) {
        if (!key.empty() && key.size() <= limits::key_bytes_max) return {};
        return fail(ErrorCode::invalid_field);
    }
    bool is_over(const port::KeptValue& kept) const {
        return kept.expires_at && *kept.expires_at <= clock_.wall();
    }

    const io::KeyStoreSettings settings_;
    const port::Clock& clock_;
    std::map<std::string, port::KeptValue, std::less<>> values_;
    std::uint64_t version_ = 0;
};

}  // namespace taskd::test

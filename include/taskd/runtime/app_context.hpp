// Where the parts of a process find each other: one reference a key, of the key's type. Parts put
// themselves there while the process boots, several threads at a time; then it is sealed, and from
// then on it only answers, without a lock.
//
//     inline constexpr ContextKey<Supervisor> supervisor_key{"supervisor"};
//     context.put(supervisor_key, supervisor);
//     context.get(supervisor_key).stop_all();
//
// What is put there outlives the last reading. A key that is put twice, a put after the seal, a key
// read as another type and a get of what is not there are faults of ours: they abort.
#pragma once

#include <atomic>
#include <shared_mutex>
#include <string>
#include <string_view>
#include <type_traits>
#include <unordered_map>
#include <vector>

#include "taskd/base/assert.hpp"

namespace taskd::runtime {

template <class T>
struct ContextKey {
    static_assert(!std::is_const_v<T> && !std::is_reference_v<T>);
    std::string_view name;  // of static storage
};

class AppContext {
  public:
    AppContext() = default;
    AppContext(const AppContext&) = delete;
    AppContext& operator=(const AppContext&) = delete;

    template <class T>
    void put(const ContextKey<T>& key, T& part) {
        put(key.name, {&part, type_of<T>});
    }
    template <class T>
    T* find(const ContextKey<T>& key) const {
        return static_cast<T*>(find(key.name, type_of<T>));
    }
    template <class T>
    T& get(const ContextKey<T>& key) const {
        T* part = find(key);
        TASKD_ASSERT(part != nullptr);
        return *part;
    }

    void seal();
    bool sealed() const { return sealed_.load(std::memory_order_acquire); }
    std::vector<std::string> names() const;  // in order

  private:
    template <class T>
    static constexpr char type_tag{};
    template <class T>
    static constexpr const void* type_of = &type_tag<T>;  // one address a type

    struct Entry {
        void* part = nullptr;
        const void* type = nullptr;
    };
    void put(std::string_view name, Entry entry);
    void* find(std::string_view name, const void* type) const;
    void* look_up(std::string_view name, const void* type) const;

    std::atomic<bool> sealed_ = false;
    mutable std::shared_mutex mutex_;  // guards the entries until the seal
    std::unordered_map<std::string_view, Entry> entries_;
};

}  // namespace taskd::runtime

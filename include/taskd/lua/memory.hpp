// What all programs of a node hold together, their messages too, and its bound. Thread-safe.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace taskd::lua {

class MemoryPool {
  public:
    explicit MemoryPool(std::uint64_t max) : max_{max} {}
    MemoryPool(const MemoryPool&) = delete;
    MemoryPool& operator=(const MemoryPool&) = delete;

    // False when that is more than there may be: then nothing was taken.
    bool take(std::size_t bytes) {
        if (used_.fetch_add(bytes, std::memory_order_relaxed) + bytes <= max_) return true;
        give_back(bytes);
        refused_.fetch_add(1, std::memory_order_relaxed);
        return false;
    }
    // What the node itself says to programs is taken beyond the bound too.
    void take_anyway(std::size_t bytes) { used_.fetch_add(bytes, std::memory_order_relaxed); }
    void give_back(std::size_t bytes) { used_.fetch_sub(bytes, std::memory_order_relaxed); }

    std::uint64_t used() const { return used_.load(std::memory_order_relaxed); }
    std::uint64_t max() const { return max_; }
    std::uint64_t refused() const { return refused_.load(std::memory_order_relaxed); }

  private:
    const std::uint64_t max_;
    std::atomic<std::uint64_t> used_ = 0;
    std::atomic<std::uint64_t> refused_ = 0;
};

}  // namespace taskd::lua

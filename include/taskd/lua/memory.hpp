// What all programs of a node hold together, their messages too, and its bound. Thread-safe.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>

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

// Bytes of a pool that outlives it, for as long as it lives. Without a pool: of none.
class MemoryHold {
  public:
    MemoryHold() = default;
    ~MemoryHold() {
        if (pool_ != nullptr) pool_->give_back(bytes_);
    }
    MemoryHold(MemoryHold&& other) noexcept
        : pool_{std::exchange(other.pool_, nullptr)}, bytes_{other.bytes_} {}
    MemoryHold& operator=(MemoryHold other) noexcept {
        std::swap(pool_, other.pool_);
        std::swap(bytes_, other.bytes_);
        return *this;
    }

    // None when that is more than there may be; nothing is never too much.
    static std::optional<MemoryHold> take(MemoryPool* pool, std::size_t bytes) {
        if (pool != nullptr && bytes > 0 && !pool->take(bytes)) return std::nullopt;
        return MemoryHold{pool, bytes};
    }
    static MemoryHold take_anyway(MemoryPool* pool, std::size_t bytes) {
        if (pool != nullptr) pool->take_anyway(bytes);
        return MemoryHold{pool, bytes};
    }

  private:
    MemoryHold(MemoryPool* pool, std::size_t bytes) : pool_{pool}, bytes_{bytes} {}

    MemoryPool* pool_ = nullptr;
    std::size_t bytes_ = 0;
};

}  // namespace taskd::lua

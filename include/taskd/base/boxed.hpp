// An optional value that lies on the heap: for what is rare and large, so that what has none of it
// stays small. Copies copy the value. Otherwise as std::optional, which it takes and gives.
#pragma once

#include <memory>
#include <optional>
#include <utility>

namespace taskd {

template <class T>
class Boxed {
  public:
    Boxed() = default;
    Boxed(std::nullopt_t) {}
    Boxed(T value) : value_{std::make_unique<T>(std::move(value))} {}
    Boxed(std::optional<T> value)
        : value_{value ? std::make_unique<T>(std::move(*value)) : nullptr} {}
    Boxed(const Boxed& other) : value_{other ? std::make_unique<T>(*other) : nullptr} {}
    Boxed(Boxed&& other) noexcept = default;
    Boxed& operator=(const Boxed& other) { return *this = Boxed{other}; }
    Boxed& operator=(Boxed&& other) noexcept = default;
    ~Boxed() = default;

    bool has_value() const { return value_ != nullptr; }
    explicit operator bool() const { return has_value(); }
    T& operator*() { return *value_; }
    const T& operator*() const { return *value_; }
    T* operator->() { return value_.get(); }
    const T* operator->() const { return value_.get(); }
    void reset() { value_.reset(); }
    operator std::optional<T>() const { return value_ ? std::optional<T>{*value_} : std::nullopt; }

    friend bool operator==(const Boxed& a, const Boxed& b) {
        return a.value_ && b.value_ ? *a == *b : a.value_ == b.value_;
    }

  private:
    std::unique_ptr<T> value_;
};

}  // namespace taskd

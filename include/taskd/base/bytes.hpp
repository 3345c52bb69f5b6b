// Immutable bytes shared by reference count: a payload stands in the engine, in the open batch, in
// the view's transaction and in an answer without being copied.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace taskd {

class Blob {
  public:
    Blob() = default;
    explicit Blob(std::string bytes)
        : bytes_{std::make_shared<const std::string>(std::move(bytes))} {}

    std::string_view view() const {
        return bytes_ ? std::string_view{*bytes_} : std::string_view{};
    }
    std::size_t size() const { return bytes_ ? bytes_->size() : 0; }
    bool empty() const { return size() == 0; }

    friend bool operator==(const Blob& a, const Blob& b) { return a.view() == b.view(); }

  private:
    std::shared_ptr<const std::string> bytes_;
};

}  // namespace taskd

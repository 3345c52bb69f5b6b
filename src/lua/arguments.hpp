// The arguments of a call, read by place: each fault names what was expected and where.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "taskd/base/result.hpp"
#include "taskd/base/time.hpp"
#include "taskd/model/value.hpp"

namespace taskd::lua {

// All faults are invalid_field or missing_field.
class Arguments {
  public:
    explicit Arguments(const std::vector<Value>& values) : values_{values} {}

    bool has(std::size_t at) const {
        return at < values_.size() && values_[at].kind != ValueKind::null;
    }
    bool is_map(std::size_t at) const { return has(at) && values_[at].kind == ValueKind::map; }
    Value take(std::size_t at) const { return has(at) ? values_[at] : Value{}; }

    Result<std::string> text(std::size_t at, std::string_view name) const;
    Result<std::string> optional_text(std::size_t at, std::string_view name) const;
    // Seconds as a number, or "1m30s".
    Result<Duration> duration(std::size_t at, std::string_view name) const;

    // A field of the map at that place; that and the field may be missing.
    const Value* option(std::size_t at, std::string_view name) const;
    Result<std::string> option_text(std::size_t at, std::string_view name) const;
    Result<std::optional<Duration>> option_duration(std::size_t at, std::string_view name) const;

  private:
    const std::vector<Value>& values_;
};

// Seconds, as programs have times.
Value seconds_value(Duration time);

Result<Duration> read_duration(const Value& value, std::string_view name);

}  // namespace taskd::lua

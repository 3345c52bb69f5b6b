// Entries as JSON: {"id": "shop:bill", "kind": "queue", and the fields of its body}. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "taskd/base/result.hpp"
#include "taskd/model/entry.hpp"

namespace taskd::protocol {

// The whole of it as one value, as it would stand in a file.
Value value_of(const Entry& entry);

// What a registry is asked to become: all its entries, or a version that it had.
struct RegistryAsked {
    std::vector<Entry> entries;
    std::optional<std::uint64_t> restore;
    std::string note;

    friend bool operator==(const RegistryAsked&, const RegistryAsked&) = default;
};
// bad_json, unknown_field, invalid_field, missing_field.
Result<RegistryAsked> parse_registry_asked(std::string_view body);
std::string write_registry_asked(const RegistryAsked& asked);

}  // namespace taskd::protocol

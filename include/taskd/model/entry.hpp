// An entry: a declared thing, such as a queue's rules or a worker, as people write it in YAML
// files. Pure.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "taskd/model/value.hpp"

namespace taskd {

struct Entry {
    std::string id;    // "shop:bill", namespace and name
    std::string kind;  // "worker.http"
    Value body;        // a map: all but name and kind, in its order
    // Where it and its fields were written, "shop.yaml:4:5"; unknown for what did not come from a
    // file. No part of what it is.
    std::string place = {};
    std::map<std::string, std::string, std::less<>> field_places = {};

    std::string_view ns() const { return std::string_view{id}.substr(0, id.find(':')); }
    std::string_view name() const { return std::string_view{id}.substr(id.find(':') + 1); }
    const Value* find(std::string_view field) const;  // nullptr when it has none

    friend bool operator==(const Entry& a, const Entry& b) {
        return a.id == b.id && a.kind == b.kind && a.body == b.body;
    }
};

// Letters, digits, '_', '-' and '.', 1 to 64 of them; a letter or digit first.
bool is_entry_name(std::string_view text);

}  // namespace taskd

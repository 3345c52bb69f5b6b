// Things by their id, or by a unique part of it, as people write them.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "taskd/base/ids.hpp"
#include "taskd/base/result.hpp"

namespace taskd::service {

// `missing` when there is none; invalid_id, ambiguous_id.
template <class Value>
Result<TaskId> find_id(const std::map<TaskId, Value>& all, const std::string& name,
                       ErrorCode missing) {
    if (const auto id = TaskId::parse(name)) {
        if (all.contains(*id)) return *id;
        return fail(missing, name);
    }
    const bool part = name.size() >= 4 && name.size() < 36 &&
                      name.find_first_not_of("0123456789abcdef-") == std::string::npos;
    if (!part) return fail(ErrorCode::invalid_id, "'" + name + "' is no part of an id");
    std::optional<TaskId> found;
    for (const auto& [id, value] : all) {
        const std::string text = id.to_string();
        if (!text.starts_with(name) && !text.ends_with(name)) continue;
        if (found) return fail(ErrorCode::ambiguous_id, name);
        found = id;
    }
    if (!found) return fail(missing, name);
    return *found;
}

}  // namespace taskd::service

// How a search is answered from the view: which streams of ids may hold what is meant, and which
// columns of a row must be read to know. Pure.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "taskd/model/task.hpp"

namespace taskd::io {

struct SearchPlan {
    explicit SearchPlan(const TaskQuery& query);

    bool takes_type(const std::string& type) const;

    std::vector<TaskState> states;  // that may be meant
    bool by_type = false;           // go by the index of types and states
    std::vector<std::string> keys;  // else, and not empty: by the index of keys
    std::vector<GroupId> groups;    // else, and not empty: by the index of groups
    std::optional<TaskId> low;      // ids outside are not meant
    std::optional<TaskId> high;
    bool needs_row = false;   // the streams alone do not tell
    bool needs_json = false;  // payload or result must be read to know

  private:
    void take_groups(const SearchTerm& term);
    void narrow_ids(const SearchTerm& term);

    std::string type_;
    Search type_terms_;
};

// Whether `part` (lower case) can stand at `begin` of an id's text form.
bool fits_at(std::string_view part, std::size_t begin);
// The 16 bytes of an id that begins with `part`, the rest filled with `digit`.
std::string id_bytes(std::string_view part, char digit);
// The id before it; it is not the first one.
TaskId id_before(const TaskId& id);

}  // namespace taskd::io

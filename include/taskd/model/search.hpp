// The search language of API, command line and page: `state:dead type:email,sms age>1h -worker:w3
// key:acme label:team=red payload.user=42 timeout`. Terms are joined by and; `:` and `=` mean any
// of a list; a word alone is looked for in the error; a list in the payload is met by any of its
// elements. src/model/README.md has the grammar. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "taskd/base/result.hpp"
#include "taskd/base/time.hpp"
#include "taskd/model/task_state.hpp"

namespace taskd {

enum class SearchField : std::uint8_t {
    state,
    type,
    id,
    worker,  // of any attempt that is shown
    error,   // code or message
    age,     // since it was submitted
    priority,
    attempts,
    payload,
    result,
    key,
    group,
    label,  // NAME=VALUE, or NAME alone: whatever it is
};

enum class Comparison : std::uint8_t { equal, less, less_or_equal, greater, greater_or_equal };

// One step into a JSON value: a field of an object or an element of an array.
using PathStep = std::variant<std::string, std::uint64_t>;

// What a value is compared with. A text may end in `*`: any continuation. For error it may stand
// anywhere, case aside.
struct SearchValue {
    std::string text;  // as it was written
    bool prefix = false;
    bool quoted = false;      // then it is no number, no true and no null
    TaskState state{};        // of state
    Duration span{};          // of age
    std::int64_t number = 0;  // of priority and attempts
    std::string name;         // of a label; `text` is its value
    bool any = false;         // any value of that label

    friend bool operator==(const SearchValue&, const SearchValue&) = default;
};

struct SearchTerm {
    SearchField field{};
    bool negated = false;
    Comparison comparison = Comparison::equal;
    std::vector<PathStep> path;       // of payload and result
    std::vector<SearchValue> values;  // any of them; one unless equal

    friend bool operator==(const SearchTerm&, const SearchTerm&) = default;
};

struct Search {
    std::vector<SearchTerm> terms;  // all of them; none: every task

    friend bool operator==(const Search&, const Search&) = default;
};

// invalid_field with the term at fault and why; an unknown field names the nearest known one.
Result<Search> parse_search(std::string_view text);

}  // namespace taskd

// References in the texts of a workflow: "${step.field.nested[0]}". A text that is one reference
// and nothing else becomes the value, of whatever type; inside a longer text it becomes text.
// Pure; the engine is given one, so that it need not know JSON.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "taskd/base/result.hpp"

namespace taskd {

// What a reference may be followed into. "${a.x}" and "${a.result.x}" are field x of the result,
// "${a}" and "${a.result}" all of it; "${a.@state}" and "${a.@error.code}" speak of how it ended.
struct Referred {
    std::string_view result;  // JSON; empty: there is none
    std::string_view state;   // "succeeded"; empty for what is no step
    std::string_view error;   // JSON object; empty: there is none
    bool away = false;        // there is a result, not at hand: null, whatever is asked of it
};
// How it ended says its state and its error; that of a step has no result then.
enum class Ask : std::uint8_t { result, ending };

// By its name: a step, or inputs, env, item, index, workflow. Views live until the next call.
using FindReferred = std::function<std::optional<Referred>(std::string_view name, Ask ask)>;

class Templates {
  public:
    virtual ~Templates() = default;
    // JSON with every reference replaced. unresolved_reference names the reference; task_too_large
    // beyond `bytes_max`.
    virtual Result<std::string> fill(std::string_view json, const FindReferred& find,
                                     std::size_t bytes_max) const = 0;
    // Whether a condition holds; unresolved_reference, bad_condition.
    virtual Result<bool> holds(std::string_view condition, const FindReferred& find) const = 0;
    // The elements of a JSON list, each as it stands; not_a_list.
    virtual Result<std::vector<std::string>> elements(std::string_view json) const = 0;
    // Whether it is one complete JSON value.
    virtual bool is_json(std::string_view text) const = 0;
    // A text as JSON writes it.
    virtual std::string quoted(std::string_view text) const = 0;
    // Names that stand first in references, each once; in a text of JSON or a condition.
    virtual std::vector<std::string> names(std::string_view text) const = 0;
};

}  // namespace taskd

// References filled in: "${step.field.nested[0]}", also "${step["any name"]}". "$${" writes "${".
// What a text has no reference in is not looked at any closer. Pure; without state, so that any
// thread may use it.
//
// A condition compares (==, !=, <, <=, >, >=, in, not in) references, numbers, 'texts' and "texts",
// true, false, null and lists of them, joined by and, or, not (&&, ||, !) and parentheses. Numbers
// are compared as numbers, texts by their bytes; `in` looks into a list or a text. What stands
// alone holds unless it is false, null, 0, "", [] or {}. What `and` and `or` need no more is not
// resolved.
#pragma once

#include "taskd/model/templates.hpp"

namespace taskd::protocol {

class JsonTemplates final : public Templates {
  public:
    Result<std::string> fill(std::string_view json, const FindReferred& find,
                             std::size_t bytes_max) const override;
    Result<bool> holds(std::string_view condition, const FindReferred& find) const override;
    Result<std::vector<std::string>> elements(std::string_view json) const override;
    bool is_json(std::string_view text) const override;
    std::string quoted(std::string_view text) const override;
    std::vector<std::string> names(std::string_view text) const override;
};

// Whether a condition can be understood, whatever its references are; bad_condition or
// unresolved_reference, both with the column.
Result<void> check_condition(std::string_view condition);

}  // namespace taskd::protocol

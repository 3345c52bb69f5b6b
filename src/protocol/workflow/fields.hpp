// Reads single values of a workflow's document; every fault says its place. Pure.
#pragma once

#include <initializer_list>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "taskd/base/result.hpp"
#include "taskd/base/time.hpp"
#include "taskd/model/document.hpp"

namespace taskd::protocol::workflow {

// "PLACE: what".
std::unexpected<Error> fault(const std::string& place, const std::string& what,
                             ErrorCode code = ErrorCode::bad_workflow);

const DocumentField* find_field(const Document& map, std::string_view name);
// The field there is of several names for the same; bad_workflow when there are two.
Result<const DocumentField*> find_one(const Document& map,
                                      std::initializer_list<std::string_view> names);
// The value is a map, and each of its fields is known.
Result<void> check_fields(const Document& map, std::string_view what,
                          std::span<const std::string_view> known);

// `name` is what the value is called in messages.
Result<std::string> read_text(const Document& value, std::string_view name, std::size_t bytes_max);
Result<std::int64_t> read_whole(const Document& value, std::string_view name, std::int64_t least,
                                std::int64_t most);
Result<bool> read_truth(const Document& value, std::string_view name);
// Seconds, or with a unit.
Result<Duration> read_duration(const Document& value, std::string_view name, Duration least,
                               Duration most);
Result<std::map<std::string, std::string>> read_labels(const Document& value);

bool is_list_or_map(const Document& value);

}  // namespace taskd::protocol::workflow

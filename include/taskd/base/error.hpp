// The one error table: number, name, HTTP status, retryable, exit code, text. Log, API and wire all
// speak from it. Numbers are on the wire: never reuse one.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace taskd {

enum class ErrorCode : std::uint16_t {
#define TASKD_ERROR(number, name, http, retryable, exit, text) name = number,
#include "taskd/base/error_table.inc"
#undef TASKD_ERROR
};

struct ErrorRow {
    ErrorCode code;
    std::string_view name;  // snake_case, stable: what programs compare
    int http_status;
    bool retryable;         // the same request may succeed later
    int exit_code;          // of the command line, see README
    std::string_view text;  // one sentence without the particulars
};

const ErrorRow& row_of(ErrorCode code);
const ErrorRow* find_error(std::string_view name);  // nullptr when there is none
std::span<const ErrorRow> error_table();

struct Error {
    ErrorCode code;
    std::string detail;  // the particulars; may be empty

    std::string_view name() const { return row_of(code).name; }
    std::string to_string() const;  // "name: text (detail)"
};

}  // namespace taskd

#include "taskd/base/error.hpp"

#include <algorithm>

#include "taskd/base/assert.hpp"

namespace taskd {
namespace {

constexpr ErrorRow rows[] = {
#define TASKD_ERROR(number, name, http, retryable, exit, text) \
    {ErrorCode::name, #name, http, retryable, exit, text},
#include "taskd/base/error_table.inc"
#undef TASKD_ERROR
};

}  // namespace

std::span<const ErrorRow> error_table() {
    return rows;
}

const ErrorRow& row_of(ErrorCode code) {
    const auto* row = std::ranges::find(rows, code, &ErrorRow::code);
    TASKD_ASSERT(row != std::end(rows));
    return *row;
}

const ErrorRow* find_error(std::string_view name) {
    const auto* row = std::ranges::find(rows, name, &ErrorRow::name);
    return row == std::end(rows) ? nullptr : row;
}

std::string Error::to_string() const {
    const ErrorRow& row = row_of(code);
    std::string text{row.name};
    text.append(": ").append(row.text);
    if (!detail.empty()) text.append(" (").append(detail).append(")");
    return text;
}

}  // namespace taskd

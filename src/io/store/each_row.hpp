// Every row of a statement whose first column holds an encoded value.
#pragma once

#include "io/store/sqlite_db.hpp"

namespace taskd::io {

template <class Decode, class Take>
Result<void> each_row(SqliteStatement& statement, Decode decode, const Take& take) {
    for (;;) {
        const auto row = statement.step();
        if (!row) return std::unexpected{row.error()};
        if (!*row) return {};
        const auto value = decode(statement.bytes(0));
        if (!value) {
            statement.reset();
            return std::unexpected{value.error()};
        }
        take(*value);
    }
}

}  // namespace taskd::io

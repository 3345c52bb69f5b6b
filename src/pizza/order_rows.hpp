// Orders as rows of the order service's store. On the lane.
#pragma once

#include <optional>
#include <vector>

#include "taskd/pizza/order.hpp"

namespace taskd::pizza {

inline constexpr std::string_view orders_table =
    "CREATE TABLE orders(id TEXT PRIMARY KEY, status TEXT NOT NULL, pizza TEXT NOT NULL, "
    "quantity INTEGER NOT NULL, address TEXT NOT NULL, customer TEXT NOT NULL, "
    "cents INTEGER NOT NULL, trace_id TEXT NOT NULL, span_id TEXT NOT NULL, "
    "parent_id TEXT NOT NULL, key TEXT UNIQUE, transaction_id TEXT NOT NULL, "
    "ordered_at INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE INDEX open_orders ON orders(status) WHERE status IN ('PAYING', 'CANCELLING');";

// The few that are open; the first condition is the index's own, which SQLite asks for.
inline constexpr std::string_view where_paying =
    "status IN ('PAYING', 'CANCELLING') AND status = 'PAYING' ORDER BY id LIMIT ?";
inline constexpr std::string_view where_cancelling =
    "status IN ('PAYING', 'CANCELLING') AND status = 'CANCELLING' AND id > ? ORDER BY id LIMIT ?";
inline constexpr std::string_view count_cancelling =
    "SELECT count(*) FROM orders WHERE status IN ('PAYING', 'CANCELLING') "
    "AND status = 'CANCELLING'";

// Of an order whose fate is known; none while it is paid for.
std::optional<OrderEnd> end_of(std::string_view status);
Result<void> insert_order(io::SqliteStore& store, const OrderRow& row);
// `where` with its values: "id = ?".
Result<std::vector<OrderRow>> find_orders(io::SqliteStore& store, std::string_view where,
                                          const std::vector<io::SqlValue>& values);

}  // namespace taskd::pizza

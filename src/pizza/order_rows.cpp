#include "pizza/order_rows.hpp"

#include "taskd/protocol/json.hpp"

namespace taskd::pizza {

std::string OrderRow::to_json() const {
    std::string body;
    protocol::JsonWriter json{body};
    json.begin_object()
        .field("orderId", id)
        .field("status", status == "CANCELLING" ? "ERROR" : status)
        .field("pizza", form.pizza)
        .field("quantity", form.quantity)
        .field("address", form.address)
        .field("customerName", form.customer_name)
        .key("amount")
        .raw(write_cents(form.cents));
    if (!transaction_id.empty()) json.field("transactionId", transaction_id);
    json.field("traceId", trace.trace_id).field("orderedAt", to_rfc3339(ordered_at)).end_object();
    return body;
}

std::optional<OrderEnd> end_of(std::string_view status) {
    if (status == "PAYING") return std::nullopt;
    if (status == "PAYMENT_FAILED") return OrderEnd::declined;
    if (status == "ERROR" || status == "CANCELLING") return OrderEnd::unpaid;
    return OrderEnd::paid;
}

Result<void> insert_order(io::SqliteStore& store, const OrderRow& row) {
    io::SqlValue key;
    if (!row.key.empty()) key = row.key;
    auto done = store.run(
        "INSERT INTO orders VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?)",
        {row.id, row.status, row.form.pizza, row.form.quantity, row.form.address,
         row.form.customer_name, row.form.cents, row.trace.trace_id, row.trace.span_id,
         row.trace.parent_id, key, row.transaction_id, row.ordered_at.time_since_epoch().count()});
    if (!done) return fail(std::move(done));
    return {};
}

Result<std::vector<OrderRow>> find_orders(io::SqliteStore& store, std::string_view where,
                                          const std::vector<io::SqlValue>& values) {
    auto rows = store.rows(
        "SELECT id, status, pizza, quantity, address, customer, cents, trace_id, span_id, "
        "parent_id, key, transaction_id, ordered_at FROM orders WHERE " +
            std::string{where},
        values);
    if (!rows) return fail(std::move(rows));
    std::vector<OrderRow> orders;
    for (const io::SqlRow& row : *rows)
        orders.push_back({row.text(0),
                          row.text(1),
                          {row.text(2), row.number(3), row.text(4), row.text(5), row.number(6)},
                          {row.text(7), row.text(8), row.text(9)},
                          row.text(10),
                          row.text(11),
                          WallTime{Duration{row.number(12)}}});
    return orders;
}

}  // namespace taskd::pizza

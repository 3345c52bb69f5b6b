// What a customer sends: read, and every field that is not right named. Pure.
#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "taskd/base/result.hpp"

namespace taskd::pizza {

enum class Language : std::uint8_t { german, english };
// Of an Accept-Language header (RFC 9110): English where it is preferred to German, else German.
Language language_of(std::string_view accept_language);

struct MenuItem {
    std::string pizza;
    std::int64_t cents = 0;
};
using Menu = std::vector<MenuItem>;
// "Margherita=9.50,Salami=11"; config_invalid.
Result<Menu> parse_menu(std::string_view text);
// In euros with up to two decimals; none when it is none, or not more than nothing.
Result<std::int64_t> parse_cents(std::string_view number);
std::string write_cents(std::int64_t cents);  // "9.5", "17"

struct OrderForm {
    std::string pizza;  // as the menu writes it
    std::int64_t quantity = 0;
    std::string address;
    std::string customer_name;
    std::int64_t cents = 0;  // of all of it
};

struct FieldFault {
    std::string field;
    std::string message;
};
struct FormFaults {
    bool is_json = true;  // else there are no fields to speak of
    std::vector<FieldFault> fields;
};

std::expected<OrderForm, FormFaults> read_order(std::string_view body, const Menu& menu,
                                                Language language);

// What is wrong with an order that an event tells of, by config/pizza/events.asyncapi.yaml; address
// and customer may be missing.
std::optional<std::string> fault_of(std::string_view order_id, std::string_view pizza,
                                    std::int64_t quantity, std::string_view address,
                                    std::string_view customer);

// How an order ended, in the words of the HTTP contract and for the customer.
enum class OrderEnd : std::uint8_t { paid, declined, unpaid };
std::string_view status_of(OrderEnd end);  // "SUCCESS"
std::string_view message_of(OrderEnd end, Language language);

}  // namespace taskd::pizza

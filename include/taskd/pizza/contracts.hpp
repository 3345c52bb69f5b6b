// The contracts in config/pizza, as JSON compiled into the executable.
#pragma once

#include <string_view>

namespace taskd::pizza {

std::string_view order_contract();
std::string_view payment_contract();
std::string_view kitchen_contract();
std::string_view delivery_contract();
std::string_view identity_contract();
std::string_view events_contract();

}  // namespace taskd::pizza

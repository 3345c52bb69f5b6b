#include "taskd/pizza/order_form.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

#include "taskd/base/ids.hpp"
#include "taskd/protocol/json.hpp"

namespace taskd::pizza {
namespace {

constexpr std::int64_t quantity_max = 20;
constexpr std::size_t pizza_chars_max = 100;
constexpr std::size_t name_chars_max = 100;
constexpr std::size_t address_chars_max = 300;
constexpr std::int64_t cents_max = 10'000'000;

std::string_view trim(std::string_view text) {
    const auto first = text.find_first_not_of(" \t");
    if (first == std::string_view::npos) return {};
    return text.substr(first, text.find_last_not_of(" \t") + 1 - first);
}

char lower(char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
}

bool same_word(std::string_view a, std::string_view b) {
    return std::ranges::equal(a, b, {}, lower, lower);
}

// The quality of one entry, in thousandths: "de;q=0.5" is 500.
int quality_of(std::string_view entry) {
    const auto at = entry.find("q=");
    if (at == std::string_view::npos) return 1000;
    double value = 0;
    const std::string_view text = trim(entry.substr(at + 2));
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || !(value >= 0 && value <= 1)) return 0;
    return static_cast<int>(value * 1000);
}

// What is said to a customer, in both languages.
struct Words {
    std::string_view german;
    std::string_view english;
    std::string in(Language language) const {
        return std::string{language == Language::german ? german : english};
    }
};
constexpr Words missing{"fehlt", "is missing"};
constexpr Words no_text{"muss ein Text sein", "must be a text"};
constexpr Words blank{"darf nicht leer sein", "must not be empty"};
constexpr Words too_long{"ist zu lang", "is too long"};
constexpr Words control{"enthält Steuerzeichen", "holds control characters"};
constexpr Words bad_quantity{"muss eine ganze Zahl von 1 bis 20 sein",
                             "must be a whole number from 1 to 20"};
constexpr Words off_menu{"steht nicht auf der Karte", "is not on the menu"};
constexpr Words not_known{"ist kein Feld einer Bestellung", "is no field of an order"};

std::size_t chars_of(std::string_view text) {
    return static_cast<std::size_t>(
        std::ranges::count_if(text, [](char c) { return (c & 0xC0) != 0x80; }));
}

// Reads the fields one by one and gathers what is wrong.
class Reader {
  public:
    Reader(const protocol::JsonFields& fields, Language language)
        : fields_{fields}, language_{language} {}

    std::string text(std::string_view name, std::size_t chars_max) {
        const auto raw = find(name);
        if (!raw) return {};
        if (protocol::kind_of(*raw) != protocol::JsonKind::string) return fault(name, no_text);
        const auto read = protocol::read_string(*raw, name);
        if (!read) return fault(name, no_text);
        const std::string_view value = trim(*read);
        if (value.empty()) return fault(name, blank);
        if (chars_of(value) > chars_max) return fault(name, too_long);
        if (std::ranges::any_of(value, [](char c) { return static_cast<unsigned char>(c) < ' '; }))
            return fault(name, control);
        return std::string{value};
    }

    std::int64_t quantity(std::string_view name) {
        const auto raw = find(name);
        if (!raw) return 0;
        const auto read = protocol::read_integer(*raw, name, 1, quantity_max);
        if (!read) fault(name, bad_quantity);
        return read.value_or(0);
    }

    void no_others(std::span<const std::string_view> known) {
        for (const auto& [name, raw] : fields_)
            if (std::ranges::find(known, name) == known.end()) fault(name, not_known);
    }

    std::string fault(std::string_view name, const Words& words) {
        faults.push_back({std::string{name}, words.in(language_)});
        return {};
    }

    std::vector<FieldFault> faults;

  private:
    std::optional<std::string_view> find(std::string_view name) {
        const auto found = std::ranges::find(
            fields_, name, [](const auto& it) -> const std::string& { return it.first; });
        if (found != fields_.end() && found->second != "null") return found->second;
        fault(name, missing);
        return std::nullopt;
    }

    const protocol::JsonFields& fields_;
    Language language_;
};

}  // namespace

Language language_of(std::string_view accept) {
    int german = 0;
    int english = 0;
    while (!accept.empty()) {
        const std::string_view entry = accept.substr(0, accept.find(','));
        accept.remove_prefix(std::min(accept.size(), entry.size() + 1));
        const std::string_view tag = trim(entry.substr(0, entry.find(';')));
        const std::string_view language = tag.substr(0, tag.find('-'));
        if (same_word(language, "de")) german = std::max(german, quality_of(entry));
        if (same_word(language, "en")) english = std::max(english, quality_of(entry));
    }
    return english > german ? Language::english : Language::german;
}

Result<std::int64_t> parse_cents(std::string_view text) {
    const auto wrong = [&] { return fail(ErrorCode::invalid_field, std::string{text}); };
    const std::size_t point = std::min(text.find('.'), text.size());
    const std::string_view euros = text.substr(0, point);
    std::string_view rest = text.substr(std::min(text.size(), point + 1));
    std::int64_t cents = 0;
    if (euros.starts_with('-')) return wrong();
    const auto [end, error] = std::from_chars(euros.data(), euros.data() + euros.size(), cents);
    if (error != std::errc{} || end != euros.data() + euros.size()) return wrong();
    if (cents > cents_max || rest.size() > 15) return wrong();
    if (point + 1 == text.size()) return wrong();
    cents *= 100;
    for (std::int64_t worth = 10; !rest.empty(); worth /= 10, rest.remove_prefix(1)) {
        const int digit = rest.front() - '0';
        // More decimals than a cent has say nothing, or it is no sum of money.
        if (digit < 0 || digit > 9 || (worth == 0 && digit != 0)) return wrong();
        cents += worth * digit;
    }
    if (cents == 0 || cents > cents_max) return wrong();
    return cents;
}

std::optional<std::string> fault_of(std::string_view order_id, std::string_view pizza,
                                    std::int64_t quantity, std::string_view address,
                                    std::string_view customer) {
    const auto id = TaskId::parse(order_id);
    if (!id || id->to_string() != order_id) return "orderId";
    if (pizza.empty() || chars_of(pizza) > pizza_chars_max) return "pizza";
    if (quantity < 1 || quantity > quantity_max) return "quantity";
    if (chars_of(address) > address_chars_max) return "address";
    if (chars_of(customer) > name_chars_max) return "customerName";
    return std::nullopt;
}

std::string write_cents(std::int64_t cents) {
    std::string text = std::to_string(cents / 100);
    if (cents % 100 == 0) return text;
    text += '.';
    text += static_cast<char>('0' + cents % 100 / 10);
    if (cents % 10 != 0) text += static_cast<char>('0' + cents % 10);
    return text;
}

Result<Menu> parse_menu(std::string_view text) {
    Menu menu;
    while (!text.empty()) {
        const std::string_view entry = text.substr(0, text.find(','));
        text.remove_prefix(std::min(text.size(), entry.size() + 1));
        const std::size_t sign = std::min(entry.find('='), entry.size());
        const std::string_view name = trim(entry.substr(0, sign));
        const auto cents = parse_cents(trim(entry.substr(std::min(entry.size(), sign + 1))));
        if (name.empty() || !cents)
            return fail(ErrorCode::config_invalid,
                        "the menu takes PIZZA=EUROS, not '" + std::string{entry} + "'");
        menu.push_back({std::string{name}, *cents});
    }
    if (menu.empty()) return fail(ErrorCode::config_invalid, "the menu is empty");
    return menu;
}

std::expected<OrderForm, FormFaults> read_order(std::string_view body, const Menu& menu,
                                                Language language) {
    if (!protocol::check_json(body)) return std::unexpected{FormFaults{.is_json = false}};
    const auto fields = protocol::split_object(body);
    if (!fields) return std::unexpected{FormFaults{.is_json = false}};
    constexpr std::array<std::string_view, 4> names{"pizza", "quantity", "address", "customerName"};
    Reader reader{*fields, language};
    OrderForm form;
    form.pizza = reader.text("pizza", pizza_chars_max);
    form.quantity = reader.quantity("quantity");
    form.address = reader.text("address", address_chars_max);
    form.customer_name = reader.text("customerName", name_chars_max);
    reader.no_others(names);
    if (!form.pizza.empty()) {
        const auto found = std::ranges::find_if(
            menu, [&](const MenuItem& item) { return same_word(item.pizza, form.pizza); });
        if (found == menu.end()) {
            reader.fault("pizza", off_menu);
        } else {
            form.pizza = found->pizza;
            form.cents = found->cents * form.quantity;
        }
    }
    if (!reader.faults.empty()) return std::unexpected{FormFaults{true, std::move(reader.faults)}};
    return form;
}

std::string_view status_of(OrderEnd end) {
    switch (end) {
        case OrderEnd::paid:
            return "SUCCESS";
        case OrderEnd::declined:
            return "PAYMENT_FAILED";
        case OrderEnd::unpaid:
            return "ERROR";
    }
    return {};
}

std::string_view message_of(OrderEnd end, Language language) {
    const bool german = language == Language::german;
    switch (end) {
        case OrderEnd::paid:
            return german ? "Danke! Die Bestellung ist bezahlt und geht in die Küche"
                          : "Thank you! Your order is paid and goes to the kitchen";
        case OrderEnd::declined:
            return german ? "Die Zahlung wurde abgelehnt" : "The payment was declined";
        case OrderEnd::unpaid:
            return german ? "Zahlungssystem antwortet nicht, bitte später versuchen"
                          : "The payment system does not answer, please try again later";
    }
    return {};
}

}  // namespace taskd::pizza

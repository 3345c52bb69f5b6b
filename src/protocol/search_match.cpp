#include "taskd/protocol/search_match.hpp"

#include <algorithm>
#include <charconv>
#include <compare>

#include "taskd/protocol/json.hpp"
#include "taskd/protocol/json_view.hpp"

namespace taskd::protocol {
namespace {

char lower(char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

bool contains(std::string_view text, std::string_view part) {
    const auto found = std::ranges::search(text, part, {}, lower, lower);
    return part.empty() || !found.empty();
}

bool is_text(std::string_view text, const SearchValue& value) {
    return value.prefix ? text.starts_with(value.text) : text == value.text;
}

template <class Number>
bool compares(Comparison how, const Number& found, const Number& asked) {
    const std::partial_ordering order = found <=> asked;
    switch (how) {
        case Comparison::equal:
            return order == 0;
        case Comparison::less:
            return order < 0;
        case Comparison::less_or_equal:
            return order <= 0;
        case Comparison::greater:
            return order > 0;
        case Comparison::greater_or_equal:
            return order >= 0;
    }
    return false;
}

std::optional<double> read_double(std::string_view text) {
    double value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
    return value;
}

// A text and the value meet as texts; anything else as numbers, or as it is written.
bool is_scalar(const JsonView& found, Comparison how, const SearchValue& value) {
    const JsonKind kind = kind_of(found.raw());
    if (kind == JsonKind::string) {
        const std::string text = found.text();
        return how == Comparison::equal ? is_text(text, value) : compares(how, text, value.text);
    }
    if (value.quoted) return false;
    if (how == Comparison::equal && is_text(found.raw(), value)) return true;
    if (kind != JsonKind::number || value.prefix) return false;
    const auto a = read_double(found.raw());
    const auto b = read_double(value.text);
    return a && b && compares(how, *a, *b);
}

bool is_json(std::string_view json, const SearchTerm& term, const SearchValue& value) {
    JsonView found{json};
    for (const PathStep& step : term.path) {
        if (const auto* name = std::get_if<std::string>(&step)) {
            found = found[*name];
            continue;
        }
        const auto items = found.items();
        const std::uint64_t index = std::get<std::uint64_t>(step);
        found = index < items.size() ? items[index] : JsonView{};
    }
    if (found.raw().empty()) return false;
    const auto meets = [&](const JsonView& one) { return is_scalar(one, term.comparison, value); };
    if (kind_of(found.raw()) == JsonKind::array) return std::ranges::any_of(found.items(), meets);
    return kind_of(found.raw()) != JsonKind::object && meets(found);
}

bool is_error(const Task& task, const SearchValue& value) {
    return task.error &&
           (contains(task.error->code, value.text) || contains(task.error->message, value.text));
}

bool is_worker(const Task& task, const SearchValue& value) {
    return std::ranges::any_of(
        task.attempts, [&](const Attempt& attempt) { return is_text(attempt.worker, value); });
}

bool is_id(const TaskId& id, const SearchValue& value) {
    SearchValue asked = value;
    std::ranges::transform(asked.text, asked.text.begin(), lower);
    return is_text(id.to_string(), asked);
}

bool meets(const SearchTerm& term, const SearchValue& value, const Task& task, WallTime now) {
    const auto number = [&](std::int64_t found) {
        return compares(term.comparison, found, value.number);
    };
    switch (term.field) {
        case SearchField::state:
            return task.state == value.state;
        case SearchField::type:
            return is_text(task.spec.type, value);
        case SearchField::id:
            return is_id(task.spec.id, value);
        case SearchField::group:
            return task.spec.group && is_id(*task.spec.group, value);
        case SearchField::worker:
            return is_worker(task, value);
        case SearchField::error:
            return is_error(task, value);
        case SearchField::age:
            return compares(term.comparison, now - task.submitted_at, value.span);
        case SearchField::priority:
            return number(task.priority);
        case SearchField::attempts:
            return number(task.attempts_made);
        case SearchField::key:
            return is_text(task.spec.key, value);
        case SearchField::label: {
            const auto label = task.spec.labels.find(value.name);
            return label != task.spec.labels.end() && (value.any || is_text(label->second, value));
        }
        case SearchField::payload:
            return is_json(task.spec.payload.view(), term, value);
        case SearchField::result:
            return is_json(task.result.view(), term, value);
    }
    return false;
}

}  // namespace

bool matches(const Search& search, const Task& task, WallTime now) {
    return std::ranges::all_of(search.terms, [&](const SearchTerm& term) {
        const bool any = std::ranges::any_of(
            term.values, [&](const SearchValue& value) { return meets(term, value, task, now); });
        return any != term.negated;
    });
}

}  // namespace taskd::protocol

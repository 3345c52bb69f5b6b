#include "io/store/view_search.hpp"

#include <algorithm>

#include "taskd/protocol/search_match.hpp"

namespace taskd::io {
namespace {

constexpr TaskState all_states[] = {TaskState::scheduled, TaskState::queued, TaskState::running,
                                    TaskState::succeeded, TaskState::dead,   TaskState::cancelled,
                                    TaskState::expired};

bool is_hex(char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}
bool is_dash_place(std::size_t place) {
    return place == 8 || place == 13 || place == 18 || place == 23;
}

Search only(const Search& search, SearchField field) {
    Search some;
    std::ranges::copy_if(search.terms, std::back_inserter(some.terms),
                         [field](const SearchTerm& term) { return term.field == field; });
    return some;
}

// Any of these words and nothing else.
bool names(const SearchTerm& term, SearchField field) {
    return term.field == field && !term.negated &&
           std::ranges::none_of(term.values, &SearchValue::prefix);
}

}  // namespace

bool fits_at(std::string_view part, std::size_t begin) {
    for (std::size_t i = 0; i < part.size(); ++i)
        if (is_dash_place(begin + i) ? part[i] != '-' : !is_hex(part[i])) return false;
    return true;
}

std::string id_bytes(std::string_view part, char digit) {
    std::string digits;
    for (const char c : part)
        if (c != '-') digits += c;
    digits.resize(32, digit);
    const auto value = [](char c) { return c <= '9' ? c - '0' : c - 'a' + 10; };
    std::string bytes;
    for (std::size_t i = 0; i < digits.size(); i += 2)
        bytes += static_cast<char>(value(digits[i]) << 4 | value(digits[i + 1]));
    return bytes;
}

TaskId id_before(const TaskId& id) {
    std::string bytes{id.bytes()};
    for (std::size_t i = bytes.size(); i-- > 0;)
        if (bytes[i]-- != '\0') break;
    return TaskId::from_bytes(bytes);
}

SearchPlan::SearchPlan(const TaskQuery& query)
    : type_{query.type}, type_terms_{only(query.search, SearchField::type)} {
    const Search of_state = only(query.search, SearchField::state);
    for (const TaskState state : all_states) {
        Task task;
        task.state = state;
        if ((!query.state || *query.state == state) && protocol::matches(of_state, task, query.now))
            states.push_back(state);
    }
    for (const SearchTerm& term : query.search.terms) {
        const bool exact = term.field == SearchField::type || term.field == SearchField::state;
        needs_row = needs_row || !exact;
        needs_json = needs_json || !term.path.empty();
        if (keys.empty() && names(term, SearchField::key))
            for (const SearchValue& value : term.values)
                if (std::ranges::find(keys, value.text) == keys.end()) keys.push_back(value.text);
        if (term.field == SearchField::id && !term.negated) narrow_ids(term);
        if (groups.empty() && names(term, SearchField::group)) take_groups(term);
    }
    if (!groups.empty()) keys.clear();
    by_type =
        keys.empty() && groups.empty() &&
        (!type_.empty() || !type_terms_.terms.empty() || states.size() < std::size(all_states));
    if (!by_type && (!type_.empty() || query.state)) needs_row = true;
}

// Unless a word is no whole id: then rows are looked at.
void SearchPlan::take_groups(const SearchTerm& term) {
    for (const SearchValue& value : term.values) {
        const auto id = GroupId::parse(value.text);
        if (!id) return groups.clear();
        if (std::ranges::find(groups, *id) == groups.end()) groups.push_back(*id);
    }
}

bool SearchPlan::takes_type(const std::string& type) const {
    if (!type_.empty() && type != type_) return false;
    Task task;
    task.spec.type = type;
    return protocol::matches(type_terms_, task, {});
}

// From the least to the greatest id that any of the words may mean.
void SearchPlan::narrow_ids(const SearchTerm& term) {
    constexpr std::size_t id_text_size = 36;
    std::optional<TaskId> least, most;
    for (const SearchValue& value : term.values) {
        std::string part = value.text;
        for (char& c : part)
            if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
        if (part.size() > id_text_size || !fits_at(part, 0)) continue;
        const TaskId begin = TaskId::from_bytes(id_bytes(part, '0'));
        const TaskId end = TaskId::from_bytes(id_bytes(part, 'f'));
        least = std::min(begin, least.value_or(begin));
        most = std::max(end, most.value_or(end));
    }
    // No word is an id: nothing is meant.
    const TaskId none;
    low = std::max(least.value_or(none), low.value_or(none));
    high = std::min(most.value_or(none), high.value_or(most.value_or(none)));
}

}  // namespace taskd::io

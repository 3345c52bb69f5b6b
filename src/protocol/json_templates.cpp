#include "taskd/protocol/json_templates.hpp"

#include <span>
#include <unordered_set>

#include "protocol/condition.hpp"
#include "protocol/json_cursor.hpp"
#include "protocol/resolve.hpp"
#include "taskd/protocol/json.hpp"

namespace taskd::protocol {
namespace {

constexpr auto npos = std::string_view::npos;
constexpr std::string_view nothing = "null";

bool asks_for_ending(const Reference& reference) {
    const auto* first =
        reference.path.empty() ? nullptr : std::get_if<std::string>(&reference.path.front());
    return first != nullptr && first->starts_with('@');
}

// What a step came to, or its state or error; the steps of the path that this took are dropped.
// A view of what was found, or of `own`.
Result<std::string_view> begin_of(const Reference& reference, const Referred& referred,
                                  std::span<const PathStep>& path, std::string& own) {
    const bool is_step = !referred.state.empty();
    const auto* first = path.empty() ? nullptr : std::get_if<std::string>(&path.front());
    if (is_step && asks_for_ending(reference)) {
        path = path.subspan(1);
        if (*first == "@error") {
            if (!referred.error.empty()) return referred.error;
            path = {};  // of an error that is not there, nothing is there either
            return nothing;
        }
        if (*first != "@state")
            return unresolved(reference.written, "only @state and @error are known");
        append_json_string(own, referred.state);
        return std::string_view{own};
    }
    if (is_step && first != nullptr && *first == "result") path = path.subspan(1);
    if (!referred.result.empty()) return referred.result;
    std::string why{reference.name};
    why += " has no result";
    if (is_step) why.append(", it is ").append(referred.state);
    return unresolved(reference.written, why);
}

std::string missing_field(const std::string& name, std::string_view value) {
    if (kind_of(value) == JsonKind::object) return "there is no field '" + shown(name) + "'";
    return "'" + shown(name) + "' is asked of what has no fields";
}

std::string missing_element(std::size_t index, std::string_view value) {
    if (kind_of(value) == JsonKind::array)
        return "there is no element " + std::to_string(index) + ", they count from 0";
    return "element " + std::to_string(index) + " is asked of what is no list";
}

}  // namespace

Result<std::string> resolve(const Reference& reference, const FindReferred& find) {
    const auto referred =
        find(reference.name, asks_for_ending(reference) ? Ask::ending : Ask::result);
    if (!referred) {
        std::string why{"there is no '"};
        return unresolved(reference.written, why + shown(reference.name) + "'");
    }
    if (referred->away) return std::string{nothing};
    std::span<const PathStep> path{reference.path};
    std::string own;
    auto begin = begin_of(reference, *referred, path, own);
    if (!begin) return fail(std::move(begin));
    std::string_view value = *begin;
    for (const PathStep& step : path) {
        if (const auto* name = std::get_if<std::string>(&step)) {
            const auto found = field_of(value, *name);
            if (!found) return unresolved(reference.written, missing_field(*name, value));
            value = *found;
        } else {
            const std::size_t index = std::get<std::size_t>(step);
            const auto found = element_of(value, index);
            if (!found) return unresolved(reference.written, missing_element(index, value));
            value = *found;
        }
    }
    return std::string{value};
}

namespace {

void append_as_text(std::string& out, std::string_view json) {
    if (kind_of(json) == JsonKind::string)
        out += text_of(json);
    else
        out += json;
}

Result<std::string> join(const std::vector<TextPart>& parts, const FindReferred& find) {
    std::string out;
    for (const TextPart& part : parts) {
        if (const auto* words = std::get_if<std::string>(&part)) {
            out += *words;
            continue;
        }
        auto value = resolve(std::get<Reference>(part), find);
        if (!value) return value;
        append_as_text(out, *value);
    }
    return out;
}

// A raw string with references in it, as what it becomes.
Result<void> fill_string(std::string& out, std::string_view raw, bool is_name,
                         const FindReferred& find) {
    std::string unescaped;
    std::string_view text = raw.substr(1, raw.size() - 2);
    if (text.find('\\') != npos) {
        unescaped = text_of(raw);
        text = unescaped;
    }
    const auto parts = split_text(text);
    if (!parts) return fail(Result<void>{std::unexpect, parts.error()});
    const auto* only = parts->size() == 1 ? std::get_if<Reference>(&parts->front()) : nullptr;
    auto value = only != nullptr && !is_name ? resolve(*only, find) : join(*parts, find);
    if (!value) return fail(std::move(value));
    if (only != nullptr && !is_name)
        out += *value;
    else
        append_json_string(out, *value);
    return {};
}

std::unexpected<Error> too_large(std::size_t bytes_max) {
    return fail(ErrorCode::task_too_large, "with its references filled in it is larger than " +
                                               std::to_string(bytes_max) + " bytes");
}

}  // namespace

Result<std::string> fill_text(std::string_view text, const FindReferred& find) {
    const auto parts = split_text(text);
    if (!parts) return fail(Result<std::string>{std::unexpect, parts.error()});
    return join(*parts, find);
}

Result<std::string> JsonTemplates::fill(std::string_view json, const FindReferred& find,
                                        std::size_t bytes_max) const {
    std::string out;
    std::size_t at = 0;    // looked at
    std::size_t kept = 0;  // written
    for (std::size_t mark = json.find("${"); mark != npos; mark = json.find("${", at)) {
        // The string that the mark stands in: every one before it is whole.
        std::size_t end = at;
        std::size_t begin = at;
        while (end <= mark) {
            begin = json.find('"', end);
            end = begin == npos ? npos : end_of_string(json, begin);
            if (end == npos) return fail(ErrorCode::bad_json, "a text has no end");
        }
        out.append(json.substr(kept, begin - kept));
        const std::size_t next = skip_blanks(json, end);
        const bool is_name = next < json.size() && json[next] == ':';
        if (auto done = fill_string(out, json.substr(begin, end - begin), is_name, find); !done)
            return fail(std::move(done));
        if (out.size() > bytes_max) return too_large(bytes_max);
        at = kept = end;
    }
    out.append(json.substr(kept));
    if (out.size() > bytes_max) return too_large(bytes_max);
    return out;
}

Result<bool> JsonTemplates::holds(std::string_view condition, const FindReferred& find) const {
    return evaluate(condition, &find);
}

Result<std::vector<std::string>> JsonTemplates::elements(std::string_view json) const {
    const std::size_t at = skip_blanks(json, 0);
    if (at == json.size() || json[at] != '[')
        return fail(ErrorCode::not_a_list, shown(json.substr(at)));
    const auto found = split_array(json);
    if (!found) return fail(ErrorCode::not_a_list, found.error().detail);
    return std::vector<std::string>{found->begin(), found->end()};
}

bool JsonTemplates::is_json(std::string_view text) const {
    return check_json(text).has_value();
}

std::string JsonTemplates::quoted(std::string_view text) const {
    std::string out;
    append_json_string(out, text);
    return out;
}

std::vector<std::string> JsonTemplates::names(std::string_view text) const {
    std::vector<std::string> found;
    std::unordered_set<std::string_view> seen;
    for (std::size_t at = text.find('$'); at != npos; at = text.find('$', at)) {
        const std::string_view rest = text.substr(at);
        at += rest.starts_with("$${") ? 3 : 1;
        if (!rest.starts_with("${")) continue;
        std::string_view name = rest.substr(2);
        name = name.substr(0, name.find_first_of(".[]{}\"\n"));
        while (name.starts_with(' '))
            name.remove_prefix(1);
        while (name.ends_with(' '))
            name.remove_suffix(1);
        if (!name.empty() && seen.insert(name).second) found.emplace_back(name);
    }
    return found;
}

Result<void> check_condition(std::string_view condition) {
    if (auto held = evaluate(condition, nullptr); !held) return fail(std::move(held));
    return {};
}

}  // namespace taskd::protocol

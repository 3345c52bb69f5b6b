#include "taskd/model/search.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

#include "taskd/base/duration_text.hpp"
#include "taskd/base/limits.hpp"
#include "taskd/base/nearest.hpp"

namespace taskd {
namespace {

enum class Values { state, text, span, number, json, label };

struct FieldRow {
    std::string_view name;
    SearchField field;
    Values values;
    bool ordered;  // takes < and >
};

constexpr std::array<FieldRow, 14> rows{{{"state", SearchField::state, Values::state, false},
                                         {"type", SearchField::type, Values::text, false},
                                         {"queue", SearchField::type, Values::text, false},
                                         {"id", SearchField::id, Values::text, false},
                                         {"worker", SearchField::worker, Values::text, false},
                                         {"error", SearchField::error, Values::text, false},
                                         {"age", SearchField::age, Values::span, true},
                                         {"priority", SearchField::priority, Values::number, true},
                                         {"attempts", SearchField::attempts, Values::number, true},
                                         {"payload", SearchField::payload, Values::json, true},
                                         {"result", SearchField::result, Values::json, true},
                                         {"key", SearchField::key, Values::text, false},
                                         {"group", SearchField::group, Values::text, false},
                                         {"label", SearchField::label, Values::label, false}}};

constexpr const FieldRow& error_row = rows[5];
static_assert(error_row.field == SearchField::error);

constexpr std::array<TaskState, 7> all_states{
    TaskState::scheduled, TaskState::queued,    TaskState::running, TaskState::succeeded,
    TaskState::dead,      TaskState::cancelled, TaskState::expired};

bool is_blank(char c) {
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

class Parser {
  public:
    explicit Parser(std::string_view text) : text_{text} {}

    Result<Search> parse() {
        Search search;
        while (true) {
            while (at_ < text_.size() && is_blank(text_[at_]))
                ++at_;
            if (at_ == text_.size()) return search;
            if (search.terms.size() == limits::search_terms_max)
                return fail(
                    ErrorCode::invalid_field,
                    "a search has at most " + std::to_string(limits::search_terms_max) + " terms");
            begin_ = at_;
            auto term = parse_term();
            if (!term) return fail(std::move(term));
            search.terms.push_back(std::move(*term));
        }
    }

  private:
    std::unexpected<Error> fault(std::string why) const {
        std::size_t end = begin_;
        while (end < text_.size() && !is_blank(text_[end]))
            ++end;
        return fail(ErrorCode::invalid_field,
                    "in '" + std::string{text_.substr(begin_, end - begin_)} + "': " + why);
    }

    bool more() const { return at_ < text_.size() && !is_blank(text_[at_]); }
    bool take(char c) {
        if (!more() || text_[at_] != c) return false;
        ++at_;
        return true;
    }

    Result<SearchTerm> parse_term() {
        SearchTerm term;
        term.negated = take('-');
        const std::size_t name_begin = at_;
        while (more() && std::string_view{":=<>\"!,"}.find(text_[at_]) == std::string_view::npos)
            ++at_;
        const std::string_view name = text_.substr(name_begin, at_ - name_begin);
        if (!more() || text_[at_] == '"' || text_[at_] == ',') {  // a word alone
            at_ = name_begin;
            term.field = SearchField::error;
            return parse_values(std::move(term), error_row);
        }
        const auto row = parse_field(name, term);
        if (!row) return std::unexpected{row.error()};
        if (auto read = parse_comparison(term, **row); !read) return std::unexpected{read.error()};
        return parse_values(std::move(term), **row);
    }

    Result<const FieldRow*> parse_field(std::string_view name, SearchTerm& term) {
        const std::size_t end = std::min(name.find_first_of(".["), name.size());
        const auto row = std::ranges::find(rows, name.substr(0, end), &FieldRow::name);
        if (row == rows.end()) {
            std::vector<std::string_view> names;
            for (const FieldRow& known : rows)
                names.push_back(known.name);
            return fault("there is no field '" + std::string{name} + "'" +
                         meant_instead(name, names));
        }
        term.field = row->field;
        const bool has_path = end < name.size();
        if (has_path != (row->values == Values::json))
            return fault(has_path ? "this field has no parts"
                                  : "say which part: " + std::string{name} + ".NAME");
        if (auto path = parse_path(name.substr(end), term); !path)
            return std::unexpected{path.error()};
        return &*row;
    }

    Result<void> parse_path(std::string_view rest, SearchTerm& term) {
        while (!rest.empty()) {
            const bool element = rest.front() == '[';
            rest.remove_prefix(1);
            const std::size_t end =
                std::min(element ? rest.find(']') : rest.find_first_of(".["), rest.size());
            const std::string_view step = rest.substr(0, end);
            if (step.empty()) return fault("a part of the path is empty");
            if (element) {
                std::uint64_t index = 0;
                const auto [stop, error] =
                    std::from_chars(step.data(), step.data() + step.size(), index);
                if (end == rest.size() || error != std::errc{} ||
                    stop != step.data() + step.size() || index > limits::search_index_max)
                    return fault("an element is [NUMBER]");
                term.path.emplace_back(index);
                rest.remove_prefix(end + 1);
                if (!rest.empty() && rest.front() != '.' && rest.front() != '[')
                    return fault("after an element comes . or [");
            } else {
                term.path.emplace_back(std::string{step});
                rest.remove_prefix(end);
            }
            if (term.path.size() > limits::search_steps_max) return fault("the path is too long");
        }
        return {};
    }

    Result<void> parse_comparison(SearchTerm& term, const FieldRow& row) {
        if (take('!')) {
            if (!take('=')) return fault("after ! comes =");
            term.negated = !term.negated;
            return {};
        }
        if (take(':') || take('=')) return {};
        const bool less = take('<');
        if (!less) take('>');
        const bool or_equal = take('=');
        if (!row.ordered) return fault("this field has no order, only : and !=");
        term.comparison = less       ? or_equal ? Comparison::less_or_equal : Comparison::less
                          : or_equal ? Comparison::greater_or_equal
                                     : Comparison::greater;
        return {};
    }

    Result<SearchTerm> parse_values(SearchTerm term, const FieldRow& row) {
        do {
            auto value = parse_value(row);
            if (!value) return fail(std::move(value));
            term.values.push_back(std::move(*value));
            if (term.values.size() > limits::search_values_max)
                return fault("a list has at most " + std::to_string(limits::search_values_max) +
                             " values");
        } while (take(','));
        if (more()) return fault("a blank is missing after the value");
        if (term.comparison != Comparison::equal) {
            if (term.values.size() > 1) return fault("an order takes one value, not a list");
            if (term.values.front().prefix) return fault("an order takes no *");
        }
        return term;
    }

    Result<SearchValue> parse_value(const FieldRow& row) {
        SearchValue value;
        value.quoted = take('"');
        if (value.quoted) {
            if (!read_quoted(value.text)) return fault("a quote is not closed");
        } else {
            while (more() && text_[at_] != ',')
                value.text.push_back(text_[at_++]);
            if (value.text.empty()) return fault("a value is missing");
            const bool may_continue = row.values == Values::text || row.values == Values::json ||
                                      row.values == Values::label;
            if (may_continue && value.text.ends_with('*')) {
                value.prefix = true;
                value.text.pop_back();
            }
        }
        return understand(row, std::move(value));
    }

    // A quoted value may hold blanks; \" and \\ stand for themselves.
    bool read_quoted(std::string& out) {
        for (; at_ < text_.size(); ++at_) {
            char c = text_[at_];
            if (c == '"') {
                ++at_;
                return true;
            }
            if (c == '\\' && at_ + 1 < text_.size()) c = text_[++at_];
            out.push_back(c);
        }
        return false;
    }

    Result<SearchValue> understand(const FieldRow& row, SearchValue value) const {
        if (row.values == Values::state) {
            const auto state = parse_task_state(value.text);
            if (!state) {
                std::vector<std::string_view> names;
                for (const TaskState known : all_states)
                    names.push_back(to_text(known));
                return fault("'" + value.text + "' is no state" + meant_instead(value.text, names));
            }
            value.state = *state;
        } else if (row.values == Values::span) {
            const auto span = parse_duration(value.text);
            if (!span) return fault("'" + value.text + "' is no duration, as 90s, 15m, 2h or 7d");
            value.span = *span;
        } else if (row.values == Values::number) {
            const char* last = value.text.data() + value.text.size();
            const auto [end, error] = std::from_chars(value.text.data(), last, value.number);
            if (error != std::errc{} || end != last)
                return fault("'" + value.text + "' is no whole number");
        } else if (row.values == Values::label) {
            const std::size_t sign = value.text.find('=');
            value.any = sign == std::string::npos;
            value.name = value.text.substr(0, sign);
            value.text = value.any ? std::string{} : value.text.substr(sign + 1);
            if (value.name.empty()) return fault("a label is NAME=VALUE, or NAME alone");
            if (value.any && value.prefix) return fault("the name of a label takes no *");
        }
        return value;
    }

    std::string_view text_;
    std::size_t at_ = 0;
    std::size_t begin_ = 0;  // of the present term
};

}  // namespace

Result<Search> parse_search(std::string_view text) {
    if (text.size() > limits::search_bytes_max)
        return fail(ErrorCode::invalid_field,
                    "a search has at most " + std::to_string(limits::search_bytes_max) + " bytes");
    return Parser{text}.parse();
}

}  // namespace taskd

// What a task says of itself: what is done, with what, how often, how long.
#include <algorithm>
#include <array>
#include <charconv>

#include "protocol/workflow/fields.hpp"
#include "protocol/workflow/steps.hpp"
#include "taskd/protocol/json_templates.hpp"

namespace taskd::protocol::workflow {
namespace {

using namespace std::chrono_literals;

// The place of what a JSON pointer names, or of the last thing on its way that is there.
const std::string& place_within(const Document& value, std::string_view path) {
    const Document* at = &value;
    while (path.starts_with('/') && path.size() > 1) {
        const std::size_t end = std::min(path.find('/', 1), path.size());
        const std::string_view name = path.substr(1, end - 1);
        path.remove_prefix(end);
        std::size_t index = 0;
        const auto [last, error] = std::from_chars(name.data(), name.data() + name.size(), index);
        const DocumentField* field = find_field(*at, name);
        if (field != nullptr)
            at = &field->value;
        else if (error == std::errc{} && index < at->items.size())
            at = &at->items[index];
        else
            break;
    }
    return at->place;
}

class TaskReader {
  public:
    TaskReader(Scope& scope, StepIndex index)
        : scope_{scope},
          draft_{scope.drafts[index]},
          plan_{scope.plan.steps[index]},
          document_{*draft_.document} {}

    Result<void> read() {
        Result<void> done = type();
        if (done) done = items();
        if (done) done = payload(field("for_each") != nullptr);
        if (done) done = times();
        if (done) done = key_and_labels();
        if (!done) return done;
        const auto retry = find_one(document_, {"retry", "retry_config"});
        if (!retry) return std::unexpected{retry.error()};
        if (*retry != nullptr)
            if (auto read = read_retry((*retry)->value, plan_.task); !read) return read;
        const DocumentField* priority = field("priority");
        if (priority == nullptr) return {};
        const auto level = read_priority(scope_, priority->value);
        if (!level) return std::unexpected{level.error()};
        plan_.task.priority = *level;
        return {};
    }

  private:
    const DocumentField* field(std::string_view name) const { return find_field(document_, name); }

    TextPlace text_place(bool has_item = false) { return {draft_.uses, has_item, &plan_.name}; }

    Result<void> type() {
        const auto said = find_one(document_, {"type", "method"});
        if (!said) return std::unexpected{said.error()};
        const DocumentField* protocol = field("protocol");
        std::string& type = plan_.task.type;
        type = (*said)->value.text;
        if (protocol != nullptr) {
            if ((*said)->name == "type")
                return fault(protocol->place, "'protocol' goes with 'method', not with 'type'");
            const std::string& text = protocol->value.text;
            if (type.find('/') == std::string::npos)
                type = text.substr(0, text.find('/')) + "/" + type;
        }
        if ((*said)->value.kind == DocumentKind::scalar && is_type_name(type)) return {};
        return fault((*said)->value.place,
                     "the type of a task has 1 to 128 of A-Z a-z 0-9 . _ - "
                     "/, and begins with no '.' and no '/'");
    }

    Result<void> payload(bool has_item) {
        const auto said = find_one(document_, {"payload", "parameters", "params"});
        if (!said) return std::unexpected{said.error()};
        if (*said == nullptr) {
            plan_.task.payload = Blob{"null"};
            return match(document_);
        }
        const Document& value = (*said)->value;
        const bool is_map = value.kind == DocumentKind::map || value.kind == DocumentKind::null;
        if ((*said)->name != "payload" && !is_map)
            return fault(value.place, (*said)->name + " is a map; payload is any value");
        auto json = read_json(scope_, value, text_place(has_item));
        if (!json) return fail(std::move(json));
        plan_.task.payload = Blob{std::move(*json)};
        return match(value);
    }

    // As far as it can be known: what references become is seen when the step begins.
    Result<void> match(const Document& value) const {
        const auto& schemas = scope_.all.options.schemas;
        const auto schema = schemas.find(plan_.task.type);
        if (schema == schemas.end()) return {};
        const auto matched = schema->second.check_template(plan_.task.payload.view());
        if (matched) return {};
        const std::string& what = matched.error().detail;
        return fault(place_within(value, what.substr(0, what.find(": "))),
                     plan_.task.type + ": " + what, matched.error().code);
    }

    Result<void> items() {
        const DocumentField* each = field("for_each");
        const DocumentField* most = field("in_flight");
        if (most != nullptr && each == nullptr)
            return fault(most->place, "'in_flight' goes with 'for_each'");
        if (each == nullptr) return {};
        const Document& value = each->value;
        if (value.items.size() > limits::workflow_items_max)
            return fault(
                value.place,
                "there are more than " + std::to_string(limits::workflow_items_max) + " items",
                ErrorCode::too_many_steps);
        const auto parts = split_text(value.text);
        const bool is_reference = value.kind == DocumentKind::scalar && parts &&
                                  parts->size() == 1 &&
                                  std::holds_alternative<Reference>(parts->front());
        const bool is_faulty = value.kind == DocumentKind::scalar && !parts;
        if (value.kind != DocumentKind::list && !is_reference && !is_faulty)
            return fault(value.place, "for_each is a list, or one reference to a list",
                         ErrorCode::not_a_list);
        auto json = read_json(scope_, value, text_place());
        if (!json) return fail(std::move(json));
        plan_.for_each = Blob{std::move(*json)};
        if (is_reference)
            if (auto checked = given_list(value); !checked) return checked;
        if (most == nullptr) return {};
        const auto number = read_whole(most->value, "in_flight", 1,
                                       static_cast<std::int64_t>(limits::workflow_items_max));
        if (!number) return std::unexpected{number.error()};
        plan_.in_flight = static_cast<std::uint32_t>(*number);
        return {};
    }

    // A list among the inputs is known already.
    Result<void> given_list(const Document& value) {
        if (!scope_.given || !value.text.starts_with("${inputs.")) return {};
        const JsonTemplates templates;
        const auto find = [this](std::string_view name, Ask) -> std::optional<Referred> {
            if (name != "inputs") return std::nullopt;
            return Referred{*scope_.given, {}, {}};
        };
        const auto filled = templates.fill(plan_.for_each.view(), find, limits::body_bytes_max);
        const auto elements = filled ? templates.elements(*filled) : fail_list(filled.error());
        if (!elements) return fault(value.place, elements.error().detail, elements.error().code);
        if (elements->size() > limits::workflow_items_max)
            return fault(
                value.place,
                "there are more than " + std::to_string(limits::workflow_items_max) + " items",
                ErrorCode::too_many_steps);
        return {};
    }
    static Result<std::vector<std::string>> fail_list(const Error& error) {
        return std::unexpected{error};
    }

    Result<void> times() {
        struct Row {
            std::string_view name;
            Duration TaskSpec::* member;
            Duration least;
            Duration most;
        };
        const std::array<Row, 4> rows{
            {{"timeout", &TaskSpec::timeout, 1ms, limits::timeout_most},
             {"queue_timeout", &TaskSpec::queue_timeout, 1ms, limits::timeout_most},
             {"total_timeout", &TaskSpec::total_timeout, 1ms, limits::timeout_most},
             {"delay", &TaskSpec::delay, 0ms, limits::delay_most}}};
        for (const Row& row : rows) {
            const DocumentField* said = field(row.name);
            if (said == nullptr) continue;
            const auto read = read_duration(said->value, row.name, row.least, row.most);
            if (!read) return std::unexpected{read.error()};
            plan_.task.*row.member = *read;
        }
        return {};
    }

    Result<void> key_and_labels() {
        if (const DocumentField* key = field("key")) {
            auto text = read_text(key->value, "key", limits::key_bytes_max);
            if (!text) return fail(std::move(text));
            if (text->find("${") != std::string::npos)
                return fault(key->value.place, "a key cannot refer to anything");
            plan_.task.key = std::move(*text);
        }
        const DocumentField* labels = field("labels");
        if (labels == nullptr) return {};
        auto read = read_labels(labels->value);
        if (!read) return fail(std::move(read));
        plan_.task.labels = std::move(*read);
        return {};
    }

    Scope& scope_;
    StepDraft& draft_;
    StepPlan& plan_;
    const Document& document_;
};

}  // namespace

Result<void> read_task(Scope& scope, StepIndex index) {
    return TaskReader{scope, index}.read();
}

}  // namespace taskd::protocol::workflow

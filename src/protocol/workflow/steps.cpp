// What each step says by itself.
#include "protocol/workflow/steps.hpp"

#include <algorithm>
#include <array>

#include "protocol/workflow/fields.hpp"
#include "taskd/model/pattern.hpp"
#include "taskd/protocol/json_templates.hpp"

namespace taskd::protocol::workflow {
namespace {

using namespace std::chrono_literals;

constexpr unsigned bit(StepKind kind) {
    return 1U << static_cast<unsigned>(kind);
}
constexpr unsigned any = ~0U;
constexpr unsigned tasks = bit(StepKind::task);
constexpr unsigned asking = bit(StepKind::signal) | bit(StepKind::event) | bit(StepKind::approval);

struct FieldRow {
    std::string_view name;
    unsigned kinds;  // of steps that may have it
};
constexpr std::array field_rows = std::to_array<FieldRow>({
    {"id", any},
    {"name", any},
    {"description", any},
    {"metadata", any},
    {"after", any},
    {"dependencies", any},
    {"when", any},
    {"on_failure", any},
    {"type", tasks},
    {"method", tasks},
    {"protocol", tasks},
    {"payload", tasks},
    {"parameters", tasks},
    {"params", tasks},
    {"for_each", tasks},
    {"in_flight", tasks},
    {"timeout", tasks | asking},
    {"queue_timeout", tasks},
    {"total_timeout", tasks},
    {"delay", tasks},
    {"priority", tasks},
    {"key", tasks},
    {"labels", tasks},
    {"retry", tasks},
    {"retry_config", tasks},
    {"sleep", bit(StepKind::sleep)},
    {"signal", bit(StepKind::signal)},
    {"event", bit(StepKind::event)},
    {"approval", bit(StepKind::approval)},
    {"workflow", bit(StepKind::workflow)},
    {"inputs", bit(StepKind::workflow)},
    {"join", bit(StepKind::join)},
});
constexpr auto field_names = [] {
    std::array<std::string_view, field_rows.size()> names;
    std::ranges::transform(field_rows, names.begin(), &FieldRow::name);
    return names;
}();

// Fields that say what a step is.
struct KindRow {
    std::string_view name;
    StepKind kind;
};
constexpr std::array kind_rows = std::to_array<KindRow>({{"type", StepKind::task},
                                                         {"method", StepKind::task},
                                                         {"sleep", StepKind::sleep},
                                                         {"signal", StepKind::signal},
                                                         {"event", StepKind::event},
                                                         {"approval", StepKind::approval},
                                                         {"workflow", StepKind::workflow},
                                                         {"join", StepKind::join}});

// ---- names --------------------------------------------------------------------------------------

// A name of ours for a text that is none: "Analyze the story!" is Analyze-the-story.
std::string name_from(std::string_view text, std::size_t number) {
    std::string name;
    for (const char c : text.substr(0, limits::step_name_bytes_max)) {
        if (is_step_name({&c, 1}))
            name += c;
        else if (!name.empty() && name.back() != '-')
            name += '-';
    }
    while (name.ends_with('-'))
        name.pop_back();
    return name.empty() ? "step-" + std::to_string(number) : name;
}

Result<void> add_name(Scope& scope, const std::string& name, StepIndex step,
                      const std::string& place) {
    const auto [found, fresh] = scope.steps.try_emplace(name, step);
    if (fresh || found->second == step) return {};
    return fault(place, "two steps are called '" + shown(name) + "', the other at " +
                            scope.all.options.file + *scope.drafts[found->second].place);
}

Result<void> name_step(Scope& scope, const Document& document, StepIndex step) {
    if (auto known = check_fields(document, "a step", field_names); !known) return known;
    StepDraft& draft = scope.drafts[step];
    draft.document = &document;
    draft.place = &document.place;
    std::array<std::string, 2> said;  // id, name
    for (std::size_t i = 0; i < said.size(); ++i) {
        const std::string_view field_name = i == 0 ? "id" : "name";
        const DocumentField* field = find_field(document, field_name);
        if (field == nullptr) continue;
        auto text = read_text(field->value, field_name, limits::workflow_name_bytes_max);
        if (!text) return fail(std::move(text));
        said[i] = std::move(*text);
        if (i == 0 || said[0].empty()) draft.place = &field->value.place;
    }
    const std::string& first = said[0].empty() ? said[1] : said[0];
    if (is_root(first))
        return fault(*draft.place, "'" + first + "' means something else in references");
    std::string& name = scope.plan.steps[step].name;
    name = is_step_name(first) ? first : name_from(first, step + 1);
    if (auto added = add_name(scope, name, step, *draft.place); !added) return added;
    for (const std::string& each : said)
        if (!each.empty() && !is_root(each))
            if (auto added = add_name(scope, each, step, *draft.place); !added) return added;
    return {};
}

// ---- one step -----------------------------------------------------------------------------------

class StepReader {
  public:
    StepReader(Scope& scope, StepIndex index)
        : scope_{scope},
          index_{index},
          draft_{scope.drafts[index]},
          plan_{scope.plan.steps[index]},
          document_{*draft_.document} {}

    Result<void> read() {
        Result<void> done = kind();
        if (done) done = edges();
        if (done) done = failure();
        if (done) done = condition();
        if (!done) return done;
        switch (plan_.kind) {
            case StepKind::task:
                return read_task(scope_, index_);
            case StepKind::sleep:
                return sleep();
            case StepKind::signal:
            case StepKind::event:
            case StepKind::approval:
                return asked();
            case StepKind::workflow:
                return inner();
            case StepKind::join:
                return join();
        }
        return done;
    }

  private:
    const DocumentField* field(std::string_view name) const { return find_field(document_, name); }

    TextPlace text_place() { return {draft_.uses, false, &plan_.name}; }

    Result<void> kind() {
        const DocumentField* found = nullptr;
        for (const DocumentField& each : document_.fields) {
            const auto row = std::ranges::find(kind_rows, each.name, &KindRow::name);
            if (row == kind_rows.end()) continue;
            if (found != nullptr)
                return fault(each.place, "'" + found->name + "' and '" + each.name +
                                             "' exclude each other: a step is one thing");
            found = &each;
            plan_.kind = row->kind;
        }
        if (found == nullptr)
            return fault(document_.place,
                         "a step does something: type, sleep, signal, event, approval, workflow or "
                         "join is missing");
        for (const DocumentField& each : document_.fields) {
            const auto row = std::ranges::find(field_rows, each.name, &FieldRow::name);
            if ((row->kinds & bit(plan_.kind)) == 0)
                return fault(each.place,
                             "'" + each.name + "' does not go with '" + found->name + "'");
        }
        return {};
    }

    Result<void> edge(const Document& value) {
        EdgeDraft edge{.at = &value};
        const Document* name = &value;
        if (value.kind == DocumentKind::map) {
            constexpr std::array<std::string_view, 3> known{"step", "task", "on_failure"};
            if (auto checked = check_fields(value, "an edge", known); !checked) return checked;
            const auto step = find_one(value, {"step", "task"});
            if (!step) return std::unexpected{step.error()};
            if (*step == nullptr) return fault(value.place, "the step of an edge is missing");
            name = &(*step)->value;
            if (const DocumentField* policy = find_field(value, "on_failure")) {
                edge.on_failure = parse_on_failure(policy->value.text);
                if (!edge.on_failure)
                    return fault(policy->value.place,
                                 "on_failure of an edge is fail, skip or go_on");
            }
        }
        auto text = read_text(*name, "a step that is waited for", limits::workflow_name_bytes_max);
        if (!text) return fail(std::move(text));
        const auto from = find_step(scope_, *name, *text);
        if (!from) return std::unexpected{from.error()};
        if (*from == index_)
            return fault(name->place, "'" + plan_.name + "' waits for itself",
                         ErrorCode::step_cycle);
        edge.from = *from;
        draft_.after.push_back(edge);
        return {};
    }

    Result<void> edges() {
        const auto after = find_one(document_, {"after", "dependencies"});
        if (!after) return std::unexpected{after.error()};
        if (*after == nullptr || (*after)->value.kind == DocumentKind::null) return {};
        const Document& value = (*after)->value;
        if (value.kind != DocumentKind::list) return edge(value);
        draft_.after.reserve(value.items.size());
        for (const Document& each : value.items)
            if (auto read = edge(each); !read) return read;
        return {};
    }

    Result<void> failure() {
        const DocumentField* said = field("on_failure");
        if (said == nullptr) return {};
        if (said->value.kind != DocumentKind::map) {
            draft_.on_failure = parse_on_failure(said->value.text);
            if (draft_.on_failure && draft_.on_failure != OnFailure::skip) return {};
            return fault(said->value.place,
                         "on_failure of a step is fail, go_on or {run: STEP}; skip is for edges");
        }
        constexpr std::array<std::string_view, 1> known{"run"};
        if (auto checked = check_fields(said->value, "on_failure", known); !checked) return checked;
        if (said->value.fields.empty())
            return fault(said->value.place, "the step to run is missing");
        const Document& name = said->value.fields.front().value;
        const auto step = find_step(scope_, name, name.text);
        if (!step) return std::unexpected{step.error()};
        draft_.runs = Use{*step, &name};
        return {};
    }

    Result<void> condition() {
        const DocumentField* when = field("when");
        if (when == nullptr) return {};
        if (when->value.kind != DocumentKind::scalar)
            return fault(when->value.place, "when is a condition like ${step.field} > 3",
                         ErrorCode::bad_condition);
        auto text = read_template(scope_, when->value, when->value.text, text_place());
        if (!text) return fail(std::move(text));
        if (auto checked = check_condition(*text); !checked)
            return fault(when->value.place, checked.error().detail, checked.error().code);
        plan_.when = std::move(*text);
        return {};
    }

    // ---- other kinds

    Result<void> sleep() {
        const auto wait = read_duration(field("sleep")->value, "sleep", 1ms, limits::delay_most);
        if (!wait) return std::unexpected{wait.error()};
        plan_.wait = *wait;
        return {};
    }

    Result<void> asked() {
        const bool is_approval = plan_.kind == StepKind::approval;
        const Document& value = field(to_text(plan_.kind))->value;
        auto text = read_text(value, to_text(plan_.kind),
                              is_approval ? limits::reason_bytes_max : limits::bus_topic_bytes_max);
        if (!text) return fail(std::move(text));
        if (is_approval) {
            auto question = read_template(scope_, value, *text, text_place());
            if (!question) return fail(std::move(question));
            plan_.question = std::move(*question);
        } else {
            if (plan_.kind == StepKind::event && !is_topic(*text))
                return fault(value.place,
                             "a topic is words of A-Z a-z 0-9 _ - with dots between them, not '" +
                                 shown(*text) + "'");
            if (plan_.kind == StepKind::signal && !is_type_name(*text))
                return fault(value.place,
                             "the name of a signal has 1 to 128 of A-Z a-z 0-9 . _ - /, not '" +
                                 shown(*text) + "'");
            plan_.awaits = std::move(*text);
        }
        const DocumentField* timeout = field("timeout");
        if (timeout == nullptr) return {};
        const auto wait = read_duration(timeout->value, "timeout", 1ms, limits::timeout_most);
        if (!wait) return std::unexpected{wait.error()};
        plan_.wait = *wait;
        return {};
    }

    Result<void> inner() {
        const DocumentField* inputs = field("inputs");
        return read_inner(scope_, *field("workflow"), inputs ? &inputs->value : nullptr, index_);
    }

    Result<void> join() {
        const auto truth = read_truth(field("join")->value, "join");
        if (!truth) return std::unexpected{truth.error()};
        if (*truth) return {};
        return fault(field("join")->value.place, "join is true, or not there");
    }

    Scope& scope_;
    StepIndex index_;
    StepDraft& draft_;
    StepPlan& plan_;
    const Document& document_;
};

}  // namespace

Result<void> name_steps(Scope& scope, const Document& list) {
    if (list.kind != DocumentKind::list || list.items.empty())
        return fault(list.place, "the steps of a workflow are a list of at least one");
    scope.all.steps += list.items.size();
    if (scope.all.steps > limits::workflow_steps_max)
        return fault(list.place,
                     "there are more than " + std::to_string(limits::workflow_steps_max) + " steps",
                     ErrorCode::too_many_steps);
    scope.plan.steps.resize(list.items.size());
    scope.drafts.resize(list.items.size());
    scope.steps.reserve(list.items.size());
    for (StepIndex i = 0; i < list.items.size(); ++i)
        if (auto named = name_step(scope, list.items[i], i); !named) return named;
    return {};
}

Result<void> read_steps(Scope& scope) {
    for (StepIndex i = 0; i < scope.drafts.size(); ++i)
        if (auto read = StepReader{scope, i}.read(); !read) return read;
    return {};
}

}  // namespace taskd::protocol::workflow

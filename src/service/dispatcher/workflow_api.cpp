#include "taskd/service/workflow_api.hpp"

#include <algorithm>

#include "taskd/protocol/graph_drawing.hpp"
#include "taskd/protocol/json.hpp"
#include "taskd/protocol/workflow_document.hpp"
#include "taskd/protocol/workflow_json.hpp"
#include "taskd/service/find_id.hpp"

namespace taskd::service {
namespace {

constexpr std::string_view yaml_type = "application/yaml";
constexpr StepIndex steps_shown = 1'000;

using Whole = std::shared_ptr<const WholeWorkflow>;

std::uint32_t read_number(const protocol::Target& target, std::string_view name,
                          std::uint32_t fallback, Result<void>& fault) {
    const std::string* text = target.find(name);
    if (text == nullptr) return fallback;
    const auto value = protocol::read_integer(*text, name, 0, limits::workflow_steps_max);
    if (value) return static_cast<std::uint32_t>(*value);
    fault = std::unexpected{value.error()};
    return fallback;
}

}  // namespace

// A document on its way to become a workflow.
struct WorkflowApi::Asked {
    Call call;
    protocol::WorkflowAsked asked;
    Duration wait{0};
    std::map<std::string, protocol::JsonSchema> schemas;
    Result<std::shared_ptr<const PlanIndex>> index = fail(ErrorCode::internal);
    Blob inputs;
    Blob env;
};

WorkflowApi::WorkflowApi(WorkflowSettings settings, WorkflowPorts ports, Core& core,
                         Waiters& waiters, Schemas& schemas)
    : settings_{std::move(settings)},
      ports_{std::move(ports)},
      core_{core},
      waiters_{waiters},
      schemas_{schemas},
      sweep_timer_{ports_.timers.make()} {}

WorkflowApi::~WorkflowApi() = default;

void WorkflowApi::add_routes(HttpFront& front) {
    const auto to = [this](void (WorkflowApi::*handler)(Call)) {
        return [this, handler](Call&& call) { (this->*handler)(std::move(call)); };
    };
    front.add({.method = "POST",
               .pattern = "/v1/workflows",
               .query = {"wait"},
               .handle = to(&WorkflowApi::submit),
               .media = {protocol::json_type, yaml_type}});
    front.add({"GET",
               "/v1/workflows",
               {"state", "name", "limit", "after", "inner"},
               to(&WorkflowApi::list)});
    front.add({"GET", "/v1/workflows/{id}", {"wait", "steps"}, to(&WorkflowApi::get)});
    front.add({"DELETE", "/v1/workflows/{id}", {}, to(&WorkflowApi::remove)});
    front.add({"GET", "/v1/workflows/{id}/steps", {"after", "limit"}, to(&WorkflowApi::steps)});
    front.add({"POST", "/v1/workflows/{id}/cancel", {}, to(&WorkflowApi::cancel)});
    front.add({"POST", "/v1/workflows/{id}/retry", {}, to(&WorkflowApi::retry)});
    front.add({"POST", "/v1/workflows/{id}/signals/{name}", {}, to(&WorkflowApi::signal)});
    front.add({"POST", "/v1/workflows/{id}/steps/{step}/approve", {}, to(&WorkflowApi::approve)});
    front.add({"POST", "/v1/workflows/{id}/steps/{step}/reject", {}, to(&WorkflowApi::reject)});
    front.add({"GET", "/v1/workflows/{id}/explain", {}, to(&WorkflowApi::explain)});
    front.add({"GET", "/v1/workflows/{id}/graph", {"format"}, to(&WorkflowApi::graph)});
}

// ---- beginning one

void WorkflowApi::submit(Call call) {
    if (const auto slow = core_.no_more_tasks()) return call.answer(*slow);
    const auto wait = protocol::read_wait(call.target, "wait");
    if (!wait) return call.answer(wait.error());
    if (*wait > Duration{0} && waiters_.full())
        return call.answer(Error{ErrorCode::too_many_waiters, {}});
    auto asked = std::make_shared<Asked>();
    asked->wait = *wait;
    asked->call = std::move(call);
    asked->schemas = schemas_.all();
    ports_.lane.run([this, asked] { read(asked); }, [this, asked] { begin(asked); });
}

// On the lane.
void WorkflowApi::read(const std::shared_ptr<Asked>& asked) {
    const std::string body = std::move(asked->call.request.body);
    if (asked->call.sends(yaml_type)) {
        asked->asked.document = body;
    } else {
        auto parsed = protocol::parse_workflow_asked(body);
        if (!parsed) {
            asked->index = std::unexpected{parsed.error()};
            return;
        }
        asked->asked = std::move(*parsed);
    }
    protocol::WorkflowOptions options;
    options.file = asked->asked.file;
    options.inputs = asked->asked.inputs.value_or("{}");
    options.env = settings_.env;
    options.schemas = std::move(asked->schemas);
    auto made = ports_.read(asked->asked.document, options);
    if (!made) {
        asked->index = std::unexpected{made.error()};
        return;
    }
    asked->inputs = made->inputs;
    asked->env = made->env;
    asked->index = std::make_shared<const PlanIndex>(std::move(made->plan));
}

void WorkflowApi::begin(const std::shared_ptr<Asked>& asked) {
    if (!asked->index) {
        ++refused_documents_;
        return asked->call.answer(asked->index.error());
    }
    const bool fresh = !asked->asked.id;
    const WorkflowId id = fresh ? core_.make_id() : *asked->asked.id;
    engine::StartWorkflow command{
        .id = id, .inputs = asked->inputs, .env = asked->env, .index = *asked->index};
    command.fresh = fresh;
    auto call = std::make_shared<Call>(std::move(asked->call));
    core_.execute(
        std::move(command),
        [this, call, id, wait = asked->wait](const engine::Decision& decision) -> Core::Reply {
            if (decision.refused) return [call, error = *decision.refused] { call->answer(error); };
            const bool made = !decision.records.empty();
            return
                [this, call, id, wait, made] { wait_and_show(call, id, made ? 201 : 200, wait); };
        });
}

// ---- looking

// A part of an id is looked for here and in the view: it must be no other's in either.
void WorkflowApi::find_head(const std::string& name, std::function<void(Result<WorkflowId>)> then) {
    if (const auto id = TaskId::parse(name)) return then(*id);
    auto listed = std::make_shared<Result<std::vector<Workflow>>>(fail(ErrorCode::disk_full));
    WorkflowQuery query;
    query.limit = limits::search_rows_max;
    query.inner = true;
    core_.ask_view([listed, query](port::View& view) { *listed = view.list_workflows(query); },
                   [this, listed, name, then = std::move(then)] {
                       if (!*listed) return then(std::unexpected{listed->error()});
                       std::map<WorkflowId, int> known;
                       for (const Workflow& workflow : **listed)
                           known.emplace(workflow.id, 0);
                       core_.engine().each_workflow(
                           [&](const Workflow& workflow) { known.emplace(workflow.id, 0); });
                       then(find_id(known, name, ErrorCode::workflow_not_found));
                   });
}

void WorkflowApi::find(const std::string& name, Part part,
                       std::function<void(Result<Found>)> then) {
    find_head(name, [this, part, then = std::move(then)](Result<WorkflowId> id) {
        if (!id) return then(std::unexpected{id.error()});
        if (auto here = core_.engine().whole_workflow(*id, part.first, part.count))
            return core_.when_durable([then, whole = std::make_shared<const WholeWorkflow>(
                                                 std::move(*here))] { then(whole); });
        auto found = std::make_shared<Result<Found>>(fail(ErrorCode::disk_full));
        core_.ask_view([found, id = *id](port::View& view) { *found = view.find_workflow(id); },
                       [found, then, id = *id] {
                           if (!*found) return then(std::unexpected{found->error()});
                           if (**found == nullptr)
                               return then(fail(ErrorCode::workflow_not_found, id.to_string()));
                           WholeWorkflow whole = ***found;
                           close_steps(whole);
                           then(std::make_shared<const WholeWorkflow>(std::move(whole)));
                       });
    });
}

void WorkflowApi::show(const std::shared_ptr<Call>& call, WorkflowId id, int status) {
    const std::string* asked = call->target.find("steps");
    const bool steps = asked != nullptr && *asked == "true";
    find(id.to_string(), {0, steps ? steps_shown : 0},
         [call, status, steps](const Result<Found>& found) {
             if (!found) return call->answer(found.error());
             const WholeWorkflow& whole = **found;
             const protocol::StepPage page{&whole, 0, steps_shown};
             std::string out;
             protocol::write_workflow(out, whole.workflow, whole.plan.get(),
                                      steps ? &page : nullptr);
             call->answer(status, out);
         });
}

void WorkflowApi::wait_and_show(const std::shared_ptr<Call>& call, WorkflowId id, int status,
                                Duration wait) {
    const Workflow* here = core_.engine().find_workflow(id);
    const bool over = here == nullptr || has_ended(here->state);
    auto answer = [this, call, id, status] { show(call, id, status); };
    if (over || wait == Duration{0}) return answer();
    if (auto waits = waiters_.wait({id}, 1, wait, answer, call->request.client_gone); !waits)
        call->answer(waits.error());
}

void WorkflowApi::get(Call call) {
    const auto wait = protocol::read_wait(call.target, "wait");
    if (!wait) return call.answer(wait.error());
    const std::string name = call.parameters[0];
    auto shared = std::make_shared<Call>(std::move(call));
    find_head(name, [this, shared, wait = *wait](Result<WorkflowId> id) {
        if (!id) return shared->answer(id.error());
        wait_and_show(shared, *id, 200, wait);
    });
}

void WorkflowApi::steps(Call call) {
    Result<void> fault;
    const auto after = read_number(call.target, "after", 0, fault);
    const auto limit = read_number(call.target, "limit", limits::page_tasks_default, fault);
    if (!fault) return call.answer(fault.error());
    const std::string name = call.parameters[0];
    auto shared = std::make_shared<Call>(std::move(call));
    const auto count = std::clamp<StepIndex>(limit, 1, steps_shown);
    find(name, {after, count}, [shared, after, count](const Result<Found>& found) {
        if (!found) return shared->answer(found.error());
        std::string out = "{\"steps\":";
        protocol::write_steps(out, {found->get(), after, count});
        const std::size_t next = std::size_t{after} + count;
        if (next < (*found)->plan->steps.size()) out += ",\"next\":" + std::to_string(next);
        shared->answer(200, out + "}");
    });
}

void WorkflowApi::list(Call call) {
    WorkflowQuery query;
    Result<void> fault;
    query.limit = std::clamp<std::size_t>(
        read_number(call.target, "limit", limits::page_tasks_default, fault), 1,
        limits::page_tasks_max);
    if (!fault) return call.answer(fault.error());
    if (const std::string* state = call.target.find("state")) {
        query.state = parse_workflow_state(*state);
        if (!query.state) return call.answer(Error{ErrorCode::invalid_field, "state"});
    }
    if (const std::string* name = call.target.find("name")) query.name = *name;
    if (const std::string* inner = call.target.find("inner")) query.inner = *inner == "true";
    if (const std::string* after = call.target.find("after")) {
        query.before = TaskId::parse(*after);
        if (!query.before) return call.answer(Error{ErrorCode::invalid_id, *after});
    }
    auto shared = std::make_shared<Call>(std::move(call));
    auto found = std::make_shared<Result<std::vector<Workflow>>>(fail(ErrorCode::disk_full));
    core_.when_viewed([found, query](port::View& view) { *found = view.list_workflows(query); },
                      [found, shared, limit = query.limit] {
                          if (!*found) return shared->answer(found->error());
                          std::string out = "{\"workflows\":[";
                          for (const Workflow& workflow : **found) {
                              if (&workflow != &(*found)->front()) out.push_back(',');
                              protocol::write_workflow(out, workflow, nullptr, nullptr);
                          }
                          out += "]";
                          if ((*found)->size() == limit)
                              out += ",\"next\":\"" + (*found)->back().id.to_string() + "\"";
                          shared->answer(200, out + "}");
                      });
}

void WorkflowApi::explain(Call call) {
    const std::string name = call.parameters[0];
    auto shared = std::make_shared<Call>(std::move(call));
    find(name, {0, 0}, [this, shared](const Result<Found>& found) {
        if (!found) return shared->answer(found.error());
        constexpr std::size_t most = 100;
        const Workflow& workflow = (*found)->workflow;
        std::string out;
        protocol::JsonWriter json{out};
        json.begin_object().field("id", workflow.id).field("state", to_text(workflow.state));
        json.key("waits_for").begin_array();
        for (const auto& wait : core_.engine().explain_workflow(core_.now(), workflow.id, most)) {
            json.begin_object()
                .field("step", wait.step)
                .field("rule", wait.rule)
                .field("text", wait.text)
                .field("release", wait.release);
            if (wait.until) json.field("until", *wait.until);
            if (wait.task) json.field("task", wait.task->to_string());
            json.end_object();
        }
        json.end_array().end_object();
        shared->answer(200, out);
    });
}

void WorkflowApi::graph(Call call) {
    const std::string* format = call.target.find("format");
    const bool dot = format != nullptr && *format == "dot";
    if (format != nullptr && !dot && *format != "svg")
        return call.answer(Error{ErrorCode::invalid_field, "format: svg or dot"});
    const std::string name = call.parameters[0];
    auto shared = std::make_shared<Call>(std::move(call));
    find(name, {0, limits::graph_steps_max + 1}, [this, shared, dot](const Result<Found>& found) {
        if (!found) return shared->answer(found.error());
        const std::size_t steps = (*found)->plan->steps.size();
        if (steps > limits::graph_steps_max)
            return shared->answer(Error{ErrorCode::too_many_steps, std::to_string(steps)});
        auto drawn = std::make_shared<Result<std::string>>();
        ports_.lane.run(
            [drawn, dot, whole = *found] {
                const protocol::Graph graph = protocol::graph_of(*whole);
                *drawn = dot ? protocol::write_dot(graph) : protocol::write_svg(graph);
            },
            [drawn, shared, dot] {
                if (!*drawn) return shared->answer(drawn->error());
                const char* type = dot ? "text/vnd.graphviz" : "image/svg+xml";
                shared->respond({.headers = {{"Content-Type", type}}, .body = std::move(**drawn)});
            });
    });
}

}  // namespace taskd::service

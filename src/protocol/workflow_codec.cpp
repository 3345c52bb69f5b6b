#include "protocol/workflow_codec.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "taskd/protocol/record_codec.hpp"

namespace taskd::protocol {
namespace {

template <class Value>
Value read_choice(ByteReader& in, Value last) {
    const std::uint8_t value = in.byte();
    if (value > static_cast<std::uint8_t>(last)) in.fail();
    return static_cast<Value>(value);
}

template <class Value>
void write_choice(ByteWriter& out, Value value) {
    out.byte(static_cast<std::uint8_t>(value));
}

Blob read_blob(ByteReader& in) {
    const std::string_view bytes = in.text();
    return bytes.empty() ? Blob{} : Blob{std::string{bytes}};
}

void write(ByteWriter& out, const StepPlan& step) {
    out.text(step.name);
    write_choice(out, step.kind);
    out.number(step.after.size());
    for (const StepEdge& edge : step.after) {
        out.number(edge.from);
        write_choice(out, edge.on_failure);
    }
    out.text(step.when);
    out.text(step.for_each.view());
    out.number(step.in_flight);
    out.flag(step.kind == StepKind::task);
    if (step.kind == StepKind::task) {
        write(out, step.task);
        out.text(step.task.payload.view());
    }
    out.duration(step.wait);
    out.text(step.awaits);
    out.text(step.question);
    out.text(step.inputs.view());
    out.flag(step.child != nullptr);
    if (step.child) write(out, *step.child);
    write_choice(out, step.on_failure);
    out.flag(step.compensated_by.has_value());
    if (step.compensated_by) out.number(*step.compensated_by);
    out.flag(step.compensates);
}

std::shared_ptr<const WorkflowPlan> read_plan(ByteReader& in, std::size_t depth);

// `count`: of the plan's steps, which an edge may name.
StepPlan read_step_plan(ByteReader& in, std::uint64_t count, std::size_t depth) {
    StepPlan step;
    step.name = in.text();
    step.kind = read_choice(in, StepKind::join);
    const std::uint64_t edges = in.number_to(in.left());
    step.after.reserve(std::min(edges, reserve_max));
    for (std::uint64_t i = 0; i < edges && !in.failed(); ++i) {
        const auto from = static_cast<StepIndex>(in.number_to(count - 1));
        step.after.push_back({from, read_choice(in, OnFailure::go_on)});
    }
    step.when = in.text();
    step.for_each = read_blob(in);
    step.in_flight = in.number32();
    if (in.flag() != (step.kind == StepKind::task)) in.fail();
    if (step.kind == StepKind::task) {
        step.task = read_spec(in);
        step.task.payload = Blob{std::string{in.text()}};
    }
    step.wait = in.duration();
    step.awaits = in.text();
    step.question = in.text();
    step.inputs = read_blob(in);
    if (in.flag()) step.child = read_plan(in, depth + 1);
    step.on_failure = read_choice(in, OnFailure::go_on);
    if (in.flag()) step.compensated_by = static_cast<StepIndex>(in.number_to(count - 1));
    step.compensates = in.flag();
    return step;
}

std::shared_ptr<const WorkflowPlan> read_plan(ByteReader& in, std::size_t depth) {
    auto plan = std::make_shared<WorkflowPlan>();
    if (depth > limits::workflow_depth_max) {
        in.fail();
        return plan;
    }
    plan->name = in.text();
    plan->description = in.text();
    const std::uint64_t labels = in.number_to(in.left());
    for (std::uint64_t i = 0; i < labels && !in.failed(); ++i) {
        std::string name{in.text()};
        if (!plan->labels.empty() && name <= plan->labels.rbegin()->first) in.fail();
        plan->labels.emplace_hint(plan->labels.end(), std::move(name), in.text());
    }
    const std::uint64_t count = in.number_to(in.left());
    if (count == 0) in.fail();
    plan->steps.reserve(std::min(count, reserve_max));
    for (std::uint64_t i = 0; i < count && !in.failed(); ++i)
        plan->steps.push_back(read_step_plan(in, count, depth));
    plan->output = read_blob(in);
    plan->timeout = in.duration();
    plan->tasks_max = in.number32();
    return plan;
}

}  // namespace

void write(ByteWriter& out, const WorkflowPlan& plan) {
    out.text(plan.name);
    out.text(plan.description);
    out.number(plan.labels.size());
    for (const auto& [name, value] : plan.labels) {
        out.text(name);
        out.text(value);
    }
    out.number(plan.steps.size());
    for (const StepPlan& step : plan.steps)
        write(out, step);
    out.text(plan.output.view());
    out.duration(plan.timeout);
    out.number(plan.tasks_max);
}

std::shared_ptr<const WorkflowPlan> read_plan(ByteReader& in) {
    return read_plan(in, 0);
}

// As long as it is: bounds of a hundred thousand steps add up to several times that.
std::size_t bytes_max(const WorkflowPlan& plan) {
    std::string bytes;
    ByteWriter out{bytes};
    write(out, plan);
    return bytes.size();
}

void write(ByteWriter& out, const Workflow& workflow) {
    out.id(workflow.id);
    out.text(workflow.name);
    out.text(workflow.inputs.view());
    out.text(workflow.env.view());
    out.flag(workflow.parent.has_value());
    if (workflow.parent) {
        out.id(workflow.parent->workflow);
        out.number(workflow.parent->step);
    }
    out.number(workflow.depth);
    write_choice(out, workflow.state);
    out.instant(workflow.made_at);
    write_optional(out, workflow.ended_at);
    out.instant(workflow.ends_by);
    out.number(workflow.retries);
    write_optional(out, workflow.error);
    out.text(workflow.output.view());
    out.number(workflow.signals.size());
    for (const Signal& signal : workflow.signals) {
        out.text(signal.name);
        out.text(signal.payload.view());
    }
    for (const std::uint32_t count : {workflow.steps, workflow.succeeded, workflow.failed,
                                      workflow.skipped, workflow.cancelled, workflow.active})
        out.number(count);
}

Workflow read_workflow(ByteReader& in) {
    Workflow workflow;
    workflow.id = in.id();
    workflow.name = in.text();
    workflow.inputs = read_blob(in);
    workflow.env = read_blob(in);
    if (in.flag()) workflow.parent = {in.id(), in.number32()};
    workflow.depth = in.number32();
    workflow.state = read_workflow_state(in);
    workflow.made_at = in.instant<WallTime>();
    workflow.ended_at = read_optional<WallTime>(in);
    workflow.ends_by = in.instant<EngineTime>();
    workflow.retries = in.number32();
    workflow.error = read_optional_error(in);
    workflow.output = read_blob(in);
    const std::uint64_t signals = in.number_to(in.left());
    for (std::uint64_t i = 0; i < signals && !in.failed(); ++i)
        workflow.signals.push_back({std::string{in.text()}, read_blob(in)});
    for (std::uint32_t* count : {&workflow.steps, &workflow.succeeded, &workflow.failed,
                                 &workflow.skipped, &workflow.cancelled, &workflow.active})
        *count = in.number32();
    return workflow;
}

std::size_t bytes_max(const Workflow& workflow) {
    std::size_t bytes = 2 * id_bytes + 20 * number_max + 8 + workflow.name.size() +
                        workflow.inputs.size() + workflow.env.size() + workflow.output.size();
    if (workflow.error) bytes += bytes_max(*workflow.error);
    for (const Signal& signal : workflow.signals)
        bytes += 2 * number_max + signal.name.size() + signal.payload.size();
    return bytes;
}

void write(ByteWriter& out, const Step& step) {
    write_choice(out, step.state);
    out.number(step.tries);
    write_optional(out, step.began_at);
    write_optional(out, step.ended_at);
    write_optional(out, step.until);
    out.text(step.list.view());
    out.number(step.items.size());
    for (const ItemState item : step.items)
        write_choice(out, item);
    write_optional(out, step.child);
    out.text(step.result.view());
    out.number(step.result_bytes);
    write_optional(out, step.error);
}

Step read_step(ByteReader& in) {
    Step step;
    step.state = read_step_state(in);
    step.tries = in.number32();
    step.began_at = read_optional<WallTime>(in);
    step.ended_at = read_optional<WallTime>(in);
    step.until = read_optional<EngineTime>(in);
    step.list = read_blob(in);
    const std::uint64_t items = in.number_to(in.left());
    step.items.reserve(std::min(items, reserve_max));
    for (std::uint64_t i = 0; i < items && !in.failed(); ++i)
        step.items.push_back(read_choice(in, ItemState::failed));
    step.child = read_optional_id(in);
    step.result = read_blob(in);
    step.result_bytes = in.number();
    step.error = read_optional_error(in);
    return step;
}

StepState read_step_state(ByteReader& in) {
    return read_choice(in, StepState::cancelled);
}

WorkflowState read_workflow_state(ByteReader& in) {
    return read_choice(in, WorkflowState::cancelled);
}

namespace {

// A row is a version and then the value.
template <class Value>
void encode_row(std::uint8_t version, const Value& value, std::string& out) {
    ByteWriter writer{out};
    writer.byte(version);
    write(writer, value);
}

template <class Read>
auto decode_row(std::string_view bytes, std::uint8_t newest, std::string_view what, Read read)
    -> Result<decltype(read(std::declval<ByteReader&>()))> {
    ByteReader in{bytes};
    const std::uint8_t version = in.byte();
    if (version > newest)
        return fail(ErrorCode::store_too_new, fmt::format("{} row version {}", what, version));
    auto value = read(in);
    if (version == 0 || !in.finished())
        return fail(ErrorCode::view_corrupt, fmt::format("{} row that does not decode", what));
    return value;
}

}  // namespace

void encode_workflow_row(const Workflow& workflow, std::string& out) {
    encode_row(workflow_row_version, workflow, out);
}

Result<Workflow> decode_workflow_row(std::string_view bytes) {
    return decode_row(bytes, workflow_row_version, "workflow", read_workflow);
}

void encode_plan_row(const WorkflowPlan& plan, std::string& out) {
    encode_row(plan_row_version, plan, out);
}

Result<std::shared_ptr<const WorkflowPlan>> decode_plan_row(std::string_view bytes) {
    return decode_row(bytes, plan_row_version, "plan",
                      [](ByteReader& in) { return read_plan(in); });
}

void encode_step_row(const Step& step, std::string& out) {
    encode_row(step_row_version, step, out);
}

Result<Step> decode_step_row(std::string_view bytes) {
    return decode_row(bytes, step_row_version, "step", read_step);
}

}  // namespace taskd::protocol

#include "workflow_driver.hpp"

#include <stdexcept>

#include "taskd/protocol/record_codec.hpp"
#include "taskd/service/rebuild.hpp"

namespace taskd::test {

using engine::Decision;

PlanText& PlanText::task(const std::string& name, std::vector<std::string> after,
                         const std::string& payload) {
    StepPlan step;
    step.name = name;
    step.task.type = "work";
    step.task.attempts_max = 1;
    step.task.payload = Blob{payload};
    return this->step(std::move(step), std::move(after));
}

PlanText& PlanText::step(StepPlan step, std::vector<std::string> after) {
    for (const std::string& name : after)
        step.after.push_back({index(name), OnFailure::fail});
    plan_.steps.push_back(std::move(step));
    return *this;
}

StepIndex PlanText::index(const std::string& name) const {
    for (StepIndex i = 0; i < plan_.steps.size(); ++i)
        if (plan_.steps[i].name == name) return i;
    throw std::runtime_error{"no step " + name};
}

WorkflowDriver::WorkflowDriver(std::uint64_t seed, std::uint32_t slots,
                               engine::EngineSettings settings)
    : random_{seed}, slots_{slots}, settings_{settings} {
    settings_.templates = &templates_;
    settings_.ended_in_memory_max = 0;  // results are read from the view as soon as they may be
    judge_.set_slots("w", slots);
    make_engine();
}

void WorkflowDriver::make_engine() {
    engine_ = std::make_unique<engine::Engine>(settings_);
}

Decision WorkflowDriver::run(const engine::Command& command) {
    Decision decision = engine_->decide(now_, command, random_);
    if (decision.fetch_workflow) {
        engine::Command again = command;
        sim::MemoryView view{table_};
        const auto found = *view.find_workflow(*decision.fetch_workflow);
        if (auto* retry = std::get_if<engine::RetryWorkflow>(&again)) {
            retry->fetched = true;
            if (found) engine_->apply(engine::WorkflowLoaded{found});
        }
        if (auto* start = std::get_if<engine::StartWorkflow>(&again)) {
            start->fetched = true;
            start->known = found;
        }
        if (auto* remove = std::get_if<engine::DeleteWorkflow>(&again)) {
            remove->fetched = true;
            remove->known = found;
        }
        return run(again);
    }
    if (!decision.fetch.empty()) {
        load(decision.fetch);
        return run(command);
    }
    settle(decision);
    catch_up();
    return decision;
}

void WorkflowDriver::load(const std::vector<TaskId>& ids) {
    sim::MemoryView view{table_};
    const auto found = view.find(ids);
    for (const Task& task : *found)
        engine_->apply(engine::TaskLoaded{std::make_shared<Task>(task)});
}

void WorkflowDriver::settle(Decision decision) {
    if (!decision.records.empty()) {
        RecordBatch batch{applied_.next(), now_.engine, decision.records};
        std::string bytes;
        protocol::encode_batch(batch, bytes);
        std::size_t most = protocol::batch_bytes_overhead_max;
        for (const Record& record : decision.records)
            most += protocol::encoded_bytes_max(record);
        if (bytes.size() > most) throw std::runtime_error{"a record is longer than was said"};
        auto decoded = protocol::decode_batch(bytes);
        if (!decoded) throw std::runtime_error{decoded.error().to_string()};
        if (*decoded != batch) throw std::runtime_error{"a batch is not what was written"};
        for (const Record& record : decoded->records)
            engine_->apply(applied_ = applied_.next(), record);
        if (most > limits::frame_bytes_max) throw std::runtime_error{"no frame takes it"};
        judge_.take(*decoded);
        journal_.push_back(std::move(*decoded));
    }
    for (const engine::Note& note : decision.notes)
        engine_->apply(note);
}

void WorkflowDriver::catch_up() {
    for (engine::Advance next; engine_->can_advance();) {
        Decision decision = engine_->decide(now_, std::exchange(next, {}), random_);
        if (decision.advanced) {
            bodies_asked_ = std::max(bodies_asked_, decision.fetch.size());
            load(decision.fetch);
            engine::ToldResults told;
            for (const TaskId& id : decision.fetch_results) {
                const auto row = table_.tasks.find(id);
                const bool is_there = row != table_.tasks.end();
                told[id] = is_there ? std::optional{row->second.result} : std::nullopt;
            }
            next.told = std::make_shared<engine::ToldResults>(std::move(told));
            engine_->apply(engine::WorkflowFirst{*decision.advanced});
            continue;
        }
        settle(std::move(decision));
    }
    if (engine_->figures_of("work").workers == 0)
        settle(engine_->decide(now_, engine::WorkerUp{"w", {"work"}, slots_}, random_));
    while (engine_->can_look()) {
        const Decision look = engine_->decide(now_, engine::Look{}, random_);
        settle(look);
        load(look.fetch);
        if (look.fetch.empty()) break;
    }
    while (engine_->can_match())
        settle(engine_->decide(now_, engine::Match{}, random_));
}

WorkflowId WorkflowDriver::start(const std::shared_ptr<const WorkflowPlan>& plan,
                                 const std::string& inputs) {
    const WorkflowId id = TaskId::make(now_.wall, random_);
    engine::StartWorkflow command{
        .id = id, .inputs = Blob{inputs}, .index = std::make_shared<const PlanIndex>(plan)};
    command.fresh = true;
    const Decision decision = run(command);
    if (decision.refused) throw std::runtime_error{decision.refused->to_string()};
    return id;
}

void WorkflowDriver::publish(const std::string& topic, const std::string& body) {
    TopicEvent event;
    event.topic = topic;
    event.id = TaskId::make(now_.wall, random_).to_string();
    event.key = "k";
    event.body = Blob{body};
    const Decision decision = run(engine::Publish{{std::move(event)}});
    if (decision.refused) throw std::runtime_error{decision.refused->to_string()};
}

void WorkflowDriver::pass(Duration time) {
    now_.wall += time;
    now_.engine += time;
    // Its worker is alive.
    engine::Renew renew{"w", engine_->leases_of("w")};
    settle(engine_->decide(now_, renew, random_));
    for (;;) {
        const auto deadline = engine_->next_deadline(now_);
        if (!deadline || *deadline > now_.engine) break;
        run(engine::Tick{});
    }
    catch_up();
}

std::vector<WorkflowDriver::Held> WorkflowDriver::held() const {
    std::vector<Held> found;
    for (const engine::LeaseRef& lease : engine_->leases_of("w")) {
        const TaskSpec& spec = engine_->find(lease.id)->spec;
        found.push_back(
            {lease, spec.step->name, spec.step->item, std::string{spec.payload.view()}});
    }
    return found;
}

WorkflowDriver::Held WorkflowDriver::held(const std::string& step) const {
    for (Held& each : held())
        if (each.step == step) return each;
    throw std::runtime_error{"nobody works on " + step};
}

void WorkflowDriver::complete(const Held& held, const std::string& result) {
    run(engine::Complete{held.lease, Blob{result}});
}

void WorkflowDriver::fail(const Held& held, const std::string& code, bool permanent) {
    run(engine::Fail{held.lease, {code, "it broke", permanent}});
}

void WorkflowDriver::view() {
    sim::MemoryView view{table_};
    const auto change = service::take_view_change(*engine_, applied_, now_);
    if (auto stored = view.store(change); !stored) throw std::runtime_error{"view"};
    std::erase_if(journal_, [&](const RecordBatch& each) { return each.last() <= applied_; });
    settle(engine_->decide(now_, engine::Forget{applied_}, random_));
}

void WorkflowDriver::restart() {
    make_engine();
    sim::MemoryView view{table_};
    const auto rebuilt = service::rebuild(
        *engine_, view, [&](Sequence, const service::TakeBatch& take) -> Result<void> {
            for (const RecordBatch& batch : journal_)
                if (auto taken = take(batch); !taken) return taken;
            return {};
        });
    if (!rebuilt) throw std::runtime_error{rebuilt.error().to_string()};
    if (rebuilt->applied != applied_) throw std::runtime_error{"the end is not where it was"};
    settle(engine_->decide(now_, engine::Resume{}, random_));
    catch_up();
}

WholeWorkflow WorkflowDriver::whole(WorkflowId id) const {
    if (auto here = engine_->whole_workflow(id)) return *here;
    WholeWorkflow there = table_.workflows.at(id);
    close_steps(there);
    return there;
}

std::string WorkflowDriver::step(WorkflowId id, const std::string& name) const {
    const WholeWorkflow found = whole(id);
    for (std::size_t i = 0; i < found.steps.size(); ++i)
        if (found.plan->steps[i].name == name) return std::string{to_text(found.steps[i].state)};
    throw std::runtime_error{"no step " + name};
}

std::string WorkflowDriver::output(WorkflowId id) const {
    return std::string{whole(id).workflow.output.view()};
}

}  // namespace taskd::test

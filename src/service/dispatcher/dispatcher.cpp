#include "taskd/service/dispatcher.hpp"

#include "taskd/protocol/json_templates.hpp"

namespace taskd::service {
namespace {

CoreSettings with_templates(CoreSettings settings) {
    static const protocol::JsonTemplates templates;
    settings.engine.templates = &templates;
    return settings;
}

}  // namespace

Dispatcher::Dispatcher(DispatcherSettings settings, DispatcherPorts ports,
                       std::function<void(const Error&)> lost_disk)
    : settings_{std::move(settings)},
      ports_{ports},
      core_{with_templates(settings_.core), ports.core, settings_.seed, std::move(lost_disk)},
      waiters_{ports.core.clock, ports.core.timers},
      front_{settings_.workers.key,
             "dispatcher",
             [this] { return not_ready(); },
             {&ports.core.log, &ports.core.clock, settings_.seed, ports.metrics,
              settings_.metrics_open, settings_.is_public}} {}

Dispatcher::~Dispatcher() = default;

Result<void> Dispatcher::start() {
    if (auto recovered = core_.recover(); !recovered) return recovered;
    const auto& core = ports_.core;
    if (ports_.bus != nullptr) bus_events_ = std::make_unique<BusEvents>(core_, *ports_.bus);
    link_ = std::make_unique<WorkerLink>(settings_.workers, core_, ports_.socket, ports_.resolver,
                                         core.clock, core.timers, core.log);
    watch_ = std::make_unique<RegistryWatch>(
        settings_.nameservice_url, settings_.workers.key, ports_.http, core.clock, core.timers,
        core.log, [this](const RegistrySnapshot& registry) {
            std::vector<Registration> workers = registry.registrations;
            std::erase_if(workers, [](const auto& each) { return each.type == node_type; });
            link_->set_registrations(workers);
            if (bus_events_) bus_events_->on_workers(workers);
        });
    core_.on_output([this](const engine::Output& output) {
        if (const auto* ended = std::get_if<engine::TaskEnded>(&output)) waiters_.ended(ended->id);
        if (const auto* over = std::get_if<engine::WorkflowOver>(&output))
            return waiters_.ended(over->id);
        if (!desk_->on_output(output)) link_->on_output(output);
    });
    const Duration lease = settings_.workers.lease_duration;
    desk_ = std::make_unique<LeaseDesk>(
        core_, core.clock, core.timers, lease,
        [this](const std::string& instance) { return link_->knows(instance); });
    schemas_ = std::make_unique<Schemas>(core_.engine());
    api_ = std::make_unique<TaskApi>(core_, waiters_, *link_, *desk_, *schemas_, core.clock,
                                     core.timers);
    api_->add_routes(front_);
    lease_api_ = std::make_unique<LeaseApi>(core_, *desk_, lease);
    lease_api_->add_routes(front_);
    queue_api_ = std::make_unique<QueueApi>(core_);
    queue_api_->add_routes(front_);
    log_api_ = std::make_unique<LogApi>(
        LogPorts{ports_.logs, ports_.log_lane, core.clock, core.timers, core.log}, core_, *api_,
        *desk_);
    log_api_->add_routes(front_);
    log_api_->start();
    event_api_ = std::make_unique<EventApi>(
        EventPorts{ports_.records, ports_.records_lane, core.clock, core.timers}, core_);
    event_api_->add_routes(front_);
    core_.on_records([this](const RecordBatch& batch) { tell(batch); });
    start_topics();
    start_upkeep();
    operations_ = std::make_unique<Operations>(core_, core.clock, core.timers, core.log);
    operations_->add_routes(front_);
    group_api_ = std::make_unique<GroupApi>(core_, *operations_, *schemas_);
    group_api_->add_routes(front_);
    operations_->start();
    schedules_ =
        std::make_unique<ScheduleDesk>(core_, ports_.calendar, core.clock, core.timers, core.log);
    schedule_api_ = std::make_unique<ScheduleApi>(core_, *schedules_, *schemas_);
    schedule_api_->add_routes(front_);
    schedules_->start();
    if (ports_.read_workflow) {
        workflows_ =
            std::make_unique<WorkflowApi>(settings_.workflows,
                                          WorkflowPorts{ports_.read_workflow, *ports_.document_lane,
                                                        core.timers, core.clock, core.log},
                                          core_, waiters_, *schemas_);
        workflows_->add_routes(front_);
        workflows_->start();
    }
    if (auto begun = start_endpoints(); !begun) return begun;
    start_report();
    started_ = true;
    return {};
}

Result<void> Dispatcher::start_endpoints() {
    endpoints_ =
        std::make_unique<EndpointApi>(settings_.disk.dir + "/endpoints.json",
                                      EndpointPorts{ports_.files, ports_.core.space_lane,
                                                    ports_.hosts ? *ports_.hosts : ports_.http},
                                      front_, settings_.workers.key);
    return endpoints_->start();
}

void Dispatcher::start_report() {
    if (ports_.metrics != nullptr)
        ports_.metrics->add([this](port::MetricSink& sink) {
            core_.report(sink);
            link_->report(sink);
            operations_->report(sink);
            retention_->report(sink);
            disk_->report(sink);
            topic_keeper_->report(sink);
            webhooks_->report(sink);
            if (workflows_) workflows_->report(sink);
        });
}

// What is durable now.
void Dispatcher::tell(const RecordBatch& batch) {
    log_api_->on_records(batch);
    event_api_->on_records(batch);
    deliveries_->on_records(batch);
    topic_api_->on_records(batch);
    webhooks_->on_records(batch);
    own_events_->on_records(batch);
    if (bus_events_) bus_events_->on_records(batch);
}

void Dispatcher::start_topics() {
    const auto& core = ports_.core;
    deliveries_ = std::make_unique<DeliveryDesk>(core_, core.clock, core.timers);
    topic_api_ = std::make_unique<TopicApi>(core_, *deliveries_, core.clock, core.timers);
    topic_api_->add_routes(front_);
    subscription_api_ = std::make_unique<SubscriptionApi>(core_, *deliveries_);
    subscription_api_->add_routes(front_);
    webhooks_ = std::make_unique<Webhooks>(
        core_, ports_.webhook_http != nullptr ? *ports_.webhook_http : ports_.http, core.clock,
        core.timers, core.log);
    webhooks_->start();
    own_events_ =
        std::make_unique<OwnEvents>(core_,
                                    OwnEventsPorts{ports_.records, ports_.records_lane, core.clock,
                                                   core.timers, core.log, ports_.files},
                                    settings_.disk.dir + "/own_events.json");
    own_events_->start();
}

// What is let go, what is left of the disk, and who tells of both.
void Dispatcher::start_upkeep() {
    const auto& core = ports_.core;
    retention_ =
        std::make_unique<Retention>(settings_.retention, core_, core.clock, core.timers, core.log);
    disk_ = std::make_unique<DiskGuard>(settings_.disk, ports_.files, core.space_lane, core_,
                                        core.clock, core.timers, core.log);
    doctor_ = std::make_unique<Doctor>(core_, *retention_, *disk_);
    doctor_->add_routes(front_);
    retention_->start();
    topic_keeper_ = std::make_unique<TopicKeeper>(core_, core.clock, core.timers, core.log);
    topic_keeper_->start();
    disk_->start();
    if (ports_.files == nullptr || ports_.copies == nullptr) return;
    backups_ = std::make_unique<Backups>(
        BackupSettings{settings_.disk.dir + "/backups", settings_.disk.dir + "/view.db",
                       settings_.disk.dir + "/logs", settings_.workers.store_id},
        *ports_.files, *ports_.copies, *disk_, core_, core.clock, core.log);
    backups_->add_routes(front_);
    backups_->start();
}

void Dispatcher::drain(std::function<void()> done) {
    draining_ = true;
    core_.refuse_new_work();
    waiters_.let_go();
    desk_->let_go();
    log_api_->let_go();
    event_api_->let_go();
    deliveries_->let_go();
    topic_api_->let_go();
    webhooks_->let_go();
    own_events_->let_go();
    core_.drain(std::move(done));
}

std::optional<NotReady> Dispatcher::not_ready() const {
    if (draining_) return NotReady{ErrorCode::shutting_down, {}};
    if (!started_) return NotReady{ErrorCode::not_ready, {"the store is being recovered"}};
    if (core_.journal_stats().full) return NotReady{ErrorCode::not_ready, {"the disk is full"}};
    return std::nullopt;
}

}  // namespace taskd::service

// The dispatcher as one object: core, waiters, worker link, watch and API put together over ports.
// The role wires it to the world, the simulator to a simulated one.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "taskd/service/backups.hpp"
#include "taskd/service/bus_events.hpp"
#include "taskd/service/core.hpp"
#include "taskd/service/disk_guard.hpp"
#include "taskd/service/doctor.hpp"
#include "taskd/service/endpoint_api.hpp"
#include "taskd/service/event_api.hpp"
#include "taskd/service/group_api.hpp"
#include "taskd/service/http_front.hpp"
#include "taskd/service/lease_api.hpp"
#include "taskd/service/lease_desk.hpp"
#include "taskd/service/log_api.hpp"
#include "taskd/service/operations.hpp"
#include "taskd/service/own_events.hpp"
#include "taskd/service/queue_api.hpp"
#include "taskd/service/registry_watch.hpp"
#include "taskd/service/retention.hpp"
#include "taskd/service/schedule_api.hpp"
#include "taskd/service/subscription_api.hpp"
#include "taskd/service/task_api.hpp"
#include "taskd/service/topic_api.hpp"
#include "taskd/service/topic_keeper.hpp"
#include "taskd/service/waiters.hpp"
#include "taskd/service/webhooks.hpp"
#include "taskd/service/worker_link.hpp"
#include "taskd/service/workflow_api.hpp"

namespace taskd::service {

struct DispatcherSettings {
    CoreSettings core;
    WorkerLinkSettings workers;
    RetentionSettings retention;
    DiskGuardSettings disk;
    WorkflowSettings workflows;
    std::string nameservice_url;
    std::uint64_t seed = 0;
    bool metrics_open = false;  // /metrics without the key
    bool is_public = false;     // listens beyond loopback
};

struct DispatcherPorts {
    CorePorts core;
    port::Datagram& socket;
    port::Resolver& resolver;
    port::HttpExchange& http;
    port::TaskLogs& logs;
    port::Background& log_lane;  // of `logs`
    port::Calendar& calendar;
    port::JournalReader& records;      // of core's journal
    port::Background& records_lane;    // of `records`
    port::Metrics* metrics = nullptr;  // outlives it; none: no /metrics
    port::Files* files = nullptr;      // of the data directory; none: nobody looks at its disk
    port::ViewCopy* copies = nullptr;  // of the view; none, or no files: no backups
    ReadWorkflow read_workflow = {};   // none: no workflows over HTTP
    port::Background* document_lane = nullptr;  // where documents are read
    bus::Publisher* bus = nullptr;              // of the process; none: nobody there is told
    // For webhooks, whose receivers may hang, Webhooks::calls_max calls at a time; none: `http`.
    port::HttpExchange* webhook_http = nullptr;
    port::HttpExchange* hosts = nullptr;  // calls of functions; none: as `http`
};

class Dispatcher {
  public:
    // `lost_disk`: see Core. Nothing happens before start().
    Dispatcher(DispatcherSettings settings, DispatcherPorts ports,
               std::function<void(const Error&)> lost_disk);
    ~Dispatcher();

    // Before the loop runs: recovers the store, then begins to listen to workers. Blocks.
    Result<void> start();
    // Answers who waits, takes no new tasks, finishes writing, then `done`.
    void drain(std::function<void()> done);
    HttpFront& front() { return front_; }
    Core& core() { return core_; }
    WorkerLink& workers() { return *link_; }

  private:
    std::optional<NotReady> not_ready() const;
    void start_upkeep();
    Result<void> start_endpoints();
    void start_report();
    void start_topics();
    void tell(const RecordBatch& batch);

    DispatcherSettings settings_;
    DispatcherPorts ports_;
    Core core_;
    Waiters waiters_;
    std::unique_ptr<WorkerLink> link_;
    std::unique_ptr<RegistryWatch> watch_;
    std::unique_ptr<LeaseDesk> desk_;
    std::unique_ptr<Schemas> schemas_;
    std::unique_ptr<TaskApi> api_;
    std::unique_ptr<LeaseApi> lease_api_;
    std::unique_ptr<QueueApi> queue_api_;
    std::unique_ptr<LogApi> log_api_;
    std::unique_ptr<EventApi> event_api_;
    std::unique_ptr<Operations> operations_;
    std::unique_ptr<GroupApi> group_api_;
    std::unique_ptr<ScheduleDesk> schedules_;
    std::unique_ptr<ScheduleApi> schedule_api_;
    std::unique_ptr<Retention> retention_;
    std::unique_ptr<DiskGuard> disk_;
    std::unique_ptr<Doctor> doctor_;
    std::unique_ptr<Backups> backups_;
    std::unique_ptr<DeliveryDesk> deliveries_;
    std::unique_ptr<TopicApi> topic_api_;
    std::unique_ptr<SubscriptionApi> subscription_api_;
    std::unique_ptr<TopicKeeper> topic_keeper_;
    std::unique_ptr<Webhooks> webhooks_;
    std::unique_ptr<OwnEvents> own_events_;
    std::unique_ptr<BusEvents> bus_events_;
    std::unique_ptr<WorkflowApi> workflows_;
    std::unique_ptr<EndpointApi> endpoints_;
    HttpFront front_;
    bool started_ = false;
    bool draining_ = false;
};

}  // namespace taskd::service

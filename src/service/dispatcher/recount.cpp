#include "taskd/service/recount.hpp"

#include <map>

namespace taskd::service {
namespace {

void count(const Task& task, Recount& all, std::map<std::string, QueueRecount>& queues) {
    ++(is_terminal(task.state) ? all.ended : all.live);
    if (is_terminal(task.state) && !task.lease) return;
    QueueRecount& queue = queues[task.spec.type];
    queue.queued += task.state == TaskState::queued ? 1 : 0;
    queue.scheduled += task.state == TaskState::scheduled ? 1 : 0;
    queue.running += task.state == TaskState::running ? 1 : 0;
    queue.leases += task.lease ? 1 : 0;
}

void compare(const std::string& what, std::uint64_t counted, std::uint64_t rows, Recount& all) {
    if (counted != rows)
        all.faults.push_back(what + ": " + std::to_string(counted) + " are counted, there are " +
                             std::to_string(rows));
}

void compare(const engine::QueueFigures& counted, const QueueRecount& rows, Recount& all) {
    const std::string of = " of queue " + rows.type;
    compare("queued tasks" + of, counted.queued, rows.queued, all);
    compare("scheduled tasks" + of, counted.scheduled, rows.scheduled, all);
    compare("running tasks" + of, counted.running, rows.running, all);
    compare("leases" + of, counted.leased, rows.leases, all);
}

}  // namespace

Result<Recount> recount(const engine::Engine& engine, port::View& view) {
    Recount all;
    std::map<std::string, QueueRecount> queues;
    // Also those that the engine alone knows of.
    for (const std::string& type : engine.queue_types())
        queues[type];
    TaskQuery query;
    query.limit = limits::page_tasks_max;
    query.rows_max = limits::page_tasks_max;
    query.bare = true;
    do {
        const auto page = view.list(query);
        if (!page) return std::unexpected{page.error()};
        for (const Task& task : page->tasks)
            count(task, all, queues);
        query.after = page->next;
    } while (query.after);
    all.faults = engine.faults();
    compare("ended tasks", engine.totals().kept, all.ended, all);
    for (auto& [type, queue] : queues) {
        queue.type = type;
        queue.concurrency = engine.rules_of(type).concurrency;
        compare(engine.figures_of(type), queue, all);
        if (queue.queued + queue.scheduled + queue.running + queue.leases > 0)
            all.queues.push_back(std::move(queue));
    }
    return all;
}

}  // namespace taskd::service

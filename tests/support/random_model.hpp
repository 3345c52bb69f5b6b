// Random records, batches and tasks from a seed, with the extremes of each field among them.
#pragma once

#include <cstddef>
#include <string>

#include "taskd/base/random.hpp"
#include "taskd/model/record.hpp"

namespace taskd::support {

std::string random_text(Random& random, std::size_t size_max);
std::uint64_t random_number(Random& random);  // of any magnitude
TaskId random_id(Random& random);

// One of the kinds, 0 to record_kinds - 1 in the order of the variant.
inline constexpr std::size_t record_kinds = std::variant_size_v<RecordKind>;
Record random_record(Random& random, std::size_t kind);
RecordBatch random_batch(Random& random, Sequence first, std::size_t records);
Task random_task(Random& random);
QueueRules random_rules(Random& random);
Operation random_operation(Random& random);
WorkerHold random_hold(Random& random);
Group random_group(Random& random);
Schedule random_schedule(Random& random);
Topic random_topic(Random& random);
TopicEvent random_event(Random& random);
Subscription random_subscription(Random& random);
DeadLetter random_letter(Random& random);
std::shared_ptr<const WorkflowPlan> random_plan(Random& random, unsigned depth = 0);
Workflow random_workflow(Random& random);
Step random_step(Random& random);
Record random_workflow_record(Random& random, std::size_t kind);

}  // namespace taskd::support

// Workflows nobody would write: every kind of step, edges of every policy, lists, conditions that
// hold or not, references that name nothing, compensations, workflows within.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "taskd/base/random.hpp"
#include "taskd/model/workflow_plan.hpp"

namespace taskd::sim {

// Tasks of any of these types. Whatever waits for people has a time after which it waits no more.
std::shared_ptr<const WorkflowPlan> random_plan(Random& random,
                                                const std::vector<std::string>& types);

}  // namespace taskd::sim

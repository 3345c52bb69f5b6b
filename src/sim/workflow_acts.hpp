// What people do with workflows in a story.
#pragma once

#include "sim/story.hpp"

namespace taskd::sim {

void start_workflow(Story& story);
void speak_to_workflow(Story& story);  // a signal, an approval or a refusal
void cancel_workflow(Story& story);
void retry_workflow(Story& story);
void delete_workflow(Story& story);
void cancel_step(Story& story);  // its task, as if it were any other

}  // namespace taskd::sim

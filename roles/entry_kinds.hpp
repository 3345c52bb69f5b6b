// The kinds of entries that the registry knows, and what they mean to the rest.
#pragma once

#include <vector>

#include "taskd/runtime/entries.hpp"
#include "taskd/service/worker_list.hpp"

namespace taskd::roles {

// worker.builtin, worker.exec, worker.http, queue, schedule.
const std::vector<runtime::EntryKind>& entry_kinds();

// The workers among valid entries that are to be started.
std::vector<service::WorkerEntry> workers_of(const std::vector<Entry>& entries);

// Entries of files and folders (all *.yaml and *.yml below, by name), through all stages.
// file_missing, config_invalid and the stages' own.
Result<std::vector<Entry>> read_entries(const std::vector<std::string>& paths,
                                        const runtime::StageSettings& settings);

}  // namespace taskd::roles

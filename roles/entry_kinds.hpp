// The kinds of entries that the registry knows, and what they mean to the rest.
#pragma once

#include <string>
#include <vector>

#include "taskd/io/key_stores.hpp"
#include "taskd/runtime/entries.hpp"
#include "taskd/service/worker_list.hpp"

namespace taskd::roles {

// worker.builtin, worker.exec, worker.http, queue, schedule, topic, subscription,
// http.endpoint, workflow, contract, store.
const std::vector<runtime::EntryKind>& entry_kinds();

// The workers among valid entries that are to be started; each with those of them that it needs,
// also by way of entries of other kinds.
std::vector<service::WorkerEntry> workers_of(const std::vector<Entry>& entries);

// Entries of files and folders (all *.yaml and *.yml below, by name), through all stages.
// file_missing, config_invalid and the stages' own.
Result<std::vector<Entry>> read_entries(const std::vector<std::string>& paths,
                                        const runtime::StageSettings& settings);

// Entries that passed all stages elsewhere, looked at again: as read_entries from linking on.
Result<std::vector<Entry>> check_entries(std::vector<Entry> entries);

// The document of a valid entry of kind workflow: its text, and what messages call it.
struct WorkflowSource {
    std::string file;
    std::string text;
};
Result<WorkflowSource> workflow_of(const Entry& entry);

// What a valid entry of kind store says.
Result<io::KeyStoreSettings> store_settings(const Entry& entry);

// The entries of the newest version in a data directory's registry. file_missing.
Result<std::vector<Entry>> newest_entries(const std::string& dir);

// Where a running `taskd up` takes changes of the registry in its data directory.
std::string registry_socket(const std::string& dir);

}  // namespace taskd::roles

// Entries that are programs: function.lua, process.lua and library.lua, from files to what a host
// runs.
#pragma once

#include <string>
#include <vector>

#include "taskd/io/key_stores.hpp"
#include "taskd/lua/functions.hpp"
#include "taskd/port/service.hpp"
#include "taskd/runtime/entries.hpp"

namespace taskd::roles {

struct FunctionEntry {
    std::string id;
    lua::ProgramSpec spec;
    lua::PoolSettings pool;
};

struct ProcessEntry {
    std::string id;
    lua::ProgramSpec spec;
    std::vector<Value> arguments;
    bool auto_start = false;
    port::ServiceSpec service;  // how it is looked after
};

struct StoreEntry {
    std::string id;
    io::KeyStoreSettings settings;
};

struct ProgramEntries {
    std::vector<FunctionEntry> functions;
    std::vector<ProcessEntry> processes;  // each in front of what needs it
    std::vector<StoreEntry> stores;       // that programs may use
};

std::vector<runtime::EntryKind> program_kinds();
bool is_program(const Entry& entry);  // of one of those kinds

// What its `source` says, or the file that its `file` names: config_invalid.
Result<std::string> program_text(const Entry& entry);

// Compiles what the entries say; of other kinds it takes stores alone. config_invalid, bad_program,
// module_not_allowed, dependency_missing and dependency_cycle for imports; each with its place.
Result<ProgramEntries> compile_entries(const std::vector<Entry>& entries);

// From files and folders, through all stages.
Result<ProgramEntries> read_programs(const std::vector<std::string>& paths,
                                     const runtime::StageSettings& settings);

}  // namespace taskd::roles

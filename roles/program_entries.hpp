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

// "shop:price", or of one that implements a contract "shop:till.charge", for each method.
struct FunctionEntry {
    std::string id;
    lua::ProgramSpec spec;
    lua::PoolSettings pool;
    lua::CallChecks checks = {};
    std::string contract = {};  // what the checks hold calls against
};

struct ProcessEntry {
    std::string id;
    lua::ProgramSpec spec;
    std::vector<Value> arguments;
    bool auto_start = false;
    port::ServiceSpec service;  // how it is looked after; needs others that begin by themselves
};

// Whether the one does as the other.
bool same(const lua::ProgramSpec& a, const lua::ProgramSpec& b);
bool same(const FunctionEntry& a, const FunctionEntry& b);
// The same of how it is begun and looked after, whatever its program is.
bool same_service(const ProcessEntry& a, const ProcessEntry& b);

struct StoreEntry {
    std::string id;
    io::KeyStoreSettings settings;
};

struct ProgramEntries {
    std::vector<FunctionEntry> functions;
    std::vector<ProcessEntry> processes;
    std::vector<StoreEntry> stores;  // that programs may use
};

std::vector<runtime::EntryKind> program_kinds();
bool is_program(const Entry& entry);  // of one of those kinds

// What its `source` says, or the file that its `file` names: config_invalid.
Result<std::string> program_text(const Entry& entry);

// Compiles what the entries say; of other kinds it takes stores alone. config_invalid, bad_program,
// module_not_allowed, dependency_missing and dependency_cycle for imports; each with its place.
Result<ProgramEntries> compile_entries(const std::vector<Entry>& entries);

// Those that a host knows what to do with: programs, the contracts that they implement, and stores.
std::vector<Entry> entries_of_host(const std::vector<Entry>& entries);
bool is_of_host(std::string_view kind);

}  // namespace taskd::roles

#include "program_entries.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <set>

#include "entry_kinds.hpp"
#include "programs.hpp"
#include "taskd/base/duration_text.hpp"

namespace taskd::roles {
namespace {

using runtime::EntryKind;
using runtime::FieldRule;
using runtime::FieldType;

std::unexpected<Error> wrong(const Entry& entry, std::string_view field, const std::string& what) {
    const auto found = entry.field_places.find(field);
    const std::string& place = found == entry.field_places.end() ? entry.place : found->second;
    return fail(ErrorCode::config_invalid, fmt::format("{}: {}: {}", place, field, what));
}

// ---- fields -------------------------------------------------------------------------------------

const Value* inside(const Entry& entry, std::string_view map, std::string_view name) {
    const Value* value = entry.find(map);
    if (value == nullptr) return nullptr;
    for (const ValueField& field : value->fields)
        if (field.name == name) return &field.value;
    return nullptr;
}

// Maps of an entry have these fields and no others.
Result<void> check_map(const Entry& entry, std::string_view map,
                       const std::set<std::string_view>& known) {
    const Value* value = entry.find(map);
    if (value == nullptr) return {};
    for (const ValueField& field : value->fields)
        if (!known.contains(field.name))
            return wrong(entry, map, fmt::format("'{}' is not known here", field.name));
    return {};
}

Result<std::uint64_t> number(const Entry& entry, std::string_view map, std::string_view name,
                             std::uint64_t otherwise, std::uint64_t least, std::uint64_t most) {
    const Value* value = inside(entry, map, name);
    if (value == nullptr) return otherwise;
    std::uint64_t read = 0;
    const char* end_of_text = value->text.data() + value->text.size();
    const auto [end, error] = std::from_chars(value->text.data(), end_of_text, read);
    if (value->kind != ValueKind::number || error != std::errc{} || end != end_of_text ||
        read < least || read > most)
        return wrong(entry, map, fmt::format("{} takes a number from {} to {}", name, least, most));
    return read;
}

Result<Duration> duration(const Entry& entry, std::string_view map, std::string_view name,
                          Duration otherwise) {
    const Value* value = inside(entry, map, name);
    if (value == nullptr) return otherwise;
    const auto read = parse_duration(value->text);
    if (!read) return wrong(entry, map, fmt::format("{} takes a time such as 30s", name));
    return *read;
}

std::string text(const Entry& entry, std::string_view name) {
    const Value* value = entry.find(name);
    return value == nullptr ? std::string{} : value->text;
}

bool is_true(const Entry& entry, std::string_view name) {
    const Value* value = entry.find(name);
    return value != nullptr && value->boolean;
}

Result<lua::MachineLimits> limits_of(const Entry& entry) {
    if (auto known = check_map(entry, "limits", {"memory_bytes", "instructions", "time"}); !known)
        return fail(std::move(known));
    lua::MachineLimits limits;
    const auto memory = number(entry, "limits", "memory_bytes", limits.memory_bytes,
                               limits::program_memory_least, std::uint64_t{1} << 40);
    const auto instructions = number(entry, "limits", "instructions", limits.instructions, 10'000,
                                     std::uint64_t{1} << 60);
    const auto time = duration(entry, "limits", "time", limits.time);
    if (!memory) return std::unexpected{memory.error()};
    if (!instructions) return std::unexpected{instructions.error()};
    if (!time) return std::unexpected{time.error()};
    limits.memory_bytes = *memory;
    limits.instructions = *instructions;
    limits.time = *time;
    return limits;
}

Result<lua::PoolSettings> pool_of(const Entry& entry) {
    if (auto known = check_map(entry, "pool", {"kind", "size", "waiting", "idle"}); !known)
        return fail(std::move(known));
    lua::PoolSettings pool;
    const Value* kind = inside(entry, "pool", "kind");
    const std::string name = kind == nullptr ? "lazy" : kind->text;
    const std::map<std::string, lua::PoolKind> kinds{{"inline", lua::PoolKind::fresh},
                                                     {"lazy", lua::PoolKind::lazy},
                                                     {"static", lua::PoolKind::fixed},
                                                     {"adaptive", lua::PoolKind::adaptive}};
    const auto found = kinds.find(name);
    if (found == kinds.end())
        return wrong(entry, "pool", "kind is inline, lazy, static or adaptive");
    pool.kind = found->second;
    const auto size =
        number(entry, "pool", "size", pool.machines_max, 1, limits::pool_machines_max);
    const auto waiting = number(entry, "pool", "waiting", pool.waiting_max, 0, 1'000'000);
    const auto idle = duration(entry, "pool", "idle", pool.idle);
    if (!size) return std::unexpected{size.error()};
    if (!waiting) return std::unexpected{waiting.error()};
    if (!idle) return std::unexpected{idle.error()};
    pool.machines_max = *size;
    pool.waiting_max = *waiting;
    pool.idle = *idle;
    return pool;
}

Result<port::ServiceSpec> service_of(const Entry& entry) {
    if (auto known = check_map(entry, "restart",
                               {"initial_delay", "max_delay", "backoff_factor", "jitter",
                                "max_attempts", "stable_after"});
        !known)
        return fail(std::move(known));
    port::ServiceSpec service{.name = entry.id};
    port::RestartPolicy& restart = service.restart;
    const auto initial = duration(entry, "restart", "initial_delay", restart.initial_delay);
    const auto most = duration(entry, "restart", "max_delay", restart.max_delay);
    const auto stable = duration(entry, "restart", "stable_after", service.stable_after);
    const auto attempts = number(entry, "restart", "max_attempts", 0, 0, 1'000'000);
    if (!initial) return std::unexpected{initial.error()};
    if (!most) return std::unexpected{most.error()};
    if (!stable) return std::unexpected{stable.error()};
    if (!attempts) return std::unexpected{attempts.error()};
    restart.initial_delay = *initial;
    restart.max_delay = *most;
    restart.max_attempts = static_cast<std::uint32_t>(*attempts);
    service.stable_after = *stable;
    for (const auto& [name, into] : {std::pair{"backoff_factor", &restart.backoff_factor},
                                     std::pair{"jitter", &restart.jitter}})
        if (const Value* value = inside(entry, "restart", name))
            *into = std::strtod(value->text.c_str(), nullptr);
    const std::string startup = text(entry, "startup");
    if (!startup.empty() && startup != "required" && startup != "optional")
        return wrong(entry, "startup", "it is required or optional");
    service.startup = startup == "required" ? port::Startup::required : port::Startup::optional;
    return service;
}

// ---- programs -----------------------------------------------------------------------------------

class Compiler {
  public:
    explicit Compiler(const std::vector<Entry>& entries) {
        for (const Entry& entry : entries)
            entries_.emplace(entry.id, &entry);
    }

    Result<lua::ProgramPtr> compile(const Entry& entry) {
        if (const auto found = done_.find(entry.id); found != done_.end()) return found->second;
        if (!open_.insert(entry.id).second)
            return fail(ErrorCode::dependency_cycle, entry.place + ": imports of " + entry.id);
        auto reach = reach_of(entry);
        if (!reach) return fail(std::move(reach));
        const auto source = program_text(entry);
        if (!source) return std::unexpected{source.error()};
        auto made = lua::Program::compile(entry.id, *source, std::move(*reach));
        if (!made) return fail(made.error().code, entry.place + ": " + made.error().detail);
        open_.erase(entry.id);
        done_.emplace(entry.id, *made);
        return made;
    }

  private:
    Result<lua::Reach> reach_of(const Entry& entry) {
        lua::Reach reach;
        if (const Value* modules = entry.find("modules"))
            for (const Value& module : modules->items) {
                if (!std::ranges::binary_search(module_names(), module.text))
                    return fail(
                        ErrorCode::module_not_allowed,
                        fmt::format("{}: there is no module '{}'", entry.place, module.text));
                reach.modules.insert(module.text);
            }
        const Value* imports = entry.find("imports");
        if (imports == nullptr) return reach;
        for (const ValueField& import : imports->fields) {
            const std::string id = import.value.text.find(':') == std::string::npos
                                       ? fmt::format("{}:{}", entry.ns(), import.value.text)
                                       : import.value.text;
            const auto found = entries_.find(id);
            if (found == entries_.end() || found->second->kind != "library.lua")
                return fail(
                    ErrorCode::dependency_missing,
                    fmt::format("{}: imports {}, which is no library.lua", entry.place, id));
            auto program = compile(*found->second);
            if (!program) return fail(std::move(program));
            // What an import requires it finds among what its importer may require.
            reach.imports.emplace(import.name, std::move(*program));
        }
        return reach;
    }

    std::map<std::string, const Entry*> entries_;
    std::map<std::string, lua::ProgramPtr> done_;
    std::set<std::string> open_;
};

std::vector<FieldRule> with_shared(std::vector<FieldRule> own) {
    const FieldRule shared[] = {{"source"},
                                {"file"},
                                {"modules", FieldType::texts},
                                {"imports", FieldType::map},
                                {"description"}};
    own.insert(own.end(), std::begin(shared), std::end(shared));
    return own;
}

}  // namespace

std::vector<EntryKind> program_kinds() {
    return {{"library.lua", with_shared({}), {}, {"file"}},
            {"function.lua",
             with_shared({{"method"}, {"limits", FieldType::map}, {"pool", FieldType::map}}),
             {},
             {"file"}},
            {"process.lua",
             with_shared({{"method"},
                          {"limits", FieldType::map},
                          {"arguments", FieldType::any},
                          {"auto_start", FieldType::boolean},
                          {"startup"},
                          {"restart", FieldType::map}}),
             {},
             {"file"}}};
}

Result<std::string> program_text(const Entry& entry) {
    const Value* source = entry.find("source");
    const Value* file = entry.find("file");
    if ((source == nullptr) == (file == nullptr))
        return wrong(entry, "source", "a program has either a source or a file");
    if (source != nullptr) return source->text;
    const std::string* embedded = runtime::embedded_text(entry, file->text);
    if (embedded == nullptr) return wrong(entry, "file", "it is missing: " + file->text);
    return *embedded;
}

bool is_program(const Entry& entry) {
    return entry.kind.ends_with(".lua") && !entry.kind.starts_with("worker.");
}

Result<ProgramEntries> compile_entries(const std::vector<Entry>& entries) {
    ProgramEntries made;
    Compiler compiler{entries};
    for (const Entry& entry : entries) {
        const bool is_function = entry.kind == "function.lua";
        if (entry.kind == "store") {
            auto settings = store_settings(entry);
            if (!settings) return std::unexpected{settings.error()};
            made.stores.push_back({entry.id, *settings});
        }
        if (!is_program(entry)) continue;
        auto program = compiler.compile(entry);
        if (!program) return fail(std::move(program));
        if (entry.kind == "library.lua") continue;
        auto limits = limits_of(entry);
        if (!limits) return fail(std::move(limits));
        lua::ProgramSpec spec{std::move(*program), text(entry, "method"), *limits};
        if (is_function) {
            const auto pool = pool_of(entry);
            if (!pool) return std::unexpected{pool.error()};
            made.functions.push_back({entry.id, std::move(spec), *pool});
            continue;
        }
        auto service = service_of(entry);
        if (!service) return fail(std::move(service));
        if (const Value* needs = entry.find("needs"))
            for (const Value& need : needs->items)
                service->needs.push_back(need.text);
        const Value* arguments = entry.find("arguments");
        if (arguments != nullptr && arguments->kind != ValueKind::list)
            return wrong(entry, "arguments", "it is a list");
        made.processes.push_back({entry.id, std::move(spec),
                                  arguments == nullptr ? std::vector<Value>{} : arguments->items,
                                  is_true(entry, "auto_start"), std::move(*service)});
    }
    return made;
}

Result<ProgramEntries> read_programs(const std::vector<std::string>& paths,
                                     const runtime::StageSettings& settings) {
    const auto entries = read_entries(paths, settings);
    if (!entries) return std::unexpected{entries.error()};
    return compile_entries(*entries);
}

}  // namespace taskd::roles

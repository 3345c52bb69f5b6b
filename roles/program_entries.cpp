#include "program_entries.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <set>

#include "entry_kinds.hpp"
#include "programs.hpp"
#include "taskd/base/duration_text.hpp"
#include "taskd/protocol/value_json.hpp"
#include "taskd/service/contracts.hpp"

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

Result<double> factor(const Entry& entry, std::string_view name, double otherwise, double least,
                      double most) {
    const Value* value = inside(entry, "restart", name);
    if (value == nullptr) return otherwise;
    double read = 0;
    const char* end_of_text = value->text.data() + value->text.size();
    const auto [end, error] = std::from_chars(value->text.data(), end_of_text, read);
    if (value->kind != ValueKind::number || error != std::errc{} || end != end_of_text ||
        !(read >= least && read <= most))
        return wrong(entry, "restart",
                     fmt::format("{} takes a number from {} to {}", name, least, most));
    return read;
}

Result<port::RestartPolicy> restart_of(const Entry& entry) {
    port::RestartPolicy restart;
    const auto initial = duration(entry, "restart", "initial_delay", restart.initial_delay);
    const auto most = duration(entry, "restart", "max_delay", restart.max_delay);
    const auto backoff = factor(entry, "backoff_factor", restart.backoff_factor, 1, 100);
    const auto jitter = factor(entry, "jitter", restart.jitter, 0, 1);
    const auto attempts = number(entry, "restart", "max_attempts", 0, 0, 1'000'000);
    if (!initial) return std::unexpected{initial.error()};
    if (!most) return std::unexpected{most.error()};
    if (!backoff) return std::unexpected{backoff.error()};
    if (!jitter) return std::unexpected{jitter.error()};
    if (!attempts) return std::unexpected{attempts.error()};
    return port::RestartPolicy{.initial_delay = *initial,
                               .max_delay = *most,
                               .backoff_factor = *backoff,
                               .jitter = *jitter,
                               .max_attempts = static_cast<std::uint32_t>(*attempts)};
}

Result<port::ServiceSpec> service_of(const Entry& entry) {
    if (auto known =
            check_map(entry, "restart",
                      {"initial_delay", "max_delay", "backoff_factor", "jitter", "max_attempts",
                       "stable_threshold", "start_timeout", "stop_timeout"});
        !known)
        return fail(std::move(known));
    port::ServiceSpec service{.name = entry.id};
    auto restart = restart_of(entry);
    if (!restart) return std::unexpected{restart.error()};
    service.restart = *restart;
    for (const auto& [name, into] : {std::pair{"stable_threshold", &service.stable_after},
                                     std::pair{"start_timeout", &service.start_timeout},
                                     std::pair{"stop_timeout", &service.stop_timeout}}) {
        const auto time = duration(entry, "restart", name, *into);
        if (!time) return std::unexpected{time.error()};
        *into = *time;
    }
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

    const Entry* find(std::string_view id) const {
        const auto found = entries_.find(id);
        return found == entries_.end() ? nullptr : found->second;
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
            const Entry* library = find(id);
            if (library == nullptr || library->kind != "library.lua")
                return fail(
                    ErrorCode::dependency_missing,
                    fmt::format("{}: imports {}, which is no library.lua", entry.place, id));
            auto program = compile(*library);
            if (!program) return fail(std::move(program));
            // What an import requires it finds among what its importer may require.
            reach.imports.emplace(import.name, std::move(*program));
        }
        return reach;
    }

    std::map<std::string, const Entry*, std::less<>> entries_;
    std::map<std::string, lua::ProgramPtr> done_;
    std::set<std::string> open_;
};

// Of what a process needs, those processes that begin by themselves, also behind other entries.
void collect_needs(const Entry& entry, const Compiler& all, std::vector<std::string>& names,
                   std::set<std::string>& seen) {
    const Value* needs = entry.find("needs");
    if (needs == nullptr) return;
    for (const Value& need : needs->items) {
        const Entry* other = all.find(need.text);
        if (other == nullptr || !seen.insert(need.text).second) continue;
        if (other->kind == "process.lua" && is_true(*other, "auto_start"))
            names.push_back(other->id);
        else
            collect_needs(*other, all, names, seen);
    }
}

lua::CallChecks checks_of(service::BoundMethod bound) {
    const auto shared = std::make_shared<const service::BoundMethod>(std::move(bound));
    return {[shared](const std::vector<Value>& arguments) {
                return shared->check_payload(
                    protocol::write_json_value(arguments.empty() ? Value{} : arguments.front()));
            },
            [shared](const Value& result) {
                return shared->check_result(protocol::write_json_value(result));
            }};
}

// One of the entry's own name, or one for each method of the contract that it implements.
Result<void> add_functions(const Entry& entry, const FunctionEntry& made, const Compiler& all,
                           std::vector<FunctionEntry>& into) {
    const std::string id = service::implemented_by(entry);
    if (id.empty()) {
        into.push_back(made);
        return {};
    }
    if (entry.find("method") != nullptr)
        return wrong(entry, "method", "its methods are those of " + id);
    const Entry* contract = all.find(id);
    if (contract == nullptr || contract->kind != "contract")
        return wrong(entry, "implements", "there is no contract " + id);
    for (const ValueField& method : contract->find("methods")->fields) {
        auto bound = service::BoundMethod::bind({*contract, entry}, id, method.name);
        if (!bound) return wrong(entry, "implements", bound.error().to_string());
        FunctionEntry one = made;
        one.id = service::function_of(entry, method.name);
        one.spec.method = method.name;
        one.checks = checks_of(std::move(*bound));
        one.contract = protocol::write_json_value(method.value);
        into.push_back(std::move(one));
    }
    return {};
}

// Methods of an entry may have the name of another entry.
Result<void> check_names(std::vector<FunctionEntry>& functions) {
    std::set<std::string_view> names;
    for (const FunctionEntry& function : functions)
        if (!names.insert(function.id).second)
            return fail(ErrorCode::config_invalid, "two functions are called " + function.id);
    return {};
}

bool same(const lua::ProgramPtr& a, const lua::ProgramPtr& b) {
    if (a == b) return true;
    const lua::Reach& one = a->reach();
    const lua::Reach& other = b->reach();
    return a->name() == b->name() && a->bytecode() == b->bytecode() &&
           one.modules == other.modules &&
           std::ranges::equal(one.imports, other.imports, [](const auto& x, const auto& y) {
               return x.first == y.first && same(x.second, y.second);
           });
}

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
             with_shared({{"method"},
                          {"limits", FieldType::map},
                          {"pool", FieldType::map},
                          {"implements"},
                          {"methods", FieldType::texts}}),
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
            auto added =
                add_functions(entry, {entry.id, std::move(spec), *pool}, compiler, made.functions);
            if (!added) return fail(std::move(added));
            continue;
        }
        auto service = service_of(entry);
        if (!service) return fail(std::move(service));
        std::set<std::string> seen{entry.id};
        collect_needs(entry, compiler, service->needs, seen);
        const Value* arguments = entry.find("arguments");
        if (arguments != nullptr && arguments->kind != ValueKind::list)
            return wrong(entry, "arguments", "it is a list");
        made.processes.push_back({entry.id, std::move(spec),
                                  arguments == nullptr ? std::vector<Value>{} : arguments->items,
                                  is_true(entry, "auto_start"), std::move(*service)});
    }
    if (auto distinct = check_names(made.functions); !distinct) return fail(std::move(distinct));
    return made;
}

bool is_of_host(std::string_view kind) {
    return kind == "contract" || kind == "store" ||
           (kind.ends_with(".lua") && !kind.starts_with("worker."));
}

std::vector<Entry> entries_of_host(const std::vector<Entry>& entries) {
    std::vector<Entry> some;
    for (const Entry& entry : entries)
        if (is_of_host(entry.kind)) some.push_back(entry);
    return some;
}

bool same(const lua::ProgramSpec& a, const lua::ProgramSpec& b) {
    return same(a.program, b.program) && a.method == b.method && a.limits == b.limits;
}

bool same(const FunctionEntry& a, const FunctionEntry& b) {
    return a.id == b.id && same(a.spec, b.spec) && a.pool == b.pool && a.contract == b.contract;
}

bool same_service(const ProcessEntry& a, const ProcessEntry& b) {
    return a.id == b.id && a.arguments == b.arguments && a.auto_start == b.auto_start &&
           a.service == b.service;
}

}  // namespace taskd::roles

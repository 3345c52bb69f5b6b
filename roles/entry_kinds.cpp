#include "entry_kinds.hpp"

#include <algorithm>
#include <filesystem>
#include <iterator>
#include <map>
#include <set>

#include "formats.hpp"
#include "program_entries.hpp"
#include "taskd/base/assert.hpp"
#include "taskd/io/sqlite_history.hpp"
#include "taskd/io/text_files.hpp"
#include "taskd/io/workflow_text.hpp"
#include "taskd/io/yaml.hpp"
#include "taskd/protocol/json.hpp"
#include "taskd/protocol/value_json.hpp"
#include "taskd/service/contracts.hpp"
#include "taskd/service/entry_push.hpp"
#include "taskd/service/up.hpp"

namespace taskd::roles {
namespace {

using runtime::EntryKind;
using runtime::FieldRule;
using runtime::FieldType;

constexpr std::string_view worker_prefix = "worker.";
constexpr std::string_view lua_worker = "worker.lua";

// What the list of workers knows nothing of.
bool is_of_registry(std::string_view field) {
    return runtime::is_common_field(field) || field == "auto_start" || field == "implements" ||
           field == "methods";
}

// As config/workers.json has it.
std::string worker_json(const Entry& entry) {
    Value worker;
    worker.kind = ValueKind::map;
    worker.fields.push_back({"type", Value::of_text(std::string{entry.name()})});
    worker.fields.push_back({"kind", Value::of_text(entry.kind.substr(worker_prefix.size()))});
    if (entry.kind == lua_worker)
        if (auto program = program_text(entry))
            worker.fields.push_back({"program", Value::of_text(std::move(*program))});
    for (const ValueField& field : entry.body.fields) {
        if (entry.kind == lua_worker && (field.name == "source" || field.name == "file")) continue;
        if (field.name == "type")
            worker.fields.front().value = field.value;
        else if (!is_of_registry(field.name))
            worker.fields.push_back(field);
    }
    return R"({"workers":[)" + protocol::write_json_value(worker) + "]}";
}

Result<void> check_worker(const Entry& entry) {
    const auto parsed = service::parse_worker_list(worker_json(entry));
    if (!parsed) return std::unexpected{parsed.error()};
    if (entry.kind != lua_worker) return {};
    const auto program = lua::Program::compile(entry.id, parsed->front().program);
    return program ? Result<void>{} : std::unexpected{program.error()};
}

EntryKind worker_kind(std::string_view name, std::vector<FieldRule> own) {
    const FieldRule shared[] = {{"type"},
                                {"description"},
                                {"concurrency", FieldType::number},
                                {"startup"},
                                {"options", FieldType::map},
                                {"schema", FieldType::map},
                                {"auto_start", FieldType::boolean},
                                {"implements"},
                                {"methods", FieldType::texts}};
    own.insert(own.end(), std::begin(shared), std::end(shared));
    return {name, std::move(own), check_worker};
}

EntryKind lua_kind() {
    EntryKind kind = worker_kind(lua_worker, {{"source"}, {"file"}});
    kind.embeds = {"file"};
    return kind;
}

bool is_true(const Entry& entry, std::string_view field) {
    const Value* value = entry.find(field);
    return value != nullptr && value->boolean;
}

std::string type_of(const Entry& entry) {
    const Value* type = entry.find("type");
    return type == nullptr ? std::string{entry.name()} : type->text;
}

// Read as the dispatcher will read it; what it needs of inputs and environment is given later.
Result<void> check_workflow(const Entry& entry) {
    const auto document = workflow_of(entry);
    if (!document) return std::unexpected{document.error()};
    protocol::WorkflowOptions options;
    options.file = document->file;
    options.any_env = true;
    const auto read = io::read_workflow_text(document->text, options);
    return read ? Result<void>{} : std::unexpected{read.error()};
}

Result<void> check_store(const Entry& entry) {
    const auto settings = store_settings(entry);
    return settings ? Result<void>{} : std::unexpected{settings.error()};
}

// A whole number of an entry's field, or what holds without it.
Result<std::uint64_t> number_of(const Entry& entry, std::string_view field, std::uint64_t fallback,
                                std::uint64_t least, std::uint64_t most) {
    const Value* value = entry.find(field);
    if (value == nullptr) return fallback;
    const auto number = protocol::read_integer(value->text, field, static_cast<std::int64_t>(least),
                                               static_cast<std::int64_t>(most));
    if (!number) return std::unexpected{number.error()};
    return static_cast<std::uint64_t>(*number);
}

// No two entries may speak of the same thing.
Result<void> check_claims(const std::vector<Entry>& entries) {
    std::map<std::string, std::string> claims;
    for (const Entry& entry : entries) {
        if (is_program(entry)) continue;  // their ids are their names
        std::string what = entry.kind.starts_with(worker_prefix)
                               ? "worker of " + type_of(entry)
                               : entry.kind + " " + service::pushed_name(entry);
        const auto [found, is_first] = claims.emplace(std::move(what), entry.id);
        if (!is_first)
            return fail(ErrorCode::config_invalid, entry.place + ": " + entry.id + " and " +
                                                       found->second + " are both the " +
                                                       found->first);
    }
    return {};
}

std::unexpected<Error> wrong(const Entry& entry, std::string_view field, const std::string& what) {
    const auto found = entry.field_places.find(field);
    const std::string& place = found == entry.field_places.end() ? entry.place : found->second;
    return fail(ErrorCode::config_invalid, place + ": " + entry.id + ": " + what);
}

// What stands behind an endpoint is there.
Result<void> check_functions(const std::vector<Entry>& entries, const ProgramEntries& programs) {
    std::set<std::string_view> names;
    for (const FunctionEntry& function : programs.functions)
        names.insert(function.id);
    for (const Entry& entry : entries)
        if (const std::string name = service::function_behind(entry);
            !name.empty() && !names.contains(name))
            return wrong(entry, "function", "there is no function " + name);
    return {};
}

// Those started workers that an entry needs, or that stand behind what it needs.
void collect_needs(const Entry& entry, const std::map<std::string_view, const Entry*>& all,
                   std::vector<std::string>& names) {
    const Value* needs = entry.find("needs");
    if (needs == nullptr) return;
    for (const Value& need : needs->items) {
        const auto found = all.find(need.text);
        if (found == all.end()) continue;
        const Entry& other = *found->second;
        if (other.kind.starts_with(worker_prefix) && is_true(other, "auto_start"))
            names.push_back(service::Up::name_of({.type = type_of(other)}));
        else
            collect_needs(other, all, names);
    }
}

// Files that an entry of the file at `place` names: those beside it.
Result<std::vector<runtime::EmbeddedFile>> read_embedded(const std::string& place,
                                                         const std::string& path) {
    const std::size_t line = place.rfind(':', place.rfind(':') - 1);
    const auto folder = std::filesystem::path{place.substr(0, line)}.parent_path();
    auto found = io::read_text_files(folder.string(), path);
    if (!found) return std::unexpected{found.error()};
    std::vector<runtime::EmbeddedFile> files;
    for (io::TextFile& each : *found)
        files.push_back({std::move(each.path), std::move(each.text), std::move(each.sha256)});
    return files;
}

Result<std::vector<Entry>> check(std::vector<Entry> entries, runtime::StageSettings settings) {
    settings.sha256 = io::sha256_of;
    auto valid = runtime::run_stages(std::move(entries), settings, entry_kinds());
    if (!valid) return valid;
    if (auto distinct = check_claims(*valid); !distinct) return fail(std::move(distinct));
    if (const auto fault = service::find_contract_fault(*valid))
        return wrong(*fault->entry, fault->field, fault->what);
    const auto programs = compile_entries(*valid);
    if (!programs) return std::unexpected{programs.error()};
    if (auto there = check_functions(*valid, *programs); !there) return fail(std::move(there));
    return valid;
}

// But for programs.
std::vector<EntryKind> own_kinds() {
    return {
        worker_kind("worker.builtin", {}),
        worker_kind("worker.exec", {{"command", FieldType::texts, true}}),
        worker_kind("worker.http", {{"url", FieldType::text, true}}),
        lua_kind(),
        {"queue",
         {{"type"},
          {"concurrency", FieldType::number},
          {"key_concurrency", FieldType::number},
          {"key_backlog_max", FieldType::number},
          {"rate", FieldType::map},
          {"key_rate", FieldType::map},
          {"weights", FieldType::map},
          {"schema", FieldType::map}},
         service::check_pushed_entry},
        {"schedule",
         {{"cron"},
          {"zone"},
          {"every_ms", FieldType::number},
          {"overlap"},
          {"misfire"},
          {"start_at"},
          {"end_at"},
          {"task", FieldType::map, true}},
         service::check_pushed_entry},
        {"topic",
         {{"topic"},
          {"keep_ms", FieldType::number},
          {"keep_bytes", FieldType::number},
          {"keep_count", FieldType::number}},
         service::check_pushed_entry},
        {"subscription",
         {{"group"},
          {"pattern", FieldType::text, true},
          {"start", FieldType::any},
          {"order_by_key", FieldType::boolean},
          {"attempts_max", FieldType::number},
          {"retry", FieldType::map},
          {"ack_timeout_ms", FieldType::number},
          {"webhook", FieldType::map}},
         service::check_pushed_entry},
        {"http.endpoint",
         {{"method"},
          {"path", FieldType::text, true},
          {"type"},
          {"function"},
          {"payload"},
          {"wait_ms", FieldType::number},
          {"errors", FieldType::map},
          {"priority", FieldType::number},
          {"timeout_ms", FieldType::number},
          {"queue_timeout_ms", FieldType::number},
          {"total_timeout_ms", FieldType::number},
          {"attempts_max", FieldType::number},
          {"backoff", FieldType::map},
          {"labels", FieldType::map}},
         service::check_pushed_entry},
        {"workflow",
         {{"document", FieldType::map}, {"file"}, {"description"}},
         check_workflow,
         {"file"}},
        {"contract", {{"methods", FieldType::map, true}, {"description"}}, service::check_contract},
        {"store",
         {{"bytes_max", FieldType::number},
          {"value_bytes_max", FieldType::number},
          {"ttl_ms", FieldType::number}},
         check_store},
    };
}

// The files that a path stands for.
Result<std::vector<std::string>> files_of(const std::string& path) {
    namespace fs = std::filesystem;
    std::error_code error;
    if (!fs::is_directory(path, error)) return std::vector{path};
    std::vector<std::string> files;
    for (fs::recursive_directory_iterator at{path, error}, end; !error && at != end;
         at.increment(error))
        if (at->is_regular_file(error) && is_yaml_file(at->path().string()))
            files.push_back(at->path().string());
    if (error) return fail(ErrorCode::file_missing, path + ": " + error.message());
    std::ranges::sort(files);
    return files;
}

}  // namespace

const std::vector<EntryKind>& entry_kinds() {
    static const std::vector<EntryKind> kinds = [] {
        std::vector<EntryKind> all = own_kinds();
        std::ranges::move(program_kinds(), std::back_inserter(all));
        return all;
    }();
    return kinds;
}

std::vector<service::WorkerEntry> workers_of(const std::vector<Entry>& entries) {
    std::map<std::string_view, const Entry*> all;
    for (const Entry& entry : entries)
        all.emplace(entry.id, &entry);
    std::vector<service::WorkerEntry> workers;
    for (const Entry& entry : entries) {
        if (!entry.kind.starts_with(worker_prefix) || !is_true(entry, "auto_start")) continue;
        auto parsed = service::parse_worker_list(worker_json(entry));
        TASKD_ASSERT(parsed);  // it was checked before it was kept
        collect_needs(entry, all, parsed->front().needs);
        // What it takes are calls of the contract.
        if (const auto found = all.find(service::implemented_by(entry)); found != all.end()) {
            parsed->front().schema = service::schema_of_calls(*found->second);
            parsed->front().contract = service::methods_text(*found->second);
        }
        workers.push_back(std::move(parsed->front()));
    }
    return workers;
}

Result<std::vector<Entry>> read_entries(const std::vector<std::string>& paths,
                                        const runtime::StageSettings& settings) {
    std::vector<Entry> entries;
    for (const std::string& path : paths) {
        const auto files = files_of(path);
        if (!files) return std::unexpected{files.error()};
        for (const std::string& file : *files) {
            const auto document = io::read_yaml_file(file);
            if (!document) return std::unexpected{document.error()};
            auto some = runtime::parse_entries(*document);
            if (!some) return some;
            std::ranges::move(*some, std::back_inserter(entries));
        }
    }
    runtime::StageSettings with_files = settings;
    with_files.read_embedded = read_embedded;
    return check(std::move(entries), std::move(with_files));
}

Result<WorkflowSource> workflow_of(const Entry& entry) {
    const Value* document = entry.find("document");
    const Value* file = entry.find("file");
    if ((document == nullptr) == (file == nullptr))
        return fail(ErrorCode::invalid_field, "a workflow has either a document or a file");
    if (document != nullptr) return WorkflowSource{entry.id, protocol::write_json_value(*document)};
    const std::string* text = runtime::embedded_text(entry, file->text);
    if (text == nullptr) return fail(ErrorCode::file_missing, file->text);
    return WorkflowSource{file->text, *text};
}

Result<io::KeyStoreSettings> store_settings(const Entry& entry) {
    io::KeyStoreSettings settings;
    const auto bytes =
        number_of(entry, "bytes_max", settings.bytes_max, 1, limits::store_bytes_most);
    if (!bytes) return std::unexpected{bytes.error()};
    const auto value =
        number_of(entry, "value_bytes_max", settings.value_bytes_max, 1, settings.value_bytes_max);
    if (!value) return std::unexpected{value.error()};
    constexpr auto longest = static_cast<std::uint64_t>(limits::topic_age_most / Duration{1'000});
    const auto ttl = number_of(entry, "ttl_ms", 0, 1, longest);
    if (!ttl) return std::unexpected{ttl.error()};
    settings.bytes_max = *bytes;
    settings.value_bytes_max = static_cast<std::size_t>(*value);
    if (*ttl > 0) settings.ttl = Duration{static_cast<std::int64_t>(*ttl) * 1'000};
    return settings;
}

Result<std::vector<Entry>> check_entries(std::vector<Entry> entries) {
    return check(std::move(entries), {});
}

Result<std::vector<Entry>> newest_entries(const std::string& dir) {
    const auto history = io::read_history(dir + "/registry.db");
    if (!history) return std::unexpected{history.error()};
    const auto newest = (*history)->newest();
    if (!newest) return std::unexpected{newest.error()};
    return (*history)->read(*newest);
}

std::string registry_socket(const std::string& dir) {
    std::error_code error;
    return std::filesystem::absolute(dir + "/registry.sock", error).lexically_normal().string();
}

}  // namespace taskd::roles

#include "entry_kinds.hpp"

#include <algorithm>
#include <filesystem>
#include <iterator>
#include <map>

#include "formats.hpp"
#include "taskd/base/assert.hpp"
#include "taskd/io/yaml.hpp"
#include "taskd/protocol/value_json.hpp"
#include "taskd/service/entry_push.hpp"

namespace taskd::roles {
namespace {

using runtime::EntryKind;
using runtime::FieldRule;
using runtime::FieldType;

constexpr std::string_view worker_prefix = "worker.";

// As config/workers.json has it.
std::string worker_json(const Entry& entry) {
    Value worker;
    worker.kind = ValueKind::map;
    worker.fields.push_back({"type", Value::of_text(std::string{entry.name()})});
    worker.fields.push_back({"kind", Value::of_text(entry.kind.substr(worker_prefix.size()))});
    for (const ValueField& field : entry.body.fields) {
        if (field.name == "type")
            worker.fields.front().value = field.value;
        else if (field.name != "meta" && field.name != "needs" && field.name != "auto_start")
            worker.fields.push_back(field);
    }
    return R"({"workers":[)" + protocol::write_json_value(worker) + "]}";
}

Result<void> check_worker(const Entry& entry) {
    const auto parsed = service::parse_worker_list(worker_json(entry));
    if (!parsed) return std::unexpected{parsed.error()};
    return {};
}

EntryKind worker_kind(std::string_view name, std::vector<FieldRule> own) {
    const FieldRule shared[] = {{"type"},
                                {"description"},
                                {"concurrency", FieldType::number},
                                {"startup"},
                                {"options", FieldType::map},
                                {"schema", FieldType::map},
                                {"auto_start", FieldType::boolean}};
    own.insert(own.end(), std::begin(shared), std::end(shared));
    return {name, std::move(own), check_worker};
}

bool is_true(const Entry& entry, std::string_view field) {
    const Value* value = entry.find(field);
    return value != nullptr && value->boolean;
}

std::string type_of(const Entry& entry) {
    const Value* type = entry.find("type");
    return type == nullptr ? std::string{entry.name()} : type->text;
}

// No two entries may speak of the same thing.
Result<void> check_claims(const std::vector<Entry>& entries) {
    std::map<std::string, std::string> claims;
    for (const Entry& entry : entries) {
        const bool is_worker = entry.kind.starts_with(worker_prefix);
        std::string what = is_worker               ? "worker of " + type_of(entry)
                           : entry.kind == "queue" ? "queue " + type_of(entry)
                                                   : "schedule " + std::string{entry.name()};
        const auto [found, is_first] = claims.emplace(std::move(what), entry.id);
        if (!is_first)
            return fail(ErrorCode::config_invalid, entry.place + ": " + entry.id + " and " +
                                                       found->second + " are both the " +
                                                       found->first);
    }
    return {};
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
    static const std::vector<EntryKind> kinds{
        worker_kind("worker.builtin", {}),
        worker_kind("worker.exec", {{"command", FieldType::texts, true}}),
        worker_kind("worker.http", {{"url", FieldType::text, true}}),
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
    };
    return kinds;
}

std::vector<service::WorkerEntry> workers_of(const std::vector<Entry>& entries) {
    std::vector<service::WorkerEntry> workers;
    for (const Entry& entry : entries) {
        if (!entry.kind.starts_with(worker_prefix) || !is_true(entry, "auto_start")) continue;
        auto parsed = service::parse_worker_list(worker_json(entry));
        TASKD_ASSERT(parsed);  // it was checked before it was kept
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
    auto valid = runtime::run_stages(std::move(entries), settings, entry_kinds());
    if (!valid) return valid;
    if (auto distinct = check_claims(*valid); !distinct) return fail(std::move(distinct));
    return valid;
}

}  // namespace taskd::roles

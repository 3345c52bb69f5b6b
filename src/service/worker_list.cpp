#include "taskd/service/worker_list.hpp"

#include <algorithm>

#include "taskd/protocol/json.hpp"
#include "taskd/work/work.hpp"

namespace taskd::service {
namespace {

constexpr std::int64_t concurrency_max = 10'000;

Result<WorkerEntry> parse_entry(std::string_view raw) {
    const auto fields = protocol::split_object(raw);
    if (!fields) return std::unexpected{fields.error()};
    WorkerEntry entry;
    for (const auto& [name, value] : *fields) {
        if (name == "type" || name == "description") {
            auto text = protocol::read_string(value, name);
            if (!text) return fail(std::move(text));
            (name == "type" ? entry.type : entry.description) = std::move(*text);
        } else if (name == "concurrency") {
            const auto number = protocol::read_integer(value, name, 1, concurrency_max);
            if (!number) return std::unexpected{number.error()};
            entry.concurrency = static_cast<std::uint32_t>(*number);
        } else if (name == "enabled") {
            const auto enabled = protocol::read_boolean(value, name);
            if (!enabled) return std::unexpected{enabled.error()};
            entry.enabled = *enabled;
        } else {
            return fail(ErrorCode::unknown_field, name);
        }
    }
    if (entry.type.empty()) return fail(ErrorCode::missing_field, "type");
    if (work::find_work(work::work_table(), entry.type) == nullptr)
        return fail(ErrorCode::unknown_type, entry.type);
    return entry;
}

}  // namespace

Result<std::vector<WorkerEntry>> parse_worker_list(std::string_view text) {
    if (auto valid = protocol::check_json(text); !valid)
        return fail(ErrorCode::config_invalid, valid.error().to_string());
    const auto fields = protocol::split_object(text);
    if (!fields || fields->size() != 1 || fields->front().first != "workers")
        return fail(ErrorCode::config_invalid, "expected an object with the field workers alone");
    const auto elements = protocol::split_array(fields->front().second);
    if (!elements) return fail(ErrorCode::config_invalid, "workers is no array");
    std::vector<WorkerEntry> entries;
    for (std::size_t i = 0; i < elements->size(); ++i) {
        auto entry = parse_entry((*elements)[i]);
        const std::string place = "worker " + std::to_string(i) + ": ";
        if (!entry) return fail(ErrorCode::config_invalid, place + entry.error().to_string());
        if (std::ranges::find(entries, entry->type, &WorkerEntry::type) != entries.end())
            return fail(ErrorCode::config_invalid, place + entry->type + " stands twice");
        entries.push_back(std::move(*entry));
    }
    return entries;
}

}  // namespace taskd::service

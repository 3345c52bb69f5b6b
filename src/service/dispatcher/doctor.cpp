#include "taskd/service/doctor.hpp"

#include "taskd/protocol/json.hpp"

namespace taskd::service {
namespace {

using protocol::JsonWriter;

void put_retention(JsonWriter& json, const Retention& retention, std::uint64_t kept) {
    constexpr Duration unit = std::chrono::milliseconds{1};
    const RetentionSettings& settings = retention.settings();
    json.key("retention")
        .begin_object()
        .field("kept", kept)
        .field("count_max", settings.count)
        .field("keep_ms", settings.keep / unit)
        .field("keep_dead_ms", settings.keep_dead / unit)
        .field("dropped", retention.dropped());
    if (retention.swept_at()) json.field("last_sweep_at", *retention.swept_at());
    json.end_object();
}

void put_disk(JsonWriter& json, const DiskGuard& disk) {
    if (!disk.space()) return;
    json.key("disk")
        .begin_object()
        .field("free_bytes", disk.space()->free_bytes)
        .field("total_bytes", disk.space()->total_bytes)
        .field("reserve_bytes", disk.reserve())
        .field("low", disk.low())
        .end_object();
}

}  // namespace

void Doctor::add_routes(HttpFront& front) {
    front.add({"GET", "/v1/doctor", {}, [this](Call&& call) { examine(std::move(call)); }});
}

// There should be nothing to tell of faults and idle workers.
void Doctor::examine(Call call) {
    const engine::Engine& engine = core_.engine();
    const auto faults = engine.faults();
    const Duration idle = core_.idle_with_work();
    std::string out;
    JsonWriter json{out};
    json.begin_object().field("sound", faults.empty() && idle <= limits::idle_with_work_max);
    json.key("faults").begin_array();
    for (const std::string& fault : faults)
        json.string(fault);
    json.end_array()
        .field("idle_with_work_ms", idle / std::chrono::milliseconds{1})
        .key("idle_with_work")
        .begin_array();
    for (const std::string& type : engine.idle_with_work())
        json.string(type);
    json.end_array().field("tasks_in_memory", engine.tasks_in_memory());
    put_retention(json, retention_, engine.totals().kept);
    put_disk(json, disk_);
    json.end_object();
    core_.when_durable(
        [shared = std::make_shared<Call>(std::move(call)), out] { shared->answer(200, out); });
}

}  // namespace taskd::service

#include "taskd/service/registry_api.hpp"

#include <memory>

#include "taskd/protocol/json.hpp"

namespace taskd::service {

std::string write_version(const port::RegistryVersion& version) {
    std::string out;
    protocol::JsonWriter{out}
        .begin_object()
        .field("version", version.number)
        .field("at", to_rfc3339(version.at))
        .field("changes", version.changes)
        .field("note", version.note)
        .end_object();
    return out;
}

void RegistryApi::add_routes(HttpFront& front) {
    front.add({"POST", "/registry/versions", {}, [this](Call call) { post(std::move(call)); }});
}

void RegistryApi::post(Call call) {
    auto asked = protocol::parse_registry_asked(call.request.body);
    if (!asked) return call.answer(asked.error());
    auto shared = std::make_shared<Call>(std::move(call));
    change_(std::move(*asked), [shared](const Made& made) {
        if (!made) return shared->answer(made.error());
        if (!*made) return shared->answer(200, "{\"changes\":0}");
        shared->answer(201, write_version(**made));
    });
}

}  // namespace taskd::service

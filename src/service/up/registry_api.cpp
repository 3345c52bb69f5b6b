#include "taskd/service/registry_api.hpp"

#include <algorithm>
#include <charconv>
#include <iterator>
#include <memory>

#include "taskd/base/duration_text.hpp"
#include "taskd/base/limits.hpp"
#include "taskd/protocol/json.hpp"
#include "taskd/protocol/value_json.hpp"

namespace taskd::service {
namespace {

// One change of one entry, and the version that it belongs to.
void write_change(protocol::JsonWriter& json, std::uint64_t version,
                  const port::EntryChange& change) {
    const Entry& entry = change.after ? *change.after : *change.before;
    json.begin_object()
        .field("version", version)
        .field("id", change.id)
        .field("kind", entry.kind)
        .field("change", !change.before  ? "created"
                         : !change.after ? "deleted"
                                         : "updated");
    for (const auto& [name, side] :
         {std::pair{"before", &change.before}, std::pair{"after", &change.after}})
        if (*side) json.key(name).raw(protocol::write_json_value(protocol::value_of(**side)));
    json.end_object();
}

}  // namespace

std::string write_version(const port::RegistryVersion& version) {
    std::string out;
    protocol::JsonWriter{out}
        .begin_object()
        .field("version", version.number)
        .field("at", version.at)
        .field("changes", version.changes)
        .field("note", version.note)
        .end_object();
    return out;
}

void RegistryApi::add_routes(HttpFront& front) {
    front.add({"POST", "/registry/versions", {}, [this](Call&& call) { post(std::move(call)); }});
    front.add({"GET", "/registry/changes", {"after", "wait"}, [this](Call&& call) {
                   changes(std::move(call));
               }});
}

void RegistryApi::post(Call call) {
    auto asked = protocol::parse_registry_asked(call.request.body);
    if (!asked) return call.answer(asked.error());
    auto shared = std::make_shared<Call>(std::move(call));
    ports_.change(std::move(*asked), [shared](const Made& made) {
        if (!made) return shared->answer(made.error());
        if (!*made) return shared->answer(200, "{\"changes\":0}");
        shared->answer(201, write_version(**made));
    });
}

void RegistryApi::changes(Call call) {
    const std::uint64_t newest = ports_.version();
    std::uint64_t after = newest;
    Duration wait{0};
    const std::string* text = call.target.find("after");
    if (text != nullptr) {
        const char* end = text->data() + text->size();
        const auto [at, error] = std::from_chars(text->data(), end, after);
        if (error != std::errc{} || at != end)
            return call.answer(Error{ErrorCode::invalid_field, "after '" + *text + "'"});
        if (after > newest)
            return call.answer(Error{ErrorCode::version_not_found,
                                     *text + ", the newest is " + std::to_string(newest)});
    }
    if (const std::string* said = call.target.find("wait")) {
        const auto read = parse_duration(*said);
        if (!read || *read > limits::registry_wait_most)
            return call.answer(Error{ErrorCode::invalid_field, "wait '" + *said + "'"});
        wait = *read;
    }
    if (text == nullptr || after < newest || wait == Duration{0})
        return tell(std::move(call), after);
    std::erase_if(waiters_, [](const Waiter& each) { return each.call.request.nobody_waits(); });
    if (waiters_.size() >= limits::registry_waiters_max)
        return call.answer(Error{ErrorCode::too_many_waiters, {}});
    waiters_.push_back({std::move(call), after, ports_.timers.make()});
    const auto one = std::prev(waiters_.end());
    one->timer->set(ports_.clock.steady() + wait, [this, one] {
        Waiter waiter = std::move(*one);
        waiters_.erase(one);
        tell(std::move(waiter.call), waiter.after);
    });
}

// At most so many versions; who asks on gets the rest.
void RegistryApi::tell(Call call, std::uint64_t after) {
    const std::uint64_t last =
        std::min(ports_.version(), after + limits::registry_versions_told_max);
    std::string body;
    protocol::JsonWriter json{body};
    json.begin_object().field("version", last).key("changes").begin_array();
    for (std::uint64_t version = after + 1; version <= last; ++version) {
        const auto step = ports_.step(version);
        if (!step) return call.answer(step.error());
        for (const port::EntryChange& change : *step)
            write_change(json, version, change);
    }
    json.end_array().end_object();
    call.answer(200, std::move(body));
}

void RegistryApi::moved() {
    for (Waiter& waiter : std::exchange(waiters_, {}))
        tell(std::move(waiter.call), waiter.after);
}

void RegistryApi::stop() {
    for (Waiter& waiter : std::exchange(waiters_, {}))
        waiter.call.answer(Error{ErrorCode::shutting_down, {}});
}

}  // namespace taskd::service

#include "taskd/protocol/registration_json.hpp"

#include "protocol/json_parts.hpp"
#include "taskd/base/limits.hpp"
#include "taskd/protocol/json.hpp"
#include "taskd/protocol/task_json.hpp"

namespace taskd::protocol {
namespace {

template <class Value, class Target>
Result<void> take(Result<Value>&& value, Target& target) {
    if (!value) return fail(std::move(value));
    target = static_cast<Target>(std::move(*value));
    return {};
}

Result<SessionId> read_session(std::string_view raw) {
    auto text = read_string(raw, "session");
    if (!text) return fail(std::move(text));
    return parse_session(*text);
}

Result<std::string> read_meta(std::string_view raw) {
    if (kind_of(raw) != JsonKind::object)
        return fail(ErrorCode::invalid_field, "meta must be an object");
    if (raw.size() > limits::registration_meta_bytes_max)
        return fail(ErrorCode::invalid_field, "meta is larger than 4 KiB");
    return std::string{raw};
}

// Fields of a PUT and, with `stored`, those that the name service adds itself.
Result<void> take_field(Registration& into, std::string_view key, std::string_view raw,
                        bool stored) {
    if (key == "type") return take(read_string(raw, key), into.type);
    if (key == "host") return take(read_string(raw, key), into.host);
    if (key == "port") return take(read_integer(raw, key, 1, 65535), into.port);
    if (key == "session") return take(read_session(raw), into.session);
    if (key == "concurrency")
        return take(read_integer(raw, key, 1, limits::concurrency_max), into.concurrency);
    if (key == "meta") return take(read_meta(raw), into.meta);
    if (stored && key == "instance") return take(read_string(raw, key), into.instance);
    if (stored && key == "registered_at") return take(read_instant(raw, key), into.registered_at);
    if (stored && key == "renewed_at") return take(read_instant(raw, key), into.renewed_at);
    return fail(ErrorCode::unknown_field, std::string{key});
}

Result<Registration> parse(std::string_view text, bool stored) {
    auto fields = split_object(text);
    if (!fields) return fail(std::move(fields));
    Registration made;
    made.meta = "{}";
    for (const auto& [key, raw] : *fields)
        if (auto taken = take_field(made, key, raw, stored); !taken) return fail(std::move(taken));
    if (made.host.size() > limits::host_bytes_max)
        return fail(ErrorCode::invalid_field, "host is longer than a name can be");
    if (made.type.empty()) return fail(ErrorCode::missing_field, "type");
    if (!is_type_name(made.type)) return fail(ErrorCode::invalid_field, "type '" + made.type + "'");
    if (made.port == 0) return fail(ErrorCode::missing_field, "port");
    if (made.session.value == 0) return fail(ErrorCode::missing_field, "session");
    if (stored && !is_instance_name(made.instance))
        return fail(ErrorCode::invalid_field, "instance '" + made.instance + "'");
    return made;
}

void put(JsonWriter& json, const Registration& registration, bool stored) {
    json.begin_object();
    if (stored) json.field("instance", registration.instance);
    json.field("type", registration.type);
    if (!registration.host.empty()) json.field("host", registration.host);
    json.field("port", registration.port)
        .field("session", write_session(registration.session))
        .field("concurrency", registration.concurrency);
    json.key("meta").raw(registration.meta.empty() ? "{}" : registration.meta);
    if (stored)
        json.field("registered_at", registration.registered_at)
            .field("renewed_at", registration.renewed_at);
    json.end_object();
}

}  // namespace

Result<Registration> parse_registration(std::string_view body) {
    if (auto checked = check_json(body); !checked) return fail(std::move(checked));
    return parse(body, false);
}

std::string write_registration_body(const Registration& registration) {
    std::string out;
    JsonWriter json{out};
    put(json, registration, false);
    return out;
}

std::string write_registration(const Registration& registration) {
    std::string out;
    JsonWriter json{out};
    put(json, registration, true);
    return out;
}

std::string write_registry(const RegistrySnapshot& snapshot) {
    std::string out;
    JsonWriter json{out};
    json.begin_object().field("version", snapshot.version).key("registrations").begin_array();
    for (const Registration& registration : snapshot.registrations)
        put(json, registration, true);
    json.end_array().end_object();
    return out;
}

Result<RegistrySnapshot> parse_registry(std::string_view text) {
    if (auto checked = check_json(text); !checked) return fail(std::move(checked));
    auto fields = split_object(text);
    if (!fields) return fail(std::move(fields));
    RegistrySnapshot snapshot;
    for (const auto& [key, raw] : *fields) {
        if (key == "version") {
            if (auto taken = take(read_integer(raw, key, 0, INT64_MAX), snapshot.version); !taken)
                return fail(std::move(taken));
        } else if (key == "registrations") {
            auto elements = split_array(raw);
            if (!elements) return fail(std::move(elements));
            for (const std::string_view element : *elements) {
                auto registration = parse(element, true);
                if (!registration) return fail(std::move(registration));
                snapshot.registrations.push_back(std::move(*registration));
            }
        }
    }
    return snapshot;
}

}  // namespace taskd::protocol

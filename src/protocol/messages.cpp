// The messages inside datagrams, as JSON.
#include <charconv>

#include "taskd/protocol/datagram.hpp"
#include "taskd/protocol/json.hpp"
#include "taskd/protocol/lease_json.hpp"
#include "taskd/protocol/task_json.hpp"

namespace taskd::protocol {
namespace {

constexpr std::int64_t ms_max = 366LL * 24 * 3600 * 1000;
constexpr std::int64_t bytes_max = 1LL << 40;

std::int64_t to_ms(Duration duration) {
    return duration / std::chrono::milliseconds{1};
}

void put_lease(JsonWriter& json, const LeaseKey& lease) {
    json.field("id", lease.id).field("epoch", lease.epoch.value);
}

// Reads fields one after the other; the first error stays. Unknown fields are passed over, so that
// a newer peer can say more.
class FieldReader {
  public:
    explicit FieldReader(const JsonItem& item) : fields_{item.fields} {
        if (kind_of(item.raw) != JsonKind::object)
            error_ = Error{ErrorCode::invalid_field, "a message is an object"};
        else if (auto checked = check_names(fields_); !checked)
            error_ = checked.error();
    }

    std::optional<std::string_view> raw(std::string_view name) const {
        for (const auto& [key, value] : fields_)
            if (key == name) return value;
        return std::nullopt;
    }
    std::string_view needed(std::string_view name) {
        const auto value = raw(name);
        if (!value && !error_) error_ = Error{ErrorCode::missing_field, std::string{name}};
        return value.value_or("null");
    }
    std::string text(std::string_view name) { return keep(read_string(needed(name), name)); }
    std::int64_t integer(std::string_view name, std::int64_t least, std::int64_t most) {
        return keep(read_integer(needed(name), name, least, most));
    }
    LeaseKey lease() {
        LeaseKey key;
        const std::string_view raw_id = needed("id");
        // Most are plain: no text is made for them.
        const auto id = raw_id.size() == 38 && raw_id.front() == '"'
                            ? TaskId::parse(raw_id.substr(1, 36))
                            : TaskId::parse(text("id"));
        if (id) key.id = *id;
        if (!id && !error_) error_ = Error{ErrorCode::invalid_id, {}};
        key.epoch = LeaseEpoch{static_cast<std::uint64_t>(integer("epoch", 1, INT64_MAX))};
        return key;
    }
    template <class Value>
    Value keep(Result<Value> value) {
        if (value) return std::move(*value);
        if (!error_) error_ = value.error();
        return Value{};
    }
    template <class Message>
    Result<Message> done(Message message) {
        if (error_) return std::unexpected<Error>{*error_};
        return message;
    }

  private:
    const JsonFields& fields_;
    std::optional<Error> error_;
};

}  // namespace

std::string write_hello(const HelloMessage& message) {
    std::string out;
    JsonWriter{out}
        .begin_object()
        .field("lease_ms", to_ms(message.lease))
        .field("http_port", message.http_port)
        .field("window_bytes", message.window_bytes)
        .end_object();
    return out;
}

std::string write_status(const StatusMessage& message) {
    std::string out;
    JsonWriter{out}
        .begin_object()
        .field("type", message.type)
        .field("slots", message.slots)
        .field("window_bytes", message.window_bytes)
        .end_object();
    return out;
}

std::string write_task_message(const TaskMessage& message) {
    std::string out;
    out.reserve(160 + message.type.size() + (message.payload ? message.payload->size() : 0));
    JsonWriter json{out};
    json.begin_object();
    put_lease(json, message.lease);
    json.field("type", message.type).field("lease_ms", to_ms(message.duration));
    if (message.timeout) json.field("timeout_ms", to_ms(*message.timeout));
    if (message.attempt != 0) json.field("attempt", message.attempt);
    if (message.payload)
        json.key("payload").raw(*message.payload);
    else
        json.field("http_port", message.http_port);
    json.end_object();
    return out;
}

std::string write_result(const ResultMessage& message) {
    std::string out;
    out.reserve(128 + message.result.size());
    JsonWriter json{out};
    json.begin_object();
    put_lease(json, message.lease);
    switch (message.end) {
        case ResultMessage::End::completed:
            json.key("result").raw(message.result);
            break;
        case ResultMessage::End::failed: {
            std::string error;
            write_task_error(error, message.error);
            json.key("error").raw(error);
            break;
        }
        case ResultMessage::End::released:
            json.field("released", true);
            break;
        case ResultMessage::End::stopped:
            json.field("stopped", true);
            break;
    }
    if (message.took) json.field("took_us", message.took->count());
    if (message.retry_after) json.field("retry_after_ms", to_ms(*message.retry_after));
    json.end_object();
    return out;
}

std::string write_progress_message(const ProgressMessage& message) {
    std::string progress;
    write_progress(progress, message.progress);
    std::string out;
    JsonWriter json{out};
    json.begin_object();
    put_lease(json, message.lease);
    json.key("progress").raw(progress).end_object();
    return out;
}

std::string write_lease_key(const LeaseKey& lease) {
    std::string out;
    out.reserve(72);
    JsonWriter json{out};
    json.begin_object();
    put_lease(json, lease);
    json.end_object();
    return out;
}

std::string write_body(std::string_view from, const std::vector<std::string>& items) {
    std::string out;
    std::size_t bytes = 32 + from.size();
    for (const std::string& item : items)
        bytes += item.size() + 1;
    out.reserve(bytes);
    JsonWriter json{out};
    json.begin_object().field("from", from).key("items").begin_array();
    for (const std::string& item : items)
        json.raw(item);
    json.end_array().end_object();
    return out;
}

Result<Body> read_body(std::string_view text) {
    auto read = read_envelope(text, "items");
    if (!read) return fail(std::move(read));
    const JsonItem whole{text, std::move(read->fields)};
    FieldReader fields{whole};
    Body body;
    body.from = fields.text("from");
    if (kind_of(fields.needed("items")) != JsonKind::array)
        return fail(ErrorCode::invalid_field, "items must be an array");
    body.items = std::move(read->items);
    return fields.done(std::move(body));
}

Result<HelloMessage> read_hello(const JsonItem& item) {
    FieldReader fields{item};
    HelloMessage message;
    message.lease = std::chrono::milliseconds{fields.integer("lease_ms", 1, ms_max)};
    message.http_port = static_cast<std::uint16_t>(fields.integer("http_port", 0, 65535));
    message.window_bytes = static_cast<std::size_t>(fields.integer("window_bytes", 1, bytes_max));
    return fields.done(message);
}

Result<StatusMessage> read_status(const JsonItem& item) {
    FieldReader fields{item};
    StatusMessage message;
    message.type = fields.text("type");
    message.slots = static_cast<std::uint32_t>(fields.integer("slots", 0, 1'000'000));
    message.window_bytes = static_cast<std::size_t>(fields.integer("window_bytes", 1, bytes_max));
    if (auto done = fields.done(message); !done) return done;
    if (!is_type_name(message.type)) return fail(ErrorCode::invalid_field, "type");
    return message;
}

Result<TaskMessage> read_task_message(const JsonItem& item) {
    FieldReader fields{item};
    TaskMessage message;
    message.lease = fields.lease();
    message.type = fields.text("type");
    message.duration = std::chrono::milliseconds{fields.integer("lease_ms", 1, ms_max)};
    if (fields.raw("timeout_ms"))
        message.timeout = std::chrono::milliseconds{fields.integer("timeout_ms", 0, ms_max)};
    if (fields.raw("attempt"))
        message.attempt = static_cast<std::uint32_t>(fields.integer("attempt", 0, UINT32_MAX));
    if (const auto payload = fields.raw("payload"))
        message.payload = std::string{*payload};
    else
        message.http_port = static_cast<std::uint16_t>(fields.integer("http_port", 1, 65535));
    return fields.done(std::move(message));
}

Result<ResultMessage> read_result(const JsonItem& item) {
    FieldReader fields{item};
    ResultMessage message;
    message.lease = fields.lease();
    if (const auto result = fields.raw("result")) {
        message.result = std::string{*result};
    } else if (const auto error = fields.raw("error")) {
        message.end = ResultMessage::End::failed;
        message.error = fields.keep(parse_task_error(*error));
    } else if (fields.raw("released")) {
        message.end = ResultMessage::End::released;
    } else {
        fields.needed("stopped");
        message.end = ResultMessage::End::stopped;
    }
    if (fields.raw("took_us")) message.took = Duration{fields.integer("took_us", 0, ms_max * 1000)};
    if (fields.raw("retry_after_ms"))
        message.retry_after = std::chrono::milliseconds{
            fields.integer("retry_after_ms", 0, to_ms(limits::backoff_most))};
    return fields.done(std::move(message));
}

Result<ProgressMessage> read_progress_message(const JsonItem& item) {
    FieldReader in{item};
    ProgressMessage message;
    message.lease = in.lease();
    auto progress = parse_progress(in.needed("progress"));
    message.progress = in.keep(std::move(progress));
    return in.done(std::move(message));
}

Result<LeaseKey> read_lease_key(const JsonItem& item) {
    FieldReader fields{item};
    return fields.done(fields.lease());
}

std::string write_lease_path(const LeaseKey& lease) {
    return lease.id.to_string() + "." + std::to_string(lease.epoch.value);
}

Result<LeaseKey> read_lease_path(std::string_view text) {
    const std::size_t dot = text.find('.');
    const auto id = TaskId::parse(text.substr(0, dot));
    LeaseKey lease;
    if (!id || dot == std::string_view::npos)
        return fail(ErrorCode::invalid_id, "a lease is TASK-ID.EPOCH");
    lease.id = *id;
    const std::string_view epoch = text.substr(dot + 1);
    const auto [end, error] =
        std::from_chars(epoch.data(), epoch.data() + epoch.size(), lease.epoch.value);
    if (error != std::errc{} || end != epoch.data() + epoch.size())
        return fail(ErrorCode::invalid_id, "a lease is TASK-ID.EPOCH");
    return lease;
}

}  // namespace taskd::protocol

#include "taskd/protocol/json_schema.hpp"

#include "protocol/schema/schema.hpp"
#include "taskd/base/limits.hpp"
#include "taskd/protocol/value_json.hpp"

namespace taskd::protocol {
namespace {

Result<void> hold(const schema::Schema& schema, std::string_view payload, bool open) {
    const auto value = read_json_value(payload);
    if (!value) return std::unexpected{value.error()};
    const auto faults = schema::check(schema, *value, open);
    if (faults.empty()) return {};
    std::string all;
    for (const std::string& each : faults)
        all += (all.empty() ? "" : "; ") + each;
    return fail(ErrorCode::schema_mismatch, std::move(all));
}

}  // namespace

Result<JsonSchema> JsonSchema::compile(std::string_view json) {
    if (json.size() > limits::schema_bytes_max)
        return fail(ErrorCode::bad_schema,
                    "/: larger than " + std::to_string(limits::schema_bytes_max) + " bytes");
    const auto document = read_json_value(json);
    if (!document) return std::unexpected{document.error()};
    auto schema = schema::compile(*document);
    if (!schema) return std::unexpected{schema.error()};
    return JsonSchema{std::make_shared<const schema::Schema>(std::move(*schema))};
}

Result<void> JsonSchema::check(std::string_view payload) const {
    return hold(*schema_, payload, false);
}

Result<void> JsonSchema::check_template(std::string_view payload) const {
    return hold(*schema_, payload, true);
}

}  // namespace taskd::protocol

#include "taskd/service/schemas.hpp"

namespace taskd::service {

// Null: any payload will do.
Result<const protocol::JsonSchema*> Schemas::find(const std::string& type) {
    Blob text = engine_.schema_of(type);
    if (text.empty()) {
        if (!compiled_.empty()) compiled_.erase(type);
        return nullptr;
    }
    const auto found = compiled_.find(type);
    // The same bytes, not equal ones: what is kept here is not made anew in their place.
    if (found != compiled_.end() && found->second.text.view().data() == text.view().data())
        return &found->second.schema;
    auto schema = protocol::JsonSchema::compile(text.view());
    if (!schema) return std::unexpected{schema.error()};
    const auto [made, fresh] =
        compiled_.insert_or_assign(type, Compiled{std::move(text), std::move(*schema)});
    return &made->second.schema;
}

std::map<std::string, protocol::JsonSchema> Schemas::all() {
    std::map<std::string, protocol::JsonSchema> out;
    for (const std::string& type : engine_.queue_types())
        if (const auto schema = find(type); schema && *schema != nullptr)
            out.emplace(type, **schema);
    return out;
}

Result<void> Schemas::check(const std::string& type, std::string_view payload) {
    const auto schema = find(type);
    if (!schema) return std::unexpected{schema.error()};
    if (*schema == nullptr) return {};
    auto checked = (*schema)->check(payload);
    if (!checked) checked.error().detail.insert(0, type + ": ");
    return checked;
}

}  // namespace taskd::service

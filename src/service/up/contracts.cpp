#include "taskd/service/contracts.hpp"

#include <algorithm>
#include <map>
#include <set>

#include "taskd/base/limits.hpp"
#include "taskd/protocol/json.hpp"
#include "taskd/protocol/value_json.hpp"

namespace taskd::service {
namespace {

constexpr std::string_view contract_kind = "contract";
constexpr std::string_view function_kind = "function.lua";

const Value* field_of(const Value& map, std::string_view name) {
    const auto found = std::ranges::find(map.fields, name, &ValueField::name);
    return found == map.fields.end() ? nullptr : &found->value;
}

Result<void> check_method(const ValueField& method) {
    if (!is_entry_name(method.name))
        return fail(ErrorCode::invalid_field, "'" + method.name + "' is no name of a method");
    if (method.value.kind != ValueKind::map && method.value.kind != ValueKind::null)
        return fail(ErrorCode::invalid_field, method.name + ": a map of payload and result");
    for (const ValueField& part : method.value.fields) {
        if (part.name != "payload" && part.name != "result")
            return fail(ErrorCode::unknown_field, method.name + "." + part.name);
        const auto schema = protocol::JsonSchema::compile(protocol::write_json_value(part.value));
        if (!schema)
            return fail(schema.error().code,
                        method.name + "." + part.name + ": " + schema.error().detail);
    }
    return {};
}

std::set<std::string> methods_of(const Entry& entry) {
    std::set<std::string> names;
    const Value* methods = entry.find("methods");
    if (methods == nullptr) return names;
    for (const ValueField& each : methods->fields)
        names.insert(each.name);
    for (const Value& each : methods->items)
        names.insert(each.text);
    return names;
}

std::optional<ContractFault> find_fault(const Entry& entry, const Entry* contract) {
    if (contract == nullptr || contract->kind != contract_kind)
        return ContractFault{&entry, "implements", "there is no contract " + implemented_by(entry)};
    if (entry.find("schema") != nullptr)
        return ContractFault{&entry, "schema", "its payloads are as the contract says"};
    const auto offered = methods_of(entry);
    const auto wanted = methods_of(*contract);
    for (const std::string& each : wanted)
        if (!offered.contains(each))
            return ContractFault{&entry, "methods",
                                 "the method " + each + " of " + contract->id + " is missing"};
    for (const std::string& each : offered)
        if (!wanted.contains(each))
            return ContractFault{&entry, "methods", contract->id + " has no method " + each};
    return std::nullopt;
}

Result<std::optional<protocol::JsonSchema>> compile(const Value& method, std::string_view part) {
    const Value* schema = field_of(method, part);
    if (schema == nullptr) return std::nullopt;
    auto compiled = protocol::JsonSchema::compile(protocol::write_json_value(*schema));
    if (!compiled) return fail(std::move(compiled));
    return std::optional{std::move(*compiled)};
}

}  // namespace

Result<void> check_contract(const Entry& contract) {
    const Value* methods = contract.find("methods");
    if (methods == nullptr || methods->fields.empty())
        return fail(ErrorCode::missing_field, "methods");
    if (methods->fields.size() > limits::contract_methods_max)
        return fail(ErrorCode::invalid_field,
                    "methods: up to " + std::to_string(limits::contract_methods_max));
    for (const ValueField& method : methods->fields)
        if (auto checked = check_method(method); !checked) return checked;
    const auto whole = protocol::JsonSchema::compile(schema_of_calls(contract));
    return whole ? Result<void>{} : std::unexpected{whole.error()};
}

std::string implemented_by(const Entry& entry) {
    const Value* name = entry.find("implements");
    if (name == nullptr) return {};
    if (name->text.find(':') != std::string::npos) return name->text;
    return std::string{entry.ns()} + ":" + name->text;
}

std::optional<ContractFault> find_contract_fault(const std::vector<Entry>& entries) {
    std::map<std::string_view, const Entry*> all;
    for (const Entry& entry : entries)
        all.emplace(entry.id, &entry);
    std::map<std::string, const Entry*> implementations;
    for (const Entry& entry : entries) {
        const std::string contract = implemented_by(entry);
        if (contract.empty()) {
            if (entry.kind != contract_kind && entry.find("methods") != nullptr)
                return ContractFault{&entry, "methods", "methods go with implements"};
            continue;
        }
        const auto found = all.find(contract);
        if (auto fault = find_fault(entry, found == all.end() ? nullptr : found->second))
            return fault;
        const auto [other, is_first] = implementations.emplace(contract, &entry);
        if (!is_first)
            return ContractFault{&entry, "implements",
                                 other->second->id + " implements " + contract + " already"};
    }
    return std::nullopt;
}

std::string methods_text(const Entry& contract) {
    return protocol::write_json_value(*contract.find("methods"));
}

// One of the methods, each with its own payload.
std::string schema_of_calls(const Entry& contract) {
    std::string out;
    protocol::JsonWriter json{out};
    json.begin_object().key("oneOf").begin_array();
    for (const ValueField& method : contract.find("methods")->fields) {
        json.begin_object().field("type", "object").field("additionalProperties", false);
        json.key("required").begin_array().string("method").string("payload").end_array();
        json.key("properties").begin_object();
        json.key("method").begin_object().field("const", method.name).end_object();
        const Value* payload = field_of(method.value, "payload");
        json.key("payload").raw(payload == nullptr ? "true" : protocol::write_json_value(*payload));
        json.end_object().end_object();
    }
    json.end_array().end_object();
    return out;
}

Result<BoundMethod> BoundMethod::bind(const std::vector<Entry>& entries,
                                      const std::string& contract, const std::string& method) {
    const auto found = std::ranges::find(entries, contract, &Entry::id);
    if (found == entries.end() || found->kind != contract_kind)
        return fail(ErrorCode::not_found, "there is no contract " + contract);
    const Value* shape = field_of(*found->find("methods"), method);
    if (shape == nullptr) return fail(ErrorCode::not_found, contract + " has no method " + method);
    const auto entry = std::ranges::find_if(
        entries, [&](const Entry& each) { return implemented_by(each) == contract; });
    if (entry == entries.end()) return fail(ErrorCode::not_found, "nobody implements " + contract);
    auto payload = compile(*shape, "payload");
    if (!payload) return fail(std::move(payload));
    auto result = compile(*shape, "result");
    if (!result) return fail(std::move(result));
    BoundMethod bound;
    bound.name_ = contract + "." + method;
    bound.method_ = method;
    const Value* type = entry->find("type");
    if (entry->kind == function_kind)
        bound.function_ = function_of(*entry, method);
    else
        bound.type_ = type == nullptr ? std::string{entry->name()} : type->text;
    bound.payload_ = std::move(*payload);
    bound.result_ = std::move(*result);
    return bound;
}

std::string function_of(const Entry& entry, std::string_view method) {
    return entry.id + "." + std::string{method};
}

Result<void> BoundMethod::check_payload(std::string_view payload) const {
    if (auto valid = protocol::check_json(payload); !valid) return valid;
    if (!payload_) return {};
    auto matched = payload_->check(payload);
    if (matched) return {};
    return fail(matched.error().code, "the payload of " + name_ + ": " + matched.error().detail);
}

Result<std::string> BoundMethod::call(std::string_view payload) const {
    if (auto valid = check_payload(payload); !valid) return std::unexpected{valid.error()};
    std::string out;
    protocol::JsonWriter{out}
        .begin_object()
        .field("method", method_)
        .key("payload")
        .raw(payload)
        .end_object();
    return out;
}

Result<void> BoundMethod::check_result(std::string_view result) const {
    if (!result_) return {};
    auto matched = result_->check(result);
    if (matched) return {};
    return fail(ErrorCode::result_mismatch,
                "the result of " + name_ + ": " + matched.error().detail);
}

}  // namespace taskd::service

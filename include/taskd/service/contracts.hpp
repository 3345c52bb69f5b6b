// Contracts: named methods with the schemas of what they take and answer. An entry implements one,
// callers bind by its name. A call is a task of the implementing worker's type, with the payload
// {"method", "payload"}; or of the function that stands for the method, "shop:till.charge", with
// the payload alone. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "taskd/base/result.hpp"
#include "taskd/model/entry.hpp"
#include "taskd/protocol/json_schema.hpp"

namespace taskd::service {

// An entry of kind contract by itself: its methods and their schemas. invalid_field, bad_schema.
Result<void> check_contract(const Entry& contract);

// The contract that an entry says it implements, its name made whole; empty when it says none.
std::string implemented_by(const Entry& entry);
// All entries together: who implements a contract offers its methods, all of them and no other, and
// a contract is implemented once. The fault's entry and field are told, for its place.
struct ContractFault {
    const Entry* entry = nullptr;
    std::string_view field;
    std::string what;
};
std::optional<ContractFault> find_contract_fault(const std::vector<Entry>& entries);

// Its methods with their schemas, as JSON.
std::string methods_text(const Entry& contract);
// The schema of the payloads of all calls, as of a type's tasks.
std::string schema_of_calls(const Entry& contract);

// The function of a program that stands for a method.
std::string function_of(const Entry& entry, std::string_view method);

class BoundMethod {
  public:
    // not_found when there is no such contract or method, or nobody implements it.
    static Result<BoundMethod> bind(const std::vector<Entry>& entries, const std::string& contract,
                                    const std::string& method);

    const std::string& type() const { return type_; }          // of the tasks that calls are
    const std::string& function() const { return function_; }  // in place of tasks, or empty
    // bad_json, schema_mismatch.
    Result<void> check_payload(std::string_view payload) const;
    // The payload of such a task, once it is checked.
    Result<std::string> call(std::string_view payload) const;
    // Whether it is what the contract says of results; result_mismatch.
    Result<void> check_result(std::string_view result) const;

  private:
    std::string name_;  // "shop:payments.charge"
    std::string method_;
    std::string type_;
    std::string function_;
    std::optional<protocol::JsonSchema> payload_;
    std::optional<protocol::JsonSchema> result_;
};

}  // namespace taskd::service

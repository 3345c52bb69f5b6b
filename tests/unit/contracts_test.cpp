// Contracts: whole or refused, implemented whole or refused, and held at each call.
#include "taskd/service/contracts.hpp"

#include "catch.hpp"
#include "taskd/base/limits.hpp"
#include "taskd/protocol/value_json.hpp"
#include "taskd/service/contract_runner.hpp"

using namespace taskd;
using namespace taskd::service;
using Catch::Matchers::Contains;

namespace {

Entry entry(const std::string& id, const std::string& kind, const std::string& body) {
    return {id, kind, *protocol::read_json_value(body)};
}

const Entry payments = entry("shop:payments", "contract", R"({"methods":{
    "charge":{"payload":{"type":"object","required":["amount"]},"result":{"type":"boolean"}},
    "refund":{"payload":{"type":"integer"}},
    "ping":null}})");

Entry till(const std::string& methods, const std::string& more = "") {
    return entry("shop:till", "worker.exec",
                 R"({"type":"pay","implements":"payments","methods":)" + methods + more + "}");
}

std::string fault(const std::vector<Entry>& entries) {
    const auto found = find_contract_fault(entries);
    return found ? found->entry->id + " " + std::string{found->field} + ": " + found->what : "none";
}

const std::string all = R"(["charge","refund","ping"])";

}  // namespace

TEST_CASE("a contract is checked by itself", "[contracts]") {
    CHECK(check_contract(payments));
    const auto code = [](const std::string& body) {
        const auto checked = check_contract(entry("a:b", "contract", body));
        return checked ? ErrorCode::internal : checked.error().code;
    };
    CHECK(code("{}") == ErrorCode::missing_field);
    CHECK(code(R"({"methods":{}})") == ErrorCode::missing_field);
    CHECK(code(R"({"methods":{"a b":{}}})") == ErrorCode::invalid_field);
    CHECK(code(R"({"methods":{"a":1}})") == ErrorCode::invalid_field);
    CHECK(code(R"({"methods":{"a":{"answer":{}}}})") == ErrorCode::unknown_field);
    CHECK(code(R"({"methods":{"a":{"payload":{"type":"wild"}}}})") == ErrorCode::bad_schema);
    std::string many;
    for (std::size_t i = 0; i <= limits::contract_methods_max; ++i)
        many += (i == 0 ? "\"m" : ",\"m") + std::to_string(i) + "\":{}";
    CHECK(code(R"({"methods":{)" + many + "}}") == ErrorCode::invalid_field);
}

TEST_CASE("who implements a contract offers all of it, and nothing else", "[contracts]") {
    CHECK(fault({payments, till(all)}) == "none");
    CHECK(fault({payments}) == "none");
    CHECK(fault({till(all)}) == "shop:till implements: there is no contract shop:payments");
    CHECK(fault({payments, till(R"(["charge","ping"])")}) ==
          "shop:till methods: the method refund of shop:payments is missing");
    CHECK(fault({payments, till(R"(["charge","refund","ping","more"])")}) ==
          "shop:till methods: shop:payments has no method more");
    CHECK_THAT(fault({payments, till(all, R"(,"schema":{})")}), Contains("shop:till schema"));
    CHECK(fault({payments, entry("shop:x", "worker.exec", R"({"methods":["a"]})")}) ==
          "shop:x methods: methods go with implements");
    const Entry other =
        entry("web:pay", "worker.exec", R"({"implements":"shop:payments","methods":)" + all + "}");
    CHECK(fault({payments, other}) == "none");
    CHECK(fault({payments, till(all), other}) ==
          "web:pay implements: shop:till implements shop:payments already");
}

TEST_CASE("a call is held against the contract, and so is what it answers", "[contracts]") {
    const std::vector<Entry> entries{payments, till(all)};
    const auto bound = BoundMethod::bind(entries, "shop:payments", "charge");
    REQUIRE(bound);
    CHECK(bound->type() == "pay");
    CHECK(bound->call(R"({"amount": 1.50})").value() ==
          R"({"method":"charge","payload":{"amount": 1.50}})");
    const auto refused = bound->call("{}");
    CHECK(refused.error().code == ErrorCode::schema_mismatch);
    CHECK_THAT(refused.error().detail, Contains("the payload of shop:payments.charge"));
    CHECK(bound->call("{").error().code == ErrorCode::bad_json);
    CHECK(bound->check_result("true"));
    CHECK(bound->check_result("1").error().code == ErrorCode::result_mismatch);
    const auto free = BoundMethod::bind(entries, "shop:payments", "ping");
    CHECK(free->call("[]"));
    CHECK(free->check_result("null"));
    for (const auto& [contract, method] :
         {std::pair{"shop:none", "charge"}, std::pair{"shop:till", "charge"},
          std::pair{"shop:payments", "none"}})
        CHECK(BoundMethod::bind(entries, contract, method).error().code == ErrorCode::not_found);
    CHECK_THAT(BoundMethod::bind({payments}, "shop:payments", "charge").error().detail,
               Contains("nobody implements"));
}

TEST_CASE("what the dispatcher is told takes calls of the contract alone", "[contracts]") {
    const auto schema = protocol::JsonSchema::compile(schema_of_calls(payments));
    REQUIRE(schema);
    for (const char* good :
         {R"({"method":"charge","payload":{"amount":1}})", R"({"method":"refund","payload":2})",
          R"({"method":"ping","payload":null})"})
        CHECK(schema->check(good));
    for (const char* bad :
         {R"({"method":"charge","payload":{}})", R"({"method":"refund","payload":"2"})",
          R"({"method":"none","payload":1})", R"({"method":"ping"})", "1",
          R"({"method":"ping","payload":1,"more":1})"})
        CHECK(schema->check(bad).error().code == ErrorCode::schema_mismatch);
}

TEST_CASE("what a worker answers to a call is held against the contract", "[contracts]") {
    struct Answers final : TaskRunner {
        void run(TaskRun, std::function<void(RunEnd)> done) override { done(answer); }
        void stop(const protocol::LeaseKey&, std::function<void()> gone) override { gone(); }
        RunEnd answer = "1";
    };
    CHECK(ContractResults::parse("{").error().code == ErrorCode::config_invalid);
    CHECK(ContractResults::parse("[]").error().code == ErrorCode::config_invalid);
    CHECK(ContractResults::parse(R"({"a":{"result":{"type":7}}})").error().code ==
          ErrorCode::config_invalid);
    auto results = ContractResults::parse(R"({"a":{"result":{"type":"integer"}},"b":{}})");
    REQUIRE(results);
    auto inner = std::make_unique<Answers>();
    Answers& answers = *inner;
    ContractRunner runner{std::move(inner), std::move(*results)};
    const auto call = [&](const std::string& method) {
        std::string told;
        runner.run({.lease = {},
                    .type = "t",
                    .payload = R"({"method":")" + method + R"(","payload":1})",
                    .timeout = {},
                    .dispatcher_url = {}},
                   [&](const RunEnd& end) {
                       told = end ? *end : end.error().error.code + " " + end.error().error.message;
                       if (!end) told += end.error().error.permanent ? " for good" : "";
                   });
        return told;
    };
    CHECK(call("a") == "1");
    answers.answer = R"("x")";
    CHECK(call("a") == "result_mismatch the result of a: /: must be an integer for good");
    CHECK(call("b") == R"("x")");
    answers.answer = "";
    CHECK(call("a").starts_with("result_mismatch"));
    answers.answer = std::unexpected{RunFailure{{"odd", "so", false}, {}}};
    CHECK(call("a") == "odd so");
}

// The judge between handlers and contract: asks a simulated cluster and holds each answer against
// its operation in config/openapi.yaml.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "catch.hpp"
#include "sim_cluster.hpp"
#include "taskd/protocol/json.hpp"
#include "taskd/protocol/openapi.hpp"

namespace taskd::test {

using namespace std::chrono_literals;
using protocol::split_array;
using protocol::split_object;

inline std::string_view field(std::string_view object, std::string_view name) {
    const auto fields = split_object(object);
    REQUIRE(fields);
    for (const auto& [key, raw] : *fields)
        if (key == name) return raw;
    return {};
}

inline std::set<std::string> texts(std::string_view array) {
    std::set<std::string> all;
    if (array.empty()) return all;
    const auto elements = split_array(array);
    REQUIRE(elements);
    for (const std::string_view each : *elements)
        all.insert(*protocol::read_string(each, "element"));
    return all;
}

struct ApiOperation {
    std::string method;
    std::string path;
    std::set<std::string> roles;
    std::set<std::string> errors;
    std::set<std::string> statuses;
    std::set<std::string> seen_errors;
    std::set<std::string> seen_statuses;

    std::string name() const { return method + " " + path; }
};

struct Contract {
    std::vector<ApiOperation> operations;
    std::set<std::string> errors_any;

    Contract() {
        const std::string_view text = protocol::openapi_json();
        REQUIRE(protocol::check_json(text));
        errors_any = texts(field(text, "x-taskd-errors-any"));
        const auto paths = split_object(field(text, "paths"));
        REQUIRE(paths);
        for (const auto& [path, item] : *paths) {
            const auto methods = split_object(item);
            REQUIRE(methods);
            for (const auto& [method, operation] : *methods) {
                if (protocol::kind_of(operation) != protocol::JsonKind::object) continue;
                if (field(operation, "operationId").empty()) continue;
                add(path, method, operation);
            }
        }
    }

    void add(const std::string& path, std::string method, std::string_view operation) {
        for (char& c : method)
            c = static_cast<char>(c - 'a' + 'A');
        ApiOperation made{method,
                          path,
                          texts(field(operation, "x-taskd-roles")),
                          texts(field(operation, "x-taskd-errors")),
                          {},
                          {},
                          {}};
        const auto responses = split_object(field(operation, "responses"));
        REQUIRE(responses);
        for (const auto& [status, response] : *responses)
            made.statuses.insert(status);
        operations.push_back(std::move(made));
    }

    ApiOperation& find(const std::string& method, const std::string& path) {
        for (ApiOperation& each : operations)
            if (each.method == method && each.path == path) return each;
        FAIL("no operation " << method << " " << path);
        return operations.front();
    }
};

// A cluster with a key, and the contract that its answers are held against.
class Judge {
  public:
    Judge() { cluster.run_for(2s); }

    // Sends, checks status and error against `path`'s operation, answers the body.
    std::string ask(const std::string& method, const std::string& path, const std::string& target,
                    const std::string& body, int status, const std::string& error = {},
                    port::HttpHeaders headers = {}) {
        ApiOperation& operation = contract.find(method, path);
        const std::string role =
            operation.roles.contains("dispatcher") ? "dispatcher" : "nameservice";
        const auto answer = cluster.ask(role, {method, target, std::move(headers), body});
        INFO(method << " " << target << " " << body.substr(0, 200));
        REQUIRE(answer);
        INFO(answer->body.substr(0, 500));
        CHECK(answer->status == status);
        const std::string text = std::to_string(answer->status);
        CHECK((operation.statuses.contains(text) ||
               operation.statuses.contains(text.substr(0, 1) + "XX")));
        operation.seen_statuses.insert(text);
        if (answer->status >= 400) {
            CHECK(port::find_header(answer->headers, "Content-Type") == "application/problem+json");
            const auto name = protocol::read_string(field(answer->body, "error"), "error");
            REQUIRE(name);
            CHECK(*name == error);
            CHECK((operation.errors.contains(*name) || contract.errors_any.contains(*name)));
            CHECK(find_error(*name)->http_status == answer->status);
            operation.seen_errors.insert(*name);
            CHECK_FALSE(field(answer->body, "trace_id").empty());
        }
        return answer->body;
    }

    std::string submit(const std::string& type, const std::string& payload) {
        const std::string body =
            ask("POST", "/v1/tasks", "/v1/tasks",
                "{\"type\":\"" + type + "\",\"payload\":" + payload + "}", 202);
        return *protocol::read_string(field(body, "id"), "id");
    }

    Contract contract;
    SimCluster cluster{{.seed = 5, .key = protocol::ClusterKey{"a key of sixteen bytes"}}};
};

// Every answer of the routes for schedules, dead letters, operations, groups, topics and events.
void try_schedules(Judge& judge);
void try_dead_letters(Judge& judge, const std::string& done);
void try_operations(Judge& judge);
void try_groups(Judge& judge);
void try_topics(Judge& judge);
void try_workflows(Judge& judge);
void try_backups(Judge& judge);
void try_events(Judge& judge);
void try_endpoints(Judge& judge);

inline const std::string unknown_id = "018bcfe5-687b-7000-8000-000000000000";

}  // namespace taskd::test

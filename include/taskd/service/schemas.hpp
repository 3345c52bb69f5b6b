// Whether payloads match the schemas of their types (rules of queues): each compiled once, and
// again when it has changed. The engine keeps their texts and knows nothing of what they mean.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "taskd/engine/engine.hpp"
#include "taskd/protocol/json_schema.hpp"

namespace taskd::service {

class Schemas {
  public:
    explicit Schemas(const engine::Engine& engine) : engine_{engine} {}

    // schema_mismatch, with the type in front of what it says.
    Result<void> check(const std::string& type, std::string_view payload);
    // Those there are, by type: for who reads a document on another thread.
    std::map<std::string, protocol::JsonSchema> all();

  private:
    struct Compiled {
        Blob text;
        protocol::JsonSchema schema;
    };
    Result<const protocol::JsonSchema*> find(const std::string& type);

    const engine::Engine& engine_;
    std::map<std::string, Compiled> compiled_;
};

}  // namespace taskd::service

// JSON Schema, draft 7 (4 and 6 where they mean the same): what payloads of a type look like.
// References stay inside the schema; `format` says nothing. A schema that is compiled answers for
// any payload in bounded time and stack. Pure; may be asked from any thread.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "taskd/base/result.hpp"

namespace taskd::protocol {

namespace schema {
struct Schema;
}

class JsonSchema {
  public:
    // bad_json; bad_schema with the path of the fault: "/properties/n/type: …".
    static Result<JsonSchema> compile(std::string_view json);

    // schema_mismatch: the first limits::schema_faults_shown_max faults, each "/numbers/1: must be
    // an integer", with "; " between them. The payload has passed check_json.
    Result<void> check(std::string_view payload) const;
    // The same of a payload that has references yet: a text with one may become anything.
    Result<void> check_template(std::string_view payload) const;

  private:
    explicit JsonSchema(std::shared_ptr<const schema::Schema> schema)
        : schema_{std::move(schema)} {}

    std::shared_ptr<const schema::Schema> schema_;
};

}  // namespace taskd::protocol

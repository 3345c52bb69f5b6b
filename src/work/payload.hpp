// Reads a payload one level deep: a scalar, an array of scalars, or an object of scalars. What lies
// deeper is known by its kind alone, so nothing here recurses however deep a payload is nested.
#pragma once

#include <cstdint>
#include <expected>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "taskd/base/error.hpp"
#include "taskd/model/task.hpp"

namespace taskd::work {

enum class Kind : std::uint8_t { nothing, null, boolean, number, string, array, object };

// "a string", "an array", ...
std::string_view to_text(Kind kind);

struct Value {
    Kind kind = Kind::nothing;
    // string: its text, valid UTF-8; number: as written, JSON's grammar holds; else empty.
    std::string_view text;
};

struct Field {
    std::string_view name;
    Value value;
};

// Strict JSON: bad_payload for anything else, also for lone surrogates, which are no text, and for
// a key that stands twice. Views point into the payload read, which must outlive them.
class Payload {
  public:
    static std::expected<Payload, TaskError> read(std::string_view json);

    Payload(Payload&&) noexcept;
    Payload& operator=(Payload&&) noexcept;
    ~Payload();

    const Value& value() const { return value_; }  // the kind of the whole, a scalar's text
    std::span<const Value> items() const { return items_; }    // of an array
    std::span<const Field> fields() const { return fields_; }  // of an object

  private:
    struct Reader;
    Payload();

    std::unique_ptr<Reader> reader_;  // owns the bytes that the views point into
    Value value_;
    std::vector<Value> items_;
    std::vector<Field> fields_;
};

// What the text types take: a string, or an array of strings, which is joined with blanks.
std::expected<std::string, TaskError> text_of(const Payload& payload);

// One JSON string.
std::string quote(std::string_view utf8);

// For messages: quoted, so that it stays on its line, and cut after some 40 bytes.
std::string shown(std::string_view utf8);

// Permanent unless the error table says that another try may help.
std::unexpected<TaskError> refuse(ErrorCode code, std::string message);

}  // namespace taskd::work

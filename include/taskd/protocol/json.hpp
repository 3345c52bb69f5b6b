// JSON without a library's types: checks a text strictly, splits objects and arrays into raw
// values, reads scalars, writes. Raw values pass through untouched, so numbers keep every digit.
// Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "taskd/base/ids.hpp"
#include "taskd/base/result.hpp"
#include "taskd/base/time.hpp"

namespace taskd::protocol {

// One complete JSON value (RFC 8259, UTF-8, at most limits::json_depth_max deep), else bad_json
// with the place.
Result<void> check_json(std::string_view text);

// The fields of an object in their order, keys unescaped, values raw (views into `text`). The text
// must have passed check_json. A key that stands twice is bad_json; no object is invalid_field.
using JsonFields = std::vector<std::pair<std::string, std::string_view>>;
Result<JsonFields> split_object(std::string_view text);

// A key that stands twice is bad_json.
Result<void> check_names(const JsonFields& fields);

// Checks a text as check_json does and takes it apart in the same pass: an object is the one item,
// an array's elements are the items, the first `most` of them, each with its fields when it is an
// object. Their names have not been checked. Views into `text`.
struct JsonItem {
    // More are checked and not handed out: who takes fewer names finds one among these that is
    // doubled or unknown to him.
    static constexpr std::size_t fields_max = 128;

    std::string_view raw;
    JsonFields fields;  // of an object
};
struct JsonItems {
    bool is_array = false;
    std::size_t count = 0;  // with those that are not handed out
    std::vector<JsonItem> items;
};
Result<JsonItems> read_items(std::string_view text, std::size_t most);

// An object as read_items reads it, and with it the elements of the array that it has under `name`;
// none when it has none.
struct JsonEnvelope {
    JsonFields fields;
    std::vector<JsonItem> items;
};
Result<JsonEnvelope> read_envelope(std::string_view text, std::string_view name);

// The raw elements of an array, the same way as split_object.
Result<std::vector<std::string_view>> split_array(std::string_view text);

enum class JsonKind { object, array, string, number, boolean, null };
JsonKind kind_of(std::string_view raw);  // by its first character

// Scalars from raw values; invalid_field naming `field` when they are something else.
Result<std::string> read_string(std::string_view raw, std::string_view field);
Result<std::int64_t> read_integer(std::string_view raw, std::string_view field, std::int64_t least,
                                  std::int64_t most);
Result<bool> read_boolean(std::string_view raw, std::string_view field);

// Appends to a text with commas and quotes in the right places. Keys are written as they are.
class JsonWriter {
  public:
    explicit JsonWriter(std::string& out) : out_{out} {}

    JsonWriter& begin_object();
    JsonWriter& end_object();
    JsonWriter& begin_array();
    JsonWriter& end_array();
    JsonWriter& key(std::string_view name);
    JsonWriter& string(std::string_view text);
    JsonWriter& plain(std::string_view text);  // known to need no escape: an id, an instant
    JsonWriter& number(std::int64_t value);
    JsonWriter& number(std::uint64_t value);
    JsonWriter& number(double value);  // finite
    JsonWriter& boolean(bool value);
    JsonWriter& null();
    JsonWriter& raw(std::string_view json);  // one complete value

    JsonWriter& field(std::string_view name, std::string_view text) {
        return key(name).string(text);
    }
    JsonWriter& field(std::string_view name, const char* text) { return key(name).string(text); }
    JsonWriter& field(std::string_view name, const std::string& text) {
        return key(name).string(text);
    }
    JsonWriter& field(std::string_view name, bool value) { return key(name).boolean(value); }
    JsonWriter& field(std::string_view name, TaskId id) {
        const auto text = id.text();
        return key(name).plain({text.data(), text.size()});
    }
    JsonWriter& field(std::string_view name, WallTime time) {  // RFC 3339
        const auto text = rfc3339_text(time);
        return key(name).plain({text.data(), text.size()});
    }
    template <class Integer>
        requires std::is_integral_v<Integer>
    JsonWriter& field(std::string_view name, Integer value) {
        if constexpr (std::is_signed_v<Integer>)
            return key(name).number(static_cast<std::int64_t>(value));
        else
            return key(name).number(static_cast<std::uint64_t>(value));
    }

  private:
    void separate();

    std::string& out_;
    bool needs_comma_ = false;
};

// Bytes that are not UTF-8 stay as they are: whoever does not know asks is_utf8 first.
void append_json_string(std::string& out, std::string_view text);
bool is_utf8(std::string_view text);

}  // namespace taskd::protocol

#include "taskd/model/value.hpp"

#include <utility>

namespace taskd {

Value Value::of_boolean(bool value) {
    Value made;
    made.kind = ValueKind::boolean;
    made.boolean = value;
    return made;
}

Value Value::of_number(std::string json) {
    Value made;
    made.kind = ValueKind::number;
    made.text = std::move(json);
    return made;
}

Value Value::of_text(std::string text) {
    Value made;
    made.kind = ValueKind::text;
    made.text = std::move(text);
    return made;
}

bool operator==(const Value& a, const Value& b) {
    return a.kind == b.kind && a.boolean == b.boolean && a.text == b.text && a.items == b.items &&
           a.fields == b.fields;
}

}  // namespace taskd

#include "formats.hpp"

#include "taskd/io/yaml_value.hpp"
#include "taskd/lua/table_text.hpp"
#include "taskd/protocol/value_json.hpp"

namespace taskd::roles {

const runtime::Transcoder& transcoder() {
    static const runtime::Transcoder made = [] {
        runtime::Transcoder formats;
        formats.add({"json",
                     [](const std::string& text) { return protocol::read_json_value(text); },
                     [](const Value& value) -> Result<std::string> {
                         return protocol::write_json_value(value);
                     }});
        formats.add({"yaml", io::read_yaml_value, io::write_yaml_value});
        formats.add({"lua", lua::read_table_text, lua::write_table_text});
        return formats;
    }();
    return made;
}

bool is_yaml_file(std::string_view path) {
    return path.ends_with(".yaml") || path.ends_with(".yml");
}

}  // namespace taskd::roles

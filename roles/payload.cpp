#include "payload.hpp"

#include "formats.hpp"
#include "taskd/base/limits.hpp"
#include "taskd/io/private_files.hpp"
#include "taskd/protocol/json.hpp"
#include "taskd/service/payload_text.hpp"

namespace taskd::roles {

OptionRow payload_row() {
    return {.name = "json",
            .value = "JSON",
            .help = "the payload as it stands",
            .from_environment = false};
}

Result<std::string> read_payload(const Options& options, std::span<const std::string> arguments) {
    if (options.given("json")) {
        if (!arguments.empty())
            return fail(ErrorCode::bad_usage, "--json and arguments exclude each other");
        if (auto valid = protocol::check_json(options.text("json")); !valid)
            return fail(ErrorCode::bad_usage,
                        "--json takes one JSON value: " + valid.error().detail);
        return options.text("json");
    }
    if (arguments.size() == 1) {
        const std::string& argument = arguments.front();
        const bool escaped = argument.starts_with("@@");
        if (argument == "-" || (argument.starts_with('@') && !escaped)) {
            auto content = io::read_whole_file(argument == "-" ? argument : argument.substr(1),
                                               limits::task_bytes_max);
            if (!content) return content;
            if (is_yaml_file(argument)) return transcoder().convert(*content, "yaml", "json");
            return service::payload_of_file(std::move(*content));
        }
        if (escaped) return service::payload_of_arguments({{argument.substr(1)}});
    }
    return service::payload_of_arguments(arguments);
}

}  // namespace taskd::roles

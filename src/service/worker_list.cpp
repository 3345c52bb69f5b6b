#include "taskd/service/worker_list.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "taskd/protocol/json.hpp"
#include "taskd/protocol/json_schema.hpp"
#include "taskd/service/call_runner.hpp"
#include "taskd/work/work.hpp"

namespace taskd::service {
namespace {

constexpr std::int64_t concurrency_max = 10'000;

Result<WorkerWork> read_kind(std::string_view value) {
    const auto text = protocol::read_string(value, "kind");
    if (!text) return std::unexpected{text.error()};
    if (*text == "builtin") return WorkerWork::builtin;
    if (*text == "exec") return WorkerWork::exec;
    if (*text == "http") return WorkerWork::http;
    if (*text == "lua") return WorkerWork::lua;
    return fail(ErrorCode::invalid_field, "kind must be builtin, exec, http or lua");
}

Result<std::vector<std::string>> read_command(std::string_view value) {
    const auto elements = protocol::split_array(value);
    if (!elements || elements->empty())
        return fail(ErrorCode::invalid_field, "command must be an array of texts");
    std::vector<std::string> words;
    for (const std::string_view element : *elements) {
        auto word = protocol::read_string(element, "command");
        if (!word) return std::unexpected{word.error()};
        words.push_back(std::move(*word));
    }
    return words;
}

Result<std::vector<std::pair<std::string, std::string>>> read_options(std::string_view value) {
    const auto fields = protocol::split_object(value);
    if (!fields) return fail(ErrorCode::invalid_field, "options must be an object of texts");
    std::vector<std::pair<std::string, std::string>> options;
    for (const auto& [name, raw] : *fields) {
        const bool plain = name.find_first_not_of("abcdefghijklmnopqrstuvwxyz-") == name.npos;
        if (name.empty() || !plain || name.starts_with('-'))
            return fail(ErrorCode::unknown_field, "options." + name);
        auto text = protocol::read_string(raw, "options." + name);
        if (!text) return std::unexpected{text.error()};
        options.emplace_back(name, std::move(*text));
    }
    return options;
}

Result<bool> read_startup(std::string_view value) {
    const auto text = protocol::read_string(value, "startup");
    if (!text) return std::unexpected{text.error()};
    if (*text == "required" || *text == "optional") return *text == "required";
    return fail(ErrorCode::invalid_field, "startup must be required or optional");
}

// What belongs to one kind and stands with another is a slip.
Result<void> check_kind(const WorkerEntry& entry) {
    if (entry.type.empty()) return fail(ErrorCode::missing_field, "type");
    if (!is_type_name(entry.type)) return fail(ErrorCode::invalid_field, "type");
    const bool exec = entry.work == WorkerWork::exec, http = entry.work == WorkerWork::http;
    const bool lua = entry.work == WorkerWork::lua;
    if (exec == entry.command.empty())
        return fail(exec ? ErrorCode::missing_field : ErrorCode::invalid_field,
                    "command belongs to kind exec");
    if (http == entry.url.empty())
        return fail(http ? ErrorCode::missing_field : ErrorCode::invalid_field,
                    "url belongs to kind http");
    if (http && entry.concurrency > call_concurrency_max)
        return fail(ErrorCode::invalid_field, "concurrency of kind http is 256 at most");
    if (!lua && !(entry.source.empty() && entry.program.empty()))
        return fail(ErrorCode::invalid_field, "source and program belong to kind lua");
    if (lua && entry.source.empty() == entry.program.empty())
        return fail(ErrorCode::missing_field, "kind lua takes either a source or a program");
    if (!exec && !http && !lua && work::find_work(work::work_table(), entry.type) == nullptr)
        return fail(ErrorCode::unknown_type, entry.type);
    return {};
}

template <class Value>
Result<void> take(Result<Value> value, Value& into) {
    if (!value) return std::unexpected{value.error()};
    into = std::move(*value);
    return {};
}

Result<WorkerEntry> parse_entry(std::string_view raw) {
    const auto fields = protocol::split_object(raw);
    if (!fields) return std::unexpected{fields.error()};
    WorkerEntry entry;
    for (const auto& [name, value] : *fields) {
        Result<void> taken;
        if (name == "kind")
            taken = take(read_kind(value), entry.work);
        else if (name == "command")
            taken = take(read_command(value), entry.command);
        else if (name == "url")
            taken = take(protocol::read_string(value, name), entry.url);
        else if (name == "source" || name == "program")
            taken = take(protocol::read_string(value, name),
                         name == "source" ? entry.source : entry.program);
        else if (name == "options")
            taken = take(read_options(value), entry.options);
        else if (name == "type" || name == "description")
            taken = take(protocol::read_string(value, name),
                         name == "type" ? entry.type : entry.description);
        else if (name == "concurrency") {
            const auto number = protocol::read_integer(value, name, 1, concurrency_max);
            if (!number) return std::unexpected{number.error()};
            entry.concurrency = static_cast<std::uint32_t>(*number);
        } else if (name == "enabled") {
            taken = take(protocol::read_boolean(value, name), entry.enabled);
        } else if (name == "schema") {
            const auto schema = protocol::JsonSchema::compile(value);
            if (!schema) return std::unexpected{schema.error()};
            entry.schema = value;
        } else if (name == "startup") {
            taken = take(read_startup(value), entry.required);
        } else {
            return fail(ErrorCode::unknown_field, name);
        }
        if (!taken) return std::unexpected{taken.error()};
    }
    if (auto checked = check_kind(entry); !checked) return std::unexpected{checked.error()};
    return entry;
}

// "worker 2 (resize): ", as a person counts; its type as far as it can be read.
std::string place_of(std::size_t index, std::string_view raw) {
    std::string type;
    if (const auto fields = protocol::split_object(raw))
        for (const auto& [name, value] : *fields)
            if (name == "type") type = protocol::read_string(value, name).value_or("");
    return fmt::format("worker {}{}: ", index + 1, type.empty() ? "" : " (" + type + ")");
}

}  // namespace

Result<std::vector<WorkerEntry>> parse_worker_list(std::string_view text) {
    if (auto valid = protocol::check_json(text); !valid)
        return fail(ErrorCode::config_invalid, "bad_json: " + valid.error().detail);
    const auto fields = protocol::split_object(text);
    if (!fields || fields->size() != 1 || fields->front().first != "workers")
        return fail(ErrorCode::config_invalid, "expected an object with the field workers alone");
    const auto elements = protocol::split_array(fields->front().second);
    if (!elements) return fail(ErrorCode::config_invalid, "workers is no array");
    std::vector<WorkerEntry> entries;
    for (std::size_t i = 0; i < elements->size(); ++i) {
        auto entry = parse_entry((*elements)[i]);
        if (!entry)
            return fail(ErrorCode::config_invalid,
                        place_of(i, (*elements)[i]) + entry.error().to_string());
        if (std::ranges::find(entries, entry->type, &WorkerEntry::type) != entries.end())
            return fail(ErrorCode::config_invalid,
                        place_of(i, (*elements)[i]) + entry->type + " stands twice");
        entries.push_back(std::move(*entry));
    }
    return entries;
}

std::string worker_name(std::string_view type, std::size_t bytes_max) {
    if (is_instance_name(type) && type.size() <= bytes_max) return std::string{type};
    std::uint32_t hash = 0x811c9dc5;  // FNV-1a
    for (const char c : type)
        hash = (hash ^ static_cast<unsigned char>(c)) * 0x01000193;
    const std::string mark = fmt::format("-{:08x}", hash);
    std::string name{type.substr(0, bytes_max - mark.size())};
    for (char& c : name)
        if (!is_instance_name({&c, 1})) c = '-';
    return name + mark;
}

WorkerArguments arguments_of(const WorkerEntry& entry) {
    WorkerArguments made;
    if (entry.work == WorkerWork::builtin) {
        made.front = {entry.type};
    } else {
        made.front = {entry.work == WorkerWork::exec   ? "exec"
                      : entry.work == WorkerWork::http ? "http"
                                                       : "lua",
                      "--type=" + entry.type};
        if (!entry.url.empty()) made.front.push_back("--url=" + entry.url);
        if (!entry.source.empty()) made.front.push_back("--source=" + entry.source);
    }
    for (const auto& [name, value] : entry.options) {
        std::string flag = "--";
        made.front.push_back(flag.append(name).append("=").append(value));
    }
    if (!entry.command.empty()) {
        made.back = {"--"};
        made.back.insert(made.back.end(), entry.command.begin(), entry.command.end());
    }
    return made;
}

}  // namespace taskd::service

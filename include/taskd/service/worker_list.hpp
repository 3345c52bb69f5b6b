// The list of workers, config/workers.json: which types `taskd up` starts, and how. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "taskd/base/result.hpp"

namespace taskd::service {

// Who does the work: what is built in, a program for each task, a service that is called, a
// function in Lua.
enum class WorkerWork { builtin, exec, http, lua };

struct WorkerEntry {
    std::string type;
    std::string description;
    std::uint32_t concurrency = 1;
    bool enabled = true;
    WorkerWork work = WorkerWork::builtin;
    std::vector<std::string> command;                          // exec
    std::string url;                                           // http
    std::string source;                                        // lua: a file,
    std::string program;                                       // or the text itself
    std::vector<std::pair<std::string, std::string>> options;  // "timeout", "30s"
    bool required = true;                 // without it `taskd up` does not start
    std::string schema = {};              // JSON Schema of its payloads; empty: any
    std::string contract = {};            // methods that its tasks are calls of; of entries
    std::vector<std::string> needs = {};  // children that are ready before it starts; of entries

    friend bool operator==(const WorkerEntry&, const WorkerEntry&) = default;
};

// {"workers": [{"type", "kind", "description", "concurrency", "enabled", "startup", "command",
// "url", "source", "program", "options", "schema"}]}; all but the type may be left out, but for the
// command of kind exec, the url of kind http, and one of source and program of kind lua.
// config_invalid names the entry at fault: an unknown field, a type that stands twice or is not
// built in, a concurrency beyond 1 to 10,000 (of http 256), what does not suit its kind.
Result<std::vector<WorkerEntry>> parse_worker_list(std::string_view text);

// What may stand in an instance's name in front of its session.
inline constexpr std::size_t instance_head_bytes_max = 55;
// A type as such a name, of so many bytes at most: as it is, or with '-' for what names do not
// take, cut, and told apart from the types that would read the same.
std::string worker_name(std::string_view type, std::size_t bytes_max = instance_head_bytes_max);

// What stands behind `taskd worker` for such an entry, but for its concurrency: words in front of
// other options, and those that must be last.
struct WorkerArguments {
    std::vector<std::string> front;
    std::vector<std::string> back;
};
WorkerArguments arguments_of(const WorkerEntry& entry);

}  // namespace taskd::service

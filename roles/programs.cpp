#include "programs.hpp"

#include <algorithm>
#include <filesystem>

#include "formats.hpp"
#include "taskd/io/private_files.hpp"

namespace taskd::roles {
namespace {

lua::Post post_to(io::Loop& loop) {
    return [&loop](std::function<void()> job) { loop.post_from_any_thread(std::move(job)); };
}

}  // namespace

Programs::Programs(ProgramsSettings settings, Ground& ground, port::HttpExchange& http,
                   runtime::NodeLink* link)
    : api_{{.http = http,
            .post = post_to(ground.loop),
            .formats = transcoder(),
            .dispatcher_url = settings.dispatcher_url,
            .bearer = ground.key.empty() ? std::string{} : ground.key.secret()}},
      ids_{settings.node},
      topology_{settings.node, settings.host.name, ground.bus.get()},
      scheduler_{settings.threads},
      relay_{{.node = settings.node, .peers = std::move(settings.peers)}, link},
      events_{*ground.bus, relay_, topology_, post_to(ground.loop)},
      host_{settings.host,
            {scheduler_, alarms_, commands_, relay_, topology_, ids_, *ground.clock, *ground.log}},
      functions_{{scheduler_, alarms_, commands_, ids_, *ground.clock, *ground.log}} {
    relay_.attach(settings.host.name, host_);
    modules_ = lua::plain_modules(transcoder());
    std::ranges::move(host_.modules(), std::back_inserter(modules_));
    std::ranges::move(api_.modules(), std::back_inserter(modules_));
    modules_.push_back(lua::log_module(*ground.log));
    modules_.push_back(lua::Functions::module());
    modules_.push_back(lua::Events::module());
    host_.set_modules(&modules_);
    functions_.set_modules(&modules_);
}

Result<void> Programs::freeze() {
    for (const auto& added : {host_.add_commands(commands_), functions_.add_commands(commands_),
                              api_.add_commands(commands_), events_.add_commands(commands_)})
        if (!added) return added;
    commands_.freeze();
    return {};
}

const std::vector<std::string>& module_names() {
    static const std::vector<std::string> names{"crypto", "events",  "functions", "http",  "json",
                                                "log",    "process", "queue",     "tasks", "text",
                                                "time",   "topics",  "workflows", "yaml"};
    return names;
}

Result<lua::ProgramPtr> load_program(const std::string& path,
                                     const std::vector<std::string>& modules) {
    for (const std::string& module : modules)
        if (!std::ranges::binary_search(module_names(), module))
            return fail(ErrorCode::module_not_allowed, "there is no module '" + module + "'");
    const auto source = io::read_whole_file(path, limits::program_bytes_max + 1);
    if (!source) return std::unexpected{source.error()};
    return lua::Program::compile(std::filesystem::path{path}.filename(), *source,
                                 {.modules = {modules.begin(), modules.end()}, .imports = {}});
}

}  // namespace taskd::roles

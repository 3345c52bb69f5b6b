#include "programs.hpp"

#include <algorithm>
#include <filesystem>

#include "formats.hpp"
#include "taskd/io/private_files.hpp"

namespace taskd::roles {

lua::Post post_to(io::Loop& loop) {
    return [&loop](std::function<void()> job) { loop.post_from_any_thread(std::move(job)); };
}

Programs::Programs(const ProgramsSettings& settings, const ProgramsPorts& ports)
    : api_{{.http = ports.http,
            .timers = ports.ground.loop,
            .clock = *ports.ground.clock,
            .topology = ports.topology,
            .post = post_to(ports.ground.loop),
            .formats = transcoder(),
            .dispatcher_url = settings.dispatcher_url,
            .bearer = ports.ground.key.empty() ? std::string{} : ports.ground.key.secret(),
            .exchanges_max = settings.exchanges_max,
            .exchange_patience = settings.exchange_patience}},
      memory_{settings.memory_max},
      stores_{ports.stores, transcoder()},
      scheduler_{settings.threads},
      relay_{ports.relay},
      events_{*ports.ground.bus, ports.relay, ports.topology, post_to(ports.ground.loop)},
      host_{settings.host,
            {scheduler_, alarms_, ports.commands, ports.relay, ports.topology, ports.ids,
             *ports.ground.clock, *ports.ground.log, &memory_}},
      functions_{{scheduler_, alarms_, ports.commands, ports.ids, *ports.ground.clock,
                  *ports.ground.log, &memory_}} {
    modules_ = lua::plain_modules(transcoder());
    std::ranges::move(host_.modules(), std::back_inserter(modules_));
    std::ranges::move(api_.modules(), std::back_inserter(modules_));
    modules_.push_back(lua::log_module(*ports.ground.log));
    modules_.push_back(lua::Functions::module());
    modules_.push_back(lua::Events::module());
    modules_.push_back(lua::Stores::module());
    host_.watch_ends([this](runtime::ProcessNumber process, const std::string&, const Error*) {
        events_.ended(process);
    });
    host_.set_modules(&modules_);
    functions_.set_modules(&modules_);
}

Result<std::unique_ptr<Programs>> Programs::make(const ProgramsSettings& settings,
                                                 const ProgramsPorts& ports) {
    std::unique_ptr<Programs> made{new Programs{settings, ports}};
    for (const auto& added :
         {made->host_.add_commands(ports.commands), made->functions_.add_commands(ports.commands),
          made->api_.add_commands(ports.commands), made->events_.add_commands(ports.commands),
          made->stores_.add_commands(ports.commands)})
        if (!added) return std::unexpected{added.error()};
    return made;
}

const std::vector<std::string>& module_names() {
    static const std::vector<std::string> names{
        "crypto", "events", "functions", "http", "json",   "log",       "process", "queue",
        "store",  "tasks",  "text",      "time", "topics", "workflows", "yaml"};
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

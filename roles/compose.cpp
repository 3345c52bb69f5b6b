// taskd compose: compose.yaml from the list of workers, and the key its services share.
#include "taskd/service/compose.hpp"

#include <filesystem>

#include "client.hpp"
#include "key_file.hpp"
#include "taskd/io/private_files.hpp"

namespace taskd::roles {
namespace {

Result<std::vector<service::WorkerEntry>> read_workers(const std::string& path) {
    auto content = io::read_whole_file(path, limits::mebibyte);
    if (!content) return fail(std::move(content));
    auto workers = service::parse_worker_list(*content);
    if (!workers) return fail(workers.error().code, path + ": " + workers.error().detail);
    return workers;
}

int run(const Options& options) {
    const auto workers = read_workers(options.text("workers"));
    if (!workers) return report(workers.error());
    const service::ComposeSettings settings{.image = options.text("image"),
                                            .build = options.text("build"),
                                            .key_file = options.text("key-file"),
                                            .publish = options.text("publish")};
    const auto text = service::write_compose(settings, *workers);
    if (!text) return report(text.error());
    const std::string& file = options.text("file");
    if (file == "-") {
        std::fputs(text->c_str(), stdout);
        return 0;
    }
    if (auto written = io::replace_file(file, *text, io::Readers::everybody); !written)
        return report(written.error());
    // Relative names in the file count from its folder.
    const auto key =
        (std::filesystem::path{file}.parent_path() / settings.key_file).lexically_normal();
    // A container's user is another than ours: the folder keeps others out, not the file.
    if (auto made = make_key_file(key, io::Readers::everybody); !made) return report(made.error());
    say(file + " is written, its key is in " + key.string());
    return 0;
}

}  // namespace

const Command& compose_command() {
    static const Command command{
        {.name = "compose",
         .arguments = {},
         .summary = "write compose.yaml for all roles and one worker of each type",
         .text = "One image for every service, the network tasknet, a volume for the logs, and a\n"
                 "cluster key that is made once and shared as a secret. No port is published\n"
                 "unless asked.",
         .options = {{.name = "file",
                      .letter = 'f',
                      .value = "FILE",
                      .fallback = "compose.yaml",
                      .help = "where it is written; - prints it and makes no key",
                      .from_environment = false},
                     {.name = "workers",
                      .value = "FILE",
                      .fallback = "config/workers.json",
                      .help = "the list of workers"},
                     {.name = "image",
                      .value = "NAME",
                      .fallback = "taskd",
                      .help = "the image of every service"},
                     {.name = "build",
                      .value = "DIR",
                      .fallback = ".",
                      .help = "the Dockerfile's folder; empty when the image comes from elsewhere"},
                     {.name = "key-file",
                      .value = "FILE",
                      .fallback = "./secrets/cluster_key",
                      .help = "the cluster key, counted from the file's folder",
                      .from_environment = false},
                     {.name = "publish",
                      .value = "[ADDRESS:]PORT",
                      .help = "publish the dispatcher's TCP port; on loopback unless said"}},
         .examples = {{"taskd compose", "compose.yaml and secrets/cluster_key"},
                      {"taskd compose --publish 4000", "clients on this machine reach it"}}},
        run};
    return command;
}

}  // namespace taskd::roles

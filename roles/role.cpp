#include "role.hpp"

#include <algorithm>

#include "key_file.hpp"
#include "taskd/io/log.hpp"
#include "taskd/io/private_files.hpp"

namespace taskd::roles {

std::vector<OptionRow> with_role_rows(std::vector<OptionRow> own, std::string_view default_port) {
    own.push_back({.name = "host",
                   .value = "ADDRESS",
                   .fallback = "127.0.0.1",
                   .help = "where to listen; beyond loopback only with a key"});
    own.push_back({.name = "port",
                   .kind = OptionKind::port,
                   .value = "PORT",
                   .fallback = default_port,
                   .help = "0 takes any free one"});
    own.push_back({.name = "key-file", .value = "FILE", .help = "the cluster key"});
    own.push_back({.name = "insecure",
                   .kind = OptionKind::toggle,
                   .help = "listen beyond loopback without a key"});
    own.push_back({.name = "log-level",
                   .kind = OptionKind::choice,
                   .value = "trace|debug|info|warn|error",
                   .fallback = "info",
                   .help = "how much to say on stderr"});
    own.push_back(
        {.name = "port-file", .value = "FILE", .help = "write the real port there once ready"});
    return own;
}

bool is_loopback(std::string_view host) {
    return host == "localhost" || host == "::1" || host.starts_with("127.");
}

Result<RoleSettings> read_role(const Options& options, const std::string& role,
                               const std::string& instance) {
    RoleSettings settings;
    settings.host = options.text("host");
    settings.port = options.port("port");
    settings.port_file = options.text("port-file");
    auto key = read_key_file(options.text("key-file"));
    if (!key) return fail(std::move(key));
    settings.key = std::move(*key);
    if (!is_loopback(settings.host) && settings.key.empty() && !options.toggle("insecure"))
        return fail(ErrorCode::key_required,
                    "--host " + settings.host + ": give --key-file, or --insecure");
    io::LogSettings log;
    log.level = *io::parse_log_level(options.text("log-level"));
    log.role = role;
    log.instance = instance;
    settings.log = io::make_log(log);
    return settings;
}

PortFile::PortFile(std::string path, std::function<std::uint16_t()> port)
    : path_{std::move(path)}, port_{std::move(port)} {}

Result<void> PortFile::start() {
    if (path_.empty()) return {};
    return io::write_private_file(path_, std::to_string(port_()) + "\n");
}

void PortFile::stop() {
    if (!path_.empty()) io::remove_file(path_);
}

}  // namespace taskd::roles

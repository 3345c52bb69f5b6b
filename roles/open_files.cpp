#include "open_files.hpp"

#include <string>

#include "taskd/io/open_files.hpp"

namespace taskd::roles {

void raise_open_files(port::Log& log) {
    const std::uint64_t files = io::raise_open_files_max();
    const std::uint64_t most = io::files_for_connections(files);
    if (most < limits::connections_max)
        log.info("few files may be open, so few connections are taken",
                 {{"files", std::to_string(files)}, {"connections", std::to_string(most)}});
}

}  // namespace taskd::roles

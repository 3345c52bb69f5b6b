// What every long-running role shares: its options, its key, its log, and the file that tells
// others its port.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "options.hpp"
#include "taskd/port/log.hpp"
#include "taskd/protocol/datagram.hpp"

namespace taskd::roles {

// A page's own rows, then: --host --port --key-file --insecure --log-level --port-file.
std::vector<OptionRow> with_role_rows(std::vector<OptionRow> own, std::string_view default_port);

struct RoleSettings {
    std::string host;
    std::uint16_t port = 0;
    protocol::ClusterKey key;
    std::string port_file;  // empty: none
    std::unique_ptr<port::Log> log;
};
// key_required when it would listen beyond loopback without a key and without --insecure.
Result<RoleSettings> read_role(const Options& options, const std::string& role,
                               const std::string& instance = {});

// Numeric loopback addresses and "localhost".
bool is_loopback(std::string_view host);

// A component, to be added last: writes the real port once everything before it has started. The
// file is replaced as a whole and goes when the role ends.
class PortFile {
  public:
    // Does nothing when `path` is empty.
    PortFile(std::string path, std::function<std::uint16_t()> port);

    Result<void> start();
    void stop();

  private:
    std::string path_;
    std::function<std::uint16_t()> port_;
};

}  // namespace taskd::roles

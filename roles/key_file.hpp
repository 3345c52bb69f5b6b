// The cluster key: where it lies and how it is read.
#pragma once

#include <string>
#include <string_view>

#include "taskd/base/result.hpp"
#include "taskd/io/private_files.hpp"
#include "taskd/protocol/datagram.hpp"

namespace taskd::roles {

// Blanks at the ends do not count; at least 16 bytes, else key_unreadable. An empty path is no key.
Result<protocol::ClusterKey> read_key_file(const std::string& path);

// 64 hex digits from the kernel, unless the file is there already.
Result<void> make_key_file(const std::string& path, io::Readers readers);

// Where `taskd up` notes the key file of a server for clients of the same person:
// $XDG_STATE_HOME/taskd/servers/HOST_PORT. Empty when there is no home.
std::string key_note_path(std::string_view url);

}  // namespace taskd::roles

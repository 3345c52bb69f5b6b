// Bytes that have come over a TCP socket. A file of its own: the kernel's tcp_info is newer than
// the C library's, and their headers exclude each other.
#pragma once

#include <cstdint>

namespace taskd::io {

std::uint64_t tcp_bytes_received(int socket);  // 0 when it cannot be told

}  // namespace taskd::io

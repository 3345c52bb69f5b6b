// CRC-32C (Castagnoli), by the processor's own instruction where it has one.
#pragma once

#include <cstdint>
#include <string_view>

namespace taskd::io {

// Goes on from `before`, so that parts may be summed one after the other.
std::uint32_t crc32c(std::string_view bytes, std::uint32_t before = 0);
// The same by table; here for processors without the instruction and for the test that compares.
std::uint32_t crc32c_by_table(std::string_view bytes, std::uint32_t before = 0);

}  // namespace taskd::io

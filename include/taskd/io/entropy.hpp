// Random bits from the kernel: seeds, session ids, keys.
#pragma once

#include <cstdint>
#include <span>

#include "taskd/base/ids.hpp"

namespace taskd::io {

void fill_random(std::span<char> into);  // fit for secrets
std::uint64_t random_seed();
SessionId make_session_id();  // never 0

}  // namespace taskd::io

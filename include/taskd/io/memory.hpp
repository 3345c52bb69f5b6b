// How the allocator deals with what has been freed.
#pragma once

namespace taskd::io {

// Freed memory goes back to the system at once, not when a later burst would have used it again.
void keep_memory_small();

}  // namespace taskd::io

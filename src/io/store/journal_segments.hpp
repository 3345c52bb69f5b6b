// What the file journal keeps in memory of its segments and batches.
#pragma once

#include <cstdint>
#include <memory>

#include "io/store/segment_store.hpp"
#include "taskd/base/time.hpp"

namespace taskd::io {

struct Segment {
    OpenSegment disk;
    std::uint64_t reserved_end = segment_header_bytes;  // written, sealed or being filled
    std::uint64_t written_end = segment_header_bytes;   // of the commit lane alone
    std::uint64_t synced_end = segment_header_bytes;    // what readers may read
    Sequence first;                                     // 0 while no frame stands in it
    Sequence last;                                      // the same
    bool closed = false;                                // a later segment has a frame
    SteadyTime closed_at;

    std::uint64_t room() const { return disk.size - reserved_end; }
};
using SegmentHandle = std::shared_ptr<Segment>;

struct SealedBatch {
    SegmentHandle segment;
    std::uint64_t bytes = 0;
};

// So many bytes had been written when `through` was the last sequence.
struct LagMark {
    Sequence through;
    std::uint64_t bytes = 0;
};

}  // namespace taskd::io

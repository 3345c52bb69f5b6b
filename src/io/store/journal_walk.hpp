// Reads a journal from its segments, in order, and tells a torn tail from damage. Recovery and the
// check of a store both stand on it. Changes nothing on disk.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "io/store/segment.hpp"
#include "taskd/model/record.hpp"

namespace taskd::io {

struct WalkedSegment {
    SegmentFile file;
    SegmentHeader header;
    std::uint64_t size = 0;
    Sequence first;  // 0 when no frame stands in it
    Sequence last;
    bool written = false;  // something of its salt stands in it, whole or torn
};

struct JournalWalk {
    std::vector<WalkedSegment> segments;
    std::optional<std::size_t> tail;  // index of the segment in which writing stopped
    std::string tail_bytes;           // that segment up to the end of its last frame
    bool torn = false;                // a frame was begun and not finished after it
    std::uint64_t frames = 0;         // read and verified
    std::uint64_t records = 0;
    std::uint64_t batch_last = 0;  // number of the last frame
    Sequence first;                // of the whole journal; 0 when it is empty
    Sequence last;
};

struct WalkOptions {
    std::string dir;
    std::uint64_t store_id = 0;
    Sequence after;  // segments that end at or before it are passed over where that is sure
    bool verify_all = false;  // read those too
};

// journal_corrupt, journal_too_new, store_mismatch, io_failed or what `take` answers. `walk` holds
// what was found until then.
Result<void> walk_journal(port::Files& files, const WalkOptions& options, JournalWalk& walk,
                          const std::function<Result<void>(const RecordBatch&)>& take);

}  // namespace taskd::io

// Port: the journal, where every durable change stands first. Commit is one synced frame; a batch
// is there as a whole after a crash or not at all.
//
// Threads: recover() first, alone. Then reserve() and stats() on the loop; commit(), prepare() and
// drop_through() each on a lane of their own, at most one call of each at a time.
#pragma once

#include <cstdint>
#include <functional>

#include "taskd/base/result.hpp"
#include "taskd/model/record.hpp"

namespace taskd::port {

// Who asks for room. New work is refused while old work still gets the last segment.
enum class Purpose { new_work, old_work };

struct JournalStats {
    std::uint64_t bytes_used = 0;        // on disk, all segments
    std::uint64_t bytes_room = 0;        // zero-filled and not yet reserved
    std::uint64_t bytes_since_drop = 0;  // written after the last dropped sequence
    bool wants_prepare = false;          // a lane should call prepare()
    bool full = false;                   // the filler met ENOSPC and has not got over it
};

class Journal {
  public:
    virtual ~Journal() = default;

    // Hands over every batch whose last sequence is after `after`, in order; then makes the tail
    // safe and gets ready to write. journal_corrupt when a damaged frame has a valid one behind it;
    // `replay` may refuse a batch, which ends the recovery with its error. store_mismatch when the
    // journal does not reach from `after` on; disk_full when there is no room for the tail.
    virtual Result<void> recover(Sequence after,
                                 const std::function<Result<void>(const RecordBatch&)>& replay) = 0;

    // Sets `bytes` aside in zero-filled space for records that will be in the batch being filled
    // (encoded_bytes_max of each; what the frame takes besides is the journal's own affair). When
    // it fails nothing was set aside: overloaded, when the batch is full or segments are still
    // being filled; disk_full, when they cannot be; body_too_large, when no batch could ever hold
    // it.
    virtual Result<void> reserve(std::size_t bytes, Purpose purpose) = 0;
    // Ends the reservation of the batch being filled: what is reserved from now on is for the next.
    // Called on the loop when a batch is closed, before its commit. Several may be sealed and wait;
    // they are committed in that order. Without a reservation it does nothing.
    virtual void seal() = 0;

    // Writes the batch as one frame and syncs it. Needs a reservation that covers it. After an
    // error the process must end: nobody knows what the disk kept.
    virtual Result<void> commit(const RecordBatch& batch) = 0;

    // Zero-fills segments ahead. disk_full is not fatal; the state shows it and it is tried again.
    virtual Result<void> prepare() = 0;

    // Batches up to this sequence stand in the view: segments that hold only such may go.
    virtual Result<void> drop_through(Sequence covered) = 0;

    virtual JournalStats stats() const = 0;
};

}  // namespace taskd::port

// Port: what the journal has committed, for readers that follow it. Beside the writer, never in its
// way.
#pragma once

#include <functional>

#include "taskd/base/result.hpp"
#include "taskd/model/record.hpp"

namespace taskd::port {

class JournalReader {
  public:
    virtual ~JournalReader() = default;

    // Hands over the committed batches whose last sequence is after `after`, in order, until `take`
    // is false or there are no more. events_gone, naming the oldest sequence, when what follows
    // `after` is no longer kept; also in between, when it went while it was read. On a lane, one
    // call at a time, after the journal has recovered.
    virtual Result<void> read(Sequence after,
                              const std::function<bool(const RecordBatch&)>& take) = 0;

    // The first sequence that read() can hand over; the next one to be written when there is none.
    // From any thread.
    virtual Sequence oldest() const = 0;
};

}  // namespace taskd::port

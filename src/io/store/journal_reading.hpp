// Reads committed batches from segments while others are written and taken away.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "io/store/segment.hpp"
#include "taskd/model/record.hpp"

namespace taskd::io {

// A segment as it was when a reader looked.
struct ReadableSegment {
    std::uint64_t number = 0;
    std::uint64_t salt = 0;
    std::uint64_t end = 0;  // nothing behind it is read
    Sequence first;         // both 0 while no frame stands in it
    Sequence last;
};

class JournalReading {
  public:
    JournalReading(port::Files& files, std::string dir) : files_{files}, dir_{std::move(dir)} {}

    // Of consecutive segments; the first with frames begins at or before after.next().
    // file_missing when one of them was taken away meanwhile.
    Result<void> read(const std::vector<ReadableSegment>& segments, Sequence after,
                      const std::function<bool(const RecordBatch&)>& take);

  private:
    // Where in which life of which segment a batch begins.
    struct Place {
        std::uint64_t number = 0;
        std::uint64_t salt = 0;
        std::uint64_t offset = 0;
    };

    Result<bool> read_one(const ReadableSegment& segment, Sequence& after,
                          const std::function<bool(const RecordBatch&)>& take);
    void remember(Sequence first, const Place& place);

    port::Files& files_;
    const std::string dir_;
    std::map<Sequence, Place> places_;  // of the batches that readers ask for next
};

}  // namespace taskd::io

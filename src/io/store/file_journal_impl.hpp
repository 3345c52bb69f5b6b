// The file journal within: what each lane does, and which of it may touch what.
#pragma once

#include <algorithm>
#include <deque>
#include <mutex>
#include <optional>

#include "io/store/journal_reading.hpp"
#include "io/store/journal_segments.hpp"
#include "io/store/journal_walk.hpp"
#include "io/store/segment_store.hpp"
#include "taskd/base/assert.hpp"
#include "taskd/io/file_journal.hpp"

namespace taskd::io {

class FileJournal::Impl {
  public:
    Impl(port::Files& files, const port::Clock& clock, FileJournalSettings settings)
        : settings_{std::move(settings)},
          files_{files},
          clock_{clock},
          store_{files, settings_.dir, settings_.store_id, salt_seed()},
          reading_{files, settings_.dir},
          frame_max_{
              std::min(settings_.frame_bytes_max, settings_.segment_bytes - segment_header_bytes)} {
        TASKD_ASSERT(first_bytes() >= 2 * segment_header_bytes);
        TASKD_ASSERT(settings_.segments_ready >= 1);
    }

    Result<void> recover(Sequence after,
                         const std::function<Result<void>(const RecordBatch&)>& replay);
    Result<void> reserve(std::size_t bytes, port::Purpose purpose);
    void seal();
    Result<void> commit(const RecordBatch& batch);
    Result<void> prepare();
    Result<void> drop_through(Sequence covered);
    port::JournalStats stats() const;
    Result<void> read(Sequence after, const std::function<bool(const RecordBatch&)>& take);
    Sequence oldest() const;

  private:
    std::uint64_t salt_seed() const {
        return settings_.salt_seed ^
               static_cast<std::uint64_t>(clock_.wall().time_since_epoch().count()) ^
               (static_cast<std::uint64_t>(clock_.steady().time_since_epoch().count()) << 24);
    }

    std::size_t first_bytes() const {
        return std::min(settings_.first_bytes, settings_.segment_bytes);
    }

    Result<void> tidy_folder();
    Result<void> check_range(const JournalWalk& walk, Sequence after) const;
    Result<void> adopt(JournalWalk& walk);
    Result<SegmentFile> find_spare(std::uint64_t size, Sequence after);
    Result<void> secure_tail(JournalWalk& walk, Sequence after);
    Result<void> drop_odd_spares();
    Result<std::uint64_t> size_of(const SegmentFile& file);

    Result<void> move_on(std::uint64_t total, port::Purpose purpose);
    bool has_reserve_behind(const SegmentHandle& segment) const;
    [[nodiscard]] std::unexpected<Error> refuse() const;
    void settle(const RecordBatch& batch, std::uint64_t bytes);
    void close_before(const SegmentHandle& segment);

    bool is_whole(const Segment& segment) const {
        return segment.disk.size >= settings_.segment_bytes;
    }
    std::size_t whole_ready() const;
    enum class Lack { nothing, segment, spare };
    Lack lack() const;
    std::uint64_t fresh_number() const;
    Result<void> add_first_reserve();
    Result<void> add_segment(std::uint64_t number);
    Result<void> add_spare(std::uint64_t number);
    bool may_go(const Segment& segment, bool disk_needed) const;
    Result<bool> retire_oldest(bool disk_needed);

    const FileJournalSettings settings_;
    port::Files& files_;
    const port::Clock& clock_;
    SegmentStore store_;
    JournalReading reading_;  // of the readers' lane
    const std::size_t frame_max_;

    // Of the commit lane.
    SegmentHandle writing_;
    std::string buffer_;
    std::uint64_t batch_last_ = 0;
    Sequence last_;

    std::mutex retire_mutex_;  // one at a time takes the oldest segment away

    mutable std::mutex mutex_;            // guards all below; never held while the disk works
    std::deque<SegmentHandle> segments_;  // old, being written, ready
    std::deque<SegmentFile> spares_;
    SegmentHandle cursor_;          // where the batch being filled will stand
    std::uint64_t open_bytes_ = 0;  // reserved for it
    std::deque<SealedBatch> sealed_;
    std::optional<Error> poison_;  // set by the first failed commit
    bool full_ = false;
    Sequence covered_;
    Sequence synced_;  // last sequence that readers may read
    std::uint64_t bytes_written_ = 0;
    std::uint64_t bytes_dropped_ = 0;  // of those written, covered by the view
    std::deque<LagMark> lag_marks_;
};

}  // namespace taskd::io

#include "taskd/io/file_journal.hpp"

#include <algorithm>
#include <utility>

#include "io/store/file_journal_impl.hpp"
#include "taskd/base/assert.hpp"
#include "taskd/protocol/record_codec.hpp"

namespace taskd::io {
namespace {

constexpr std::size_t frame_overhead = frame_header_bytes + protocol::batch_bytes_overhead_max;

// New work leaves an eighth of a frame to completions and cancels of the same batch.
constexpr std::size_t new_work_eighths = 7;
static_assert(limits::frame_bytes_max / 8 * new_work_eighths >=
              limits::body_bytes_max + limits::submit_tasks_max * 256);
static_assert(limits::frame_bytes_max + segment_header_bytes <= limits::segment_bytes);

// How finely the bytes since the last drop are counted.
constexpr std::uint64_t lag_step_bytes = 64 * limits::kibibyte;

}  // namespace

// Recovery

Result<void> FileJournal::Impl::recover(
    Sequence after, const std::function<Result<void>(const RecordBatch&)>& replay) {
    TASKD_ASSERT(!cursor_);
    if (auto done = files_.make_dir(settings_.dir); !done) return done;
    if (auto done = tidy_folder(); !done) return done;
    JournalWalk walk;
    std::uint64_t replayed_bytes = 0;
    auto done = walk_journal(files_, {settings_.dir, settings_.store_id, after}, walk,
                             [&](const RecordBatch& batch) -> Result<void> {
                                 if (batch.last() <= after) return {};
                                 for (const Record& record : batch.records)
                                     replayed_bytes += protocol::encoded_bytes_max(record);
                                 return replay(batch);
                             });
    if (done) done = check_range(walk, after);
    if (done) done = adopt(walk);
    if (done) done = secure_tail(walk, after);
    if (done) done = drop_odd_spares();
    if (!done) return done;
    covered_ = after;
    batch_last_ = walk.batch_last;
    last_ = synced_ = walk.last;
    bytes_written_ = replayed_bytes;
    if (replayed_bytes > 0) lag_marks_.push_back({last_, replayed_bytes});
    return segments_.back() == cursor_ ? add_first_reserve() : Result<void>{};
}

// New work needs a segment in reserve; without one old work still finishes. A small one will do
// until the filling lane has made a whole one.
Result<void> FileJournal::Impl::add_first_reserve() {
    auto made = store_.fill(fresh_number(), first_bytes());
    full_ = !made && made.error().code == ErrorCode::disk_full;
    if (!made) return full_ ? Result<void>{} : std::unexpected{made.error()};
    segments_.push_back(std::make_shared<Segment>());
    segments_.back()->disk = std::move(*made);
    return {};
}

Result<void> FileJournal::Impl::tidy_folder() {
    const auto listed = list_segments(files_, settings_.dir);
    if (!listed) return std::unexpected{listed.error()};
    for (const SegmentFile& file : *listed) {
        if (file.role == SegmentRole::spare) spares_.push_back(file);
        if (file.role != SegmentRole::filling) continue;
        if (auto done = store_.remove_file(file.path); !done) return done;
    }
    return {};
}

Result<void> FileJournal::Impl::check_range(const JournalWalk& walk, Sequence after) const {
    if (after > walk.last)
        return fail(ErrorCode::store_mismatch,
                    "the journal ends at " + std::to_string(walk.last.value) +
                        ", the view stands at " + std::to_string(after.value));
    if (walk.frames > 0 && walk.first > after.next())
        return fail(ErrorCode::store_mismatch,
                    "the journal begins at " + std::to_string(walk.first.value) +
                        ", the view stands at " + std::to_string(after.value));
    return {};
}

// Takes the segments over as they are, but for the tail, those that a torn frame has touched, and
// those filled ahead to another size.
Result<void> FileJournal::Impl::adopt(JournalWalk& walk) {
    const std::size_t tail = walk.tail.value_or(0);
    for (std::size_t i = 0; i < walk.segments.size(); ++i) {
        const WalkedSegment& found = walk.segments[i];
        store_.stir(found.header.salt);
        const bool usable = !found.written && found.size == settings_.segment_bytes;
        if (i > tail && !usable) {
            auto spare = store_.set_aside(found.file.number);
            if (!spare) return std::unexpected{spare.error()};
            spares_.push_back(std::move(*spare));
            continue;
        }
        auto segment = std::make_shared<Segment>();
        segment->disk = {found.file.number, found.header.salt, found.size, nullptr};
        segment->first = found.first;
        segment->last = found.last;
        segment->synced_end = found.size;
        segment->closed = i < tail;
        segment->closed_at = clock_.steady();
        if (i > tail) {
            auto file = files_.open(found.file.path, port::OpenMode::read_write);
            if (!file) return std::unexpected{file.error()};
            segment->disk.file = std::move(*file);
        }
        if (i == tail) writing_ = segment;
        segments_.push_back(std::move(segment));
    }
    return {};
}

// The tail's frames may stand in the page cache alone: they are copied to another file and synced
// before anything is answered. A full disk still has a file for it if any was filled ahead or is
// covered.
Result<void> FileJournal::Impl::secure_tail(JournalWalk& walk, Sequence after) {
    if (!writing_) {
        auto first = store_.fill(1, first_bytes());
        if (!first) return std::unexpected{first.error()};
        writing_ = std::make_shared<Segment>();
        writing_->disk = std::move(*first);
        segments_.push_back(writing_);
    } else {
        const WalkedSegment& old = walk.segments[*walk.tail];
        const auto spare = find_spare(walk.tail_bytes.size(), after);
        if (!spare) return std::unexpected{spare.error()};
        auto copy = store_.replace(*spare, old.file.number, walk.tail_bytes, old.header.salt);
        if (!copy) return std::unexpected{copy.error()};
        writing_->disk = std::move(*copy);
        writing_->reserved_end = walk.tail_bytes.size();
        writing_->written_end = walk.tail_bytes.size();
        writing_->synced_end = walk.tail_bytes.size();
    }
    cursor_ = writing_;
    return {};
}

Result<SegmentFile> FileJournal::Impl::find_spare(std::uint64_t size, Sequence after) {
    while (!spares_.empty()) {
        const SegmentFile spare = spares_.front();
        spares_.pop_front();
        const auto found = size_of(spare);
        if (!found) return std::unexpected{found.error()};
        if (*found >= std::max<std::uint64_t>(size, settings_.segment_bytes)) return spare;
        if (auto done = store_.remove_file(spare.path); !done) return std::unexpected{done.error()};
    }
    const SegmentHandle newest = segments_.back();
    if (newest != writing_ && newest->disk.size >= size) {
        segments_.pop_back();
        newest->disk.file.reset();
        return store_.set_aside(newest->disk.number);
    }
    auto filled = store_.fill(newest->disk.number + 1,
                              std::max<std::uint64_t>(size, settings_.segment_bytes));
    if (filled) return store_.set_aside(filled->number);
    const SegmentHandle oldest = segments_.front();
    if (filled.error().code == ErrorCode::disk_full && oldest->closed && oldest->last <= after &&
        oldest->disk.size >= size) {
        segments_.pop_front();
        return store_.set_aside(oldest->disk.number);
    }
    return std::unexpected{filled.error()};
}

// Spares of another size are of no use from here on; the tail may still have needed one.
Result<void> FileJournal::Impl::drop_odd_spares() {
    std::deque<SegmentFile> kept;
    for (const SegmentFile& spare : spares_) {
        const auto size = size_of(spare);
        if (!size) return std::unexpected{size.error()};
        if (*size == settings_.segment_bytes && kept.size() <= settings_.segments_ready)
            kept.push_back(spare);
        else if (auto done = store_.remove_file(spare.path); !done)
            return done;
    }
    spares_ = std::move(kept);
    return {};
}

Result<std::uint64_t> FileJournal::Impl::size_of(const SegmentFile& file) {
    const auto opened = files_.open(file.path, port::OpenMode::read);
    if (!opened) return std::unexpected{opened.error()};
    return (*opened)->size();
}

// The loop

Result<void> FileJournal::Impl::reserve(std::size_t bytes, port::Purpose purpose) {
    const std::lock_guard held{mutex_};
    TASKD_ASSERT(cursor_);
    if (poison_) return std::unexpected{*poison_};
    const std::size_t limit =
        purpose == port::Purpose::old_work ? frame_max_ : frame_max_ / 8 * new_work_eighths;
    const std::uint64_t total = (open_bytes_ == 0 ? frame_overhead : open_bytes_) + bytes;
    if (frame_overhead + bytes > limit)
        return fail(ErrorCode::body_too_large,
                    std::to_string(bytes) + " bytes of records in one command");
    if (total > limit) return fail(ErrorCode::overloaded, "the journal's open batch is full");
    const std::uint64_t growth = total - open_bytes_;
    if (growth > cursor_->room()) return move_on(total, purpose);
    if (purpose == port::Purpose::new_work && !has_reserve_behind(cursor_)) return refuse();
    cursor_->reserved_end += growth;
    open_bytes_ = total;
    return {};
}

// The batch being filled goes to the next segment that holds it, as a whole.
Result<void> FileJournal::Impl::move_on(std::uint64_t total, port::Purpose purpose) {
    auto next = std::find(segments_.begin(), segments_.end(), cursor_) + 1;
    while (next != segments_.end() && (*next)->room() < total)
        ++next;
    if (next == segments_.end()) return refuse();
    if (purpose == port::Purpose::new_work && !has_reserve_behind(*next)) return refuse();
    cursor_->reserved_end -= open_bytes_;
    cursor_ = *next;
    cursor_->reserved_end += total;
    open_bytes_ = total;
    return {};
}

// A small segment is a reserve only while a whole one is on its way.
bool FileJournal::Impl::has_reserve_behind(const SegmentHandle& segment) const {
    const SegmentHandle& last = segments_.back();
    return segment != last && (!full_ || is_whole(*last));
}

std::unexpected<Error> FileJournal::Impl::refuse() const {
    if (full_) return fail(ErrorCode::disk_full, settings_.dir);
    return fail(ErrorCode::overloaded, "the journal's segments are being filled");
}

void FileJournal::Impl::seal() {
    const std::lock_guard held{mutex_};
    if (open_bytes_ == 0) return;
    sealed_.push_back({cursor_, open_bytes_});
    open_bytes_ = 0;
}

port::JournalStats FileJournal::Impl::stats() const {
    const std::lock_guard held{mutex_};
    port::JournalStats stats;
    bool writable = false;
    for (const SegmentHandle& segment : segments_) {
        stats.bytes_used += segment->disk.size;
        writable = writable || segment == cursor_;
        if (writable) stats.bytes_room += segment->room();
    }
    stats.bytes_used += spares_.size() * settings_.segment_bytes;
    stats.bytes_since_drop = bytes_written_ - bytes_dropped_;
    stats.wants_prepare = lack() != Lack::nothing;
    stats.full = full_;
    return stats;
}

// The commit lane

Result<void> FileJournal::Impl::commit(const RecordBatch& batch) {
    SealedBatch place;
    {
        const std::lock_guard held{mutex_};
        if (poison_) return std::unexpected{*poison_};
        TASKD_ASSERT(!sealed_.empty());
        place = sealed_.front();
    }
    TASKD_ASSERT(batch.first == last_.next());
    buffer_.clear();
    begin_frame(buffer_);
    protocol::encode_batch(batch, buffer_);
    TASKD_ASSERT(buffer_.size() <= place.bytes);
    Segment& segment = *place.segment;
    finish_frame(buffer_, 0, batch_last_ + 1, segment.disk.salt);
    auto done = segment.disk.file->write(segment.written_end, buffer_);
    if (done) done = segment.disk.file->sync();
    if (!done) {
        const std::lock_guard held{mutex_};
        poison_ = done.error();
        return done;
    }
    segment.written_end += buffer_.size();
    ++batch_last_;
    last_ = batch.last();
    if (writing_ != place.segment) writing_->disk.file.reset();
    settle(batch, buffer_.size());
    return {};
}

void FileJournal::Impl::settle(const RecordBatch& batch, std::uint64_t bytes) {
    const std::lock_guard held{mutex_};
    const SealedBatch place = std::move(sealed_.front());
    sealed_.pop_front();
    place.segment->reserved_end -= place.bytes - bytes;
    if (place.segment->first.value == 0) place.segment->first = batch.first;
    place.segment->last = synced_ = batch.last();
    place.segment->synced_end = place.segment->written_end;
    if (writing_ != place.segment) close_before(place.segment);
    bytes_written_ += bytes;
    const std::size_t marks = lag_marks_.size();
    const std::uint64_t step_begin = marks >= 2 ? lag_marks_[marks - 2].bytes : bytes_dropped_;
    if (marks == 0 || lag_marks_.back().bytes - step_begin >= lag_step_bytes)
        lag_marks_.push_back({batch.last(), bytes_written_});
    else
        lag_marks_.back() = {batch.last(), bytes_written_};
}

// Also those that were too small for the batch, and stay empty.
void FileJournal::Impl::close_before(const SegmentHandle& segment) {
    for (const SegmentHandle& each : segments_) {
        if (each == segment) break;
        if (std::exchange(each->closed, true)) continue;
        each->closed_at = clock_.steady();
    }
    writing_ = segment;
}

// The filling lane

std::size_t FileJournal::Impl::whole_ready() const {
    std::size_t count = 0;
    for (auto each = segments_.rbegin(); each != segments_.rend() && *each != cursor_; ++each)
        count += is_whole(**each) ? 1 : 0;
    return count;
}

// Whether it is the turn of a segment to write to, of the spare that a recovery on a full disk
// needs, or of nothing.
FileJournal::Impl::Lack FileJournal::Impl::lack() const {
    const std::size_t count = whole_ready();
    if (count == 0) return Lack::segment;
    if (spares_.empty()) return Lack::spare;
    return count < settings_.segments_ready ? Lack::segment : Lack::nothing;
}

// Segments and spares never share a number, or one would take the other's name.
std::uint64_t FileJournal::Impl::fresh_number() const {
    std::uint64_t newest = segments_.back()->disk.number;
    for (const SegmentFile& spare : spares_)
        newest = std::max(newest, spare.number);
    return newest + 1;
}

Result<void> FileJournal::Impl::prepare() {
    for (;;) {
        Lack missing{};
        std::uint64_t number = 0;
        {
            const std::lock_guard held{mutex_};
            missing = lack();
            if (missing == Lack::nothing) {
                full_ = false;  // what was missing may have come of a segment that was let go
                return {};
            }
            number = fresh_number();
        }
        auto done = missing == Lack::spare ? add_spare(number) : add_segment(number);
        if (!done && done.error().code == ErrorCode::disk_full) {
            // What is kept for readers only gives way to new work.
            const auto retired = retire_oldest(true);
            if (!retired) return std::unexpected{retired.error()};
            if (*retired) continue;
        }
        const std::lock_guard held{mutex_};
        full_ = !done && done.error().code == ErrorCode::disk_full;
        if (!done) return done;
    }
}

Result<void> FileJournal::Impl::add_segment(std::uint64_t number) {
    std::optional<SegmentFile> spare;
    {
        const std::lock_guard held{mutex_};
        if (spares_.size() > 1) {
            spare = std::move(spares_.front());
            spares_.pop_front();
        }
    }
    auto made = spare ? store_.reuse(*spare, number) : store_.fill(number, settings_.segment_bytes);
    if (!made) {
        // Where only its new name is not yet sure it is no spare any more.
        if (spare && size_of(*spare)) {
            const std::lock_guard held{mutex_};
            spares_.push_front(std::move(*spare));
        }
        return std::unexpected{made.error()};
    }
    auto segment = std::make_shared<Segment>();
    segment->disk = std::move(*made);
    const std::lock_guard held{mutex_};
    segments_.push_back(std::move(segment));
    return {};
}

Result<void> FileJournal::Impl::add_spare(std::uint64_t number) {
    const auto filled = store_.fill(number, settings_.segment_bytes);
    if (!filled) return std::unexpected{filled.error()};
    auto spare = store_.set_aside(number);
    if (!spare) return std::unexpected{spare.error()};
    const std::lock_guard held{mutex_};
    spares_.push_back(std::move(*spare));
    return {};
}

// The dropping lane

Result<void> FileJournal::Impl::drop_through(Sequence covered) {
    {
        const std::lock_guard held{mutex_};
        covered_ = std::max(covered_, covered);
        while (!lag_marks_.empty() && lag_marks_.front().through <= covered_) {
            bytes_dropped_ = lag_marks_.front().bytes;
            lag_marks_.pop_front();
        }
    }
    for (;;) {
        const auto retired = retire_oldest(false);
        if (!retired) return std::unexpected{retired.error()};
        if (!*retired) return {};
    }
}

bool FileJournal::Impl::may_go(const Segment& segment, bool disk_needed) const {
    if (!segment.closed || segment.last > covered_) return false;
    if (disk_needed || full_) return true;
    if (clock_.steady() - segment.closed_at >= settings_.retain_age) return true;
    std::uint64_t kept = 0;
    for (const SegmentHandle& each : segments_)
        if (each->closed && each->last <= covered_) kept += each->disk.size;
    return kept > settings_.retain_bytes;
}

// False when the oldest must stay. Takes it off the list only once it is off the disk.
Result<bool> FileJournal::Impl::retire_oldest(bool disk_needed) {
    const std::lock_guard alone{retire_mutex_};
    std::uint64_t number = 0;
    bool reuse = false;
    {
        const std::lock_guard held{mutex_};
        const Segment& oldest = *segments_.front();
        if (!may_go(oldest, disk_needed)) return false;
        number = oldest.disk.number;
        reuse = spares_.size() <= settings_.segments_ready &&
                oldest.disk.size == settings_.segment_bytes;
    }
    std::optional<SegmentFile> spare;
    if (reuse) {
        auto aside = store_.set_aside(number);
        if (!aside) return std::unexpected{aside.error()};
        spare = std::move(*aside);
    } else if (auto done = store_.remove(number); !done) {
        return std::unexpected{done.error()};
    }
    const std::lock_guard held{mutex_};
    segments_.pop_front();
    if (spare) spares_.push_back(std::move(*spare));
    return true;
}

// The readers' lane

Sequence FileJournal::Impl::oldest() const {
    const std::lock_guard held{mutex_};
    for (const SegmentHandle& segment : segments_)
        if (segment->first.value != 0) return segment->first;
    return synced_.next();
}

Result<void> FileJournal::Impl::read(Sequence after,
                                     const std::function<bool(const RecordBatch&)>& take) {
    std::vector<ReadableSegment> segments;
    {
        const std::lock_guard held{mutex_};
        for (const SegmentHandle& each : segments_)
            segments.push_back(
                {each->disk.number, each->disk.salt, each->synced_end, each->first, each->last});
    }
    const auto gone = [this] {
        return fail(ErrorCode::events_gone, "the oldest kept is " + std::to_string(oldest().value));
    };
    if (after.next() < oldest()) return gone();
    auto done = reading_.read(segments, after, take);
    if (!done && done.error().code == ErrorCode::file_missing) return gone();
    return done;
}

FileJournal::FileJournal(port::Files& files, const port::Clock& clock, FileJournalSettings settings)
    : impl_{std::make_unique<Impl>(files, clock, std::move(settings))} {}
FileJournal::~FileJournal() = default;

Result<void> FileJournal::recover(Sequence after,
                                  const std::function<Result<void>(const RecordBatch&)>& replay) {
    return impl_->recover(after, replay);
}
Result<void> FileJournal::reserve(std::size_t bytes, port::Purpose purpose) {
    return impl_->reserve(bytes, purpose);
}
void FileJournal::seal() {
    impl_->seal();
}
Result<void> FileJournal::commit(const RecordBatch& batch) {
    return impl_->commit(batch);
}
Result<void> FileJournal::prepare() {
    return impl_->prepare();
}
Result<void> FileJournal::drop_through(Sequence covered) {
    return impl_->drop_through(covered);
}
port::JournalStats FileJournal::stats() const {
    return impl_->stats();
}
Result<void> FileJournal::read(Sequence after,
                               const std::function<bool(const RecordBatch&)>& take) {
    return impl_->read(after, take);
}
Sequence FileJournal::oldest() const {
    return impl_->oldest();
}

}  // namespace taskd::io

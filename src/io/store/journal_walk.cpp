#include "io/store/journal_walk.hpp"

#include <fmt/format.h>

#include "taskd/protocol/record_codec.hpp"

namespace taskd::io {
namespace {

// Enough of a segment to know its header and the first sequence of its first frame.
constexpr std::size_t glance_bytes =
    segment_header_bytes + frame_header_bytes + protocol::batch_bytes_overhead_max;

class Walker {
  public:
    Walker(port::Files& files, const WalkOptions& options, JournalWalk& walk,
           const std::function<Result<void>(const RecordBatch&)>& take)
        : files_{files}, options_{options}, walk_{walk}, take_{take} {}

    Result<void> run() {
        if (auto done = open_all(); !done) return done;
        if (walk_.segments.empty()) return {};
        // A glance may be wrong where the first frame is torn: then from further back.
        std::size_t index = start(walk_.segments.size());
        if (auto done = load(index); !done) return done;
        while (index > 0 && !frame_at(bytes_, segment_header_bytes, salt())) {
            index = start(index);
            if (auto done = load(index); !done) return done;
        }
        for (;;) {
            if (auto done = read_frames(); !done) return done;
            const auto more = go_on();
            if (!more) return std::unexpected{more.error()};
            if (!*more) return {};
        }
    }

  private:
    std::uint64_t salt() const { return walk_.segments[index_].header.salt; }

    [[nodiscard]] std::unexpected<Error> fail_at(ErrorCode code, std::size_t offset,
                                                 std::string_view what) const {
        return fail(code,
                    fmt::format("{} at {}: {}", walk_.segments[index_].file.path, offset, what));
    }

    Result<void> open_all() {
        auto listed = list_segments(files_, options_.dir);
        if (!listed) return std::unexpected{listed.error()};
        for (SegmentFile& file : *listed) {
            if (file.role != SegmentRole::segment) continue;
            auto segment = glance(std::move(file));
            if (!segment) return std::unexpected{segment.error()};
            walk_.segments.push_back(std::move(*segment));
        }
        return {};
    }

    Result<WalkedSegment> glance(SegmentFile&& file) {
        const auto opened = files_.open(file.path, port::OpenMode::read);
        if (!opened) return std::unexpected{opened.error()};
        const auto size = (*opened)->size();
        if (!size) return std::unexpected{size.error()};
        std::string bytes(glance_bytes, '\0');
        const auto count = (*opened)->read(0, bytes);
        if (!count) return std::unexpected{count.error()};
        bytes.resize(*count);
        auto header = decode_segment_header(bytes);
        if (!header) return fail(header.error().code, file.path + ": " + header.error().detail);
        if (header->number != file.number)
            return fail(ErrorCode::journal_corrupt, file.path + ": the number within is another");
        if (header->store_id != options_.store_id)
            return fail(ErrorCode::store_mismatch, file.path + " belongs to another store");
        WalkedSegment segment{std::move(file), *header, *size, {}, {}, false};
        if (bytes.size() < glance_bytes) return segment;
        const std::string_view rest = std::string_view{bytes}.substr(segment_header_bytes);
        if (!was_written(rest.substr(0, frame_header_bytes), 0, header->salt)) return segment;
        if (const auto first = protocol::peek_first_sequence(rest.substr(frame_header_bytes)))
            segment.first = *first;
        return segment;
    }

    // The last segment before `limit` that, at a glance, begins at or before what is asked for.
    std::size_t start(std::size_t limit) {
        std::size_t found = 0;
        if (options_.verify_all) return found;
        for (std::size_t i = 0; i < limit; ++i) {
            const Sequence first = walk_.segments[i].first;
            if (first.value != 0 && first <= options_.after.next()) found = i;
        }
        // What is passed over ends where its follower begins.
        for (std::size_t i = 0; i < found; ++i) {
            WalkedSegment& segment = walk_.segments[i];
            segment.written = segment.first.value != 0;
            Sequence follower;
            for (std::size_t j = i + 1; j <= found && follower.value == 0; ++j)
                follower = walk_.segments[j].first;
            if (segment.written) segment.last = Sequence{follower.value - 1};
        }
        return found;
    }

    Result<void> load(std::size_t index) {
        auto bytes = read_segment(files_, walk_.segments[index].file.path);
        if (!bytes) return std::unexpected{bytes.error()};
        begin(index, std::move(*bytes));
        return {};
    }

    void begin(std::size_t index, std::string&& bytes) {
        index_ = index;
        bytes_ = std::move(bytes);
        offset_ = segment_header_bytes;
        walk_.segments[index].first = {};
        walk_.segments[index].last = {};
    }

    Result<void> read_frames() {
        WalkedSegment& segment = walk_.segments[index_];
        while (const auto frame = frame_at(bytes_, offset_, salt())) {
            if (walk_.frames > 0 && frame->batch != walk_.batch_last + 1)
                return fail_at(
                    ErrorCode::journal_corrupt, offset_,
                    fmt::format("batch {} follows batch {}", frame->batch, walk_.batch_last));
            const auto batch = protocol::decode_batch(frame->payload);
            if (!batch) return fail_at(batch.error().code, offset_, batch.error().detail);
            if (walk_.frames > 0 && batch->first != walk_.last.next())
                return fail_at(
                    ErrorCode::journal_corrupt, offset_,
                    fmt::format("sequence {} follows {}", batch->first.value, walk_.last.value));
            if (segment.first.value == 0) segment.first = batch->first;
            segment.last = batch->last();
            segment.written = true;
            if (walk_.first.value == 0) walk_.first = first_of_all(batch->first);
            walk_.last = batch->last();
            walk_.batch_last = frame->batch;
            ++walk_.frames;
            walk_.records += batch->records.size();
            if (const auto taken = take_(*batch); !taken) return taken;
            offset_ += frame->bytes();
        }
        return {};
    }

    Sequence first_of_all(Sequence first_read) const {
        for (std::size_t i = 0; i < index_; ++i)
            if (walk_.segments[i].first.value != 0) return walk_.segments[i].first;
        return first_read;
    }

    // After the last whole frame here: moves to the segment that goes on; false when the journal
    // ends. A frame is written only once the one before it is synced, so whole frames beyond a gap
    // are damage.
    Result<bool> go_on() {
        if (find_frame(bytes_, offset_, salt()))
            return fail_at(ErrorCode::journal_corrupt, offset_,
                           "whole frames follow a damaged one");
        walk_.torn = was_written(bytes_, offset_, salt());
        for (std::size_t next = index_ + 1; next < walk_.segments.size(); ++next) {
            WalkedSegment& segment = walk_.segments[next];
            auto bytes = read_segment(files_, segment.file.path);
            if (!bytes) return std::unexpected{bytes.error()};
            const std::uint64_t salt = segment.header.salt;
            const auto first = frame_at(*bytes, segment_header_bytes, salt);
            if (first && !walk_.torn &&
                (walk_.frames == 0 || first->batch == walk_.batch_last + 1)) {
                begin(next, std::move(*bytes));
                return true;
            }
            if (find_frame(*bytes, segment_header_bytes, salt))
                return fail_at(ErrorCode::journal_corrupt, offset_,
                               "whole frames stand in " + segment.file.path);
            segment.first = {};
            segment.written = was_written(*bytes, segment_header_bytes, salt);
            walk_.torn = walk_.torn || segment.written;
        }
        walk_.tail = index_;
        bytes_.resize(std::max(offset_, segment_header_bytes));
        walk_.tail_bytes = std::move(bytes_);
        return false;
    }

    port::Files& files_;
    const WalkOptions& options_;
    JournalWalk& walk_;
    const std::function<Result<void>(const RecordBatch&)>& take_;
    std::size_t index_ = 0;  // of the segment being read
    std::string bytes_;      // all of it
    std::size_t offset_ = 0;
};

}  // namespace

Result<void> walk_journal(port::Files& files, const WalkOptions& options, JournalWalk& walk,
                          const std::function<Result<void>(const RecordBatch&)>& take) {
    return Walker{files, options, walk, take}.run();
}

}  // namespace taskd::io

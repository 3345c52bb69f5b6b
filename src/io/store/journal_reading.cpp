#include "io/store/journal_reading.hpp"

#include <algorithm>

#include "taskd/base/limits.hpp"
#include "taskd/protocol/record_codec.hpp"

namespace taskd::io {
namespace {

constexpr std::size_t window_bytes = limits::mebibyte;
constexpr std::size_t window_bytes_most = limits::frame_bytes_max + frame_header_bytes;
constexpr std::size_t places_max = 1'000;  // about one for each reader

// A part of a segment that moves on.
class Window {
  public:
    Window(port::File& file, std::uint64_t offset, std::uint64_t end)
        : file_{file}, begin_{offset}, end_{end} {}

    std::uint64_t offset() const { return begin_ + at_; }
    void pass(std::size_t bytes) { at_ += bytes; }

    // The frame at the offset; none at the end, or where nothing whole stands.
    Result<std::optional<Frame>> frame(std::uint64_t salt) {
        for (std::size_t size = window_bytes;; size = window_bytes_most) {
            if (auto found = frame_at(bytes_, at_, salt)) return found;
            const std::uint64_t left = end_ - std::min(end_, offset());
            const std::size_t wanted =
                static_cast<std::size_t>(std::min<std::uint64_t>(size, left));
            if (bytes_.size() - std::min(at_, bytes_.size()) >= wanted) {
                if (size == window_bytes_most || left <= window_bytes) return std::nullopt;
                continue;
            }
            begin_ = offset();
            at_ = 0;
            bytes_.resize(wanted);
            const auto count = file_.read(begin_, bytes_);
            if (!count) return std::unexpected{count.error()};
            bytes_.resize(*count);
            if (auto found = frame_at(bytes_, 0, salt)) return found;
            if (*count < wanted || size == window_bytes_most) return std::nullopt;
        }
    }

  private:
    port::File& file_;
    std::uint64_t begin_;  // of bytes_ in the segment
    std::uint64_t end_;
    std::size_t at_ = 0;
    std::string bytes_;
};

}  // namespace

Result<void> JournalReading::read(const std::vector<ReadableSegment>& segments, Sequence after,
                                  const std::function<bool(const RecordBatch&)>& take) {
    for (const ReadableSegment& segment : segments) {
        if (segment.last.value == 0 || segment.last <= after) continue;
        const auto more = read_one(segment, after, take);
        if (!more) return std::unexpected{more.error()};
        if (!*more) return {};
    }
    return {};
}

Result<bool> JournalReading::read_one(const ReadableSegment& segment, Sequence& after,
                                      const std::function<bool(const RecordBatch&)>& take) {
    const std::string path = segment_path(dir_, segment.number, SegmentRole::segment);
    const auto file = files_.open(path, port::OpenMode::read);
    if (!file) return std::unexpected{file.error()};
    std::uint64_t offset = segment_header_bytes;
    if (const auto found = places_.find(after.next()); found != places_.end())
        if (found->second.number == segment.number && found->second.salt == segment.salt)
            offset = found->second.offset;
    Window window{**file, offset, segment.end};
    Sequence seen;
    while (seen < segment.last) {
        const auto frame = window.frame(segment.salt);
        if (!frame) return std::unexpected{frame.error()};
        if (!*frame) return fail(ErrorCode::file_missing, path + " was taken away");
        const auto batch = protocol::decode_batch((*frame)->payload);
        if (!batch) return std::unexpected{batch.error()};
        window.pass((*frame)->bytes());
        seen = batch->last();
        if (seen <= after) continue;
        after = seen;
        const bool more = take(*batch);
        if (!more || seen == segment.last)
            remember(seen.next(), {segment.number, segment.salt, window.offset()});
        if (!more) return false;
    }
    return true;
}

void JournalReading::remember(Sequence first, const Place& place) {
    places_.insert_or_assign(first, place);
    // The oldest is most likely asked for by nobody any more.
    if (places_.size() > places_max) places_.erase(places_.begin());
}

}  // namespace taskd::io

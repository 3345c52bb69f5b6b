#include "io/store/segment_store.hpp"

#include <algorithm>

#include "taskd/base/assert.hpp"
#include "taskd/base/limits.hpp"

namespace taskd::io {
namespace {

constexpr std::size_t fill_step_bytes = limits::mebibyte;

Result<void> fill_with_zeros(port::File& file, std::uint64_t size) {
    const std::string zeros(std::min<std::uint64_t>(size, fill_step_bytes), '\0');
    for (std::uint64_t offset = 0; offset < size; offset += zeros.size()) {
        const std::uint64_t step = std::min<std::uint64_t>(zeros.size(), size - offset);
        if (auto done = file.write(offset, std::string_view{zeros}.substr(0, step)); !done)
            return done;
    }
    return {};
}

}  // namespace

SegmentHeader SegmentStore::fresh_header(std::uint64_t number) {
    return {store_id_, number, salts_.next()};
}

Result<OpenSegment> SegmentStore::fill(std::uint64_t number, std::uint64_t size) {
    const SegmentFile filling{SegmentRole::filling, number,
                              segment_path(dir_, number, SegmentRole::filling)};
    const auto make = [&]() -> Result<OpenSegment> {
        auto file = files_.open(filling.path, port::OpenMode::create);
        if (!file) return std::unexpected{file.error()};
        const SegmentHeader header = fresh_header(number);
        auto done = (*file)->truncate(0);
        if (done) done = fill_with_zeros(**file, size);
        if (done) done = (*file)->write(0, encode_segment_header(header));
        if (!done) return std::unexpected{done.error()};
        return name(std::move(*file), filling, header);
    };
    auto made = make();
    // What could not be filled gives its room back; if this fails too, the next start does it.
    if (!made) static_cast<void>(files_.remove(filling.path));
    return made;
}

Result<OpenSegment> SegmentStore::reuse(const SegmentFile& spare, std::uint64_t number) {
    auto file = files_.open(spare.path, port::OpenMode::read_write);
    if (!file) return std::unexpected{file.error()};
    const SegmentHeader header = fresh_header(number);
    const auto written = (*file)->write(0, encode_segment_header(header));
    if (!written) return std::unexpected{written.error()};
    return name(std::move(*file), spare, header);
}

Result<OpenSegment> SegmentStore::replace(const SegmentFile& spare, std::uint64_t number,
                                          std::string_view old, std::uint64_t old_salt) {
    auto file = files_.open(spare.path, port::OpenMode::read_write);
    if (!file) return std::unexpected{file.error()};
    const SegmentHeader header = fresh_header(number);
    std::string copy;
    copy.reserve(old.size());
    copy = encode_segment_header(header);
    std::size_t offset = segment_header_bytes;
    while (const auto frame = frame_at(old, offset, old_salt)) {
        begin_frame(copy);
        copy.append(frame->payload);
        finish_frame(copy, offset, frame->batch, header.salt);
        offset += frame->bytes();
    }
    TASKD_ASSERT(offset == old.size());
    const auto written = (*file)->write(0, copy);
    if (!written) return std::unexpected{written.error()};
    return name(std::move(*file), spare, header);
}

// The content first, then the name: a segment is never seen without its header.
Result<OpenSegment> SegmentStore::name(std::unique_ptr<port::File> file, const SegmentFile& from,
                                       SegmentHeader header) {
    auto done = file->sync();
    if (done)
        done = files_.rename(from.path, segment_path(dir_, header.number, SegmentRole::segment));
    if (done) done = files_.sync_dir(dir_);
    if (!done) return std::unexpected{done.error()};
    const auto size = file->size();
    if (!size) return std::unexpected{size.error()};
    return OpenSegment{header.number, header.salt, *size, std::move(file)};
}

// Renamed and synced before anything is written to it: a segment's name never stands over the
// content of another.
Result<SegmentFile> SegmentStore::set_aside(std::uint64_t number) {
    SegmentFile spare{SegmentRole::spare, number, segment_path(dir_, number, SegmentRole::spare)};
    auto done = files_.rename(segment_path(dir_, number, SegmentRole::segment), spare.path);
    if (done) done = files_.sync_dir(dir_);
    if (!done) return std::unexpected{done.error()};
    return spare;
}

Result<void> SegmentStore::remove(std::uint64_t number) {
    return remove_file(segment_path(dir_, number, SegmentRole::segment));
}

// One at a time, from the oldest, each synced: what is left of the journal never has a hole.
Result<void> SegmentStore::remove_file(const std::string& path) {
    if (auto done = files_.remove(path); !done) return done;
    return files_.sync_dir(dir_);
}

}  // namespace taskd::io

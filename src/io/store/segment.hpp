// The journal's bytes on disk: segment files and the frames in them. Pure but for read_segment and
// list_segments. The format stands in README.md of this folder.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "taskd/base/result.hpp"
#include "taskd/port/files.hpp"

namespace taskd::io {

inline constexpr std::uint32_t segment_version = 1;
// The header has a block of its own: no later write touches what makes the segment readable.
inline constexpr std::size_t segment_header_bytes = 4'096;
// Length, checksum, batch number, salt.
inline constexpr std::size_t frame_header_bytes = 4 + 4 + 8 + 8;

// What a file in the journal's folder is.
enum class SegmentRole {
    segment,  // .seg: whole, with a header of its own
    spare,    // .spare: filled once and kept for reuse; its content means nothing
    filling,  // .tmp: being filled when the power went
};

struct SegmentFile {
    SegmentRole role = SegmentRole::segment;
    std::uint64_t number = 0;
    std::string path;
};

struct SegmentHeader {
    std::uint64_t store_id = 0;
    std::uint64_t number = 0;
    std::uint64_t salt = 0;  // fresh for every life of the file: older frames in it never pass
};

struct Frame {
    std::uint64_t batch = 0;   // counts from 1 through all segments
    std::string_view payload;  // an encoded batch
    std::size_t bytes() const { return frame_header_bytes + payload.size(); }
};

std::string segment_path(const std::string& dir, std::uint64_t number, SegmentRole role);
// Sorted by number; other files are passed over.
Result<std::vector<SegmentFile>> list_segments(port::Files& files, const std::string& dir);

// The whole header block.
std::string encode_segment_header(const SegmentHeader& header);
// journal_too_new or journal_corrupt.
Result<SegmentHeader> decode_segment_header(std::string_view bytes);

// Room for a frame's header at the end of `out`; finish_frame fills it in once the payload is
// there.
void begin_frame(std::string& out);
void finish_frame(std::string& out, std::size_t begin, std::uint64_t batch, std::uint64_t salt);

// The frame that begins at `offset`, if it is whole and of this salt.
std::optional<Frame> frame_at(std::string_view segment, std::size_t offset, std::uint64_t salt);
// The first whole frame of this salt that begins at or after `from`.
std::optional<std::size_t> find_frame(std::string_view segment, std::size_t from,
                                      std::uint64_t salt);
// Whether anything that began as a frame of this salt stands at or after `from`, whole or not.
bool was_written(std::string_view segment, std::size_t from, std::uint64_t salt);

Result<std::string> read_segment(port::Files& files, const std::string& path);

}  // namespace taskd::io

// Makes, reuses and removes segment files, each step safe against a power cut. No state but the
// salts.
#pragma once

#include <memory>
#include <string>

#include "io/store/segment.hpp"
#include "taskd/base/random.hpp"
#include "taskd/port/files.hpp"

namespace taskd::io {

// A segment on disk, open for writing.
struct OpenSegment {
    std::uint64_t number = 0;
    std::uint64_t salt = 0;
    std::uint64_t size = 0;
    std::unique_ptr<port::File> file;
};

class SegmentStore {
  public:
    SegmentStore(port::Files& files, std::string dir, std::uint64_t store_id, std::uint64_t seed)
        : files_{files}, dir_{std::move(dir)}, store_id_{store_id}, salts_{seed} {}

    // Makes salts differ from those of the lives before, even if the seed is the same.
    void stir(std::uint64_t old_salt) { salts_ = Random{salts_.next() ^ old_salt}; }

    // A new file of `size` bytes, all written with zeros and synced before it gets its name.
    Result<OpenSegment> fill(std::uint64_t number, std::uint64_t size);
    // The same from a spare, which need not be filled again.
    Result<OpenSegment> reuse(const SegmentFile& spare, std::uint64_t number);
    // As reuse, with the frames of `old` (a segment up to the end of its last frame) in it; takes
    // the place of the segment of that number.
    Result<OpenSegment> replace(const SegmentFile& spare, std::uint64_t number,
                                std::string_view old, std::uint64_t old_salt);
    // The segment is no longer needed: a spare from now on, or gone. Durable when it returns.
    Result<SegmentFile> set_aside(std::uint64_t number);
    Result<void> remove(std::uint64_t number);
    Result<void> remove_file(const std::string& path);

    const std::string& dir() const { return dir_; }
    std::uint64_t store_id() const { return store_id_; }

  private:
    Result<OpenSegment> name(std::unique_ptr<port::File> file, const SegmentFile& from,
                             SegmentHeader header);
    SegmentHeader fresh_header(std::uint64_t number);

    port::Files& files_;
    const std::string dir_;
    const std::uint64_t store_id_;
    Random salts_;
};

}  // namespace taskd::io

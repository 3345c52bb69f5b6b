// The journal as zero-filled segment files. Frames, recovery and what a crash may leave are
// described in src/io/store/README.md. Threads as port::Journal says; files and clock must outlive
// it.
#pragma once

#include <memory>
#include <string>

#include "taskd/base/limits.hpp"
#include "taskd/port/clock.hpp"
#include "taskd/port/files.hpp"
#include "taskd/port/journal.hpp"
#include "taskd/port/journal_reader.hpp"

namespace taskd::io {

struct FileJournalSettings {
    std::string dir;
    std::uint64_t store_id = 0;   // segments of another store are refused
    std::uint64_t salt_seed = 0;  // fresh chance at each start: old bytes must never pass for new
    std::size_t segment_bytes = limits::segment_bytes;
    // What recovery has to fill itself, so that a start need not wait for whole segments.
    std::size_t first_bytes = limits::mebibyte;
    std::size_t segments_ready = 2;  // whole ones, filled ahead of the one being written; from 1
    std::size_t frame_bytes_max = limits::frame_bytes_max;
    // What the view covers is kept for readers that resume, until it is this old or this much.
    Duration retain_age = std::chrono::hours{1};
    std::uint64_t retain_bytes = 1024 * limits::mebibyte;
};

class FileJournal final : public port::Journal, public port::JournalReader {
  public:
    FileJournal(port::Files& files, const port::Clock& clock, FileJournalSettings settings);
    ~FileJournal() override;

    Result<void> recover(Sequence after,
                         const std::function<Result<void>(const RecordBatch&)>& replay) override;
    Result<void> reserve(std::size_t bytes, port::Purpose purpose) override;
    void seal() override;
    Result<void> commit(const RecordBatch& batch) override;
    Result<void> prepare() override;
    Result<void> drop_through(Sequence covered) override;
    port::JournalStats stats() const override;
    Result<void> read(Sequence after, const std::function<bool(const RecordBatch&)>& take) override;
    Sequence oldest() const override;

  private:
    class Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace taskd::io

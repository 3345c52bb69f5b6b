// Drives a journal as the dispatcher does, batch by batch, and remembers what it was told.
#pragma once

#include <functional>
#include <vector>

#include "taskd/io/file_journal.hpp"
#include "taskd/port/journal.hpp"

namespace taskd::support {

// Small segments, so that a short run meets every way they end. Nothing is kept for readers.
io::FileJournalSettings small_journal(const std::string& dir);

// The batch that begins at `first` in the history of `seed`: always the same one.
RecordBatch history_batch(std::uint64_t seed, Sequence first);
std::size_t reserve_bytes(const RecordBatch& batch);

// Reserves, seals and commits one batch.
Result<void> append(port::Journal& journal, const RecordBatch& batch,
                    port::Purpose purpose = port::Purpose::new_work);

// Recovers and gives back every batch handed over.
Result<std::vector<RecordBatch>> recover_all(port::Journal& journal, Sequence after = {});

}  // namespace taskd::support

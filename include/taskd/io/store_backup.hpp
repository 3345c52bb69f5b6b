// A store as one file, and a store made of such a file. A backup is the view's file, at rest and
// with everything in it that was durable when it was made, also what lies in files beside it; a
// store made of it has an id of its own and a journal that goes on where the view ends.
#pragma once

#include <functional>
#include <string>

#include "taskd/base/random.hpp"
#include "taskd/io/store_check.hpp"
#include "taskd/io/store_dir.hpp"
#include "taskd/model/record.hpp"

namespace taskd::io {

std::string parent_folder(const std::string& path);
// The whole content, synced; `to` is replaced.
Result<void> copy_file(port::Files& files, const std::string& from, const std::string& to);

// The view of a store that nobody uses as a new file `to`, of whatever version it is; false when
// there is no view. Nothing of the store changes.
Result<bool> copy_view(port::Files& files, const Store& store, const std::string& to,
                       const std::string& vfs = {});

// What the journal of such a store has behind `after`, without a change. store_mismatch when it
// does not reach from there on.
Result<void> read_journal(port::Files& files, const Store& store, Sequence after,
                          const std::function<Result<void>(const RecordBatch&)>& take);

// What copy_view began and a view may have gone on with becomes a backup: one file, synced, with
// what lies beside the view of `store`, and with what its tasks printed if `with_logs`. How many
// bytes that is.
Result<std::uint64_t> seal_backup(port::Files& files, const Store& store, const std::string& path,
                                  bool with_logs, const std::string& vfs = {});

// Verifies a backup as check_store does a store: file_missing, view_corrupt when it is none,
// store_too_new.
Result<StoreReport> check_backup(port::Files& files, const std::string& path,
                                 const std::string& vfs = {});

// Makes a store in `dir` of a sound backup: wholly, or a start refuses what is there
// (restore_unfinished) until it is restored again. store_not_empty, store_locked, and what
// check_backup says.
Result<StoreReport> restore_store(port::Files& files, const std::string& from,
                                  const std::string& dir, Random& random,
                                  const std::string& vfs = {});

}  // namespace taskd::io

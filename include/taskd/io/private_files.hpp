// Small files of one person's own: keys, notes, what `taskd up` leaves for others. Blocking.
#pragma once

#include <cstddef>
#include <string>

#include "taskd/base/result.hpp"
#include "taskd/base/time.hpp"

namespace taskd::io {

// The whole of a file, or of stdin for "-". file_missing when it cannot be read, task_too_large
// beyond `bytes_max`.
Result<std::string> read_whole_file(const std::string& path, std::size_t bytes_max);

// Replaces the file as a whole, so that a reader finds the old or the new; mode 0600, or 0644 for
// everybody. Folders that are missing are made, with mode 0700.
enum class Readers { owner, everybody };
Result<void> replace_file(const std::string& path, const std::string& content, Readers readers);
inline Result<void> write_private_file(const std::string& path, const std::string& content) {
    return replace_file(path, content, Readers::owner);
}

void remove_file(const std::string& path);  // missing is fine

// Blocks the calling thread.
void pause_for(Duration duration);

}  // namespace taskd::io

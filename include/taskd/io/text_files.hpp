// Texts of a folder, with their digests. Blocking.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "taskd/base/result.hpp"

namespace taskd::io {

struct TextFile {
    std::string path;  // from the folder
    std::string text;  // UTF-8
    std::string sha256;
};

// FOLDER/PATH, or all files below it, by their paths. file_missing; task_too_large beyond
// limits::embed_bytes_max each, or more than limits::embed_files_max of them; invalid_field for
// what is no text.
Result<std::vector<TextFile>> read_text_files(const std::string& folder, const std::string& path);

std::string sha256_of(std::string_view bytes);  // 64 digits of base 16

}  // namespace taskd::io

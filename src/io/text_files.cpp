#include "taskd/io/text_files.hpp"

#include <algorithm>
#include <filesystem>

#include "io/store/body_files.hpp"
#include "taskd/base/limits.hpp"
#include "taskd/io/private_files.hpp"
#include "taskd/protocol/json.hpp"

namespace taskd::io {
namespace {

namespace fs = std::filesystem;

Result<std::vector<std::string>> paths_below(const fs::path& folder, const std::string& path) {
    std::error_code error;
    if (!fs::is_directory(folder / path, error)) return std::vector{path};
    std::vector<std::string> paths;
    for (fs::recursive_directory_iterator at{folder / path, error}, end; !error && at != end;
         at.increment(error)) {
        if (!at->is_regular_file(error)) continue;
        if (paths.size() == limits::embed_files_max)
            return fail(
                ErrorCode::task_too_large,
                path + " has more than " + std::to_string(limits::embed_files_max) + " files");
        paths.push_back(at->path().lexically_relative(folder).string());
    }
    if (error) return fail(ErrorCode::file_missing, path + ": " + error.message());
    std::ranges::sort(paths);
    return paths;
}

}  // namespace

Result<std::vector<TextFile>> read_text_files(const std::string& folder, const std::string& path) {
    const fs::path base = folder.empty() ? fs::path{"."} : fs::path{folder};
    const auto paths = paths_below(base, path);
    if (!paths) return std::unexpected{paths.error()};
    std::vector<TextFile> files;
    for (const std::string& each : *paths) {
        auto text = read_whole_file((base / each).string(), limits::embed_bytes_max);
        if (!text) return std::unexpected{text.error()};
        if (!protocol::is_utf8(*text))
            return fail(ErrorCode::invalid_field, each + " is no text in UTF-8");
        std::string digest = sha256_of(*text);
        files.push_back(
            {fs::path{each}.lexically_normal().string(), std::move(*text), std::move(digest)});
    }
    return files;
}

std::string sha256_of(std::string_view bytes) {
    return BodyFiles::name_of(bytes);
}

}  // namespace taskd::io

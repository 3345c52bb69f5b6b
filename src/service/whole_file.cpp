#include "taskd/service/whole_file.hpp"

namespace taskd::service {

Result<void> write_whole(port::Files& files, const std::string& path, std::string_view text) {
    const std::string fresh = path + ".new";
    auto file = files.open(fresh, port::OpenMode::create);
    if (!file) return fail(std::move(file));
    if (auto cut = (*file)->truncate(0); !cut) return cut;
    if (auto written = (*file)->write(0, text); !written) return written;
    if (auto synced = (*file)->sync(); !synced) return synced;
    file->reset();
    if (auto renamed = files.rename(fresh, path); !renamed) return renamed;
    return files.sync_dir(path.substr(0, path.rfind('/')));
}

Result<std::string> read_whole(port::Files& files, const std::string& path, std::size_t bytes_max) {
    auto file = files.open(path, port::OpenMode::read);
    if (!file) return fail(std::move(file));
    const auto size = (*file)->size();
    if (!size) return fail(size.error().code, size.error().detail);
    if (*size > bytes_max) return fail(ErrorCode::body_too_large, path);
    std::string text(*size, '\0');
    auto read = (*file)->read(0, text);
    if (!read) return fail(std::move(read));
    text.resize(*read);
    return text;
}

}  // namespace taskd::service

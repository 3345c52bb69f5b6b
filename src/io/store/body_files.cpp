#include "io/store/body_files.hpp"

#include <openssl/sha.h>

#include <algorithm>
#include <utility>

#include "taskd/base/limits.hpp"

namespace taskd::io {
namespace {

constexpr std::string_view digits = "0123456789abcdef";
constexpr std::size_t name_size = 2 * SHA256_DIGEST_LENGTH;
constexpr std::size_t folder_size = 2;
constexpr std::string_view unfinished = ".tmp";
constexpr std::size_t compare_bytes = 128 * limits::kibibyte;

std::size_t folder_of(std::string_view name) {
    return digits.find(name[0]) * 16 + digits.find(name[1]);
}

}  // namespace

std::string BodyFiles::name_of(std::string_view body) {
    unsigned char hash[SHA256_DIGEST_LENGTH];
    SHA256(reinterpret_cast<const unsigned char*>(body.data()), body.size(), hash);
    std::string name;
    name.reserve(name_size);
    for (const unsigned char byte : hash) {
        name += digits[byte >> 4];
        name += digits[byte & 15];
    }
    return name;
}

bool BodyFiles::is_name(std::string_view text) {
    return text.size() == name_size &&
           std::ranges::all_of(text, [](char c) { return digits.contains(c); });
}

std::string BodyFiles::place_of(std::string_view name) {
    return std::string{name.substr(0, folder_size)} + "/" + std::string{name};
}

Result<void> BodyFiles::write(const std::string& name, std::string_view body) {
    const std::string folder = dir_ + "/" + name.substr(0, folder_size);
    if (!made_[folder_of(name)]) {
        if (auto made = files_.make_dir(folder); !made) return made;
        made_.set(folder_of(name));
    }
    const std::string path = path_of(name);
    const std::string fresh = path + std::string{unfinished};
    auto done = write_file(fresh, body);
    if (done) done = files_.rename(fresh, path);
    if (done)
        unsynced_.insert(folder);
    else
        static_cast<void>(files_.remove(fresh));
    return done;
}

Result<void> BodyFiles::write_file(const std::string& path, std::string_view body) {
    const auto file = files_.open(path, port::OpenMode::create);
    if (!file) return std::unexpected{file.error()};
    auto done = (*file)->truncate(0);  // of an earlier try
    if (done) done = (*file)->write(0, body);
    if (done) done = (*file)->sync();
    return done;
}

Result<void> BodyFiles::sync_folders() {
    while (!unsynced_.empty()) {
        if (auto done = files_.sync_dir(*unsynced_.begin()); !done) return done;
        unsynced_.erase(unsynced_.begin());
    }
    return {};
}

Result<std::string> BodyFiles::read(std::string_view name) {
    if (!is_name(name)) return fail(ErrorCode::view_corrupt, "a row names no file of a body");
    const std::string path = path_of(name);
    const auto file = files_.open(path, port::OpenMode::read);
    if (!file && file.error().code == ErrorCode::file_missing)
        return fail(ErrorCode::view_corrupt, path + " is missing");
    if (!file) return std::unexpected{file.error()};
    const auto size = (*file)->size();
    if (!size) return std::unexpected{size.error()};
    const auto damaged = [&] {
        return fail(ErrorCode::view_corrupt, path + " is not what its name says");
    };
    if (*size > limits::body_bytes_max) return damaged();
    std::string body(*size, '\0');
    const auto count = (*file)->read(0, body);
    if (!count) return std::unexpected{count.error()};
    if (*count != body.size() || name_of(body) != name) return damaged();
    return body;
}

bool BodyFiles::holds(const std::string& name, std::string_view body) {
    const auto file = files_.open(path_of(name), port::OpenMode::read);
    if (!file || (*file)->size() != body.size()) return false;
    std::string part(std::min(body.size(), compare_bytes), '\0');
    for (std::size_t at = 0; at < body.size(); at += part.size()) {
        const std::string_view wanted = body.substr(at, part.size());
        const auto count = (*file)->read(at, part);
        if (count != wanted.size() || std::string_view{part}.substr(0, *count) != wanted)
            return false;
    }
    return true;
}

// One that stays is taken by the sweep of the next start.
void BodyFiles::remove(const std::string& name) {
    static_cast<void>(files_.remove(path_of(name)));
}

Result<std::uint64_t> BodyFiles::sweep(
    const std::function<Result<bool>(const std::string&)>& is_needed) {
    std::uint64_t gone = 0;
    for (std::size_t number = 0; number < hashed_folders; ++number) {
        const std::string folder = dir_ + "/" + hashed_folder_name(number);
        const auto names = files_.list(folder);
        if (!names && names.error().code == ErrorCode::file_missing) continue;
        if (!names) return std::unexpected{names.error()};
        made_.set(number);
        for (const std::string& name : *names) {
            const auto needed = is_name(name) ? is_needed(name) : false;
            if (!needed) return std::unexpected{needed.error()};
            if (*needed) continue;
            static_cast<void>(files_.remove(folder + "/" + name));
            ++gone;
        }
    }
    return gone;
}

}  // namespace taskd::io

#include "key_file.hpp"

#include <fmt/format.h>

#include <cstdlib>
#include <filesystem>

#include "taskd/io/entropy.hpp"

namespace taskd::roles {
namespace {

constexpr std::size_t key_bytes_min = 16;
constexpr std::size_t key_bytes_max = 4096;

std::string variable(const char* name) {
    const char* value = std::getenv(name);
    return value == nullptr ? std::string{} : std::string{value};
}

}  // namespace

Result<protocol::ClusterKey> read_key_file(const std::string& path) {
    if (path.empty()) return protocol::ClusterKey{};
    auto content = io::read_whole_file(path, key_bytes_max);
    if (!content) return fail(ErrorCode::key_unreadable, content.error().detail);
    const std::size_t first = content->find_first_not_of(" \t\r\n");
    const std::size_t last = content->find_last_not_of(" \t\r\n");
    if (first == std::string::npos || last - first + 1 < key_bytes_min)
        return fail(ErrorCode::key_unreadable,
                    path + " holds fewer than " + std::to_string(key_bytes_min) + " bytes");
    std::string secret = content->substr(first, last - first + 1);
    for (const char c : secret)
        if (c <= ' ' || c > '~')  // it travels in a header
            return fail(ErrorCode::key_unreadable, path + " holds more than printable characters");
    return protocol::ClusterKey{std::move(secret)};
}

Result<void> make_key_file(const std::string& path, io::Readers readers) {
    if (std::filesystem::exists(path)) return {};
    char secret[32];
    io::fill_random(secret);
    std::string text;
    for (const char byte : secret)
        text += fmt::format("{:02x}", static_cast<unsigned char>(byte));
    return io::replace_file(path, text + "\n", readers);
}

std::string key_note_path(std::string_view url) {
    std::string dir = variable("XDG_STATE_HOME");
    if (dir.empty()) {
        const std::string home = variable("HOME");
        if (home.empty()) return {};
        dir = home + "/.local/state";
    }
    std::string name;
    if (const auto scheme = url.find("://"); scheme != std::string_view::npos)
        url.remove_prefix(scheme + 3);
    for (const char c : url.substr(0, url.find('/'))) {
        const bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
                           (c >= 'A' && c <= 'Z') || c == '.' || c == '-';
        name.push_back(plain ? c : '_');
    }
    return dir + "/taskd/servers/" + name;
}

}  // namespace taskd::roles

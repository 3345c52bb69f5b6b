#include "taskd/port/http.hpp"

#include <utility>

namespace taskd::port {
namespace {

bool is_letter(char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

}  // namespace

bool same_header(std::string_view a, std::string_view b) {
    if (a.size() != b.size()) return false;
    for (std::size_t i = 0; i < a.size(); ++i)
        if (a[i] != b[i] && ((a[i] ^ b[i]) != ('a' ^ 'A') || !is_letter(a[i]))) return false;
    return true;
}

std::string base_url(std::string_view address, std::uint16_t port) {
    const bool v6 = address.find(':') != std::string_view::npos;
    std::string url = v6 ? "http://[" : "http://";
    url.append(address).append(v6 ? "]:" : ":").append(std::to_string(port));
    return url;
}

std::string_view find_header(const HttpHeaders& headers, std::string_view name) {
    for (const auto& [key, value] : headers)
        if (same_header(key, name)) return value;
    return {};
}

void HttpStream::write(std::string_view bytes) {
    if (ended_ || gone_ || bytes.empty()) return;
    bytes_ += bytes;
    if (on_written_) on_written_();
}

void HttpStream::end() {
    if (std::exchange(ended_, true) || gone_) return;
    if (on_written_) on_written_();
}

std::string HttpStream::take() {
    std::string taken = std::exchange(bytes_, {});
    if (!taken.empty() && on_taken_) on_taken_();
    return taken;
}

void HttpStream::close() {
    if (std::exchange(gone_, true)) return;
    bytes_ = {};
    if (on_taken_) std::exchange(on_taken_, nullptr)();
}

}  // namespace taskd::port

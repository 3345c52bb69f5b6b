#include "taskd/protocol/base64url.hpp"

#include "protocol/base64.hpp"

namespace taskd::protocol {

std::string encode_base64url(std::string_view bytes) {
    std::string text = encode_base64(bytes);
    text.erase(text.find_last_not_of('=') + 1);
    for (char& c : text)
        c = c == '+' ? '-' : c == '/' ? '_' : c;
    return text;
}

std::optional<std::string> decode_base64url(std::string_view text) {
    if (text.find_first_of("+/=") != std::string_view::npos) return std::nullopt;
    std::string plain{text};
    for (char& c : plain)
        c = c == '-' ? '+' : c == '_' ? '/' : c;
    plain.append((4 - plain.size() % 4) % 4, '=');
    return decode_base64(plain);
}

}  // namespace taskd::protocol

// Requests that no server may take, and some that every server must, as bytes. Used on the parser
// alone and through a real connection.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace taskd::test {

struct MalformedRequest {
    std::string_view what;
    std::string_view bytes;
    int status = 400;
};

std::span<const MalformedRequest> malformed_requests();

struct ValidRequest {
    std::string_view bytes;
    std::string_view method;
    std::string_view target;
    std::string_view body;
};

std::span<const ValidRequest> valid_requests();

}  // namespace taskd::test

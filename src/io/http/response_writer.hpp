// Answers to bytes.
#pragma once

#include <string>
#include <string_view>

#include "taskd/port/http.hpp"

namespace taskd::io {

struct HttpResponseFrame {
    std::string_view date;
    bool close = false;
    bool say_keep_alive = false;  // HTTP/1.0 wants it in as many words
    bool chunked = false;         // the body has no length
};

// Status line, headers and the empty line; Content-Length is that of the body.
void append_response_head(std::string& out, const port::HttpResponse& response,
                          const HttpResponseFrame& frame);

// A part of a chunked body; not empty.
void append_chunk(std::string& out, std::string_view bytes);

}  // namespace taskd::io

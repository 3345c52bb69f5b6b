#include "io/http/response_writer.hpp"

#include <fmt/compile.h>
#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "taskd/protocol/problem.hpp"

namespace taskd::io {
namespace {

bool ends_line(char c) {
    return static_cast<unsigned char>(c) < ' ' && c != '\t';
}

// A value may repeat what a client sent: it must not end the line.
void append_value(std::string& out, std::string_view value) {
    const std::size_t before = out.size();
    out += value;
    if (std::ranges::any_of(value, ends_line))
        std::replace_if(out.begin() + static_cast<std::ptrdiff_t>(before), out.end(), ends_line,
                        ' ');
}

}  // namespace

void append_response_head(std::string& out, const port::HttpResponse& response,
                          const HttpResponseFrame& frame) {
    fmt::format_to(std::back_inserter(out), FMT_COMPILE("HTTP/1.1 {} {}\r\nDate: {}\r\n"),
                   response.status, protocol::reason_phrase(response.status), frame.date);
    for (const auto& [name, value] : response.headers) {
        append_value(out, name);
        out += ": ";
        append_value(out, value);
        out += "\r\n";
    }
    if (frame.chunked)
        out += "Transfer-Encoding: chunked\r\n";
    else if (!response.stream && response.status >= 200 && response.status != 204 &&
             response.status != 304)
        fmt::format_to(std::back_inserter(out), FMT_COMPILE("Content-Length: {}\r\n"),
                       response.body.size());
    if (frame.close) out += "Connection: close\r\n";
    if (frame.say_keep_alive && !frame.close) out += "Connection: keep-alive\r\n";
    out += "\r\n";
}

void append_chunk(std::string& out, std::string_view bytes) {
    fmt::format_to(std::back_inserter(out), FMT_COMPILE("{:x}\r\n"), bytes.size());
    out += bytes;
    out += "\r\n";
}

}  // namespace taskd::io

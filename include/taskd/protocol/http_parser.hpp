// HTTP/1.1 requests from bytes (RFC 9112), strict: what two readers could understand differently is
// refused. No socket, no clock. One parser reads the requests of one connection one after the
// other.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "taskd/base/limits.hpp"
#include "taskd/base/result.hpp"

namespace taskd::protocol {

struct HttpMessage {
    std::string method;
    std::string target;  // path and query; the authority of an absolute target is cut off
    std::vector<std::pair<std::string, std::string>> headers;  // names as sent, values trimmed
    std::string body;
    int minor_version = 1;  // HTTP/1.x
    bool keep_alive = true;
};

struct HttpParserLimits {
    std::size_t header_bytes_max = limits::header_bytes_max;  // header_too_large
    std::size_t headers_max = limits::headers_max;            // header_too_large
    std::size_t target_bytes_max = limits::target_bytes_max;  // uri_too_long
    std::size_t body_bytes_max = limits::body_bytes_max;      // body_too_large
};

class HttpParser {
  public:
    // idle: not a byte of the next request has come.
    enum class Phase { idle, head, body, complete };

    explicit HttpParser(HttpParserLimits limits = {}) : limits_{limits} {}

    // Takes bytes up to the end of the request being read and says how many. bad_request,
    // not_implemented, expectation_failed or one of the limits' errors as soon as a byte shows it;
    // then the connection is of no more use.
    Result<std::size_t> feed(std::string_view bytes);

    Phase phase() const;
    std::size_t body_bytes() const { return message_.body.size(); }
    const HttpMessage& message() const { return message_; }  // as far as it has come
    // True once for a request whose client waits for "100 Continue" before it sends the body.
    bool take_continue() { return std::exchange(continue_due_, false); }
    // The request; phase() must be complete. Then the parser is idle.
    HttpMessage take();
    // The head alone of the request whose body is being read; phase() must be body. Then the
    // connection is of no more use.
    HttpMessage take_head();

  private:
    enum class State {
        request_line,
        header_line,
        fixed_body,
        chunk_size,
        chunk_data,
        chunk_end,
        trailer_line,
        complete,
    };
    // What the headers said about the message's frame.
    struct Frame {
        unsigned hosts = 0;
        bool has_length = false;
        std::uint64_t length = 0;
        bool has_coding = false;
        std::string coding;  // all Transfer-Encoding lines
        bool close = false;
        bool keep_alive = false;
        bool expect = false;
    };

    Result<std::size_t> feed_line(std::string_view bytes);
    Result<void> check_partial() const;
    Result<void> take_line(std::string_view line);
    Result<void> take_request_line(std::string_view line);
    Result<void> take_header_line(std::string_view line);
    Result<void> take_framing_header(std::string_view name, std::string_view value);
    Result<void> take_chunk_line(std::string_view line);
    Result<void> take_trailer_line(std::string_view line);
    Result<void> end_head();
    Result<void> check_codings() const;
    std::size_t feed_body(std::string_view bytes);
    Result<std::size_t> feed_chunk_end(std::string_view bytes);

    HttpParserLimits limits_;
    State state_ = State::request_line;
    HttpMessage message_;
    Frame frame_;
    std::string line_;            // a line that has come in part
    std::size_t head_bytes_ = 0;  // of head, chunk lines' extensions and trailers together
    std::uint64_t left_ = 0;      // of the fixed body or the chunk
    bool empty_line_skipped_ = false;
    bool continue_due_ = false;
};

}  // namespace taskd::protocol

#include "taskd/protocol/http_parser.hpp"

#include <algorithm>
#include <charconv>

#include "protocol/http/http_grammar.hpp"
#include "taskd/base/assert.hpp"

namespace taskd::protocol {
namespace {

using namespace http;

// Longer than any method there is; what has no blank by then is not HTTP.
constexpr std::size_t method_bytes_max = 32;
constexpr std::size_t chunk_digits_max = 16;
constexpr std::size_t chunk_line_bytes_max = 512;
constexpr std::string_view version_start = "HTTP/1.";

auto bad(std::string_view what) {
    return fail(ErrorCode::bad_request, std::string{what});
}

// The part of a request line that has come: each of its bytes must fit.
Result<void> check_request_line_start(std::string_view line, std::size_t target_bytes_max) {
    const auto method_end = std::min(line.find(' '), line.size());
    if (method_end > method_bytes_max) return bad("method too long");
    if (!all(line.substr(0, method_end), token_char)) return bad("invalid character in method");
    if (method_end == line.size()) return {};
    if (method_end == 0) return bad("no method");
    line.remove_prefix(method_end + 1);
    const auto target_end = std::min(line.find(' '), line.size());
    if (target_end > target_bytes_max) return fail(ErrorCode::uri_too_long);
    if (!all(line.substr(0, target_end), target_char)) return bad("invalid character in target");
    if (target_end == line.size()) return {};
    if (target_end == 0) return bad("no target");
    line.remove_prefix(target_end + 1);
    const auto known = std::min(line.size(), version_start.size());
    if (line.substr(0, known) != version_start.substr(0, known)) return bad("unknown version");
    line.remove_prefix(known);
    if (line.size() > 1 || (line.size() == 1 && line[0] != '0' && line[0] != '1'))
        return bad("unknown version");
    return {};
}

Result<void> check_header_line_start(std::string_view line) {
    if (!line.empty() && (line.front() == ' ' || line.front() == '\t'))
        return bad("folded header line");
    const auto colon = std::min(line.find(':'), line.size());
    if (!all(line.substr(0, colon), token_char)) return bad("invalid character in header name");
    if (colon == 0 && !line.empty()) return bad("header without a name");
    if (!all(line.substr(colon), value_char)) return bad("invalid character in header value");
    return {};
}

// *( ";" name [ "=" ( token / quoted-string ) ] ), without blanks.
bool is_chunk_extension(std::string_view text) {
    const auto skip_token = [&] {
        const auto size = static_cast<std::size_t>(
            std::ranges::find_if_not(text, [](char c) { return is(c, token_char); }) -
            text.begin());
        text.remove_prefix(size);
        return size > 0;
    };
    const auto skip_quoted = [&] {
        for (std::size_t i = 1; i < text.size(); ++i) {
            if (!is(text[i], value_char)) return false;
            if (text[i] == '"') {
                text.remove_prefix(i + 1);
                return true;
            }
            if (text[i] == '\\' && (++i == text.size() || !is(text[i], value_char))) return false;
        }
        return false;
    };
    while (!text.empty()) {
        if (text.front() != ';') return false;
        text.remove_prefix(1);
        if (!skip_token()) return false;
        if (text.empty() || text.front() != '=') continue;
        text.remove_prefix(1);
        if (text.starts_with('"') ? !skip_quoted() : !skip_token()) return false;
    }
    return true;
}

bool is_known_method(std::string_view method) {
    constexpr std::string_view known[] = {"GET",  "POST",  "PUT",     "DELETE",
                                          "HEAD", "PATCH", "OPTIONS", "TRACE"};
    return std::ranges::find(known, method) != std::end(known);
}

// Cuts "http://authority" off; the rest must be a path, or "*" for OPTIONS.
Result<std::string_view> origin_form(std::string_view target, std::string_view method) {
    for (const std::string_view scheme : {"http://", "https://"}) {
        if (!target.starts_with(scheme)) continue;
        const auto rest = target.substr(scheme.size());
        const auto end = std::min(rest.find_first_of("/?"), rest.size());
        if (end == 0 || !all(rest.substr(0, end), host_char)) return bad("target without a host");
        if (end == rest.size()) return std::string_view{"/"};
        if (rest[end] == '?') return bad("target without a path");
        return rest.substr(end);
    }
    if (target.starts_with('/') || (target == "*" && method == "OPTIONS")) return target;
    return bad("target is not a path");
}

}  // namespace

HttpParser::Phase HttpParser::phase() const {
    switch (state_) {
        case State::request_line:
            return line_.empty() ? Phase::idle : Phase::head;
        case State::header_line:
            return Phase::head;
        case State::complete:
            return Phase::complete;
        default:
            return Phase::body;
    }
}

HttpMessage HttpParser::take() {
    TASKD_ASSERT(state_ == State::complete);
    HttpMessage taken = std::move(message_);
    message_ = {};
    frame_ = {};
    head_bytes_ = 0;
    empty_line_skipped_ = false;
    continue_due_ = false;
    state_ = State::request_line;
    return taken;
}

HttpMessage HttpParser::take_head() {
    TASKD_ASSERT(phase() == Phase::body);
    state_ = State::complete;
    message_.body.clear();
    message_.keep_alive = false;
    return take();
}

Result<std::size_t> HttpParser::feed(std::string_view bytes) {
    std::size_t taken = 0;
    while (taken < bytes.size() && state_ != State::complete) {
        const std::string_view rest = bytes.substr(taken);
        Result<std::size_t> step = 0;
        switch (state_) {
            case State::fixed_body:
            case State::chunk_data:
                step = feed_body(rest);
                break;
            case State::chunk_end:
                step = feed_chunk_end(rest);
                break;
            default:
                step = feed_line(rest);
                break;
        }
        if (!step) return step;
        taken += *step;
    }
    return taken;
}

Result<std::size_t> HttpParser::feed_line(std::string_view bytes) {
    const auto end = bytes.find('\n');
    const std::size_t size = end == bytes.npos ? bytes.size() : end + 1;
    // Chunk sizes are part of the body; only what is said beside them counts.
    if (state_ != State::chunk_size) head_bytes_ += size;
    if (end == bytes.npos || !line_.empty()) line_.append(bytes.substr(0, size));
    if (end == bytes.npos) {
        if (auto fine = check_partial(); !fine) return fail(std::move(fine));
    } else {
        std::string_view line = line_.empty() ? bytes.substr(0, size) : std::string_view{line_};
        line.remove_suffix(1);
        if (!line.ends_with('\r')) return bad("line ends without a carriage return");
        line.remove_suffix(1);
        if (auto fine = take_line(line); !fine) return fail(std::move(fine));
        line_.clear();
    }
    // After the line's own errors: a target too long is told as such.
    if (head_bytes_ > limits_.header_bytes_max) return fail(ErrorCode::header_too_large);
    return size;
}

// A line that has not ended yet is refused as soon as nothing could make it right.
Result<void> HttpParser::check_partial() const {
    std::string_view line = line_;
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.empty()) return {};
    switch (state_) {
        case State::request_line:
            return check_request_line_start(line, limits_.target_bytes_max);
        case State::header_line:
        case State::trailer_line:
            return check_header_line_start(line);
        default:
            break;
    }
    if (line.size() > chunk_line_bytes_max) return bad("chunk line too long");
    const auto digits = std::min(line.find(';'), line.size());
    if (digits == 0 || digits > chunk_digits_max ||
        line.substr(0, digits).find_first_not_of("0123456789abcdefABCDEF") != line.npos ||
        !all(line.substr(digits), value_char))
        return bad("invalid chunk size");
    return {};
}

Result<void> HttpParser::take_line(std::string_view line) {
    switch (state_) {
        case State::request_line:
            if (line.empty() && !std::exchange(empty_line_skipped_, true)) return {};
            return take_request_line(line);
        case State::header_line:
            return line.empty() ? end_head() : take_header_line(line);
        case State::chunk_size:
            return take_chunk_line(line);
        default:
            break;
    }
    if (!line.empty()) return take_trailer_line(line);
    state_ = State::complete;
    return {};
}

Result<void> HttpParser::take_request_line(std::string_view line) {
    if (auto fine = check_request_line_start(line, limits_.target_bytes_max); !fine) return fine;
    const auto method_end = line.find(' ');
    const auto target_end = line.rfind(' ');
    const auto version = line.substr(target_end + 1);
    if (method_end == target_end || version.size() != version_start.size() + 1)
        return bad("request line is not METHOD TARGET HTTP/1.1");
    message_.method = line.substr(0, method_end);
    message_.minor_version = version.back() - '0';
    if (!is_known_method(message_.method))
        return fail(ErrorCode::not_implemented, "method " + message_.method);
    const auto target =
        origin_form(line.substr(method_end + 1, target_end - method_end - 1), message_.method);
    if (!target) return std::unexpected{target.error()};
    message_.target = *target;
    message_.headers.reserve(8);
    state_ = State::header_line;
    return {};
}

Result<void> HttpParser::take_header_line(std::string_view line) {
    if (auto fine = check_header_line_start(line); !fine) return fine;
    const auto colon = line.find(':');
    if (colon == line.npos) return bad("header line without a colon");
    if (message_.headers.size() == limits_.headers_max)
        return fail(ErrorCode::header_too_large, "too many headers");
    const auto name = line.substr(0, colon);
    const auto value = trim(line.substr(colon + 1));
    if (auto fine = take_framing_header(name, value); !fine) return fine;
    message_.headers.emplace_back(name, value);
    return {};
}

Result<void> HttpParser::take_framing_header(std::string_view name, std::string_view value) {
    if (same_without_case(name, "host")) {
        if (++frame_.hosts > 1) return bad("more than one Host");
        if (!all(value, host_char)) return bad("invalid Host");
    } else if (same_without_case(name, "content-length")) {
        if (std::exchange(frame_.has_length, true)) return bad("more than one Content-Length");
        const char* end = value.data() + value.size();
        const auto [stop, error] = std::from_chars(value.data(), end, frame_.length);
        if (error == std::errc::result_out_of_range && stop == end)
            return fail(ErrorCode::body_too_large);
        if (error != std::errc{} || stop != end) return bad("invalid Content-Length");
    } else if (same_without_case(name, "transfer-encoding")) {
        if (std::exchange(frame_.has_coding, true)) frame_.coding += ',';
        frame_.coding += value;
    } else if (same_without_case(name, "connection")) {
        each_element(value, [&](std::string_view option) {
            if (same_without_case(option, "close")) frame_.close = true;
            if (same_without_case(option, "keep-alive")) frame_.keep_alive = true;
        });
    } else if (same_without_case(name, "expect")) {
        if (!same_without_case(value, "100-continue"))
            return fail(ErrorCode::expectation_failed, std::string{value});
        frame_.expect = true;
    }
    return {};
}

Result<void> HttpParser::check_codings() const {
    if (message_.minor_version == 0) return bad("Transfer-Encoding in HTTP/1.0");
    if (frame_.has_length) return bad("both Content-Length and Transfer-Encoding");
    unsigned chunked = 0;
    unsigned others = 0;
    bool malformed = false;
    each_element(frame_.coding, [&](std::string_view coding) {
        const auto name = trim(coding.substr(0, coding.find(';')));
        if (same_without_case(coding, "chunked")) {
            ++chunked;
        } else if (name.empty() || !all(name, token_char) || same_without_case(name, "chunked")) {
            malformed = true;
        } else {
            ++others;
        }
    });
    if (malformed || chunked > 1) return bad("invalid Transfer-Encoding");
    if (others > 0) return fail(ErrorCode::not_implemented, "Transfer-Encoding " + frame_.coding);
    return {};
}

Result<void> HttpParser::end_head() {
    if (frame_.hosts == 0 && message_.minor_version >= 1) return bad("no Host");
    message_.keep_alive = !frame_.close && (message_.minor_version >= 1 || frame_.keep_alive);
    if (frame_.has_coding) {
        if (auto fine = check_codings(); !fine) return fine;
        state_ = State::chunk_size;
    } else {
        if (frame_.length > limits_.body_bytes_max) return fail(ErrorCode::body_too_large);
        left_ = frame_.length;
        state_ = left_ == 0 ? State::complete : State::fixed_body;
    }
    continue_due_ = frame_.expect && message_.minor_version >= 1 && state_ != State::complete;
    return {};
}

std::size_t HttpParser::feed_body(std::string_view bytes) {
    continue_due_ = false;
    const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(left_, bytes.size()));
    // Grows with what has come, not with what was announced.
    message_.body.append(bytes.substr(0, size));
    left_ -= size;
    if (left_ == 0) state_ = state_ == State::fixed_body ? State::complete : State::chunk_end;
    return size;
}

Result<void> HttpParser::take_chunk_line(std::string_view line) {
    continue_due_ = false;
    if (line.size() > chunk_line_bytes_max) return bad("chunk line too long");
    const auto digits = std::min(line.find(';'), line.size());
    std::uint64_t size = 0;
    const auto [stop, error] = std::from_chars(line.data(), line.data() + digits, size, 16);
    if (error != std::errc{} || stop != line.data() + digits || digits > chunk_digits_max)
        return bad("invalid chunk size");
    if (!is_chunk_extension(line.substr(digits))) return bad("invalid chunk extension");
    head_bytes_ += line.size() - digits;
    if (size > limits_.body_bytes_max - message_.body.size())
        return fail(ErrorCode::body_too_large);
    left_ = size;
    state_ = size == 0 ? State::trailer_line : State::chunk_data;
    return {};
}

Result<std::size_t> HttpParser::feed_chunk_end(std::string_view bytes) {
    constexpr std::string_view end = "\r\n";
    std::size_t taken = 0;
    while (taken < bytes.size() && line_.size() < end.size()) {
        if (bytes[taken] != end[line_.size()]) return bad("chunk longer than its size");
        line_ += bytes[taken++];
    }
    if (line_.size() == end.size()) {
        line_.clear();
        state_ = State::chunk_size;
    }
    return taken;
}

// Checked as any header and left out: nobody here waits for one.
Result<void> HttpParser::take_trailer_line(std::string_view line) {
    if (auto fine = check_header_line_start(line); !fine) return fine;
    const auto name = line.substr(0, line.find(':'));
    if (name.size() == line.size()) return bad("trailer line without a colon");
    for (const std::string_view framing : {"host", "content-length", "transfer-encoding"})
        if (same_without_case(name, framing)) return bad("framing header in a trailer");
    return {};
}

}  // namespace taskd::protocol

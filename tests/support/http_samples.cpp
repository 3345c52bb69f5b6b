#include "http_samples.hpp"

namespace taskd::test {
namespace {

using namespace std::string_view_literals;

// One header block with Host, for what is wrong elsewhere.
#define HOST "Host: a\r\n"
#define POST "POST /x HTTP/1.1\r\n" HOST
#define CHUNKED POST "Transfer-Encoding: chunked\r\n\r\n"

constexpr MalformedRequest malformed[] = {
    // The request line.
    {"a TLS hello", "\x16\x03\x01\x02\x00\x01"sv},
    {"a zero byte", "\0"sv},
    {"no method", " / HTTP/1.1\r\n"sv},
    {"two blanks before the target", "GET  / HTTP/1.1\r\n"},
    {"two blanks after the target", "GET /  HTTP/1.1\r\n"},
    {"a tab instead of a blank", "GET\t/ HTTP/1.1\r\n"},
    {"no version", "GET /\r\n"},
    {"a blank and no version", "GET / \r\n"},
    {"a blank behind the version", "GET / HTTP/1.1 \r\n"},
    {"words behind the version", "GET / HTTP/1.1 x\r\n"},
    {"a method alone", "GET\r\n"},
    {"a version in lower case", "GET / http/1.1\r\n"},
    {"HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"},
    {"HTTP/1.2", "GET / HTTP/1.2\r\n"},
    {"HTTP/1.10", "GET / HTTP/1.10\r\n"},
    {"HTTP/01.1", "GET / HTTP/01.1\r\n"},
    {"HTTP/1", "GET / HTTP/1\r\n"},
    {"another protocol", "GET / ICE/1.0\r\n"},
    {"a method with a parenthesis", "G(T / HTTP/1.1\r\n"},
    {"a method that does not end", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"},
    {"a target that is no path", "GET x HTTP/1.1\r\n"},
    {"a star that is no OPTIONS", "GET * HTTP/1.1\r\n"},
    {"a fragment", "GET /a#b HTTP/1.1\r\n"},
    {"a quote in the target", "GET /\" HTTP/1.1\r\n"},
    {"a control character in the target", "GET /\x01 HTTP/1.1\r\n"},
    {"a byte beyond ASCII in the target", "GET /\xc3\xa4 HTTP/1.1\r\n"},
    {"an absolute target without a host", "GET http:///x HTTP/1.1\r\n"},
    {"an absolute target of another scheme", "GET ftp://a/ HTTP/1.1\r\n"},
    {"an absolute target with credentials", "GET http://u@/ HTTP/1.1\r\nHost: a@b\r\n"},
    {"a bare LF behind the request line", "GET / HTTP/1.1\n"},
    {"a bare CR in the request line", "GET / HTTP/1.1\rHost: a\r\n"},
    {"two CR behind the request line", "GET / HTTP/1.1\r\r\n"},
    {"two empty lines first", "\r\n\r\nGET / HTTP/1.1\r\n"},
    {"a bare LF first", "\nGET / HTTP/1.1\r\n"},
    {"a blank line first", " \r\nGET / HTTP/1.1\r\n"},
    // Headers.
    {"no Host", "GET / HTTP/1.1\r\n\r\n"},
    {"two Hosts", "GET / HTTP/1.1\r\n" HOST HOST},
    {"two Hosts in HTTP/1.0", "GET / HTTP/1.0\r\n" HOST HOST},
    {"a Host with a blank", "GET / HTTP/1.1\r\nHost: a b\r\n"},
    {"a Host with a comma", "GET / HTTP/1.1\r\nHost: a, b\r\n"},
    {"a Host with a path", "GET / HTTP/1.1\r\nHost: a/b\r\n"},
    {"a bare LF behind a header", "GET / HTTP/1.1\r\nHost: a\n"},
    {"a bare LF at the end of the head", "GET / HTTP/1.1\r\n" HOST "\n"},
    {"a bare CR in a header", "GET / HTTP/1.1\r\nHost: a\rX: b\r\n"},
    {"two CR behind a header", "GET / HTTP/1.1\r\nHost: a\r\r\n"},
    {"a CR before the end of the head", "GET / HTTP/1.1\r\n" HOST "\rX"},
    {"a folded header", "GET / HTTP/1.1\r\n" HOST "X: a\r\n b\r\n"},
    {"a header folded by a tab", "GET / HTTP/1.1\r\n" HOST "X: a\r\n\tb\r\n"},
    {"a blank before the first header", "GET / HTTP/1.1\r\n Host: a\r\n"},
    {"a blank before the colon", "GET / HTTP/1.1\r\nHost : a\r\n"},
    {"a tab before the colon", "GET / HTTP/1.1\r\nHost\t: a\r\n"},
    {"a header without a name", "GET / HTTP/1.1\r\n: a\r\n"},
    {"a header without a colon", "GET / HTTP/1.1\r\n" HOST "X\r\n"},
    {"a header name with a parenthesis", "GET / HTTP/1.1\r\n" HOST "X(Y: a\r\n"},
    {"a header name beyond ASCII", "GET / HTTP/1.1\r\n" HOST "X\xc3\xa4: a\r\n"},
    {"a header name with a zero byte", "GET / HTTP/1.1\r\nX\0Y: a\r\n"sv},
    {"a zero byte in a value", "GET / HTTP/1.1\r\nX: a\0b\r\n"sv},
    {"a control character in a value", "GET / HTTP/1.1\r\nX: a\x01\r\n"},
    {"DEL in a value", "GET / HTTP/1.1\r\nX: a\x7f\r\n"},
    // The frame.
    {"two Content-Lengths", POST "Content-Length: 1\r\nContent-Length: 2\r\n"},
    {"the same Content-Length twice", POST "Content-Length: 1\r\nContent-Length: 1\r\n"},
    {"a list of Content-Lengths", POST "Content-Length: 1, 1\r\n"},
    {"an empty Content-Length", POST "Content-Length: \r\n"},
    {"a negative Content-Length", POST "Content-Length: -1\r\n"},
    {"a Content-Length with a plus", POST "Content-Length: +1\r\n"},
    {"a hexadecimal Content-Length", POST "Content-Length: 0x1\r\n"},
    {"a Content-Length with a fraction", POST "Content-Length: 1.0\r\n"},
    {"a Content-Length with a blank in it", POST "Content-Length: 1 1\r\n"},
    {"a Content-Length with letters", POST "Content-Length: 1a\r\n"},
    {"both lengths", POST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"},
    {"both lengths, the other way", POST "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n"},
    {"chunked twice", POST "Transfer-Encoding: chunked, chunked\r\n\r\n"},
    {"chunked on two lines",
     POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"},
    {"an empty Transfer-Encoding", POST "Transfer-Encoding:\r\n\r\n"},
    {"chunked with a parameter", POST "Transfer-Encoding: chunked;a=b\r\n\r\n"},
    {"a Transfer-Encoding in quotes", POST "Transfer-Encoding: \"chunked\"\r\n\r\n"},
    {"a Transfer-Encoding with a vertical tab", POST "Transfer-Encoding: \x0b"
                                                     "chunked\r\n"},
    {"chunked in HTTP/1.0", "POST / HTTP/1.0\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n"},
    // Chunks.
    {"a chunk size that is no number", CHUNKED "x\r\n"},
    {"an empty chunk size", CHUNKED "\r\n"},
    {"a chunk size with a sign", CHUNKED "+5\r\nhello\r\n"},
    {"a negative chunk size", CHUNKED "-1\r\n"},
    {"a chunk size with a prefix", CHUNKED "0x5\r\nhello\r\n"},
    {"a blank before the chunk size", CHUNKED " 5\r\nhello\r\n"},
    {"a blank behind the chunk size", CHUNKED "5 \r\nhello\r\n"},
    {"a chunk size beyond 64 bits", CHUNKED "10000000000000005\r\nhello\r\n"},
    {"a bare LF behind the chunk size", CHUNKED "5\nhello\r\n"},
    {"a bare CR behind the chunk size", CHUNKED "5\rhello\r\n"},
    {"a chunk longer than its size", CHUNKED "5\r\nhello!\r\n"},
    {"a bare LF behind a chunk", CHUNKED "5\r\nhello\n0\r\n"},
    {"a chunk without its end", CHUNKED "5\r\nhello0\r\n\r\n"},
    {"a chunk extension without a name", CHUNKED "5;\r\nhello\r\n"},
    {"a chunk extension without a value", CHUNKED "5;a=\r\nhello\r\n"},
    {"a chunk extension with an open quote", CHUNKED "5;a=\"b\r\nhello\r\n"},
    {"a chunk extension with a bare CR", CHUNKED "5;a\rb\r\nhello\r\n"},
    {"a chunk extension with a bare LF", CHUNKED "5;a=b\nhello\r\n"},
    {"garbage behind a chunk extension", CHUNKED "5;a=\"b\"c\r\nhello\r\n"},
    {"a chunk extension with a control character", CHUNKED "5;a=\x01\r\nhello\r\n"},
    {"a bare LF in the trailers", CHUNKED "0\r\nX: a\n"},
    {"a bare LF at the end of the trailers", CHUNKED "0\r\n\n"},
    {"a folded trailer", CHUNKED "0\r\nX: a\r\n b\r\n"},
    {"a trailer without a colon", CHUNKED "0\r\nX\r\n"},
    {"a Content-Length in the trailers", CHUNKED "0\r\nContent-Length: 5\r\n"},
    {"a Transfer-Encoding in the trailers", CHUNKED "0\r\nTransfer-Encoding: chunked\r\n"},
    // Understood, and not done here.
    {"an unknown transfer coding", POST "Transfer-Encoding: gzip, chunked\r\n\r\n", 501},
    {"identity", POST "Transfer-Encoding: identity\r\n\r\n", 501},
    {"a coding that only sounds like chunked", POST "Transfer-Encoding: xchunked\r\n\r\n", 501},
    {"an unknown method", "BREW / HTTP/1.1\r\n", 501},
    {"a method in lower case", "get / HTTP/1.1\r\n", 501},
    {"CONNECT", "CONNECT a:80 HTTP/1.1\r\n", 501},
    {"an unknown expectation", POST "Expect: 200-ok\r\n", 417},
    // Too much.
    {"a body that is announced too long", POST "Content-Length: 99999999999\r\n\r\n", 413},
    {"a body announced beyond 64 bits", POST "Content-Length: 99999999999999999999999\r\n\r\n",
     413},
    {"a chunk that is announced too long", CHUNKED "ffffffff\r\n", 413},
};

constexpr ValidRequest valid[] = {
    {"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET", "/", ""},
    {"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET", "/", ""},
    {"GET /v1/tasks?limit=5&type=a%20b HTTP/1.1\r\nhost:a:4000\r\n\r\n", "GET",
     "/v1/tasks?limit=5&type=a%20b", ""},
    {"GET / HTTP/1.1\r\nHost: [::1]:4000\r\nX:\r\nY: \t a  b \t\r\n\r\n", "GET", "/", ""},
    {"GET http://a:4000/x?y HTTP/1.1\r\nHost: a\r\n\r\n", "GET", "/x?y", ""},
    {"GET http://a HTTP/1.1\r\nHost: a\r\n\r\n", "GET", "/", ""},
    {"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", "OPTIONS", "*", ""},
    {"HEAD / HTTP/1.0\r\n\r\n", "HEAD", "/", ""},
    {"GET / HTTP/1.1\r\nHost:\r\n\r\n", "GET", "/", ""},
    {"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello", "POST", "/x", "hello"},
    {"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", "POST", "/x", ""},
    {"PUT /x HTTP/1.1\r\nHost: a\r\nX: \xc3\xa4\r\nContent-Length: 00005\r\n\r\n\r\n\r\n\n", "PUT",
     "/x", "\r\n\r\n\n"},
    {"DELETE /x HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}", "DELETE", "/x", "{}"},
    {CHUNKED "5\r\nhello\r\n0\r\n\r\n", "POST", "/x", "hello"},
    {CHUNKED "5;a;b=c;d=\"e \\\" f\"\r\nhello\r\n00A\r\n0123456789\r\n0\r\n\r\n", "POST", "/x",
     "hello0123456789"},
    {CHUNKED "0\r\nX: a\r\nY: b\r\n\r\n", "POST", "/x", ""},
    {POST "TRANSFER-ENCODING:\tChunked \r\n\r\n1\r\n\n\r\n0\r\n\r\n", "POST", "/x", "\n"},
    {POST "Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 1\r\n\r\nz", "POST", "/x", "z"},
    {POST "Expect: 100-Continue\r\nContent-Length: 3\r\n\r\nabc", "POST", "/x", "abc"},
};

}  // namespace

std::span<const MalformedRequest> malformed_requests() {
    return malformed;
}
std::span<const ValidRequest> valid_requests() {
    return valid;
}

}  // namespace taskd::test

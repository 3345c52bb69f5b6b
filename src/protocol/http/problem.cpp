#include "taskd/protocol/problem.hpp"

#include "taskd/protocol/json.hpp"

namespace taskd::protocol {
namespace {

// A detail may quote what came over a wire, which may be anything.
std::string printable(std::string_view text) {
    std::string shown{text};
    if (is_utf8(text)) return shown;
    for (char& c : shown)
        if (static_cast<unsigned char>(c) >= 0x80) c = '?';
    return shown;
}

}  // namespace

std::string write_problem(const Error& error, const ProblemExtras& extras) {
    const ErrorRow& row = row_of(error.code);
    std::string out;
    JsonWriter json{out};
    json.begin_object()
        .field("type", "https://taskd.dev/errors/" + std::string{row.name})
        .field("title", row.text)
        .field("status", row.http_status)
        .field("error", row.name);
    if (!error.detail.empty()) json.field("detail", printable(error.detail));
    if (extras.index) json.field("index", *extras.index);
    if (!extras.reasons.empty()) {
        json.key("reasons").begin_array();
        for (const std::string& reason : extras.reasons) json.string(reason);
        json.end_array();
    }
    json.field("retryable", row.retryable).end_object();
    return out;
}

Error parse_problem(std::string_view body, int status) {
    Error unknown{ErrorCode::bad_answer, "status " + std::to_string(status)};
    if (!check_json(body)) return unknown;
    const auto fields = split_object(body);
    if (!fields) return unknown;
    const ErrorRow* row = nullptr;
    std::string detail;
    for (const auto& [key, value] : *fields) {
        if (key == "error") row = find_error(read_string(value, key).value_or(""));
        if (key == "detail") detail = read_string(value, key).value_or("");
        if (key == "index") detail = "task " + std::string{value} + ": " + detail;
    }
    return row == nullptr ? unknown : Error{row->code, std::move(detail)};
}

std::string_view reason_phrase(int status) {
    switch (status) {
        case 100:
            return "Continue";
        case 101:
            return "Switching Protocols";
        case 200:
            return "OK";
        case 201:
            return "Created";
        case 202:
            return "Accepted";
        case 204:
            return "No Content";
        case 206:
            return "Partial Content";
        case 301:
            return "Moved Permanently";
        case 302:
            return "Found";
        case 303:
            return "See Other";
        case 304:
            return "Not Modified";
        case 307:
            return "Temporary Redirect";
        case 308:
            return "Permanent Redirect";
        case 400:
            return "Bad Request";
        case 401:
            return "Unauthorized";
        case 403:
            return "Forbidden";
        case 404:
            return "Not Found";
        case 405:
            return "Method Not Allowed";
        case 406:
            return "Not Acceptable";
        case 408:
            return "Request Timeout";
        case 409:
            return "Conflict";
        case 410:
            return "Gone";
        case 412:
            return "Precondition Failed";
        case 413:
            return "Content Too Large";
        case 414:
            return "URI Too Long";
        case 415:
            return "Unsupported Media Type";
        case 417:
            return "Expectation Failed";
        case 422:
            return "Unprocessable Content";
        case 426:
            return "Upgrade Required";
        case 428:
            return "Precondition Required";
        case 429:
            return "Too Many Requests";
        case 431:
            return "Request Header Fields Too Large";
        case 500:
            return "Internal Server Error";
        case 501:
            return "Not Implemented";
        case 502:
            return "Bad Gateway";
        case 503:
            return "Service Unavailable";
        case 504:
            return "Gateway Timeout";
        case 507:
            return "Insufficient Storage";
        default:
            return "Unknown";
    }
}

}  // namespace taskd::protocol

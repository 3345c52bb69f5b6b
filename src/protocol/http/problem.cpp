#include "taskd/protocol/problem.hpp"

#include <algorithm>

#include "taskd/protocol/json.hpp"

namespace taskd::protocol {
namespace {

struct Phrase {
    int status;
    std::string_view text;
};

constexpr Phrase phrases[] = {
    {100, "Continue"},
    {101, "Switching Protocols"},
    {200, "OK"},
    {201, "Created"},
    {202, "Accepted"},
    {204, "No Content"},
    {206, "Partial Content"},
    {301, "Moved Permanently"},
    {302, "Found"},
    {303, "See Other"},
    {304, "Not Modified"},
    {307, "Temporary Redirect"},
    {308, "Permanent Redirect"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {406, "Not Acceptable"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {410, "Gone"},
    {412, "Precondition Failed"},
    {413, "Content Too Large"},
    {414, "URI Too Long"},
    {415, "Unsupported Media Type"},
    {417, "Expectation Failed"},
    {422, "Unprocessable Content"},
    {426, "Upgrade Required"},
    {428, "Precondition Required"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {502, "Bad Gateway"},
    {503, "Service Unavailable"},
    {504, "Gateway Timeout"},
    {507, "Insufficient Storage"},
};

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
        for (const std::string& reason : extras.reasons)
            json.string(reason);
        json.end_array();
    }
    if (!extras.trace_id.empty()) json.field("trace_id", extras.trace_id);
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

std::optional<Error> parse_refusal(std::string_view body, int status) {
    if (status < 400 || status > 499) return std::nullopt;
    Error error = parse_problem(body, status);
    if (status == 413 && error.code == ErrorCode::bad_answer)
        return Error{ErrorCode::body_too_large, "a proxy on the way takes no more"};
    if (row_of(error.code).retryable || error.code == ErrorCode::not_found) return std::nullopt;
    return error;
}

bool ends_lease(const Error& refusal) {
    const int status = row_of(refusal.code).http_status;
    return status == 404 || status == 409;
}

std::string_view reason_phrase(int status) {
    const auto* row = std::ranges::find(phrases, status, &Phrase::status);
    return row == std::end(phrases) ? "Unknown" : row->text;
}

}  // namespace taskd::protocol

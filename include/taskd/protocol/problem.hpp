// Errors as HTTP shows them: problem+json (RFC 9457) and reason phrases.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "taskd/base/error.hpp"

namespace taskd::protocol {

inline constexpr std::string_view problem_content_type = "application/problem+json";

// What some problems carry beside the error.
struct ProblemExtras {
    std::optional<std::size_t> index;  // which task of an array
    std::vector<std::string> reasons;  // what a role that is not ready waits for
    std::string trace_id;              // empty: left out
};

// As the contract says: {"type","title","status","error","detail"?,"index"?,"reasons"?,"trace_id"?,
// "retryable"}.
std::string write_problem(const Error& error, const ProblemExtras& extras = {});
// The error of a problem answer; bad_answer when it is none of ours.
Error parse_problem(std::string_view body, int status);
// The error of an answer that says no for good. None for what may be another answer later, and for
// what others say on the way: pages of proxies, a role that has nothing at this address. Believed
// of anybody is that a body is too large for him.
std::optional<Error> parse_refusal(std::string_view body, int status);
// Of a refusal about a lease: its task has ended or is gone, or another lease of it counts.
bool ends_lease(const Error& refusal);

std::string_view reason_phrase(int status);  // "Not Found"; "Unknown" for others

}  // namespace taskd::protocol

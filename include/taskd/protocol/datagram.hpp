// Datagrams between dispatcher and worker: a fixed binary header, then a JSON body that carries
// several messages of one kind. README.md beside the source has the layout and the table of kinds.
// Pure.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "taskd/base/bytes.hpp"
#include "taskd/base/ids.hpp"
#include "taskd/base/result.hpp"
#include "taskd/model/progress.hpp"
#include "taskd/model/task.hpp"
#include "taskd/protocol/json.hpp"

namespace taskd::protocol {

enum class Kind : std::uint8_t {  // numbers are on the wire
    hello = 1,                    // dispatcher: here I am, this is my lease duration
    status = 2,                   // worker: what I work on and how much I take
    task = 3,                     // dispatcher: run this under this lease
    task_ack = 4,                 // worker: I have it
    result = 5,                   // worker: how a lease ended
    result_ack = 6,               // dispatcher: recorded durably, or no longer wanted
    revoke = 7,                   // dispatcher: stop this one
    renew = 8,                    // worker: I still work on these
    renew_ack = 9,                // dispatcher: these of them are no longer yours
    progress = 10,                // worker: how far I have come with this one
};

struct KindRow {
    Kind kind;
    std::string_view name;
    std::string_view sender;
    std::string_view stands_for;  // the operation of the first description of this system
};
const std::vector<KindRow>& kind_table();

inline constexpr std::size_t header_bytes = 42;
inline constexpr std::uint8_t wire_version = 2;

// The cluster key, 16 bytes or more, as read from its file. Empty: messages carry no proof.
class ClusterKey {
  public:
    ClusterKey() = default;
    explicit ClusterKey(std::string secret);

    bool empty() const { return secret_.empty(); }
    const std::string& secret() const { return secret_; }
    std::uint32_t id() const { return id_; }  // tells which key without telling the key
    // HMAC-SHA256 over all of it, cut to 16 bytes.
    std::array<char, 16> prove(std::initializer_list<std::string_view> parts) const;

  private:
    std::string secret_;
    std::uint32_t id_ = 0;
};

// Whether a secret given equals the one expected, in time that does not tell where they differ.
bool same_secret(std::string_view given, std::string_view expected);

struct Header {
    Kind kind{};
    SessionId session;
    std::uint64_t sequence = 0;
};

// `to` is the session of whoever it is for. It does not travel: the proof fits nobody else, and no
// later life of the same.
std::string seal(const Header& header, std::string_view body, SessionId to, const ClusterKey& key);

struct Opened {
    Header header;
    std::string_view body;  // into the datagram
};
// bad_request for what is no datagram of ours, missing_key or wrong_key for a proof that fails: it
// was made with another key, changed, or is not for the session `me`.
Result<Opened> open(std::string_view datagram, SessionId me, const ClusterKey& key);

// Which datagrams of a sender's session were seen: each passes once. Sessions beyond the bound push
// out the one not heard longest.
class ReplayGuard {
  public:
    static constexpr std::size_t window = 1024;
    static constexpr std::size_t sessions_max = 4096;

    bool accept(SessionId session, std::uint64_t sequence);

  private:
    struct Window {
        std::uint64_t highest = 0;
        std::uint64_t heard = 0;
        std::array<std::uint64_t, window / 64> seen{};
    };
    std::unordered_map<SessionId, Window> sessions_;
    std::uint64_t heard_ = 0;
};

// ---- messages -----------------------------------------------------------------------------------

struct LeaseKey {
    TaskId id;
    LeaseEpoch epoch;
    friend auto operator<=>(const LeaseKey&, const LeaseKey&) = default;
};

struct HelloMessage {
    Duration lease{};
    std::uint16_t http_port = 0;
    std::size_t window_bytes = 0;  // how much may be under way to the dispatcher
};
struct StatusMessage {
    std::string type;
    std::uint32_t slots = 0;       // 0: takes no more
    std::size_t window_bytes = 0;  // how much may be under way to the worker
};
struct TaskMessage {
    LeaseKey lease;
    std::string type;
    Duration duration{};
    std::optional<std::string> payload;  // none: too large, fetch it by HTTP
    std::uint16_t http_port = 0;
    std::optional<Duration> timeout = {};  // how long the attempt may take
    std::uint32_t attempt = 0;             // 0: not told
};
// The ways a lease ends.
struct ResultMessage {
    enum class End { completed, failed, released, stopped };
    LeaseKey lease;
    End end = End::completed;
    std::string result;                        // completed: one JSON value
    TaskError error;                           // failed
    std::optional<Duration> took = {};         // the work itself
    std::optional<Duration> retry_after = {};  // failed: not to be tried sooner
};

// How far a lease's work has come; said once, and lost without harm.
struct ProgressMessage {
    LeaseKey lease;
    Progress progress;
};

// Each writes one item of a body.
std::string write_hello(const HelloMessage& message);
std::string write_status(const StatusMessage& message);
std::string write_task_message(const TaskMessage& message);
std::string write_result(const ResultMessage& message);
std::string write_progress_message(const ProgressMessage& message);
std::string write_lease_key(
    const LeaseKey& lease);  // task_ack, result_ack, revoke, renew, renew_ack

// {"from": name, "items": [...]}; `from` is the dispatcher's store id or the worker's instance.
std::string write_body(std::string_view from, const std::vector<std::string>& items);
inline constexpr std::size_t body_overhead = 24;  // around the name and the items, commas apart

// Views into the text.
struct Body {
    std::string from;
    std::vector<JsonItem> items;
};
Result<Body> read_body(std::string_view text);

Result<HelloMessage> read_hello(const JsonItem& item);
Result<StatusMessage> read_status(const JsonItem& item);
Result<TaskMessage> read_task_message(const JsonItem& item);
Result<ResultMessage> read_result(const JsonItem& item);
Result<ProgressMessage> read_progress_message(const JsonItem& item);
Result<LeaseKey> read_lease_key(const JsonItem& item);

// "{task id}.{epoch}": a lease in a path.
std::string write_lease_path(const LeaseKey& lease);
Result<LeaseKey> read_lease_path(std::string_view text);

}  // namespace taskd::protocol

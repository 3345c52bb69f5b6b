// Header, proof and replay window of datagrams.
#include "taskd/protocol/datagram.hpp"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>

#include <algorithm>
#include <cstring>

#include "taskd/base/assert.hpp"

namespace taskd::protocol {
namespace {

constexpr char magic[] = {'t', 'k', 'd', '\x01'};
constexpr std::size_t proof_bytes = 16;
constexpr std::size_t head_bytes = header_bytes - proof_bytes;
static_assert(head_bytes == sizeof magic + 1 + 1 + 8 + 8 + 4);

template <class Integer>
void put(std::string& out, Integer value) {
    for (std::size_t i = sizeof value; i-- > 0;)
        out.push_back(static_cast<char>(value >> (8 * i)));
}

template <class Integer>
Integer get(std::string_view& from) {
    Integer value = 0;
    for (std::size_t i = 0; i < sizeof value; ++i)
        value = static_cast<Integer>(value << 8 | static_cast<std::uint8_t>(from[i]));
    from.remove_prefix(sizeof value);
    return value;
}

bool is_kind(std::uint8_t number) {
    return std::ranges::any_of(kind_table(), [&](const KindRow& row) {
        return static_cast<std::uint8_t>(row.kind) == number;
    });
}

}  // namespace

const std::vector<KindRow>& kind_table() {
    static const std::vector<KindRow> rows{
        {Kind::hello, "hello", "dispatcher", ""},
        {Kind::status, "status", "worker", "lookup_worker, answered by the worker itself"},
        {Kind::task, "task", "dispatcher", "send task"},
        {Kind::task_ack, "task_ack", "worker", ""},
        {Kind::result, "result", "worker", "send result"},
        {Kind::result_ack, "result_ack", "dispatcher", ""},
        {Kind::revoke, "revoke", "dispatcher", ""},
        {Kind::renew, "renew", "worker", ""},
        {Kind::renew_ack, "renew_ack", "dispatcher", ""},
        {Kind::progress, "progress", "worker", ""},
    };
    return rows;
}

ClusterKey::ClusterKey(std::string secret) : secret_{std::move(secret)} {
    if (secret_.empty()) return;
    unsigned char digest[SHA256_DIGEST_LENGTH];
    const std::string named = "taskd key id" + secret_;
    SHA256(reinterpret_cast<const unsigned char*>(named.data()), named.size(), digest);
    std::string_view bytes{reinterpret_cast<const char*>(digest), 4};
    id_ = get<std::uint32_t>(bytes) | 1;  // never 0, which means no key
}

std::array<char, 16> ClusterKey::prove(std::initializer_list<std::string_view> parts) const {
    std::array<char, 16> proof{};
    if (empty()) return proof;
    std::size_t bytes = 0;
    for (const std::string_view part : parts)
        bytes += part.size();
    std::string text;
    text.reserve(bytes);
    for (const std::string_view part : parts)
        text += part;
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned length = 0;
    const auto* made =
        HMAC(EVP_sha256(), secret_.data(), static_cast<int>(secret_.size()),
             reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest, &length);
    TASKD_ASSERT(made != nullptr && length >= proof.size());
    std::memcpy(proof.data(), digest, proof.size());
    return proof;
}

bool same_secret(std::string_view given, std::string_view expected) {
    return given.size() == expected.size() &&
           CRYPTO_memcmp(given.data(), expected.data(), expected.size()) == 0;
}

std::string seal(const Header& header, std::string_view body, SessionId to, const ClusterKey& key) {
    std::string out;
    out.reserve(header_bytes + body.size());
    out.append(magic, sizeof magic);
    put(out, wire_version);
    put(out, static_cast<std::uint8_t>(header.kind));
    put(out, header.session.value);
    put(out, header.sequence);
    put(out, key.id());
    std::string for_whom;
    put(for_whom, to.value);
    const auto proof = key.prove({out, for_whom, body});
    out.append(proof.data(), proof.size());
    out.append(body);
    return out;
}

Result<Opened> open(std::string_view datagram, SessionId me, const ClusterKey& key) {
    if (datagram.size() < header_bytes || !datagram.starts_with({magic, sizeof magic}))
        return fail(ErrorCode::bad_request, "not a datagram of this protocol");
    std::string_view rest = datagram.substr(sizeof magic, head_bytes - sizeof magic);
    if (get<std::uint8_t>(rest) != wire_version)
        return fail(ErrorCode::bad_request, "another version of the protocol");
    const auto kind = get<std::uint8_t>(rest);
    if (!is_kind(kind)) return fail(ErrorCode::bad_request, "unknown kind of message");
    Opened opened;
    opened.header.kind = static_cast<Kind>(kind);
    opened.header.session = SessionId{get<std::uint64_t>(rest)};
    opened.header.sequence = get<std::uint64_t>(rest);
    const auto key_id = get<std::uint32_t>(rest);
    opened.body = datagram.substr(header_bytes);
    if (key_id != key.id())
        return fail(key_id == 0 ? ErrorCode::missing_key : ErrorCode::wrong_key);
    if (!key.empty()) {
        std::string for_whom;
        put(for_whom, me.value);
        const auto proof = key.prove({datagram.substr(0, head_bytes), for_whom, opened.body});
        if (!same_secret(datagram.substr(head_bytes, proof_bytes), {proof.data(), proof.size()}))
            return fail(ErrorCode::wrong_key, "the proof does not fit");
    }
    return opened;
}

bool ReplayGuard::accept(SessionId session, std::uint64_t sequence) {
    auto found = sessions_.find(session);
    if (found == sessions_.end()) {
        if (sessions_.size() == sessions_max)
            sessions_.erase(std::ranges::min_element(
                sessions_, {}, [](const auto& entry) { return entry.second.heard; }));
        found = sessions_.emplace(session, Window{}).first;
    }
    Window& seen = found->second;
    seen.heard = ++heard_;
    if (sequence > seen.highest) {
        const std::uint64_t skipped = std::min<std::uint64_t>(sequence - seen.highest, window);
        for (std::uint64_t i = 1; i <= skipped; ++i) {
            const std::uint64_t place = (seen.highest + i) % window;
            seen.seen[place / 64] &= ~(1ULL << place % 64);
        }
        if (skipped == window) seen.seen.fill(0);
        seen.highest = sequence;
    } else if (seen.highest - sequence >= window) {
        return false;
    }
    const std::uint64_t bit = 1ULL << (sequence % window) % 64;
    std::uint64_t& word = seen.seen[sequence % window / 64];
    if ((word & bit) != 0) return false;
    word |= bit;
    return true;
}

}  // namespace taskd::protocol

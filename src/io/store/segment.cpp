#include "io/store/segment.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <utility>

#include "io/store/crc32c.hpp"
#include "taskd/base/assert.hpp"

namespace taskd::io {
namespace {

constexpr std::string_view magic = "TASKDSEG";
constexpr std::size_t number_digits = 16;

// Offsets in the header: the first three stay where they are in every version.
constexpr std::size_t version_at = 8;
constexpr std::size_t header_sum_at = 12;  // over the fields with itself as zero
constexpr std::size_t store_id_at = 16;
constexpr std::size_t number_at = 24;
constexpr std::size_t salt_at = 32;
constexpr std::size_t fields_bytes = 64;  // the rest of the block is zero

// Offsets in a frame.
constexpr std::size_t length_at = 0;
constexpr std::size_t frame_sum_at = 4;  // over length and everything after the checksum
constexpr std::size_t batch_at = 8;
constexpr std::size_t frame_salt_at = 16;

template <class Value>
void put(char* at, Value value) {
    for (std::size_t i = 0; i < sizeof value; ++i)
        at[i] = static_cast<char>(value >> (8 * i));
}

template <class Value>
Value get(const char* at) {
    Value value = 0;
    for (std::size_t i = 0; i < sizeof value; ++i)
        value |= static_cast<Value>(static_cast<unsigned char>(at[i])) << (8 * i);
    return value;
}

std::string_view extension(SegmentRole role) {
    switch (role) {
        case SegmentRole::segment:
            return ".seg";
        case SegmentRole::spare:
            return ".spare";
        case SegmentRole::filling:
            return ".tmp";
    }
    return {};
}

std::uint32_t header_sum(std::string_view fields) {
    std::string copy{fields.substr(0, fields_bytes)};
    put<std::uint32_t>(copy.data() + header_sum_at, 0);
    return crc32c(copy);
}

std::uint32_t frame_sum(std::string_view frame) {
    return crc32c(frame.substr(batch_at), crc32c(frame.substr(length_at, frame_sum_at)));
}

std::string salt_bytes(std::uint64_t salt) {
    std::string bytes(sizeof salt, '\0');
    put(bytes.data(), salt);
    return bytes;
}

std::optional<SegmentFile> parse_name(const std::string& dir, const std::string& name) {
    for (const auto role : {SegmentRole::segment, SegmentRole::spare, SegmentRole::filling}) {
        if (name.size() != number_digits + extension(role).size()) continue;
        if (!name.ends_with(extension(role))) continue;
        SegmentFile file{role, 0, dir + "/" + name};
        const char* end = name.data() + number_digits;
        const auto [stop, error] = std::from_chars(name.data(), end, file.number, 16);
        if (error == std::errc{} && stop == end) return file;
    }
    return std::nullopt;
}

}  // namespace

std::string segment_path(const std::string& dir, std::uint64_t number, SegmentRole role) {
    return fmt::format("{}/{:016x}{}", dir, number, extension(role));
}

Result<std::vector<SegmentFile>> list_segments(port::Files& files, const std::string& dir) {
    const auto names = files.list(dir);
    if (!names) return std::unexpected{names.error()};
    std::vector<SegmentFile> found;
    for (const std::string& name : *names)
        if (auto file = parse_name(dir, name)) found.push_back(std::move(*file));
    std::ranges::sort(found, {},
                      [](const SegmentFile& file) { return std::pair{file.number, file.role}; });
    return found;
}

std::string encode_segment_header(const SegmentHeader& header) {
    std::string bytes(segment_header_bytes, '\0');
    std::memcpy(bytes.data(), magic.data(), magic.size());
    put(bytes.data() + version_at, segment_version);
    put(bytes.data() + store_id_at, header.store_id);
    put(bytes.data() + number_at, header.number);
    put(bytes.data() + salt_at, header.salt);
    put(bytes.data() + header_sum_at, header_sum(bytes));
    return bytes;
}

Result<SegmentHeader> decode_segment_header(std::string_view bytes) {
    if (bytes.size() < fields_bytes || !bytes.starts_with(magic) ||
        get<std::uint32_t>(bytes.data() + header_sum_at) != header_sum(bytes))
        return fail(ErrorCode::journal_corrupt, "a segment without a whole header");
    const auto version = get<std::uint32_t>(bytes.data() + version_at);
    if (version > segment_version)
        return fail(ErrorCode::journal_too_new, fmt::format("segment version {}", version));
    return SegmentHeader{get<std::uint64_t>(bytes.data() + store_id_at),
                         get<std::uint64_t>(bytes.data() + number_at),
                         get<std::uint64_t>(bytes.data() + salt_at)};
}

void begin_frame(std::string& out) {
    out.append(frame_header_bytes, '\0');
}

void finish_frame(std::string& out, std::size_t begin, std::uint64_t batch, std::uint64_t salt) {
    TASKD_ASSERT(out.size() > begin + frame_header_bytes);
    char* at = out.data() + begin;
    const std::size_t length = out.size() - begin - frame_header_bytes;
    TASKD_ASSERT(length <= UINT32_MAX);
    put(at + length_at, static_cast<std::uint32_t>(length));
    put(at + batch_at, batch);
    put(at + frame_salt_at, salt);
    put(at + frame_sum_at, frame_sum(std::string_view{out}.substr(begin)));
}

std::optional<Frame> frame_at(std::string_view segment, std::size_t offset, std::uint64_t salt) {
    if (offset > segment.size() || segment.size() - offset < frame_header_bytes)
        return std::nullopt;
    const std::string_view rest = segment.substr(offset);
    const auto length = get<std::uint32_t>(rest.data() + length_at);
    if (length == 0 || length > rest.size() - frame_header_bytes) return std::nullopt;
    if (get<std::uint64_t>(rest.data() + frame_salt_at) != salt) return std::nullopt;
    const std::string_view whole = rest.substr(0, frame_header_bytes + length);
    if (get<std::uint32_t>(rest.data() + frame_sum_at) != frame_sum(whole)) return std::nullopt;
    return Frame{get<std::uint64_t>(rest.data() + batch_at), whole.substr(frame_header_bytes)};
}

std::optional<std::size_t> find_frame(std::string_view segment, std::size_t from,
                                      std::uint64_t salt) {
    const std::string wanted = salt_bytes(salt);
    for (std::size_t place = segment.find(wanted, from + frame_salt_at);
         place != std::string_view::npos; place = segment.find(wanted, place + 1))
        if (frame_at(segment, place - frame_salt_at, salt)) return place - frame_salt_at;
    return std::nullopt;
}

bool was_written(std::string_view segment, std::size_t from, std::uint64_t salt) {
    return segment.find(salt_bytes(salt), from) != std::string_view::npos;
}

Result<std::string> read_segment(port::Files& files, const std::string& path) {
    const auto file = files.open(path, port::OpenMode::read);
    if (!file) return std::unexpected{file.error()};
    const auto size = (*file)->size();
    if (!size) return std::unexpected{size.error()};
    std::string bytes(*size, '\0');
    const auto count = (*file)->read(0, bytes);
    if (!count) return std::unexpected{count.error()};
    bytes.resize(*count);
    return bytes;
}

}  // namespace taskd::io

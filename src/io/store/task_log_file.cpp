#include "io/store/task_log_file.hpp"

#include <algorithm>
#include <cstring>

#include "io/store/crc32c.hpp"
#include "taskd/base/assert.hpp"
#include "taskd/base/limits.hpp"

namespace taskd::io {
namespace {

constexpr std::string_view magic = "tlg\x01";
constexpr std::size_t crc_place = 8;
constexpr std::size_t at_place = 12;
constexpr std::size_t mark_spacing = 64 * limits::kibibyte;

template <class Number>
void put(std::string& out, std::size_t place, Number value) {
    for (std::size_t i = 0; i < sizeof value; ++i)
        out[place + i] = static_cast<char>(static_cast<unsigned char>(value >> (8 * i)));
}

template <class Number>
Number get(std::string_view raw, std::size_t place) {
    Number value = 0;
    for (std::size_t i = 0; i < sizeof value; ++i)
        value |= static_cast<Number>(static_cast<unsigned char>(raw[place + i])) << (8 * i);
    return value;
}

Result<std::string> read_from(port::File& file, std::uint64_t place, std::size_t size) {
    std::string raw(size, '\0');
    const auto count = file.read(place, raw);
    if (!count) return std::unexpected{count.error()};
    raw.resize(*count);
    return raw;
}

}  // namespace

Result<std::unique_ptr<TaskLogFile>> TaskLogFile::open(port::Files& files, const std::string& path,
                                                       port::OpenMode mode) {
    auto file = files.open(path, mode);
    if (!file) return std::unexpected{file.error()};
    std::unique_ptr<TaskLogFile> log{new TaskLogFile{std::move(*file)}};
    if (auto recovered = log->recover(); !recovered) return std::unexpected{recovered.error()};
    return log;
}

Result<void> TaskLogFile::recover() {
    const auto size = file_->size();
    if (!size) return std::unexpected{size.error()};
    const auto raw = read_from(*file_, 0, static_cast<std::size_t>(*size));
    if (!raw) return std::unexpected{raw.error()};
    std::string_view rest = *raw;
    Frame frame;
    while (next_frame(rest, frame) && frame.at >= end_) {
        note(frame.at, frame.bytes.size());
        rest.remove_prefix(header_bytes + frame.bytes.size());
    }
    torn_ = !rest.empty();
    return {};
}

bool TaskLogFile::next_frame(std::string_view raw, Frame& frame) {
    if (raw.size() < header_bytes || !raw.starts_with(magic)) return false;
    const auto size = get<std::uint32_t>(raw, magic.size());
    if (size == 0 || size > limits::log_append_bytes_max || raw.size() - header_bytes < size)
        return false;
    // The length is summed too: it stands in front of the place.
    std::uint32_t sum = crc32c(raw.substr(magic.size(), sizeof size));
    sum = crc32c(raw.substr(at_place, header_bytes - at_place + size), sum);
    if (sum != get<std::uint32_t>(raw, crc_place)) return false;
    frame = {get<std::uint64_t>(raw, at_place), raw.substr(header_bytes, size)};
    return true;
}

void TaskLogFile::note(std::uint64_t at, std::size_t bytes) {
    if (marks_.empty() || file_end_ - marks_.back().place >= mark_spacing)
        marks_.push_back({at, file_end_});
    end_ = at + bytes;
    file_end_ += header_bytes + bytes;
}

Result<void> TaskLogFile::append(std::uint64_t at, std::string_view bytes) {
    TASKD_ASSERT(at >= end_ && !bytes.empty() && bytes.size() <= limits::log_append_bytes_max);
    if (torn_) {
        if (auto cut = file_->truncate(file_end_); !cut) return cut;
        torn_ = false;
    }
    std::string frame(header_bytes, '\0');
    std::memcpy(frame.data(), magic.data(), magic.size());
    put(frame, magic.size(), static_cast<std::uint32_t>(bytes.size()));
    put(frame, at_place, at);
    frame += bytes;
    std::uint32_t sum = crc32c(std::string_view{frame}.substr(magic.size(), sizeof(std::uint32_t)));
    sum = crc32c(std::string_view{frame}.substr(at_place), sum);
    put(frame, crc_place, sum);
    if (auto written = file_->write(file_end_, frame); !written) return written;
    note(at, bytes.size());
    return {};
}

Result<port::LogPart> TaskLogFile::read(std::uint64_t from, std::size_t bytes_max) {
    port::LogPart part{from, {}, end_};
    if (from >= end_) return part;
    const auto behind = std::ranges::upper_bound(marks_, from, {}, &Mark::at);
    const std::uint64_t begin = behind == marks_.begin() ? 0 : std::prev(behind)->place;
    // Up to the frame asked for, what is asked for, and the frame in which that ends; headers may
    // be as much as the bytes.
    const std::uint64_t wanted = mark_spacing + 2 * limits::log_append_bytes_max + 2 * bytes_max;
    const auto raw =
        read_from(*file_, begin, static_cast<std::size_t>(std::min(wanted, file_end_ - begin)));
    if (!raw) return std::unexpected{raw.error()};
    std::string_view rest = *raw;
    Frame frame;
    while (part.bytes.size() < bytes_max && next_frame(rest, frame)) {
        rest.remove_prefix(header_bytes + frame.bytes.size());
        if (frame.at + frame.bytes.size() <= from) continue;
        const std::uint64_t wants =
            part.bytes.empty() ? std::max(from, frame.at) : part.from + part.bytes.size();
        if (part.bytes.empty()) part.from = wants;
        if (frame.at > wants) break;  // a gap
        const auto skip = static_cast<std::size_t>(wants - frame.at);
        part.bytes += frame.bytes.substr(skip, bytes_max - part.bytes.size());
    }
    return part;
}

}  // namespace taskd::io

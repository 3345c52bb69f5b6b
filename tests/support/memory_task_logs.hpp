// The twin of the tasks' logs: the same promises in a map, which a crash leaves as it is.
#pragma once

#include <algorithm>
#include <map>
#include <optional>
#include <string>

#include "taskd/base/limits.hpp"
#include "taskd/port/task_logs.hpp"

namespace taskd::test {

class MemoryTaskLogs final : public port::TaskLogs {
  public:
    explicit MemoryTaskLogs(std::size_t stream_bytes_max = limits::log_bytes_max)
        : stream_bytes_max_{stream_bytes_max} {}

    Result<std::uint64_t> append(const port::LogStream& stream, std::uint64_t at,
                                 std::string_view bytes) override {
        if (fails_with) return fail(*fails_with);
        if (bytes.empty() && !streams_.contains(stream)) return 0;
        Pieces& pieces = streams_[stream];
        const std::uint64_t end = end_of(pieces);
        if (at + bytes.size() <= end) return end;
        if (at < end) {
            bytes.remove_prefix(static_cast<std::size_t>(end - at));
            at = end;
        }
        const std::uint64_t room = at < stream_bytes_max_ ? stream_bytes_max_ - at : 0;
        const bool full = room < bytes.size();
        bytes = bytes.substr(0, static_cast<std::size_t>(room));
        if (!bytes.empty()) {
            const bool goes_on = at == end && !pieces.empty();
            (goes_on ? pieces.rbegin()->second : pieces[at]) += bytes;
        }
        if (full) return fail(ErrorCode::log_full);
        return end_of(pieces);
    }

    Result<port::LogPart> read(const port::LogStream& stream, std::uint64_t from,
                               std::size_t bytes_max) override {
        if (fails_with) return fail(*fails_with);
        const auto found = streams_.find(stream);
        if (found == streams_.end()) return port::LogPart{from, {}, 0};
        port::LogPart part{from, {}, end_of(found->second)};
        for (const auto& [at, bytes] : found->second) {
            if (at + bytes.size() <= from) continue;
            part.from = std::max(at, from);
            part.bytes = bytes.substr(static_cast<std::size_t>(part.from - at), bytes_max);
            break;
        }
        return part;
    }

    Result<std::vector<TaskId>> tasks(std::optional<TaskId> after, std::size_t limit) override {
        if (fails_with) return fail(*fails_with);
        std::vector<TaskId> ids;
        for (const auto& [stream, pieces] : streams_)
            if ((!after || stream.id > *after) && (ids.empty() || ids.back() != stream.id))
                ids.push_back(stream.id);
        ids.resize(std::min(ids.size(), limit));
        return ids;
    }

    Result<void> remove(const TaskId& id) override {
        std::erase_if(streams_, [&](const auto& each) { return each.first.id == id; });
        return {};
    }
    Result<void> sync() override { return {}; }

    std::optional<ErrorCode> fails_with;

  private:
    using Pieces = std::map<std::uint64_t, std::string>;  // by where they begin
    static std::uint64_t end_of(const Pieces& pieces) {
        return pieces.empty() ? 0 : pieces.rbegin()->first + pieces.rbegin()->second.size();
    }

    std::size_t stream_bytes_max_;
    std::map<port::LogStream, Pieces> streams_;
};

}  // namespace taskd::test

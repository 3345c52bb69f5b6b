// The journal's twin: the same promises in a vector. What is committed survives as long as its tape
// does; there are no segments, so the room is a number. For one thread.
#pragma once

#include <deque>
#include <optional>

#include "taskd/base/assert.hpp"
#include "taskd/port/journal.hpp"
#include "taskd/port/journal_reader.hpp"
#include "taskd/protocol/record_codec.hpp"

namespace taskd::sim {

struct JournalTape {
    std::vector<RecordBatch> batches;
    Sequence dropped;                  // batches that end by here are gone
    std::vector<std::size_t> commits;  // how many records each had, the dropped ones too
};

class MemoryJournal : public port::Journal, public port::JournalReader {
  public:
    struct Settings {
        std::size_t frame_bytes_max = limits::frame_bytes_max;
        std::size_t room_bytes = 2 * limits::segment_bytes;  // what prepare() fills up to
        std::size_t old_work_bytes = limits::segment_bytes;  // of it for old work alone
    };

    MemoryJournal(JournalTape& tape, Settings settings)
        : tape_{tape}, settings_{settings}, room_{settings.room_bytes} {}

    Result<void> recover(Sequence after,
                         const std::function<Result<void>(const RecordBatch&)>& replay) override {
        if (after < tape_.dropped)
            return fail(ErrorCode::store_mismatch, "dropped beyond the mark");
        const Sequence end = tape_.batches.empty() ? tape_.dropped : tape_.batches.back().last();
        if (end < after) return fail(ErrorCode::store_mismatch, "ends before the mark");
        for (const RecordBatch& batch : tape_.batches) {
            if (batch.last() <= after) continue;
            if (auto taken = replay(batch); !taken) return taken;
        }
        return {};
    }

    Result<void> reserve(std::size_t bytes, port::Purpose purpose) override {
        if (choked || (full && purpose == port::Purpose::new_work))
            return fail(ErrorCode::disk_full);
        if (bytes + protocol::batch_bytes_overhead_max > frame_max(purpose))
            return fail(ErrorCode::body_too_large);
        const std::size_t kept = purpose == port::Purpose::new_work ? settings_.old_work_bytes : 0;
        if (open_ + bytes + protocol::batch_bytes_overhead_max > frame_max(purpose) ||
            bytes + kept > room_)
            return fail(ErrorCode::overloaded);
        open_ += bytes;
        room_ -= bytes;
        return {};
    }

    void seal() override {
        if (open_ > 0) sealed_.push_back(std::exchange(open_, 0));
    }

    Result<void> commit(const RecordBatch& batch) override {
        TASKD_ASSERT(!sealed_.empty());
        room_ += sealed_.front();
        sealed_.pop_front();
        const std::size_t written = bytes_of(batch);
        TASKD_ASSERT(written <= room_);
        room_ -= written;
        since_drop_ += written;
        used_ += written;
        tape_.batches.push_back(batch);
        tape_.commits.push_back(batch.records.size());
        return {};
    }

    Result<void> prepare() override {
        ++prepares;
        if (fault) return std::unexpected{*fault};
        room_ = std::max(room_, settings_.room_bytes);
        return {};
    }

    Result<void> drop_through(Sequence covered) override {
        while (!tape_.batches.empty() && tape_.batches.front().last() <= covered) {
            used_ -= std::min(used_, std::uint64_t{bytes_of(tape_.batches.front())});
            tape_.dropped = tape_.batches.front().last();
            if (keeps) kept_.push_back(std::move(tape_.batches.front()));
            tape_.batches.erase(tape_.batches.begin());
        }
        if (tape_.batches.empty()) since_drop_ = 0;
        return {};
    }

    port::JournalStats stats() const override {
        return {.bytes_used = used_,
                .bytes_room = room_,
                .bytes_since_drop = since_drop_,
                .wants_prepare = room_ < settings_.room_bytes - settings_.old_work_bytes / 2,
                .full = false};
    }

    Result<void> read(Sequence after,
                      const std::function<bool(const RecordBatch&)>& take) override {
        if (after.next() < oldest())
            return fail(ErrorCode::events_gone, std::to_string(oldest().value));
        for (const auto* batches : {&kept_, &tape_.batches})
            for (const RecordBatch& batch : *batches)
                if (batch.last() > after && !take(batch)) return {};
        return {};
    }

    Sequence oldest() const override {
        return kept_.empty() ? tape_.dropped.next() : kept_.front().first;
    }

    bool keeps = false;          // what is dropped, for readers
    bool full = false;           // no room for new work
    bool choked = false;         // nor for anything else
    std::optional<Error> fault;  // of prepare()
    std::size_t prepares = 0;
    void use_up() { room_ = settings_.old_work_bytes; }  // new work waits to be prepared for

  private:
    // Old work gets a little more, so that a frame full of new work does not keep it waiting.
    std::size_t frame_max(port::Purpose purpose) const {
        return purpose == port::Purpose::new_work ? settings_.frame_bytes_max / 8 * 7
                                                  : settings_.frame_bytes_max;
    }

    static std::size_t bytes_of(const RecordBatch& batch) {
        std::size_t bytes = protocol::batch_bytes_overhead_max;
        for (const Record& record : batch.records)
            bytes += protocol::encoded_bytes_max(record);
        return bytes;
    }

    JournalTape& tape_;
    Settings settings_;
    std::size_t room_;
    std::size_t open_ = 0;
    std::deque<std::size_t> sealed_;
    std::vector<RecordBatch> kept_;
    std::uint64_t since_drop_ = 0;
    std::uint64_t used_ = 0;
};

}  // namespace taskd::sim

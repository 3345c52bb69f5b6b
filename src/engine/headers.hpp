// The headers of all tasks in memory, 64 bytes each: by slot, by id, in lines and in a heap of
// deadlines. Every structure grows a piece at a time, so that no turn waits for a copy of it all.
#pragma once

#include <array>
#include <cstdlib>
#include <deque>
#include <memory>
#include <vector>

#include "taskd/base/intrusive_list.hpp"
#include "taskd/model/progress.hpp"
#include "taskd/model/task_head.hpp"

namespace taskd::engine {

struct Worker;

using Slot = std::uint32_t;  // place of a header; 0 is none

// The rest of a task. It may be away while the task only waits and the view covers it.
struct Body {
    std::shared_ptr<Task> task;  // shared with the view's transactions; changed through edit()
    Slot slot = 0;
    std::size_t changed_place = 0;       // in State::changed
    bool changed = false;                // since the last take_changed
    bool ahead = false;                  // read because its turn comes soon: stays until then
    Worker* holder = nullptr;            // of its lease, revoked or not
    std::unique_ptr<Progress> progress;  // of the attempt that runs
    std::optional<Duration> committing;  // from the end to when it was told
    std::size_t bytes = 0;               // as counted in the list it is in
    ListHook<Body> in_worker;
    ListHook<Body> in_kept;  // of those that wait, or of those that ended

    bool is_shared() const { return task.use_count() > 1; }
    // What others still read is left to them.
    Task& edit() {
        if (is_shared()) task = std::make_shared<Task>(*task);
        return *task;
    }
};

struct Header {
    static constexpr EngineTime never = EngineTime::max();

    TaskId id;
    std::unique_ptr<Body> body;
    EngineTime deadline = never;
    WallTime submitted_at;
    Slot before = 0, after = 0;    // in its line
    std::uint32_t lane = 0;        // index of its queue's line for its key
    std::uint32_t heap_place = 0;  // in the heap of deadlines, from 1; 0: not in it
    TaskState state = TaskState::queued;
    std::uint8_t priority = 0;
    bool by_wall = false;        // the deadline is a wall time
    std::uint16_t body_kib = 0;  // what its body would take, rounded up
};
static_assert(sizeof(Header) <= 64, "ten million of them must fit in a small machine");

// What a header notes of a body's size.
inline std::uint16_t body_kib(std::size_t payload_bytes) {
    static_assert(limits::task_bytes_max / limits::kibibyte < UINT16_MAX);
    return static_cast<std::uint16_t>(1 + payload_bytes / limits::kibibyte);
}

class Headers {
  public:
    Headers() = default;
    Headers(const Headers&) = delete;
    Headers& operator=(const Headers&) = delete;

    Header& operator[](Slot slot) { return chunks_[slot / chunk_size][slot % chunk_size]; }
    const Header& operator[](Slot slot) const {
        return chunks_[slot / chunk_size][slot % chunk_size];
    }
    std::size_t size() const { return size_; }

    // So many are about to come: the table need not grow step by step. Before the first.
    void expect(std::size_t count);
    Slot find(TaskId id) const;  // 0 when there is none
    Slot add(TaskId id);         // a new header; the id must not be there
    void remove(Slot slot);      // no pointer to it may be left

    template <class Take>
    void each(Take&& take) const {
        for (Slot slot = 1; slot < made_; ++slot)
            if ((*this)[slot].id != TaskId{}) take((*this)[slot]);
    }

  private:
    // Open addressing, linear probing. While a larger table fills, the old one is emptied a few
    // places at each change; what was taken out of it leaves a mark. A byte of each hash stands
    // beside the slots, so that a header is read, from far away, only when it is likely the one.
    struct Table {
        struct Free {
            void operator()(void* memory) const { std::free(memory); }
        };
        std::unique_ptr<Slot[], Free> places;
        std::unique_ptr<std::uint8_t[], Free> tags;  // no_tag: empty; moved_away; else of the hash
        std::size_t mask = 0;
        std::size_t used = 0;
    };
    static constexpr std::size_t chunk_size = 1024;
    static constexpr std::size_t places_at_first = 1024;
    static constexpr std::size_t expected_most = 50'000'000;
    static constexpr std::size_t moved_at_once = 16;
    static constexpr std::uint8_t no_tag = 0, moved_away = 1, first_tag = 2;

    static Table make_table(std::size_t places);
    static std::uint8_t tag_of(std::size_t hash);
    Slot find_in(const Table& table, TaskId id) const;
    static void put(Table& table, Slot slot, std::size_t hash);
    void take_out(Table& table, Slot slot);
    void move_some();

    std::vector<std::unique_ptr<Header[]>> chunks_;
    Slot made_ = 1;  // slots ever used, 0 among them
    Slot free_ = 0;  // the first unused one below made_, linked by `after`
    std::size_t size_ = 0;
    Table table_;
    Table old_;
    std::size_t moved_ = 0;  // places of old_ that are done
};

// A first-come-first-served line of headers.
struct Line {
    Slot first = 0, last = 0;

    bool empty() const { return first == 0; }
    void push_back(Headers& headers, Slot slot);
    void remove(Headers& headers, Slot slot);
};

// The earliest deadline first; equal ones in the order of their ids.
class DeadlineHeap {
  public:
    explicit DeadlineHeap(Headers& headers) : headers_{headers} {}

    bool empty() const { return places_.empty(); }
    Slot first() const { return places_.front(); }
    void put(Slot slot);  // by its deadline, which stays as it is while it is here
    void remove(Slot slot);
    // Those due at `now`, earliest first, at most `count`.
    std::vector<Slot> due(EngineTime now, std::size_t count) const;

  private:
    static constexpr std::size_t arity = 4;

    bool before(Slot a, Slot b) const;
    void set(std::size_t place, Slot slot);
    void rise(std::size_t place);
    void sink(std::size_t place);

    Headers& headers_;
    std::deque<Slot> places_;
};

}  // namespace taskd::engine

#include "engine/headers.hpp"

#include <algorithm>
#include <bit>
#include <queue>

#include "taskd/base/assert.hpp"

namespace taskd::engine {

// Zeroed by the system page by page as it is used, not here.
Headers::Table Headers::make_table(std::size_t places) {
    Table table;
    table.places.reset(static_cast<Slot*>(std::calloc(places, sizeof(Slot))));
    table.tags.reset(static_cast<std::uint8_t*>(std::calloc(places, 1)));
    TASKD_ASSERT(table.places != nullptr && table.tags != nullptr);
    table.mask = places - 1;
    return table;
}

// Of the bits that no place is taken from.
std::uint8_t Headers::tag_of(std::size_t hash) {
    return static_cast<std::uint8_t>(std::max<std::size_t>(hash >> 56, first_tag));
}

Slot Headers::find_in(const Table& table, TaskId id) const {
    if (table.places == nullptr) return 0;
    const std::size_t hash = std::hash<TaskId>{}(id);
    const std::uint8_t tag = tag_of(hash);
    for (std::size_t at = hash & table.mask; table.tags[at] != no_tag; at = (at + 1) & table.mask) {
        if (table.tags[at] != tag) continue;
        const Slot slot = table.places[at];
        if ((*this)[slot].id == id) return slot;
    }
    return 0;
}

Slot Headers::find(TaskId id) const {
    const Slot slot = find_in(table_, id);
    return slot != 0 ? slot : find_in(old_, id);
}

void Headers::put(Table& table, Slot slot, std::size_t hash) {
    std::size_t at = hash & table.mask;
    while (table.tags[at] != no_tag)
        at = (at + 1) & table.mask;
    table.places[at] = slot;
    table.tags[at] = tag_of(hash);
    ++table.used;
}

// Closes the gap by moving back what stands behind it and belongs before.
void Headers::take_out(Table& table, Slot slot) {
    std::size_t gap = std::hash<TaskId>{}((*this)[slot].id) & table.mask;
    while (table.places[gap] != slot)
        gap = (gap + 1) & table.mask;
    for (std::size_t at = (gap + 1) & table.mask; table.tags[at] != no_tag;
         at = (at + 1) & table.mask) {
        const std::size_t home = std::hash<TaskId>{}((*this)[table.places[at]].id) & table.mask;
        if (((at - home) & table.mask) < ((at - gap) & table.mask)) continue;
        table.places[gap] = table.places[at];
        table.tags[gap] = table.tags[at];
        gap = at;
    }
    table.places[gap] = 0;
    table.tags[gap] = no_tag;
    --table.used;
}

void Headers::move_some() {
    if (old_.places == nullptr) return;
    for (std::size_t i = 0; i < moved_at_once && moved_ <= old_.mask; ++i, ++moved_) {
        if (old_.tags[moved_] < first_tag) continue;
        const Slot slot = old_.places[moved_];
        put(table_, slot, std::hash<TaskId>{}((*this)[slot].id));
        old_.tags[moved_] = moved_away;
    }
    if (moved_ > old_.mask) old_ = {};
}

void Headers::expect(std::size_t count) {
    TASKD_ASSERT(table_.places == nullptr);
    count = std::min(count, expected_most);
    table_ = make_table(std::bit_ceil(std::max(count + count / 3 + 1, places_at_first)));
}

Slot Headers::add(TaskId id) {
    if (table_.places == nullptr) table_ = make_table(places_at_first);
    if (old_.places == nullptr && table_.used * 4 >= (table_.mask + 1) * 3) {
        old_ = std::exchange(table_, make_table(2 * (table_.mask + 1)));
        moved_ = 0;
    }
    move_some();
    Slot slot = free_;
    if (slot != 0) {
        free_ = (*this)[slot].after;
        (*this)[slot].after = 0;
    } else {
        slot = made_++;
        if (slot / chunk_size == chunks_.size())
            chunks_.push_back(std::make_unique<Header[]>(chunk_size));
    }
    (*this)[slot].id = id;
    put(table_, slot, std::hash<TaskId>{}(id));
    ++size_;
    return slot;
}

void Headers::remove(Slot slot) {
    move_some();
    const TaskId id = (*this)[slot].id;
    if (find_in(table_, id) == slot) {
        take_out(table_, slot);
    } else {
        // What follows it in the old table is still found past the mark.
        std::size_t at = std::hash<TaskId>{}(id)&old_.mask;
        while (old_.places[at] != slot || old_.tags[at] == moved_away)
            at = (at + 1) & old_.mask;
        old_.tags[at] = moved_away;
    }
    (*this)[slot] = Header{};
    (*this)[slot].after = std::exchange(free_, slot);
    --size_;
}

void Line::push_back(Headers& headers, Slot slot) {
    Header& header = headers[slot];
    header.before = last;
    header.after = 0;
    (last != 0 ? headers[last].after : first) = slot;
    last = slot;
}

void Line::remove(Headers& headers, Slot slot) {
    Header& header = headers[slot];
    (header.before != 0 ? headers[header.before].after : first) = header.after;
    (header.after != 0 ? headers[header.after].before : last) = header.before;
    header.before = header.after = 0;
}

bool DeadlineHeap::before(Slot a, Slot b) const {
    const Header& left = headers_[a];
    const Header& right = headers_[b];
    if (left.deadline != right.deadline) return left.deadline < right.deadline;
    return left.id < right.id;
}

void DeadlineHeap::set(std::size_t place, Slot slot) {
    places_[place] = slot;
    headers_[slot].heap_place = static_cast<std::uint32_t>(place + 1);
}

void DeadlineHeap::rise(std::size_t place) {
    const Slot slot = places_[place];
    while (place > 0) {
        const std::size_t parent = (place - 1) / arity;
        if (!before(slot, places_[parent])) break;
        set(place, places_[parent]);
        place = parent;
    }
    set(place, slot);
}

void DeadlineHeap::sink(std::size_t place) {
    const Slot slot = places_[place];
    for (;;) {
        const std::size_t child = place * arity + 1;
        if (child >= places_.size()) break;
        std::size_t least = child;
        for (std::size_t each = child + 1; each < std::min(child + arity, places_.size()); ++each)
            if (before(places_[each], places_[least])) least = each;
        if (!before(places_[least], slot)) break;
        set(place, places_[least]);
        place = least;
    }
    set(place, slot);
}

void DeadlineHeap::put(Slot slot) {
    TASKD_ASSERT(headers_[slot].heap_place == 0);
    places_.push_back(slot);
    rise(places_.size() - 1);
}

void DeadlineHeap::remove(Slot slot) {
    if (headers_[slot].heap_place == 0) return;
    const std::size_t place = std::exchange(headers_[slot].heap_place, 0) - 1;
    const Slot last = places_.back();
    places_.pop_back();
    if (last == slot) return;
    places_[place] = last;
    sink(place);
    rise(headers_[last].heap_place - 1);
}

std::vector<Slot> DeadlineHeap::due(EngineTime now, std::size_t count) const {
    std::vector<Slot> found;
    const auto later = [this](std::size_t a, std::size_t b) {
        return before(places_[b], places_[a]);
    };
    std::priority_queue<std::size_t, std::vector<std::size_t>, decltype(later)> open{later};
    if (!places_.empty()) open.push(0);
    while (!open.empty() && found.size() < count) {
        const std::size_t place = open.top();
        open.pop();
        if (headers_[places_[place]].deadline > now) break;
        found.push_back(places_[place]);
        const std::size_t child = place * arity + 1;
        for (std::size_t each = child; each < std::min(child + arity, places_.size()); ++each)
            open.push(each);
    }
    return found;
}

}  // namespace taskd::engine

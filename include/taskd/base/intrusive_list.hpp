// A doubly linked list through hooks in its elements: O(1) to append, to remove from the middle and
// to count; no memory of its own. An element must leave the list before it is destroyed or moved.
#pragma once

#include <cstddef>

#include "taskd/base/assert.hpp"

namespace taskd {

template <class T>
struct ListHook {
    T* before = nullptr;
    T* after = nullptr;
    bool linked = false;
};

template <class T, ListHook<T> T::* hook>
class IntrusiveList {
  public:
    IntrusiveList() = default;
    IntrusiveList(const IntrusiveList&) = delete;
    IntrusiveList& operator=(const IntrusiveList&) = delete;

    bool empty() const { return first_ == nullptr; }
    std::size_t size() const { return size_; }
    T* front() const { return first_; }
    static T* next(const T& element) { return (element.*hook).after; }
    static bool contains(const T& element) { return (element.*hook).linked; }

    void push_back(T& element) {
        auto& mine = element.*hook;
        TASKD_ASSERT(!mine.linked);
        mine = {last_, nullptr, true};
        (last_ != nullptr ? (last_->*hook).after : first_) = &element;
        last_ = &element;
        ++size_;
    }

    void remove(T& element) {
        auto& mine = element.*hook;
        TASKD_ASSERT(mine.linked);
        (mine.before != nullptr ? (mine.before->*hook).after : first_) = mine.after;
        (mine.after != nullptr ? (mine.after->*hook).before : last_) = mine.before;
        mine = {};
        --size_;
    }

  private:
    T* first_ = nullptr;
    T* last_ = nullptr;
    std::size_t size_ = 0;
};

}  // namespace taskd

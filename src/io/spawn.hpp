// fork and exec, and what a child must do between them.
#pragma once

#include <utility>

#include "taskd/port/process_runner.hpp"

namespace taskd::io {

// A file descriptor with an owner.
class Descriptor {
  public:
    Descriptor() = default;
    explicit Descriptor(int number) : number_{number} {}
    Descriptor(Descriptor&& other) noexcept : number_{std::exchange(other.number_, -1)} {}
    Descriptor& operator=(Descriptor&& other) noexcept {
        std::swap(number_, other.number_);
        return *this;
    }
    ~Descriptor() { reset(); }
    int get() const { return number_; }
    int release() { return std::exchange(number_, -1); }
    void reset();

  private:
    int number_ = -1;
};

struct Spawned {
    int pid = 0;       // of a guarded one, the guard's
    Descriptor watch;  // a pidfd
    Descriptor out;    // the reading ends
    Descriptor err;
    Descriptor side;      // if it has one
    Descriptor lifeline;  // of a guarded one: closing it ends all
    int program = 0;      // of a guarded one, whose process group is its own
};

Result<Spawned> spawn_child(const port::ProcessSpec& spec);

}  // namespace taskd::io

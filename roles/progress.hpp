// A line on stderr that says how far something long has come; on a terminal alone.
#pragma once

#include <string>

#include "taskd/port/clock.hpp"

namespace taskd::roles {

class Progress {
  public:
    // `clock` outlives it.
    explicit Progress(const port::Clock& clock);
    ~Progress() { clear(); }
    Progress(const Progress&) = delete;
    Progress& operator=(const Progress&) = delete;

    bool shown() const { return is_terminal_; }
    // "submitted ████░░░░ 1200/5000", at most ten times a second.
    void bar(std::string_view what, std::size_t done, std::size_t all);
    void line(const std::string& text);
    void clear();  // before anything else is printed

  private:
    bool due();
    void draw(const std::string& text);

    const port::Clock& clock_;
    bool is_terminal_;
    bool drawn_ = false;
    SteadyTime next_{};
};

}  // namespace taskd::roles

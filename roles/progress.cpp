#include "progress.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <utility>

#include "taskd/io/terminal.hpp"

namespace taskd::roles {
namespace {

using namespace std::chrono_literals;

constexpr Duration interval = 100ms;
constexpr std::size_t bar_width = 30;
constexpr std::size_t line_width_max = 78;

}  // namespace

Progress::Progress(const port::Clock& clock)
    : clock_{clock}, is_terminal_{io::is_terminal(STDERR_FILENO)} {}

void Progress::bar(std::string_view what, std::size_t done, std::size_t all) {
    if (!is_terminal_ || all == 0 || (done < all && !due())) return;
    const std::size_t full = bar_width * std::min(done, all) / all;
    std::string blocks;
    for (std::size_t i = 0; i < bar_width; ++i)
        blocks += i < full ? "█" : "░";
    draw(fmt::format("{} {} {}/{}", what, blocks, done, all));
}

void Progress::line(const std::string& text) {
    if (!is_terminal_ || !due()) return;
    std::string shown;
    for (const char c : text.substr(0, line_width_max))
        shown += static_cast<unsigned char>(c) < ' ' ? ' ' : c;
    draw(shown);
}

void Progress::clear() {
    if (!std::exchange(drawn_, false)) return;
    std::fputs("\r\x1b[K", stderr);
    std::fflush(stderr);
}

bool Progress::due() {
    const SteadyTime now = clock_.steady();
    if (now < next_) return false;
    next_ = now + interval;
    return true;
}

void Progress::draw(const std::string& text) {
    std::fputs(("\r\x1b[K" + text).c_str(), stderr);
    std::fflush(stderr);
    drawn_ = true;
}

}  // namespace taskd::roles

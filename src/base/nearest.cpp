#include "taskd/base/nearest.hpp"

#include <algorithm>
#include <vector>

namespace taskd {
namespace {

constexpr std::size_t text_bytes_max = 64;  // longer ones are no misspelt names

// Letters to add, leave out or change, or neighbours to swap.
std::size_t distance(std::string_view a, std::string_view b) {
    std::vector<std::size_t> before(b.size() + 1);
    std::vector<std::size_t> row(b.size() + 1);
    std::vector<std::size_t> next(b.size() + 1);
    for (std::size_t j = 0; j <= b.size(); ++j)
        row[j] = j;
    for (std::size_t i = 1; i <= a.size(); ++i) {
        next[0] = i;
        for (std::size_t j = 1; j <= b.size(); ++j) {
            const std::size_t change = row[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
            next[j] = std::min({row[j] + 1, next[j - 1] + 1, change});
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                next[j] = std::min(next[j], before[j - 2] + 1);
        }
        std::swap(before, row);
        std::swap(row, next);
    }
    return row[b.size()];
}

}  // namespace

std::string_view nearest_name(std::string_view text, std::span<const std::string_view> names) {
    if (text.empty() || text.size() > text_bytes_max) return {};
    std::size_t least = std::max<std::size_t>(1, text.size() / 3) + 1;
    std::string_view nearest;
    for (const std::string_view name : names) {
        const std::size_t off = distance(text, name);
        if (off >= least) continue;
        least = off;
        nearest = name;
    }
    return nearest;
}

std::string meant_instead(std::string_view text, std::span<const std::string_view> names) {
    const std::string_view name = nearest_name(text, names);
    if (name.empty()) return {};
    return "; did you mean '" + std::string{name} + "'?";
}

}  // namespace taskd

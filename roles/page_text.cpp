// A page as `taskd help NAME` prints it.
#include <fmt/format.h>

#include <algorithm>

#include "options.hpp"

namespace taskd::roles {

std::string dashed_name(const Page& page) {
    std::string name{page.name};
    std::ranges::replace(name, ' ', '-');
    return name;
}

std::string write_page(const Page& page) {
    std::string out = fmt::format("usage: taskd {}{}{}{}\n\n{}\n", page.name,
                                  page.options.empty() ? "" : " [OPTION…]",
                                  page.arguments.empty() ? "" : " ", page.arguments, page.summary);
    if (!page.text.empty()) out += fmt::format("\n{}\n", page.text);
    if (!page.examples.empty()) out += "\nexamples:\n";
    for (const Example& example : page.examples) {
        if (example.what.empty())
            out += fmt::format("  {}\n", example.command);
        else
            out += fmt::format("  {:<46}  {}\n", example.command, example.what);
    }
    if (page.options.empty()) return out;
    out += "\noptions:\n";
    for (const OptionRow& row : page.options) {
        std::string left = row.letter != 0 ? fmt::format("  -{}, --{}", row.letter, row.name)
                                           : fmt::format("      --{}", row.name);
        if (row.kind != OptionKind::toggle) left += fmt::format(" {}", row.value);
        out += fmt::format("{:<30} {}", left, row.help);
        if (!row.fallback.empty()) out += fmt::format(" (default {})", row.fallback);
        if (row.from_environment) out += fmt::format(" [{}]", environment_name(row.name));
        out += '\n';
    }
    return out;
}

}  // namespace taskd::roles

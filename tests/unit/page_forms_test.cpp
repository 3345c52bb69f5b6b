// Every page in its other forms: help, manual, completion; and that none is without examples.
#include <set>

#include "catch.hpp"
#include "command.hpp"
#include "page_forms.hpp"

using namespace taskd;
using namespace taskd::roles;
using Catch::Matchers::Contains;

namespace {

std::vector<const Page*> all_pages() {
    std::vector<const Page*> pages;
    for (const Command* command : commands())
        pages.push_back(&command->page);
    return pages;
}

}  // namespace

TEST_CASE("every page has examples that it understands itself", "[shell]") {
    for (const Page* page : all_pages()) {
        INFO(page->name);
        CHECK_FALSE(page->examples.empty());
        CHECK_FALSE(page->summary.empty());
        for (const Example& example : page->examples) {
            INFO(example.command);
            CHECK_THAT(std::string{example.command}, Contains("taskd " + std::string{page->name}));
            // Each option that an example names is one of the page.
            std::string_view rest = example.command;
            while (true) {
                const auto at = rest.find(" --");
                if (at == std::string_view::npos) break;
                rest.remove_prefix(at + 3);
                const std::string_view name = rest.substr(0, rest.find_first_of(" =)"));
                if (name.empty()) break;  // what follows is another's
                const auto found = std::ranges::find(page->options, name, &OptionRow::name);
                CHECK(found != page->options.end());
            }
        }
        CHECK_THAT(write_page(*page), Contains("\nexamples:\n"));
    }
}

TEST_CASE("names and letters are used once a page, and a client command has a form", "[shell]") {
    for (const Page* page : all_pages()) {
        std::set<std::string> names{"help", "h"};
        for (const OptionRow& row : page->options) {
            INFO(page->name << " --" << row.name);
            CHECK(names.insert(std::string{row.name}).second);
            if (row.letter != 0) CHECK(names.insert(std::string(1, row.letter)).second);
            CHECK_FALSE(row.help.empty());
            if (row.kind != OptionKind::toggle) CHECK_FALSE(row.value.empty());
            if (!row.fallback.empty()) CHECK(read_option(row, std::string{row.fallback}));
        }
        if (page->kind == PageKind::client) CHECK(names.contains("output"));
        if (page->kind != PageKind::tool)
            CHECK(names.contains(std::string{config_option(page->kind)}));
    }
}

TEST_CASE("completion and manual name every command and every option", "[shell]") {
    const auto pages = all_pages();
    const std::string overview = write_manual(pages);
    for (const Shell shell : {Shell::bash, Shell::zsh, Shell::fish}) {
        const std::string script = write_completion(shell, pages);
        for (const Page* page : pages) {
            CHECK_THAT(script, Contains(shell == Shell::fish ? std::string{page->name.substr(0, 5)}
                                                             : dashed_name(*page)));
            for (const OptionRow& row : page->options)
                CHECK_THAT(script,
                           Contains((shell == Shell::fish ? "-l " : "--") + std::string{row.name}));
        }
    }
    for (const Page* page : pages) {
        const std::string manual = write_manual(*page);
        std::string name = dashed_name(*page);
        if (const auto dash = name.find('-'); dash != std::string::npos) name.insert(dash, "\\");
        CHECK_THAT(overview, Contains("taskd\\-" + name));
        CHECK_THAT(manual, Contains(".SH EXAMPLES"));
        for (const OptionRow& row : page->options)
            if (row.from_environment) CHECK_THAT(manual, Contains(environment_name(row.name)));
    }
}

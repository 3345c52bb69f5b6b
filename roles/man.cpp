// taskd man: manual pages in roff, from the table of options.
#include <fmt/format.h>

#include "client.hpp"
#include "command.hpp"
#include "page_forms.hpp"
#include "taskd/base/error.hpp"
#include "taskd/io/private_files.hpp"

namespace taskd::roles {
namespace {

// Text as roff reads it: no macro by accident, dashes that can be copied.
std::string roff(std::string_view text) {
    std::string out;
    bool line_begins = true;
    for (const char c : text) {
        if (line_begins && (c == '.' || c == '\'')) out += "\\&";
        line_begins = c == '\n';
        if (c == '\\')
            out += "\\e";
        else if (c == '-')
            out += "\\-";
        else
            out += c;
    }
    return out;
}

// Sentences begin lines; empty lines part paragraphs.
std::string paragraphs(std::string_view text) {
    std::string out;
    while (!text.empty()) {
        const std::string_view line = text.substr(0, text.find('\n'));
        out += line.empty() ? std::string{".PP\n"} : roff(line) + "\n";
        text.remove_prefix(std::min(line.size() + 1, text.size()));
    }
    return out;
}

std::string upper(std::string_view text) {
    std::string out{text};
    for (char& c : out)
        if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 32);
    return out;
}

std::string head(std::string_view name, std::string_view summary) {
    return fmt::format(".TH {} 1 {} \"taskd {}\" taskd\n.SH NAME\n{} \\- {}\n", roff(upper(name)),
                       release_date(), program_version(), roff(name), roff(summary));
}

std::string write_option(const OptionRow& row) {
    std::string out = ".TP\n";
    if (row.letter != 0) out += fmt::format("\\fB\\-{}\\fR, ", row.letter);
    out += fmt::format("\\fB\\-\\-{}\\fR", roff(row.name));
    if (row.kind != OptionKind::toggle) out += fmt::format(" \\fI{}\\fR", roff(row.value));
    out += fmt::format("\n{}", roff(row.help));
    if (!row.fallback.empty()) out += fmt::format(" (default {})", roff(row.fallback));
    out += ".\n";
    if (row.from_environment)
        out += fmt::format("Also \\fB{}\\fR in the environment{}.\n", environment_name(row.name),
                           row.from_file
                               ? fmt::format(" and \\fB{}\\fR in the settings file", roff(row.name))
                               : std::string{});
    if (row.reloads) out += "A running role takes a change on SIGHUP.\n";
    return out;
}

std::string write_exit_codes() {
    std::string out = ".SH EXIT STATUS\n";
    for (const auto& [code, meaning] : {std::pair{0, "ok"},
                                        {1, "general"},
                                        {2, "the command or a setting is not valid"},
                                        {3, "an input file is missing"},
                                        {4, "the server cannot be reached, or is not ready"},
                                        {5, "the task ended without success"},
                                        {6, "timed out"}})
        out += fmt::format(".TP\n\\fB{}\\fR\n{}\n", code, meaning);
    return out;
}

std::string file_name(const Page& page) {
    return fmt::format("taskd-{}.1", dashed_name(page));
}

std::vector<const Page*> all_pages() {
    std::vector<const Page*> pages;
    for (const Command* command : commands())
        pages.push_back(&command->page);
    return pages;
}

int write_all(const std::string& dir) {
    const auto pages = all_pages();
    const auto write = [&](const std::string& name, const std::string& text) {
        return io::replace_file(dir + "/" + name, text, io::Readers::everybody);
    };
    auto written = write("taskd.1", write_manual(pages));
    for (const Page* page : pages)
        if (written) written = write(file_name(*page), write_manual(*page));
    return written ? 0 : report(written.error());
}

int run(const Options& options) {
    const auto& names = options.positional();
    if (options.given("dir")) {
        if (names.empty()) return write_all(options.text("dir"));
        return report({ErrorCode::bad_usage, "--dir writes all pages and takes no COMMAND"});
    }
    if (names.empty()) {
        std::fputs(write_manual(all_pages()).c_str(), stdout);
        return 0;
    }
    const Command* command = find_command(names.front());
    if (command == nullptr) return report(no_such_command(names.front()));
    std::fputs(write_manual(command->page).c_str(), stdout);
    return 0;
}

}  // namespace

std::string write_manual(const Page& page) {
    std::string out = head(fmt::format("taskd-{}", dashed_name(page)), page.summary);
    out += fmt::format(".SH SYNOPSIS\n\\fBtaskd {}\\fR", roff(page.name));
    if (!page.options.empty()) out += " [\\fIOPTION\\fR]...";
    if (!page.arguments.empty()) out += fmt::format(" \\fI{}\\fR", roff(page.arguments));
    out += '\n';
    if (!page.text.empty()) out += ".SH DESCRIPTION\n" + paragraphs(page.text);
    if (!page.options.empty()) {
        out += ".SH OPTIONS\n";
        for (const OptionRow& row : page.options)
            out += write_option(row);
    }
    if (!page.examples.empty()) out += ".SH EXAMPLES\n";
    for (const Example& example : page.examples)
        out += fmt::format(".TP\n\\fB{}\\fR\n{}\n", roff(example.command),
                           example.what.empty() ? "\\&" : roff(example.what));
    return out + write_exit_codes() + ".SH SEE ALSO\n\\fBtaskd\\fR(1)\n";
}

std::string write_manual(std::span<const Page* const> pages) {
    std::string out = head("taskd", "take tasks, lose none, hand each to a worker");
    out +=
        ".SH SYNOPSIS\n\\fBtaskd\\fR \\fICOMMAND\\fR [\\fIOPTION\\fR]... [\\fIARG\\fR]...\n"
        ".SH DESCRIPTION\n"
        "Takes tasks over HTTP, never loses one it acknowledged, hands each to a worker that can\n"
        "do it, and keeps the result.\n"
        "A flag goes over the environment (TASKD_NAME), that over the settings file, that over "
        "the\n"
        "default; \\fBtaskd config show\\fR says what holds and why.\n"
        ".SH COMMANDS\n";
    for (const Page* page : pages)
        out += fmt::format(".TP\n\\fBtaskd\\-{}\\fR(1)\n{}\n", roff(dashed_name(*page)),
                           roff(page->summary));
    return out + write_exit_codes();
}

const Command& man_command() {
    static const Command command{
        {.name = "man",
         .arguments = "[COMMAND]",
         .summary = "print manual pages, or write all of them",
         .text = {},
         .options = {{.name = "dir",
                      .value = "DIR",
                      .help = "write taskd.1 and a page a command there",
                      .from_environment = false}},
         .positional_max = 1,
         .examples = {{"taskd man submit | man -l -", "read one"},
                      {"taskd man --dir /usr/local/share/man/man1", "install all"}}},
        run};
    return command;
}

}  // namespace taskd::roles

// taskd completion: scripts for bash, zsh and fish, from the table of options.
#include <fmt/format.h>

#include <algorithm>

#include "command.hpp"
#include "page_forms.hpp"

namespace taskd::roles {
namespace {

enum class ValueKind { none, any, choice, file, folder };

ValueKind value_kind(const OptionRow& row) {
    if (row.kind == OptionKind::toggle) return ValueKind::none;
    if (row.kind == OptionKind::choice) return ValueKind::choice;
    if (row.value == "FILE") return ValueKind::file;
    return row.value == "DIR" ? ValueKind::folder : ValueKind::any;
}

std::string join(const std::vector<std::string_view>& words, std::string_view between = " ") {
    std::string out;
    for (const std::string_view word : words)
        out.append(out.empty() ? "" : between).append(word);
    return out;
}

// `man` takes a command.
std::string first_words(const Page& page, std::span<const Page* const> pages) {
    if (page.name != "man") return join(page.words);
    std::string names;
    for (const Page* each : pages)
        names.append(names.empty() ? "" : " ").append(dashed_name(*each));
    return names;
}

// The first word of a command's name, and the second if it has one.
std::string_view first_word(const Page& page) {
    return page.name.substr(0, page.name.find(' '));
}
std::string_view second_word(const Page& page) {
    return page.name.substr(std::min(page.name.size(), first_word(page).size() + 1));
}

// What may stand behind `taskd`, each once, with a summary.
std::vector<std::pair<std::string_view, std::string_view>> command_words(
    std::span<const Page* const> pages) {
    std::vector<std::pair<std::string_view, std::string_view>> words;
    for (const Page* page : pages)
        if (words.empty() || words.back().first != first_word(*page))
            words.emplace_back(first_word(*page), second_word(*page).empty()
                                                      ? page->summary
                                                      : std::string_view{"several services"});
    return words;
}

// Commands of two words: the first, and all that may stand behind it.
std::vector<std::pair<std::string_view, std::string>> families(std::span<const Page* const> pages) {
    std::vector<std::pair<std::string_view, std::string>> all;
    for (const Page* page : pages) {
        if (second_word(*page).empty()) continue;
        if (all.empty() || all.back().first != first_word(*page))
            all.emplace_back(first_word(*page), "");
        std::string& words = all.back().second;
        words.append(words.empty() ? "" : " ").append(second_word(*page));
    }
    return all;
}

// Text within single quotes of a shell.
std::string quoted(std::string_view text) {
    std::string out;
    for (const char c : text) {
        if (c == '\'')
            out += "'\\''";
        else
            out += c;
    }
    return out;
}

// ---- bash ------------------------------------------------------------------------------------

std::string bash_option(const OptionRow& row) {
    std::string names = fmt::format("--{}", row.name);
    if (row.letter != 0) names += fmt::format("|-{}", row.letter);
    switch (value_kind(row)) {
        case ValueKind::none:
            return {};
        case ValueKind::any:
            return fmt::format("        {}) return ;;\n", names);
        case ValueKind::choice:
            return fmt::format("        {}) _taskd_words '{}'; return ;;\n", names,
                               join(choices_of(row)));
        case ValueKind::file:
            return fmt::format("        {}) _taskd_paths -f; return ;;\n", names);
        case ValueKind::folder:
            return fmt::format("        {}) _taskd_paths -d; return ;;\n", names);
    }
    return {};
}

std::string bash_command(const Page& page, std::span<const Page* const> pages) {
    std::string out = fmt::format("    {})\n        case $prev in\n", dashed_name(page));
    std::string options = "--help";
    for (const OptionRow& row : page.options) {
        out += bash_option(row);
        options += fmt::format(" --{}", row.name);
    }
    const auto words = first_words(page, pages);
    out += fmt::format("        esac\n        options='{}' words='{}' ;;\n", options, words);
    return out;
}

std::string write_bash(std::span<const Page* const> pages) {
    std::string out =
        "# Completion of taskd for bash: source <(taskd completion bash)\n"
        "_taskd_words() { mapfile -t COMPREPLY < <(compgen -W \"$1\" -- \"$cur\"); }\n"
        "_taskd_paths() {\n"
        "    compopt -o filenames 2>/dev/null\n"
        "    mapfile -t COMPREPLY < <(compgen \"$1\" -- \"$cur\")\n"
        "}\n"
        "_taskd() {\n"
        "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}\n"
        "    local options='' words='' commands command=${COMP_WORDS[1]}\n"
        "    COMPREPLY=()\n"
        "    # bash takes --option=value apart at the sign.\n"
        "    if [[ $cur == = ]]; then cur=\n"
        "    elif [[ $prev == = ]]; then prev=${COMP_WORDS[COMP_CWORD-2]}; fi\n";
    std::vector<std::string_view> names{"help", "version"};
    for (const auto& [word, summary] : command_words(pages))
        names.push_back(word);
    out += fmt::format("    commands='{}'\n", join(names));
    out += "    if ((COMP_CWORD == 1)); then _taskd_words \"$commands\"; return; fi\n";
    for (const auto& [word, seconds] : families(pages))
        out += fmt::format(
            "    if [[ $command == {} ]]; then\n"
            "        if ((COMP_CWORD == 2)); then _taskd_words '{}'; return; fi\n"
            "        command=$command-${{COMP_WORDS[2]}}\n"
            "    fi\n",
            word, seconds);
    out +=
        "    case $command in\n"
        "    help) words=$commands ;;\n";
    for (const Page* page : pages)
        out += bash_command(*page, pages);
    return out +
           "    esac\n"
           "    if [[ $cur == -* ]]; then _taskd_words \"$options\"\n"
           "    elif ((COMP_CWORD == 2)) && [[ -n $words ]]; then _taskd_words \"$words\"\n"
           "    else _taskd_paths -f; fi\n"
           "}\n"
           "complete -F _taskd taskd\n";
}

// ---- zsh -------------------------------------------------------------------------------------

// A description within the brackets of _arguments.
std::string zsh_text(std::string_view text) {
    std::string out;
    for (const char c : quoted(text)) {
        if (c == '[' || c == ']' || c == ':') out += '\\';
        out += c;
    }
    return out;
}

std::string zsh_option(const OptionRow& row) {
    std::string out = fmt::format("'--{}", row.name);
    if (row.letter != 0) out = fmt::format("'(-{0} --{1})'{{-{0},--{1}}}'", row.letter, row.name);
    out += fmt::format("[{}]", zsh_text(row.help));
    switch (value_kind(row)) {
        case ValueKind::none:
            break;
        case ValueKind::any:
            out += fmt::format(":{}: ", zsh_text(row.value));
            break;
        case ValueKind::choice:
            out += fmt::format(":{}:({})", row.name, join(choices_of(row)));
            break;
        case ValueKind::file:
            out += ":file:_files";
            break;
        case ValueKind::folder:
            out += ":folder:_files -/";
            break;
    }
    return out + "'";
}

std::string write_zsh(std::span<const Page* const> pages) {
    std::string out =
        "#compdef taskd\n"
        "# Completion of taskd for zsh: source <(taskd completion zsh), behind compinit; or a "
        "file\n"
        "# _taskd in a folder of $fpath.\n"
        "_taskd() {\n"
        "    local -a commands\n"
        "    commands=(\n"
        "        'help:how a command is used'\n"
        "        'version:which version this is'\n";
    for (const auto& [word, summary] : command_words(pages))
        out += fmt::format("        '{}:{}'\n", word, quoted(summary));
    out +=
        "    )\n"
        "    if ((CURRENT == 2)); then _describe command commands; return; fi\n"
        "    local command=$words[2]\n"
        "    shift words\n"
        "    ((CURRENT--))\n";
    for (const auto& [word, seconds] : families(pages))
        out += fmt::format(
            "    if [[ $command == {} ]]; then\n"
            "        if ((CURRENT == 2)); then compadd -- {}; return; fi\n"
            "        command=$command-$words[2]\n"
            "        shift words\n"
            "        ((CURRENT--))\n"
            "    fi\n",
            word, seconds);
    out +=
        "    case $command in\n"
        "    help) _describe command commands ;;\n";
    for (const Page* page : pages) {
        out += fmt::format("    {})\n        _arguments -s \\\n", dashed_name(*page));
        for (const OptionRow& row : page->options)
            out += fmt::format("            {} \\\n", zsh_option(row));
        out += "            '--help[how it is used]' \\\n";
        const auto words = first_words(*page, pages);
        if (!words.empty()) out += fmt::format("            '1:word:({})' \\\n", words);
        out += "            '*:argument:_files' ;;\n";
    }
    return out +
           "    esac\n"
           "}\n"
           "if [[ $funcstack[1] == _taskd ]]; then _taskd \"$@\"; else compdef _taskd taskd; fi\n";
}

// ---- fish ------------------------------------------------------------------------------------

// Text within single quotes of fish.
std::string fish_text(std::string_view text) {
    std::string out;
    for (const char c : text) {
        if (c == '\'' || c == '\\') out += '\\';
        out += c;
    }
    return out;
}

// Whether the line is about this command.
std::string fish_seen(const Page& page) {
    std::string seen = fmt::format("__fish_seen_subcommand_from {}", first_word(page));
    if (const auto second = second_word(page); !second.empty())
        seen += fmt::format("; and __fish_seen_subcommand_from {}", second);
    return seen;
}

std::string fish_option(const Page& page, const OptionRow& row) {
    std::string out = fmt::format("complete -c taskd -n '{}' -l {}", fish_seen(page), row.name);
    if (row.letter != 0) out += fmt::format(" -s {}", row.letter);
    switch (value_kind(row)) {
        case ValueKind::none:
            break;
        case ValueKind::any:
            out += " -x";
            break;
        case ValueKind::choice:
            out += fmt::format(" -xa '{}'", join(choices_of(row)));
            break;
        case ValueKind::file:
            out += " -rF";
            break;
        case ValueKind::folder:
            out += " -xa '(__fish_complete_directories)'";
            break;
    }
    return fmt::format("{} -d '{}'\n", out, fish_text(row.help));
}

std::string write_fish(std::span<const Page* const> pages) {
    std::string out =
        "# Completion of taskd for fish: taskd completion fish | source\n"
        "complete -c taskd -n __fish_use_subcommand -f\n"
        "complete -c taskd -n __fish_use_subcommand -a help -d 'how a command is used'\n"
        "complete -c taskd -n __fish_use_subcommand -a version -d 'which version this is'\n";
    std::vector<std::string_view> names;
    for (const auto& [word, summary] : command_words(pages)) {
        names.push_back(word);
        out += fmt::format("complete -c taskd -n __fish_use_subcommand -a {} -d '{}'\n", word,
                           fish_text(summary));
    }
    for (const auto& [word, seconds] : families(pages))
        out += fmt::format(
            "complete -c taskd -n '__fish_seen_subcommand_from {}; and test (count (commandline "
            "-opc)) -eq 2' -fa '{}'\n",
            word, seconds);
    out += fmt::format("complete -c taskd -n '__fish_seen_subcommand_from help' -fa '{}'\n",
                       join(names));
    for (const Page* page : pages) {
        for (const OptionRow& row : page->options)
            out += fish_option(*page, row);
        if (const auto words = first_words(*page, pages); !words.empty())
            out += fmt::format(
                "complete -c taskd -n '__fish_seen_subcommand_from {}; and test (count "
                "(commandline "
                "-opc)) -eq 2' -fa '{}'\n",
                first_word(*page), words);
    }
    return out;
}

int run(const Options& options) {
    const std::string& name = options.positional().front();
    std::vector<const Page*> pages;
    for (const Command* command : commands())
        pages.push_back(&command->page);
    for (const auto& [shell, form] :
         {std::pair{"bash", Shell::bash}, {"zsh", Shell::zsh}, {"fish", Shell::fish}}) {
        if (name != shell) continue;
        std::fputs(write_completion(form, pages).c_str(), stdout);
        return 0;
    }
    return report({ErrorCode::bad_usage, fmt::format("'{}' is none of bash, zsh and fish", name)});
}

}  // namespace

std::string write_completion(Shell shell, std::span<const Page* const> pages) {
    if (shell == Shell::bash) return write_bash(pages);
    return shell == Shell::zsh ? write_zsh(pages) : write_fish(pages);
}

const Command& completion_command() {
    static const Command command{
        {.name = "completion",
         .arguments = "bash|zsh|fish",
         .summary = "print what completes taskd in a shell",
         .text = "Commands, options, choices, files and folders.",
         .positional_min = 1,
         .positional_max = 1,
         .examples = {{"source <(taskd completion bash)", "in ~/.bashrc"},
                      {"source <(taskd completion zsh)", "in ~/.zshrc, behind compinit"},
                      {"taskd completion fish | source", "in ~/.config/fish/config.fish"}},
         .words = {"bash", "zsh", "fish"}},
        run};
    return command;
}

}  // namespace taskd::roles

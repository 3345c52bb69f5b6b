// taskd config: what settings hold and where they come from; checks and writes settings files.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "client.hpp"
#include "command.hpp"
#include "settings_file.hpp"
#include "taskd/base/nearest.hpp"
#include "taskd/io/yaml.hpp"
#include "taskd/protocol/json.hpp"

namespace taskd::roles {
namespace {

// The pages whose settings can be shown: each role, and what client commands share.
std::vector<Page> settings_pages() {
    std::vector<Page> pages;
    for (const Page* page : pages_of(PageKind::role))
        pages.push_back(*page);
    pages.push_back(client_page(process_sources().pages));
    return pages;
}

Result<Page> find_page(std::string_view name) {
    const auto pages = settings_pages();
    const auto found = std::ranges::find(pages, name, dashed_name);
    if (found != pages.end()) return *found;
    const Command* command = find_command(name);
    if (command != nullptr && command->page.kind == PageKind::client) return command->page;
    std::vector<std::string_view> names;
    std::string known;
    for (const Page& page : pages) {
        names.push_back(page.name);
        known += fmt::format("{}{}", known.empty() ? "" : ", ", dashed_name(page));
    }
    return fail(ErrorCode::bad_usage,
                fmt::format("'{}' is none of {}{}", name, known, meant_instead(name, names)));
}

// ---- show ------------------------------------------------------------------------------------

struct Shown {
    Page page;
    Options options;
};

// As the role itself would read them; arguments of its own (worker's TYPE) may be missing.
Result<Shown> read_page(Page page, const Options& asked, std::span<const std::string> flags) {
    page.positional_min = 0;
    page.positional_max = flags.size();
    std::vector<std::string> arguments{flags.begin(), flags.end()};
    if (asked.given("config"))
        arguments.insert(arguments.begin(),
                         fmt::format("--{}={}", config_option(page.kind), asked.text("config")));
    auto options = Options::parse(page, arguments, process_sources());
    if (!options) return fail(std::move(options));
    return Shown{std::move(page), std::move(*options)};
}

std::string shown_value(const Shown& shown, const OptionRow& row) {
    if (row.kind == OptionKind::toggle) return shown.options.toggle(row.name) ? "true" : "false";
    return shown.options.text(row.name);
}

std::string shown_origin(const Shown& shown, const OptionRow& row) {
    const std::string& origin = shown.options.origin(row.name);
    if (!origin.empty()) return origin;
    return row.kind == OptionKind::toggle ? "default" : "not set";
}

bool is_shown(const OptionRow& row) {
    return row.is_setting() || (row.from_environment && !row.from_file);
}

std::string write_shown_table(const std::vector<Shown>& all, bool with_origin) {
    std::string out;
    for (const Shown& shown : all) {
        if (all.size() > 1)
            out += fmt::format("{}{}\n", out.empty() ? "" : "\n", dashed_name(shown.page));
        TableRows rows;
        for (const OptionRow& row : shown.page.options) {
            if (!is_shown(row)) continue;
            rows.push_back({std::string{row.name}, shown_value(shown, row)});
            if (with_origin) rows.back().push_back(shown_origin(shown, row));
        }
        out += write_table(rows);
    }
    return out;
}

void write_json_value(protocol::JsonWriter& json, const Shown& shown, const OptionRow& row) {
    if (row.kind == OptionKind::toggle)
        json.boolean(shown.options.toggle(row.name));
    else if (shown.options.source(row.name) == OptionSource::none)
        json.null();
    else if (row.kind == OptionKind::number)
        json.number(shown.options.number(row.name));
    else if (row.kind == OptionKind::port)
        json.number(std::int64_t{shown.options.port(row.name)});
    else
        json.string(shown.options.text(row.name));
}

std::string write_shown_json(const std::vector<Shown>& all) {
    std::string out;
    protocol::JsonWriter json{out};
    json.begin_object();
    for (const Shown& shown : all) {
        json.key(dashed_name(shown.page)).begin_object();
        for (const OptionRow& row : shown.page.options) {
            if (!is_shown(row)) continue;
            json.key(row.name).begin_object().key("value");
            write_json_value(json, shown, row);
            json.field("origin", shown_origin(shown, row)).end_object();
        }
        json.end_object();
    }
    json.end_object();
    return out;
}

int run_show(const Options& options, std::span<const std::string> arguments) {
    std::vector<Page> pages;
    if (arguments.empty()) {
        if (options.given("config"))
            return report({ErrorCode::bad_usage,
                           "with --config say of which role: "
                           "taskd config show ROLE --config FILE"});
        pages = settings_pages();
    } else {
        auto page = find_page(arguments.front());
        if (!page) return report(page.error());
        pages.push_back(std::move(*page));
        arguments = arguments.subspan(1);
    }
    std::vector<Shown> all;
    for (Page& page : pages) {
        auto shown = read_page(std::move(page), options, arguments);
        if (!shown) return report(shown.error());
        all.push_back(std::move(*shown));
    }
    if (options.text("output") == "json")
        print_line(write_shown_json(all));
    else
        std::fputs(write_shown_table(all, options.toggle("origin")).c_str(), stdout);
    return 0;
}

// ---- check and write -------------------------------------------------------------------------

// "worker" for "/etc/taskd/worker.yaml" and "worker-sum.yaml"; "pizza-order" as it is.
std::string role_of_file(const std::string& path) {
    const std::string stem = std::filesystem::path{path}.stem().string();
    if (find_page(stem)) return stem;
    return stem.substr(0, stem.find('-'));
}

int check_file(const std::string& path, const Options& options) {
    const std::string role = options.given("role") ? options.text("role") : role_of_file(path);
    const auto page = find_page(role);
    if (!page) {
        if (options.given("role")) return report(page.error());
        return report({ErrorCode::bad_usage, path + ": its name says no role; give --role"});
    }
    const auto document = io::read_yaml_file(path);
    if (!document) return report(document.error());
    const auto settings = read_settings(*document, *page, process_sources().pages);
    int code = 0;
    for (const Error& fault : settings.faults)
        code = report(fault);
    if (code == 0) print_line(path + ": ok");
    return code;
}

int run_check(const Options& options, std::span<const std::string> paths) {
    if (paths.empty()) return report({ErrorCode::bad_usage, "config check takes files"});
    int code = 0;
    for (const std::string& path : paths)
        code = std::max(code, check_file(path, options));
    return code;
}

int run_write(std::span<const std::string> arguments) {
    if (arguments.size() != 1) return report({ErrorCode::bad_usage, "config write takes one role"});
    const auto page = find_page(arguments.front());
    if (!page) return report(page.error());
    const std::string text = page->kind == PageKind::client
                                 ? write_client_settings(process_sources().pages)
                                 : write_role_settings(*page);
    std::fputs(text.c_str(), stdout);
    return 0;
}

int run(const Options& options) {
    const std::string& what = options.positional().front();
    const auto rest = std::span{options.positional()}.subspan(1);
    if (what == "show") return run_show(options, rest);
    if (what == "check") return run_check(options, rest);
    if (what == "write") return run_write(rest);
    constexpr std::string_view known[] = {"show", "check", "write"};
    return report(
        {ErrorCode::bad_usage, fmt::format("config takes show, check or write, not '{}'{}", what,
                                           meant_instead(what, known))});
}

}  // namespace

const Command& config_command() {
    static const Command command{
        {.name = "config",
         .arguments = "show [ROLE [-- FLAG…]] | check FILE… | write ROLE",
         .summary = "show what settings hold and why, check and write settings files",
         .text =
             "ROLE is a long-running role, 'client', or one client command. What follows -- is "
             "taken as\nthat role's own flags. 'check' takes the role from the file's name "
             "(worker.yaml,\nworker-sum.yaml) unless --role says it. 'write' prints a file with "
             "every default.",
         .options = {{.name = "origin",
                      .kind = OptionKind::toggle,
                      .help = "say where each value comes from",
                      .from_environment = false},
                     {.name = "config",
                      .value = "FILE",
                      .help = "show with this settings file",
                      .from_environment = false},
                     {.name = "role",
                      .value = "ROLE",
                      .help = "whose settings the file holds",
                      .from_environment = false},
                     {.name = "output",
                      .letter = 'o',
                      .kind = OptionKind::choice,
                      .value = "json|table",
                      .fallback = "table",
                      .help = "print them so",
                      .from_environment = false}},
         .positional_min = 1,
         .positional_max = 100,
         .examples = {{"taskd config show dispatcher --origin", "what holds, and why"},
                      {"taskd config show worker -- --port 0", "as if with these flags"},
                      {"taskd config check /etc/taskd/*.yaml", "every fault with its place"},
                      {"taskd config write worker >worker.yaml", "to begin with"}},
         .words = {"show", "check", "write"}},
        run};
    return command;
}

}  // namespace taskd::roles

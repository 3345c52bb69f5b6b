#include "settings_file.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "taskd/base/nearest.hpp"

namespace taskd::roles {
namespace {

constexpr std::size_t columns_max = 100;

std::string_view say_kind(DocumentKind kind) {
    switch (kind) {
        case DocumentKind::null:
            return "nothing";
        case DocumentKind::scalar:
            return "a value";
        case DocumentKind::list:
            return "a list";
        case DocumentKind::map:
            return "a map";
    }
    return "";
}

Error fault(const std::string& place, const std::string& what) {
    return {ErrorCode::config_invalid, place + ": " + what};
}

const OptionRow* find_setting(const Page& page, std::string_view name) {
    const auto found = std::ranges::find(page.options, name, &OptionRow::name);
    return found != page.options.end() && found->is_setting() ? &*found : nullptr;
}

// One name of a file: its value for the page, or what is wrong with it.
void take_field(const DocumentField& field, const OptionRow& row, FileSettings& out) {
    const Document& said = field.value;
    const bool is_scalar = said.kind == DocumentKind::scalar;
    auto value = is_scalar ? read_option(row, said.text)
                           : read_option(row, std::string{say_kind(said.kind)});
    if (!is_scalar) value = std::unexpected{value ? "a text" : std::move(value).error()};
    if (value) {
        out.values[field.name] = {std::move(*value), field.place};
        return;
    }
    const std::string shown = is_scalar ? "'" + said.text + "'" : std::string{say_kind(said.kind)};
    out.faults.push_back(
        fault(said.place.empty() ? field.place : said.place,
              fmt::format("'{}' takes {}, not {}", field.name, value.error(), shown)));
}

void take_unknown(const DocumentField& field, const Page& page,
                  std::span<const Page* const> sections, FileSettings& out) {
    std::vector<std::string_view> names;
    for (const OptionRow& row : page.options)
        if (row.is_setting()) names.push_back(row.name);
    for (const Page* section : sections)
        names.push_back(section->name);
    out.faults.push_back(
        fault(field.place, fmt::format("'{}' is no setting of {}{}", field.name, page.name,
                                       meant_instead(field.name, names))));
}

bool take_map(const Document& document, const std::string& name, FileSettings& out) {
    if (document.kind == DocumentKind::map) return true;
    if (document.kind == DocumentKind::null) return false;
    out.faults.push_back(fault(document.place, fmt::format("the settings of {} are a map, not {}",
                                                           name, say_kind(document.kind))));
    return false;
}

FileSettings read_role(const Document& document, const Page& page) {
    FileSettings out;
    if (!take_map(document, std::string{page.name}, out)) return out;
    for (const DocumentField& field : document.fields) {
        if (const OptionRow* row = find_setting(page, field.name))
            take_field(field, *row, out);
        else
            take_unknown(field, page, {}, out);
    }
    return out;
}

FileSettings read_client(const Document& document, const Page& page,
                         std::span<const Page* const> pages) {
    FileSettings out;
    FileSettings own;
    const Page shared = client_page(pages);
    if (!take_map(document, "client", out)) return out;
    for (const DocumentField& field : document.fields) {
        const auto section = std::ranges::find(pages, field.name, &Page::name);
        if (section != pages.end()) {
            FileSettings said = read_role(field.value, **section);
            out.faults.insert(out.faults.end(), said.faults.begin(), said.faults.end());
            if ((*section)->name == page.name) own.values = std::move(said.values);
        } else if (const OptionRow* row = find_setting(shared, field.name)) {
            take_field(field, *row, out);
        } else {
            take_unknown(field, shared, pages, out);
        }
    }
    for (auto& [name, setting] : own.values)
        out.values.insert_or_assign(name, std::move(setting));
    return out;
}

// ---- files with every default ----------------------------------------------------------------

// Lines of a comment, broken before the last column.
std::string write_comment(std::string_view text, std::string_view indent) {
    std::string out;
    while (!text.empty()) {
        const std::size_t room = columns_max - indent.size() - 2;
        std::size_t end = text.size();
        if (end > room) end = text.rfind(' ', room);
        if (end == std::string_view::npos || end == 0) end = text.size();
        out += fmt::format("{}# {}\n", indent, text.substr(0, end));
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return out;
}

std::string write_scalar(std::string_view text) {
    const bool plain =
        !text.empty() &&
        std::ranges::all_of(text,
                            [](char c) {
                                return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
                                       (c >= 'A' && c <= 'Z') ||
                                       std::string_view{"./_-:"}.find(c) != std::string_view::npos;
                            }) &&
        text.front() != '-' && text.front() != ':' && text.back() != ':';
    if (plain) return std::string{text};
    std::string out = "'";
    for (const char c : text)
        out += c == '\'' ? std::string{"''"} : std::string{c};
    return out + "'";
}

std::string sentence(std::string_view text) {
    std::string out{text};
    if (!out.empty() && out[0] >= 'a' && out[0] <= 'z') out[0] = static_cast<char>(out[0] - 32);
    return out + ".";
}

std::string what_it_takes(const OptionRow& row) {
    std::string out = sentence(row.help);
    if (row.kind == OptionKind::choice) {
        out += " One of";
        const auto choices = choices_of(row);
        for (const std::string_view choice : choices)
            out += fmt::format("{} {}", choice == choices.front() ? "" : ",", choice);
        out += '.';
    }
    const bool bounded = row.most != std::numeric_limits<std::int64_t>::max();
    if (row.kind == OptionKind::number)
        out += bounded ? fmt::format(" From {} to {}.", row.least, row.most)
                       : fmt::format(" At least {}.", row.least);
    if (row.reloads) out += " Read again on SIGHUP.";
    return out;
}

std::string write_setting(const OptionRow& row, std::string_view indent) {
    std::string out = "\n" + write_comment(what_it_takes(row), indent);
    if (row.kind == OptionKind::toggle)
        return out +
               fmt::format("{}{}: {}\n", indent, row.name, row.fallback == "1" ? "true" : "false");
    if (row.fallback.empty()) return out + fmt::format("{}# {}: {}\n", indent, row.name, row.value);
    return out + fmt::format("{}{}: {}\n", indent, row.name, write_scalar(row.fallback));
}

// Whether all commands have this very default.
bool is_common(const OptionRow& row, std::span<const Page* const> pages) {
    return std::ranges::all_of(pages, [&](const Page* page) {
        const OptionRow* other = find_setting(*page, row.name);
        return other != nullptr && other->fallback == row.fallback;
    });
}

}  // namespace

FileSettings read_settings(const Document& document, const Page& page,
                           std::span<const Page* const> pages) {
    return page.kind == PageKind::client ? read_client(document, page, pages)
                                         : read_role(document, page);
}

Page client_page(std::span<const Page* const> pages) {
    Page shared{
        .name = "client", .summary = "what all client commands share", .kind = PageKind::client};
    if (pages.empty()) return shared;
    for (const OptionRow& row : pages.front()->options) {
        const bool in_all = std::ranges::all_of(pages, [&](const Page* page) {
            return std::ranges::find(page->options, row.name, &OptionRow::name) !=
                   page->options.end();
        });
        if (in_all) shared.options.push_back(row);
    }
    return shared;
}

std::string write_role_settings(const Page& page) {
    std::string out =
        write_comment(fmt::format("Settings of taskd {}: {}.", page.name, page.summary), "");
    out += write_comment(
        fmt::format("Every default stands here. Used with taskd {} --config FILE, or as "
                    "TASKD_CONFIG; a variable TASKD_NAME of the environment goes over the file, a "
                    "flag over both.",
                    page.name),
        "");
    for (const OptionRow& row : page.options)
        if (row.is_setting()) out += write_setting(row, "");
    return out;
}

std::string write_client_settings(std::span<const Page* const> pages) {
    const Page shared = client_page(pages);
    std::string out = write_comment(
        "Settings of the commands that ask a server. Every default stands here. Read from "
        "taskd/client.yaml in the person's folder of settings (XDG_CONFIG_HOME, else ~/.config), "
        "or named by --client-config or TASKD_CLIENT_CONFIG; a variable TASKD_NAME of the "
        "environment goes over the file, a flag over both. What stands at the top is for all "
        "commands, a section for one.",
        "");
    for (const OptionRow& row : shared.options)
        if (row.is_setting() && is_common(row, pages)) out += write_setting(row, "");
    for (const Page* page : pages) {
        std::string section;
        for (const OptionRow& row : page->options)
            if (row.is_setting() && !is_common(row, pages)) section += write_setting(row, "  ");
        if (!section.empty()) out += fmt::format("\n{}:{}", page->name, section);
    }
    return out;
}

}  // namespace taskd::roles

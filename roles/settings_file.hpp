// Settings files: what a YAML document says to a page, and a file with every default written out.
// A role's file is one map of its settings. The client's has the settings that all client commands
// share at the top, and a section for each command.
#pragma once

#include <map>
#include <span>
#include <string>
#include <vector>

#include "options.hpp"

namespace taskd::roles {

struct FileSetting {
    OptionValue value;
    std::string place;  // "worker.yaml:3:1"
};

struct FileSettings {
    std::map<std::string, FileSetting, std::less<>> values;  // for the page that asked
    std::vector<Error> faults;                               // config_invalid with place, in order
};

// Everything in the file is checked, also what another command's section says.
FileSettings read_settings(const Document& document, const Page& page,
                           std::span<const Page* const> pages);

// The settings every client command has; their defaults may differ.
Page client_page(std::span<const Page* const> pages);

// The commented file with every default, as config/ holds it.
std::string write_role_settings(const Page& page);
std::string write_client_settings(std::span<const Page* const> pages);

}  // namespace taskd::roles

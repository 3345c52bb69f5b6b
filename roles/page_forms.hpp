// Pages in other forms: completion for shells and manual pages.
#pragma once

#include <span>
#include <string>

#include "options.hpp"

namespace taskd::roles {

enum class Shell { bash, zsh, fish };

// The script that completes commands, options, choices, files and folders.
std::string write_completion(Shell shell, std::span<const Page* const> pages);

// A manual page of section 1: taskd-NAME.
std::string write_manual(const Page& page);
// The page of taskd itself.
std::string write_manual(std::span<const Page* const> pages);

}  // namespace taskd::roles

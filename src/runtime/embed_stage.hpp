// The stage that takes the files which entries name into the entries.
#pragma once

#include <span>
#include <vector>

#include "taskd/runtime/entries.hpp"

namespace taskd::runtime {

Result<void> embed_files(std::vector<Entry>& entries, const StageSettings& settings,
                         std::span<const EntryKind> kinds);

}  // namespace taskd::runtime

// A store that nobody uses, as it would come up: its view copied to a file, an engine made of it,
// and what the journal has beyond it in both. Nothing of the store changes.
#pragma once

#include <memory>
#include <string>

#include "taskd/engine/engine.hpp"
#include "taskd/io/sqlite_view.hpp"
#include "taskd/io/store_dir.hpp"
#include "taskd/protocol/json_templates.hpp"

namespace taskd::roles {

struct StoppedStore {
    protocol::JsonTemplates templates;
    engine::Engine engine{{.templates = &templates}};
    std::unique_ptr<io::SqliteView> view;  // the copy
    Sequence at;                           // where both stand
};

// The store itself, or the one within the data directory of `taskd up`.
std::string find_store_dir(port::Files& files, const std::string& dir);

// `copy` is a new file. What open_existing_store, the view and the journal say.
Result<std::unique_ptr<StoppedStore>> copy_stopped(port::Files& files, const io::Store& store,
                                                   const std::string& copy, WallTime now);

}  // namespace taskd::roles

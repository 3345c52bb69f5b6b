// The engine as view and journal have it: after a start, or for a copy of the store.
#pragma once

#include <functional>

#include "taskd/engine/engine.hpp"
#include "taskd/port/view.hpp"

namespace taskd::service {

struct Rebuilt {
    Sequence viewed;   // the view's mark
    Sequence applied;  // the last record of the journal
    EngineTime engine;
};

// Hands over every batch behind a sequence, in order.
using TakeBatch = std::function<Result<void>(const RecordBatch&)>;
using ReadJournal = std::function<Result<void>(Sequence after, const TakeBatch& take)>;

// Into an engine that has nothing yet. store_mismatch, view_corrupt, and what view and journal say.
Result<Rebuilt> rebuild(engine::Engine& engine, port::View& view, const ReadJournal& read);

// What the engine has that was not taken for the view yet; the rows are as they are at `mark`.
port::ViewChange take_view_change(engine::Engine& engine, Sequence through, const Now& now);

}  // namespace taskd::service

#include "taskd/runtime/commands.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "taskd/base/assert.hpp"

namespace taskd::runtime {

Result<void> Commands::add(CommandId id, std::string name, Handler handler) {
    TASKD_ASSERT(!frozen_ && handler);
    One& one = id < table_size ? table_[id] : others_[id];
    if (one.handler)
        return fail(ErrorCode::command_twice,
                    fmt::format("command {} is both '{}' and '{}'", id, one.name, name));
    one = {std::move(name), std::move(handler)};
    return {};
}

void Commands::freeze() {
    frozen_ = true;
}

const Commands::Handler* Commands::find(CommandId id) const {
    TASKD_ASSERT(frozen_);
    if (id < table_size) return table_[id].handler ? &table_[id].handler : nullptr;
    const auto found = others_.find(id);
    return found == others_.end() ? nullptr : &found->second.handler;
}

void Commands::dispatch(CommandId id, CommandCall call) const {
    if (const Handler* handler = find(id)) return (*handler)(std::move(call));
    call.answer(fail(ErrorCode::command_unknown, fmt::format("command {}", id)));
}

std::vector<Commands::Row> Commands::rows() const {
    std::vector<Row> rows;
    for (std::size_t id = 0; id < table_size; ++id)
        if (table_[id].handler) rows.push_back({static_cast<CommandId>(id), table_[id].name});
    for (const auto& [id, one] : others_)
        rows.push_back({id, one.name});
    std::ranges::sort(rows, {}, &Row::id);
    return rows;
}

}  // namespace taskd::runtime

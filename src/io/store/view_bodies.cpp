#include "io/store/view_bodies.hpp"

#include <algorithm>
#include <utility>

namespace taskd::io {

ViewBodies::ViewBodies(port::Files& files, ViewBodiesSettings settings)
    : files_{files, settings.dir}, settings_{std::move(settings)} {}

Result<void> ViewBodies::prepare(SqliteDb& db) {
    const std::pair<SqliteStatement*, std::string_view> wanted[] = {
        {&names_,
         "SELECT CASE typeof(payload) WHEN 'text' THEN payload END,"
         " CASE typeof(result) WHEN 'text' THEN result END FROM tasks WHERE id = ?1"},
        {&by_payload_, "SELECT 1 FROM " TASKD_NAMED_PAYLOAD " AND payload = ?1 LIMIT 1"},
        {&by_result_, "SELECT 1 FROM " TASKD_NAMED_RESULT " AND result = ?1 LIMIT 1"},
    };
    for (const auto& [statement, sql] : wanted) {
        auto prepared = db.prepare(sql);
        if (!prepared) return std::unexpected{prepared.error()};
        *statement = std::move(*prepared);
    }
    const auto any = db.number("SELECT EXISTS (SELECT 1 FROM " TASKD_NAMED_PAYLOAD
                               ") OR EXISTS (SELECT 1 FROM " TASKD_NAMED_RESULT ")");
    if (!any) return std::unexpected{any.error()};
    any_ = *any != 0;
    return {};
}

Result<void> ViewBodies::sweep_once() {
    if (swept_ || settings_.read_only) return {};
    const auto swept = files_.sweep([this](const std::string& name) { return is_named(name); });
    if (!swept) return std::unexpected{swept.error()};
    swept_ = true;
    return {};
}

Result<bool> ViewBodies::is_named(const std::string& name) {
    for (SqliteStatement* statement : {&by_payload_, &by_result_}) {
        const auto row = statement->bind_text(1, name).step();
        if (!row) return row;
        if (!*row) continue;
        statement->reset();
        return true;
    }
    return false;
}

Result<ViewBodies::Names> ViewBodies::leave(const TaskId& id) {
    Names names;
    if (!any_ || settings_.read_only) return names;
    const auto row = names_.bind_blob(1, id.bytes()).step();
    if (!row) return std::unexpected{row.error()};
    if (!*row) return names;
    if (!names_.is_null(0)) left_.push_back(names.payload.emplace(names_.bytes(0)));
    if (!names_.is_null(1)) left_.push_back(names.result.emplace(names_.bytes(1)));
    names_.reset();
    return names;
}

Result<std::optional<std::string>> ViewBodies::place(std::string_view body,
                                                     const std::optional<std::string>& before) {
    if (body.size() <= settings_.row_bytes_max || settings_.read_only) return std::nullopt;
    if (before && files_.holds(*before, body)) return before;
    std::string name = BodyFiles::name_of(body);
    if (std::ranges::find(written_, name) != written_.end()) return name;
    // A row that names it had it written; unless it was seen just now that the file is not what it
    // was.
    const auto named = is_named(name);
    if (!named) return std::unexpected{named.error()};
    if (!*named || before == name) {
        any_ = true;
        if (auto done = files_.write(name, body); !done) return std::unexpected{done.error()};
        written_.push_back(name);
    }
    return name;
}

void ViewBodies::committed() {
    written_.clear();
    if (!held_ && !left_.empty()) drop_unnamed(std::exchange(left_, {}));
}

// A copy may need what was written, from a row that has gone since: then it goes with the copy, as
// what earlier ones left does.
void ViewBodies::rolled_back() {
    if (held_) {
        left_.insert(left_.end(), written_.begin(), written_.end());
        written_.clear();
        return;
    }
    left_.clear();
    drop_unnamed(std::exchange(written_, {}));
}

void ViewBodies::uncertain() {
    left_.clear();
    written_.clear();
}

void ViewBodies::release() {
    held_ = false;
    committed();
}

void ViewBodies::drop_unnamed(std::vector<std::string> names) {
    std::ranges::sort(names);
    names.erase(std::ranges::unique(names).begin(), names.end());
    for (const std::string& name : names)
        if (is_named(name) == false) files_.remove(name);
}

Result<Blob> ViewBodies::read(const SqliteStatement& row, int column) {
    const std::string_view bytes = row.bytes(column);
    if (bytes.empty()) return Blob{};
    if (!row.is_text(column)) return Blob{std::string{bytes}};
    auto body = files_.read(bytes);
    if (!body) return std::unexpected{body.error()};
    return Blob{std::move(*body)};
}

}  // namespace taskd::io

#include "io/store/view_finder.hpp"

#include <algorithm>
#include <queue>
#include <utility>

#include "taskd/protocol/record_codec.hpp"
#include "taskd/protocol/search_match.hpp"

namespace taskd::io {

Result<TaskId> id_of(const SqliteStatement& row) {
    if (row.bytes(0).size() != 16) return fail(ErrorCode::view_corrupt, "an id of another size");
    return TaskId::from_bytes(row.bytes(0));
}

Result<void> take_ids(SqliteStatement& statement, std::vector<TaskId>& ids) {
    for (;;) {
        const auto row = statement.step();
        if (!row) return std::unexpected{row.error()};
        if (!*row) return {};
        const auto id = id_of(statement);
        if (!id) {
            statement.reset();
            return std::unexpected{id.error()};
        }
        ids.push_back(*id);
    }
}

Result<void> ViewFinder::prepare(SqliteDb& db, std::size_t page_bytes_max) {
    page_bytes_max_ = page_bytes_max;
    const std::pair<SqliteStatement*, std::string_view> wanted[] = {
        {&find_row_, "SELECT id, row FROM tasks WHERE id = ?1"},
        {&all_, "SELECT id FROM tasks WHERE id > ?1 ORDER BY id LIMIT ?2"},
        {&by_type_state_,
         "SELECT id FROM tasks INDEXED BY tasks_by_type_state"
         " WHERE type = ?3 AND state = ?4 AND id > ?1 ORDER BY id LIMIT ?2"},
        {&by_key_,
         "SELECT id FROM tasks INDEXED BY tasks_by_key"
         " WHERE key = ?3 AND id > ?1 ORDER BY id LIMIT ?2"},
        {&by_group_,
         "SELECT id FROM tasks INDEXED BY tasks_by_group"
         " WHERE member_of = ?3 AND id > ?1 ORDER BY id LIMIT ?2"},
        {&next_type_,
         "SELECT type FROM tasks INDEXED BY tasks_by_type_state"
         " WHERE type > ?1 ORDER BY type LIMIT 1"},
    };
    for (const auto& [statement, sql] : wanted) {
        auto prepared = db.prepare(sql);
        if (!prepared) return std::unexpected{prepared.error()};
        *statement = std::move(*prepared);
    }
    return {};
}

// The streams as one, least id first.
class ViewFinder::Candidates {
  public:
    Candidates(ViewFinder& view, std::vector<Stream> streams)
        : view_{view}, streams_{std::move(streams)} {}

    Result<void> start() {
        for (std::size_t i = 0; i < streams_.size(); ++i)
            if (auto put = put_back(i); !put) return put;
        return {};
    }

    Result<std::optional<TaskId>> next() {
        if (heads_.empty()) return std::nullopt;
        const auto [id, stream] = heads_.top();
        heads_.pop();
        ++streams_[stream].at;
        if (auto put = put_back(stream); !put) return fail(std::move(put));
        return id;
    }

  private:
    Result<void> put_back(std::size_t number) {
        Stream& stream = streams_[number];
        if (stream.at == stream.ids.size()) {
            const auto more = view_.refill(stream);
            if (!more) return std::unexpected{more.error()};
            if (!*more) return {};
        }
        heads_.emplace(stream.ids[stream.at], number);
        return {};
    }

    ViewFinder& view_;
    std::vector<Stream> streams_;
    using Head = std::pair<TaskId, std::size_t>;
    std::priority_queue<Head, std::vector<Head>, std::greater<>> heads_;
};

Result<TaskPage> ViewFinder::list(const TaskQuery& query, const ReadTask& read) {
    const std::size_t limit = std::clamp<std::size_t>(query.limit, 1, limits::page_tasks_max);
    const SearchPlan plan{query};
    auto streams = streams_of(plan, query);
    if (!streams) return std::unexpected{streams.error()};
    Candidates candidates{*this, std::move(*streams)};
    if (auto started = candidates.start(); !started) return std::unexpected{started.error()};
    TaskPage page;
    std::optional<TaskId> after;
    std::size_t bytes = 0;
    for (std::size_t rows = 0;; ++rows) {
        const auto id = candidates.next();
        if (!id) return std::unexpected{id.error()};
        if (!*id || (plan.high && *plan.high < **id)) return page;
        if (rows == std::max<std::size_t>(query.rows_max, 1)) {
            page.next = after;
            return page;
        }
        after = **id;
        if (query.count_only && !plan.needs_row) {
            ++page.count;
            continue;
        }
        auto task = read_if(**id, query, plan, read);
        if (!task) return std::unexpected{task.error()};
        if (!*task) continue;
        if (!query.count_only && (page.tasks.size() == limit || bytes >= page_bytes_max_)) {
            page.next = page.tasks.back().spec.id;
            return page;
        }
        ++page.count;
        if (query.count_only) continue;
        bytes += (*task)->spec.payload.size() + (*task)->result.size();
        page.tasks.push_back(std::move(**task));
    }
}

// The task when it is what is meant. Its row is read alone first when that can tell: payload and
// result may be long.
Result<std::optional<Task>> ViewFinder::read_if(const TaskId& id, const TaskQuery& query,
                                                const SearchPlan& plan, const ReadTask& read) {
    const auto is_meant = [&](const Task& task) {
        return (query.type.empty() || task.spec.type == query.type) &&
               (!query.state || task.state == *query.state) &&
               protocol::matches(query.search, task, query.now);
    };
    const bool bare = query.bare && !plan.needs_json;
    if (bare || (plan.needs_row && !plan.needs_json)) {
        const auto row = find_row_.bind_blob(1, id.bytes()).step();
        if (!row) return std::unexpected{row.error()};
        if (!*row) return std::nullopt;
        auto task = protocol::decode_task_row(find_row_.bytes(1), {}, {});
        find_row_.reset();
        if (!task) return std::unexpected{task.error()};
        if (!is_meant(*task)) return std::nullopt;
        if (query.count_only || bare) return std::move(*task);
    }
    auto found = read(id);
    if (!found) return std::unexpected{found.error()};
    if (found->empty() || !is_meant(found->front())) return std::nullopt;
    return std::move(found->front());
}

// One index serves filters by type and state: ids of one type and state come from it in order.
// Another serves keys. What neither tells is looked for in the rows.
Result<std::vector<ViewFinder::Stream>> ViewFinder::streams_of(const SearchPlan& plan,
                                                               const TaskQuery& query) {
    std::vector<Stream> streams;
    std::optional<TaskId> after = query.after;
    if (plan.low && *plan.low != TaskId{})
        after = std::max(id_before(*plan.low), after.value_or(TaskId{}));
    const auto add = [&](SqliteStatement& statement, std::string text, TaskState state) {
        streams.push_back({&statement, std::move(text), state, after, {}, 0, 0});
    };
    for (const std::string& key : plan.keys)
        add(by_key_, key, {});
    for (const GroupId& group : plan.groups)
        add(by_group_, std::string{group.bytes()}, {});
    if (plan.by_type) {
        std::vector<std::string> wanted{query.type};
        if (query.type.empty()) {
            auto found = types();
            if (!found) return std::unexpected{found.error()};
            wanted = std::move(*found);
        }
        for (const std::string& type : wanted)
            for (const TaskState state : plan.states)
                if (plan.takes_type(type)) add(by_type_state_, type, state);
    } else if (plan.keys.empty() && plan.groups.empty()) {
        add(all_, {}, {});
    }
    return streams;
}

// False at the end of the stream.
Result<bool> ViewFinder::refill(Stream& stream) {
    static_assert(sizeof(TaskId) == 16);
    constexpr std::size_t step_at_first = 32, step_max = 1'024;
    if (stream.step > 0 && stream.ids.size() < stream.step) return false;
    stream.step = stream.step == 0 ? step_at_first : std::min(2 * stream.step, step_max);
    stream.ids.clear();
    stream.at = 0;
    const std::string_view after = stream.after ? stream.after->bytes() : std::string_view{};
    SqliteStatement& statement = *stream.statement;
    statement.bind_blob(1, after).bind(2, std::uint64_t{stream.step});
    if (&statement == &by_group_)
        statement.bind_blob(3, stream.text);
    else if (&statement != &all_)
        statement.bind_text(3, stream.text);
    if (&statement == &by_type_state_)
        statement.bind(4, std::int64_t{std::to_underlying(stream.state)});
    if (const auto done = take_ids(statement, stream.ids); !done)
        return std::unexpected{done.error()};
    if (!stream.ids.empty()) stream.after = stream.ids.back();
    return !stream.ids.empty();
}

// Jumps through the index from type to type.
Result<std::vector<std::string>> ViewFinder::types() {
    std::vector<std::string> found;
    std::string last;
    for (;;) {
        const auto row = next_type_.bind_text(1, last).step();
        if (!row) return std::unexpected{row.error()};
        if (!*row) return found;
        last = next_type_.bytes(0);
        next_type_.reset();
        found.push_back(last);
    }
}

}  // namespace taskd::io

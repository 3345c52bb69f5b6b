#include "io/store/view_workflows.hpp"

#include "taskd/protocol/record_codec.hpp"

namespace taskd::io {

const std::string_view workflow_tables = R"(
CREATE TABLE workflows (
    id BLOB PRIMARY KEY,
    ended INTEGER,
    head BLOB NOT NULL
) WITHOUT ROWID;
CREATE INDEX workflows_live ON workflows (id) WHERE ended IS NULL;
CREATE INDEX workflows_ended ON workflows (ended) WHERE ended IS NOT NULL;
CREATE TABLE workflow_plans (
    id BLOB PRIMARY KEY,
    plan BLOB NOT NULL
);
CREATE TABLE workflow_steps (
    id BLOB NOT NULL,
    step INTEGER NOT NULL,
    row BLOB NOT NULL,
    PRIMARY KEY (id, step)
) WITHOUT ROWID;
)";

Result<void> ViewWorkflows::prepare(SqliteDb& db) {
    const std::pair<SqliteStatement*, std::string_view> wanted[] = {
        {&put_,
         "INSERT INTO workflows (id, ended, head) VALUES (?1, ?2, ?3) ON CONFLICT (id) DO UPDATE"
         " SET ended = ?2, head = ?3"},
        {&put_plan_, "INSERT OR REPLACE INTO workflow_plans (id, plan) VALUES (?1, ?2)"},
        {&put_step_,
         "INSERT INTO workflow_steps (id, step, row) VALUES (?1, ?2, ?3)"
         " ON CONFLICT (id, step) DO UPDATE SET row = ?3"},
        {&drop_, "DELETE FROM workflows WHERE id = ?1"},
        {&drop_plan_, "DELETE FROM workflow_plans WHERE id = ?1"},
        {&drop_steps_, "DELETE FROM workflow_steps WHERE id = ?1"},
        {&live_, "SELECT id FROM workflows INDEXED BY workflows_live WHERE ended IS NULL"},
        {&find_, "SELECT head FROM workflows WHERE id = ?1"},
        {&find_plan_, "SELECT plan FROM workflow_plans WHERE id = ?1"},
        {&find_steps_, "SELECT step, row FROM workflow_steps WHERE id = ?1 ORDER BY step"},
        {&count_,
         "SELECT count(*) FROM workflows INDEXED BY workflows_ended WHERE ended IS NOT NULL"},
        {&oldest_,
         "SELECT id, ended FROM workflows INDEXED BY workflows_ended WHERE ended IS NOT NULL"
         " ORDER BY ended LIMIT ?1"},
        {&list_, "SELECT head, ended FROM workflows WHERE id < ?1 ORDER BY id DESC"},
    };
    for (const auto& [statement, sql] : wanted) {
        auto prepared = db.prepare(sql);
        if (!prepared) return std::unexpected{prepared.error()};
        *statement = std::move(*prepared);
    }
    return {};
}

Result<void> ViewWorkflows::store(const port::ViewChange& change) {
    for (const WorkflowId& id : change.gone_workflows)
        for (SqliteStatement* drop : {&drop_, &drop_plan_, &drop_steps_})
            if (auto done = drop->bind_blob(1, id.bytes()).run(); !done) return done;
    for (const WorkflowChange& each : change.workflows)
        if (auto done = store(each); !done) return done;
    return {};
}

Result<void> ViewWorkflows::store(const WorkflowChange& change) {
    const std::string_view id = change.workflow.id.bytes();
    if (change.plan) {
        buffer_.clear();
        protocol::encode_plan_row(*change.plan, buffer_);
        if (auto done = put_plan_.bind_blob(1, id).bind_blob(2, buffer_).run(); !done) return done;
    }
    for (const auto& [step, row] : change.steps) {
        buffer_.clear();
        protocol::encode_step_row(row, buffer_);
        auto done =
            put_step_.bind_blob(1, id).bind(2, std::int64_t{step}).bind_blob(3, buffer_).run();
        if (!done) return done;
    }
    buffer_.clear();
    protocol::encode_workflow_row(change.workflow, buffer_);
    put_.bind_blob(1, id).bind_blob(3, buffer_);
    const auto& ended = change.workflow.ended_at;
    ended ? put_.bind(2, ended->time_since_epoch().count()) : put_.bind_null(2);
    return put_.run();
}

Result<WholeWorkflow> ViewWorkflows::read(std::string_view head, WorkflowId id) {
    auto workflow = protocol::decode_workflow_row(head);
    if (!workflow) return std::unexpected{workflow.error()};
    WholeWorkflow whole{std::move(*workflow), nullptr, {}};
    const auto found = find_plan_.bind_blob(1, id.bytes()).step();
    if (!found) return std::unexpected{found.error()};
    if (!*found) return fail(ErrorCode::view_corrupt, "a workflow without a plan");
    auto plan = protocol::decode_plan_row(find_plan_.bytes(0));
    find_plan_.reset();
    if (!plan) return std::unexpected{plan.error()};
    whole.plan = std::move(*plan);
    whole.steps.resize(whole.plan->steps.size());
    find_steps_.bind_blob(1, id.bytes());
    for (;;) {
        const auto row = find_steps_.step();
        if (!row) return std::unexpected{row.error()};
        if (!*row) return whole;
        const auto place = static_cast<std::size_t>(find_steps_.number(0));
        auto step = protocol::decode_step_row(find_steps_.bytes(1));
        if (step && place >= whole.steps.size())
            step = fail(ErrorCode::view_corrupt, "a step that is not in its plan");
        if (!step) {
            find_steps_.reset();
            return std::unexpected{step.error()};
        }
        whole.steps[place] = std::move(*step);
    }
}

Result<void> ViewWorkflows::each_live(const std::function<void(const WholeWorkflow&)>& take) {
    std::vector<WorkflowId> ids;
    for (;;) {
        const auto row = live_.step();
        if (!row) return std::unexpected{row.error()};
        if (!*row) break;
        if (live_.bytes(0).size() != 16) {
            live_.reset();
            return fail(ErrorCode::view_corrupt, "a workflow's id");
        }
        ids.push_back(TaskId::from_bytes(live_.bytes(0)));
    }
    for (const WorkflowId& id : ids) {
        const auto whole = find(id);
        if (!whole) return std::unexpected{whole.error()};
        take(**whole);
    }
    return {};
}

Result<std::shared_ptr<const WholeWorkflow>> ViewWorkflows::find(WorkflowId id) {
    const auto found = find_.bind_blob(1, id.bytes()).step();
    if (!found) return std::unexpected{found.error()};
    if (!*found) return nullptr;
    const std::string head{find_.bytes(0)};
    find_.reset();
    auto whole = read(head, id);
    if (!whole) return std::unexpected{whole.error()};
    return std::make_shared<const WholeWorkflow>(std::move(*whole));
}

Result<std::vector<Workflow>> ViewWorkflows::list(const WorkflowQuery& query) {
    static const std::string last(16, '\xff');
    const std::string before = query.before ? std::string{query.before->bytes()} : last;
    list_.bind_blob(1, before);
    std::vector<Workflow> found;
    for (std::size_t looked = 0; looked < limits::search_rows_max; ++looked) {
        if (found.size() == query.limit) break;
        const auto row = list_.step();
        if (!row) return std::unexpected{row.error()};
        if (!*row) return found;
        auto workflow = protocol::decode_workflow_row(list_.bytes(0));
        if (!workflow) {
            list_.reset();
            return std::unexpected{workflow.error()};
        }
        if (matches(query, *workflow)) found.push_back(std::move(*workflow));
    }
    list_.reset();
    return found;
}

Result<std::vector<WorkflowId>> ViewWorkflows::to_drop(const port::OldWorkflows& asked) {
    const auto counted = count_.step();
    if (!counted) return std::unexpected{counted.error()};
    const auto count = static_cast<std::size_t>(count_.number(0));
    count_.reset();
    std::size_t beyond = count > asked.kept ? count - asked.kept : 0;
    oldest_.bind(1, static_cast<std::int64_t>(asked.limit));
    std::vector<WorkflowId> found;
    for (;;) {
        const auto row = oldest_.step();
        if (!row) return std::unexpected{row.error()};
        if (!*row) return found;
        const WallTime before =
            beyond > 0 ? std::max(asked.before, asked.crowded_before) : asked.before;
        if (oldest_.number(1) >= before.time_since_epoch().count()) break;
        if (oldest_.bytes(0).size() == 16) found.push_back(TaskId::from_bytes(oldest_.bytes(0)));
        beyond -= beyond > 0 ? 1 : 0;
    }
    oldest_.reset();
    return found;
}

}  // namespace taskd::io

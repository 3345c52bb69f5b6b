// What operators and groups do to the simulated cluster.
#include "sim_cluster.hpp"
#include "taskd/protocol/json.hpp"
#include "taskd/protocol/target.hpp"
#include "taskd/protocol/task_json.hpp"

namespace taskd::test {

using namespace std::chrono_literals;

void SimCluster::hold_worker() {
    if (!dispatcher_) return;
    const auto workers = dispatcher().workers().figures();
    if (workers.empty()) return;
    const std::string& name = workers[random_.below(workers.size())].registration.instance;
    static constexpr const char* verbs[] = {"/pause", "/drain", "/resume"};
    post("/v1/workers/" + name + verbs[random_.below(3)], "");
}

void SimCluster::submit_group(std::vector<TaskSpec> tasks) {
    const GroupId id = TaskId::make(client().clock().wall(), random_);
    std::vector<TaskId> ids;
    for (TaskSpec& spec : tasks) {
        spec.group = id;
        ids.push_back(spec.id);
        promises_[spec.id].spec = spec;
    }
    groups_[id] = false;
    auto body = std::make_shared<std::string>("{\"id\":\"" + id.to_string() +
                                              "\",\"completion\":{\"type\":\"after\"},\"tasks\":" +
                                              protocol::write_submit(tasks, true) + "}");
    post_group(std::move(body), std::move(ids), id);
}

void SimCluster::post_group(std::shared_ptr<std::string> body, std::vector<TaskId> ids,
                            GroupId id) {
    client().http().send(
        "http://dispatcher:4000", {"POST", "/v1/groups", key_header(), *body}, 2s,
        [this, body, ids, id](Result<port::HttpResponse> answer) {
            // What was taken and then deleted cannot be said again.
            const bool gone =
                answer && answer->body.find("group_closed") != std::string::npos && lets_go();
            const bool taken = answer && answer->status == 202;
            if (taken || gone) {
                groups_[id] = true;
                for (const TaskId& each : ids) {
                    promises_.at(each).acknowledged = true;
                    promises_.at(each).deleted = gone;
                }
                return;
            }
            if (answer && answer->status < 500 && answer->status != 429)
                faults_seen_.push_back("group refused: " + answer->body);
            world_.at(world_.now() + 500ms, [this, body, ids, id] { post_group(body, ids, id); });
        });
}

// All have ended, so every group is done, and what follows it was submitted once.
void SimCluster::check_groups() {
    for (const auto& [id, taken] : groups_) {
        const auto& known = dispatcher().core().engine().groups();
        const auto group = known.find(id);
        if (!taken || group == known.end() || group->second.state != GroupState::done) {
            faults_seen_.push_back("a group is not done: " + id.to_string());
            continue;
        }
        ++groups_done_;
        if (lets_go()) continue;
        const std::string search = "type:after payload.group:" + id.to_string();
        const auto found = ask(
            "dispatcher", {"GET", "/v1/tasks/count?q=" + protocol::percent_encode(search), {}, ""});
        if (!found || found->body != "{\"count\":1,\"next\":null}")
            faults_seen_.push_back("not followed once: " + id.to_string() +
                                   (found ? " " + found->body : ""));
    }
}

// What is deleted had ended, and without an operator's word it had been kept long enough; the view
// still has it as it was.
void SimCluster::witness(const RecordBatch& batch) {
    for (const Record& record : batch.records) {
        const auto* deleted = std::get_if<TaskDeleted>(&record);
        if (deleted == nullptr) continue;
        gone_.insert(deleted->id);
        if (operated_.contains(OperationAction::remove)) continue;
        const std::string fault = why_kept(deleted->id);
        if (!fault.empty()) faults_seen_.push_back("deleted, but " + fault);
    }
}

// The count that retention goes by is that of the tasks, once no more of them go.
void SimCluster::check_kept() {
    const std::string search = protocol::percent_encode("state:succeeded,dead,cancelled,expired");
    std::string told, counted;
    for (int tries = 0; tries < 20; ++tries) {
        const auto found =
            ask("dispatcher", {"GET", "/v1/tasks/count?q=" + search, key_header(), ""});
        if (!dispatcher_ || !found || found->status != 200) {
            run_for(2s);
            continue;
        }
        told = found->body;
        counted = std::to_string(dispatcher().core().engine().totals().kept);
        if (told == "{\"count\":" + counted + ",\"next\":null}") return;
        run_for(5s);
    }
    faults_seen_.push_back("kept are " + told + ", counted " + counted);
}

// It may end once more: what was seen is no longer the end for good.
void SimCluster::redrive(const TaskId& id) {
    promises_.at(id).redrive_asked = true;
    promises_.at(id).ended_as.reset();
    post("/v1/tasks/" + id.to_string() + "/payload",
         std::string{promises_.at(id).spec.payload.view()}, "PUT");
    post("/v1/tasks/" + id.to_string() + "/redrive", "");
}

// Those submitted later are not meant, but a wall clock set back makes them look earlier.
void SimCluster::operate(OperationAction action, const std::string& search) {
    operated_.insert(action);
    if (action == OperationAction::redrive)
        for (auto& [id, promise] : promises_)
            promise.ended_as.reset();
    std::string body;
    protocol::JsonWriter{body}
        .begin_object()
        .field("action", to_text(action))
        .field("q", search)
        .field("rate", random_.below(2) * (5 + random_.below(200)))
        .end_object();
    post("/v1/operations", std::move(body));
}

}  // namespace taskd::test

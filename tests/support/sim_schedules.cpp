#include "sim_schedules.hpp"

#include <map>
#include <set>

#include "sim_cluster.hpp"
#include "taskd/protocol/json_view.hpp"

namespace taskd::test {
namespace {

using namespace std::chrono_literals;
using protocol::JsonView;

struct Listed {
    std::map<std::string, std::size_t> of;  // tasks by the name of their schedule
    std::vector<std::string> twice;         // schedule and time
    bool ended = true;
};

std::optional<Listed> list_tasks(SimCluster& cluster) {
    Listed listed;
    std::set<std::pair<std::string, std::string>> times;
    for (std::string after;;) {
        auto page =
            cluster.ask("dispatcher",
                        {"GET", "/v1/tasks?limit=1000" + (after.empty() ? "" : "&after=" + after)});
        if (!page || page->status != 200) return std::nullopt;
        const JsonView body{page->body};
        for (const JsonView& task : body["tasks"].items()) {
            const std::string name = task["schedule"].text();
            if (name.empty()) continue;
            ++listed.of[name];
            if (!times.emplace(name, task["planned_at"].text()).second)
                listed.twice.push_back(name + " " + task["planned_at"].text());
            const auto state = parse_task_state(task["state"].text());
            listed.ended = listed.ended && state && is_terminal(*state);
        }
        after = body["next"].text();
        if (after.empty()) return listed;
    }
}

}  // namespace

std::string SimSchedules::any() const {
    return names_[cluster_.random().below(names_.size())];
}

// Names are never used again: a time of a new schedule is another time.
void SimSchedules::make() {
    Random& random = cluster_.random();
    std::string name = "s" + std::to_string(made_);
    if (!names_.empty() && random.chance(1, 2))
        name = any();
    else
        names_.push_back(name), ++made_;
    static constexpr const char* overlaps[] = {"allow", "skip", "replace"};
    static constexpr const char* misfires[] = {"skip", "once", "all"};
    const std::string when = random.chance(1, 4)
                                 ? R"("cron":"* * * * *","zone":"Europe/Berlin")"
                                 : R"("every_ms":)" + std::to_string(1'000 + random.below(9'000));
    cluster_.post("/v1/schedules/" + name,
                  "{" + when + R"(,"overlap":")" + overlaps[random.below(3)] + R"(","misfire":")" +
                      misfires[random.below(3)] + R"(","task":{"type":"sleep","payload":)" +
                      std::to_string(random.below(4'000)) + "}}",
                  "PUT");
}

void SimSchedules::disturb() {
    if (names_.empty()) return;
    Random& random = cluster_.random();
    const std::string name = any();
    const std::string one = "/v1/schedules/" + name;
    switch (random.below(5)) {
        case 0:
            return cluster_.post(one + "/pause", "");
        case 1:
            return cluster_.post(one + "/resume", "");
        case 2:
            return cluster_.post(one + "/run", "");
        case 3: {
            const WallTime now = cluster_.host("dispatcher").clock().wall();
            const WallTime from = now - std::chrono::milliseconds{random.below(60'000)};
            return cluster_.post(one + "/backfill", R"({"from":")" + to_rfc3339(from) +
                                                        R"(","to":")" + to_rfc3339(now) + "\"}");
        }
        default:
            if (!random.chance(1, 4)) return;
            cluster_.post(one, "", "DELETE");
            // It is changed no more: made anew it would count anew.
            removed_.insert(name);
            std::erase(names_, name);
    }
}

void SimSchedules::pause_all() {
    for (const std::string& name : names_)
        cluster_.post("/v1/schedules/" + name + "/pause", "");
    for (const std::string& name : removed_)
        cluster_.post("/v1/schedules/" + name + "/pause", "");
}

std::vector<std::string> SimSchedules::broken() {
    std::optional<Listed> listed;
    for (int i = 0; i < 400; ++i) {
        pause_all();
        cluster_.run_for(2s);
        listed = list_tasks(cluster_);
        if (listed && listed->ended) break;
    }
    if (!listed || !listed->ended) return {"tasks of schedules never ended"};
    std::vector<std::string> found;
    for (const std::string& each : listed->twice)
        found.push_back("a time had two tasks: " + each);
    if (cluster_.lets_go()) return found;
    for (const std::string& name : names_) {
        const auto answer = cluster_.ask("dispatcher", {"GET", "/v1/schedules/" + name});
        if (!answer || answer->status != 200) continue;  // removed, or its making was lost
        const std::string submitted = JsonView{answer->body}["submitted"].text();
        if (submitted != std::to_string(listed->of[name]))
            found.push_back("schedule " + name + " counts " + submitted + " tasks, there are " +
                            std::to_string(listed->of[name]));
    }
    return found;
}

}  // namespace taskd::test

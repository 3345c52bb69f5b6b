// Random lives of publishers and groups over HTTP, on the real journal and view: every event that
// was acknowledged comes to every group, in the order of its key, and never again once it was
// settled. TASKD_SIM_SEEDS=N and TASKD_SIM_FIRST=S choose how many and which; a failure prints its
// seed.
#include <cstdlib>
#include <map>
#include <set>

#include "catch.hpp"
#include "sim_cluster.hpp"
#include "taskd/protocol/json_view.hpp"

using namespace taskd;
using namespace taskd::test;
using namespace std::chrono_literals;
using protocol::JsonView;

namespace {

std::uint64_t number_from(const char* name, std::uint64_t otherwise) {
    const char* text = std::getenv(name);
    return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

// What one group had, as its consumers saw it.
struct Reader {
    std::set<std::uint64_t> settled;                     // taken, as they were told
    std::map<std::string, std::uint64_t> newest_by_key;  // first deliveries
    std::set<std::uint64_t> seen;
    std::vector<std::string> held;  // ids of deliveries
};

class Life {
  public:
    explicit Life(std::uint64_t seed) : cluster{{.seed = seed}} {
        cluster.run_for(200ms);
        for (const char* name : {"ordered", "loose"})
            until_taken("PUT", "/v1/subscriptions/" + std::string{name}, group_body(name));
    }

    void step() {
        Random& random = cluster.random();
        auto& options = cluster.world().options();
        switch (random.below(16)) {
            case 0:
                cluster.kill_dispatcher();
                break;
            case 1:
                if (cluster.dispatcher_runs()) cluster.cut_power();
                break;
            case 2:
                cluster.start_dispatcher();
                break;
            case 3:
                options.http.request_loss = options.http.answer_loss = 200;
                break;
            case 4:
                options.http.request_loss = options.http.answer_loss = 0;
                break;
            case 5:
            case 6:
            case 7:
            case 8:
                publish();
                break;
            case 9:
            case 10:
            case 11:
                ask(random.chance(1, 2) ? "ordered" : "loose");
                break;
            default:
                say(random.chance(1, 2) ? "ordered" : "loose");
        }
        cluster.run_for(std::chrono::milliseconds{random.below(700)});
    }

    // A group that comes late, then everything is consumed.
    void settle() {
        auto& options = cluster.world().options();
        options.http.request_loss = options.http.answer_loss = 0;
        cluster.start_dispatcher();
        cluster.run_for(30s);
        until_taken("PUT", "/v1/subscriptions/late", group_body("late"));
        for (int i = 0; i < 400 && !is_settled(); ++i) {
            for (const char* name : {"ordered", "loose", "late"}) {
                ask(name);
                cluster.run_for(200ms);
                say(name);
                cluster.run_for(200ms);
            }
            cluster.start_dispatcher();
        }
        if (!is_settled()) broken.push_back("did not settle");
        for (const auto& [place, id] : promised)
            for (const char* name : {"ordered", "loose", "late"})
                if (!readers[name].seen.contains(place))
                    broken.push_back(std::string{name} + " never had " + std::to_string(place));
    }

    SimCluster cluster;
    std::vector<std::string> broken;
    std::map<std::uint64_t, std::string> promised;  // place and id of what was acknowledged
    std::uint64_t again = 0;                        // published twice, answered as once

  private:
    static std::string group_body(const std::string& name) {
        return std::string{R"({"pattern":"order.*","attempts_max":100,"ack_timeout_ms":2000,)"} +
               R"("retry":{"initial_ms":100,"max_ms":500},"order_by_key":)" +
               (name == "ordered" ? "true}" : "false}");
    }

    void send(const std::string& method, const std::string& target, std::string body,
              std::function<void(const port::HttpResponse&)> then) {
        cluster.host("client").http().send(
            "http://dispatcher:4000", {method, target, {}, std::move(body)}, 10s,
            [then = std::move(then)](const Result<port::HttpResponse>& answer) {
                if (answer && answer->status < 300) then(*answer);
            });
    }

    void until_taken(const std::string& method, const std::string& target,
                     const std::string& body) {
        auto taken = std::make_shared<bool>(false);
        for (int i = 0; i < 200 && !*taken; ++i) {
            send(method, target, body, [taken](const port::HttpResponse&) { *taken = true; });
            cluster.run_for(500ms);
            cluster.start_dispatcher();
        }
        REQUIRE(*taken);
    }

    // Some of it said before, word for word.
    void publish() {
        Random& random = cluster.random();
        if (asked_.empty() || random.chance(3, 4)) {
            const std::string key = random.chance(1, 3) ? "" : random.chance(1, 2) ? "a" : "b";
            const std::string id = "e" + std::to_string(asked_.size());
            asked_.push_back(R"({"id":")" + id + R"(","key":")" + key + R"(","data":")" + id +
                             R"("})");
        }
        const std::string& body =
            asked_[random.chance(2, 3) ? asked_.size() - 1 : random.below(asked_.size())];
        send("POST", "/v1/topics/order.placed/events", body,
             [this](const port::HttpResponse& answer) {
                 const JsonView view{answer.body};
                 const auto [place, is_new] =
                     promised.emplace(*view["sequence"].number(), view["id"].text());
                 if (place->second != view["id"].text())
                     broken.push_back("one place, two events: " + view["id"].text());
                 again += view["duplicate"].is_true() ? 1 : 0;
             });
    }

    void ask(const std::string& name) {
        send("POST", "/v1/subscriptions/" + name + "/deliveries", R"({"max":7})",
             [this, name](const port::HttpResponse& answer) {
                 for (const JsonView& each : JsonView{answer.body}["deliveries"].items())
                     take(readers[name], name, each);
             });
    }

    void take(Reader& reader, const std::string& name, const JsonView& delivery) {
        const JsonView event = delivery["event"];
        const std::uint64_t place = *event["sequence"].number();
        if (reader.settled.contains(place))
            broken.push_back(name + " had it after it was settled: " + delivery["id"].text());
        if (const auto at = promised.find(place);
            at != promised.end() && at->second != event["id"].text())
            broken.push_back("another event than was acknowledged: " + delivery["id"].text());
        const std::string key = event["key"].text();
        if (reader.seen.insert(place).second && name == "ordered" && !key.empty()) {
            std::uint64_t& newest = reader.newest_by_key[key];
            if (place < newest) broken.push_back("out of order: " + delivery["id"].text());
            newest = place;
        }
        reader.held.push_back(delivery["id"].text());
    }

    void say(const std::string& name) {
        Reader& reader = readers[name];
        std::string acks, nacks;
        std::vector<std::uint64_t> places;
        for (const std::string& id : std::exchange(reader.held, {})) {
            if (cluster.random().chance(1, 10)) {
                nacks += (nacks.empty() ? "{\"id\":\"" : ",{\"id\":\"") + id + "\"}";
                continue;
            }
            acks += (acks.empty() ? "\"" : ",\"") + id + "\"";
            places.push_back(
                std::strtoull(id.c_str() + id.find(':', id.find(':') + 1) + 1, nullptr, 10));
        }
        send("POST", "/v1/subscriptions/" + name + "/acks",
             "{\"acks\":[" + acks + "],\"nacks\":[" + nacks + "]}",
             [this, name, places](const port::HttpResponse& answer) {
                 std::set<std::uint64_t> refused;
                 for (const JsonView& each : JsonView{answer.body}["refused"].items()) {
                     const std::string id = each["id"].text();
                     refused.insert(std::strtoull(id.c_str() + id.find(':', id.find(':') + 1) + 1,
                                                  nullptr, 10));
                 }
                 for (const std::uint64_t place : places)
                     if (!refused.contains(place)) readers[name].settled.insert(place);
             });
    }

    bool is_settled() {
        if (!cluster.dispatcher_runs()) return false;
        const engine::Engine& engine = cluster.dispatcher().core().engine();
        for (const char* name : {"ordered", "loose", "late"}) {
            const Subscription* group = engine.subscription(name);
            if (group == nullptr || engine.lag_of(*group) > 0) return false;
        }
        return true;
    }

    std::map<std::string, Reader> readers;
    std::vector<std::string> asked_;
};

}  // namespace

TEST_CASE("whatever happens, every event that was acknowledged comes to every group") {
    const std::uint64_t first = number_from("TASKD_SIM_FIRST", 1);
    const std::uint64_t seeds = number_from("TASKD_SIM_SEEDS", 2'000) / 10 + 1;
    std::uint64_t events = 0, again = 0;
    for (std::uint64_t seed = first; seed < first + seeds; ++seed) {
        Life life{seed};
        for (int i = 0; i < 80; ++i)
            life.step();
        life.settle();
        for (const std::string& each : life.broken) {
            UNSCOPED_INFO(each);
        }
        INFO("replay: TASKD_SIM_FIRST=" << seed << " TASKD_SIM_SEEDS=1 test_sim");
        REQUIRE(life.broken.empty());
        events += life.promised.size();
        again += life.again;
    }
    CHECK(events > 3 * seeds);
    CHECK((seeds < 10 || again > seeds / 2));
}

#include "taskd/service/entry_push.hpp"

#include "taskd/protocol/queue_json.hpp"
#include "taskd/protocol/schedule_json.hpp"
#include "taskd/protocol/target.hpp"
#include "taskd/protocol/value_json.hpp"
#include "taskd/service/http_front.hpp"

namespace taskd::service {
namespace {

using namespace std::chrono_literals;

constexpr Duration ask_timeout = 10s;
constexpr Duration again_after = 1s;

constexpr std::string_view schema_kind = "queue.schema";
constexpr std::string_view schema_path = "/schema";

bool is_pushed(const Entry& entry) {
    return entry.kind == "queue" || entry.kind == "schedule" || entry.kind == schema_kind;
}

std::string type_of(const Entry& entry) {
    const Value* type = entry.find("type");
    return type == nullptr ? std::string{entry.name()} : type->text;
}

// What the dispatcher takes: all but what only the registry knows.
std::string body_of(const Entry& entry) {
    if (entry.kind == schema_kind) return protocol::write_json_value(*entry.find("schema"));
    Value body;
    body.kind = ValueKind::map;
    for (const ValueField& field : entry.body.fields)
        if (field.name != "meta" && field.name != "needs" &&
            !(entry.kind == "queue" && field.name == "type"))
            body.fields.push_back(field);
    return protocol::write_json_value(body);
}

std::string target_of(const Entry& entry) {
    if (entry.kind == "queue") return "/v1/queues/" + protocol::percent_encode(type_of(entry));
    if (entry.kind == schema_kind)
        return "/v1/queues/" + protocol::percent_encode(type_of(entry)) + std::string{schema_path};
    return "/v1/schedules/" + protocol::percent_encode(entry.name());
}

}  // namespace

std::vector<Entry> schemas_of(const std::vector<WorkerEntry>& workers) {
    std::vector<Entry> entries;
    for (const WorkerEntry& worker : workers) {
        auto schema = protocol::read_json_value(worker.schema);
        if (worker.schema.empty() || !schema) continue;
        Entry entry{.id = "workers:" + worker.type, .kind = std::string{schema_kind}};
        entry.body.kind = ValueKind::map;
        entry.body.fields = {{"type", Value::of_text(worker.type)}, {"schema", std::move(*schema)}};
        entries.push_back(std::move(entry));
    }
    return entries;
}

Result<void> check_pushed_entry(const Entry& entry) {
    if (entry.kind == "queue") {
        if (!is_type_name(type_of(entry)))
            return fail(ErrorCode::invalid_field, "'" + type_of(entry) + "' is no type");
        const auto rules = protocol::parse_queue_rules(body_of(entry));
        return rules ? Result<void>{} : std::unexpected{rules.error()};
    }
    const auto schedule = protocol::parse_schedule(body_of(entry), std::string{entry.name()});
    if (!schedule) return std::unexpected{schedule.error()};
    const auto plan = Plan::make(*schedule, WallTime{});
    return plan ? Result<void>{} : std::unexpected{plan.error()};
}

EntryPush::EntryPush(protocol::ClusterKey key, EntryPushPorts ports)
    : key_{std::move(key)}, ports_{ports}, again_{ports_.timers.make()} {}

// As held in no way that a wish could equal: what still holds is said again.
void EntryPush::remember(const std::vector<Entry>& entries) {
    for (const Entry& entry : entries)
        if (is_pushed(entry)) held_[target_of(entry)] = {entry.id, {}, {}};
}

void EntryPush::hold(const std::string& url, const std::vector<Entry>& entries) {
    url_ = url;
    std::map<std::string, Wish> wishes;
    for (const Entry& entry : entries)
        if (is_pushed(entry)) wishes[target_of(entry)] = {entry.id, "PUT", body_of(entry)};
    for (const auto& [target, wish] : held_) {
        if (wishes.contains(target) || wish.method == "DELETE") continue;
        // A queue without rules is as if nobody had spoken of it.
        const bool is_queue = target.starts_with("/v1/queues/");
        const std::string nothing = target.ends_with(schema_path) ? "null" : "{}";
        waiting_[target] = {wish.id, is_queue ? "PUT" : "DELETE", is_queue ? nothing : ""};
    }
    for (const auto& [target, wish] : wishes)
        if (const auto found = held_.find(target); found == held_.end() || found->second != wish)
            waiting_[target] = wish;
    // The rules of a queue are set as a whole, and what a worker says of its schema behind them.
    for (const auto& [target, wish] : wishes)
        if (target.ends_with(schema_path) &&
            waiting_.contains(target.substr(0, target.size() - schema_path.size())))
            waiting_[target] = wish;
    held_ = std::move(wishes);
    send_next();
}

void EntryPush::send_next() {
    if (asking_ || waiting_.empty()) return;
    asking_ = true;
    const auto [target, wish] = *waiting_.begin();
    port::HttpRequest request{wish.method, target, {}, wish.body};
    if (!wish.body.empty())
        request.headers.emplace_back("content-type", std::string{protocol::json_type});
    add_key(request.headers, key_);
    ports_.http.send(url_, std::move(request), ask_timeout,
                     [this, target, wish, alive = std::weak_ptr{alive_}](const auto& answer) {
                         if (alive.expired()) return;
                         asking_ = false;
                         took(target, wish, answer);
                     });
}

void EntryPush::took(const std::string& target, const Wish& wish,
                     const Result<port::HttpResponse>& answer) {
    const int status = answer ? answer->status : 0;
    const bool is_done = status / 100 == 2 || (wish.method == "DELETE" && status == 404);
    const bool is_refused = !is_done && status / 100 == 4 && status != 408 && status != 429;
    const auto entry = waiting_.find(target);
    const bool is_newest = entry != waiting_.end() && entry->second == wish;
    if (is_refused)
        ports_.log.error("an entry is refused by the dispatcher",
                         {{"entry", wish.id}, {"answer", answer->body}});
    if (is_done) ports_.log.info("entry set", {{"entry", wish.id}, {"at", target}});
    if ((is_done || is_refused) && is_newest) waiting_.erase(entry);
    if (is_done || is_refused || !is_newest) return send_next();
    ports_.log.debug("an entry could not be sent yet", {{"entry", wish.id}});
    again_->set(ports_.clock.steady() + again_after, [this] { send_next(); });
}

void EntryPush::stop() {
    again_->clear();
    waiting_.clear();
}

}  // namespace taskd::service

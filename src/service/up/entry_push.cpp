#include "taskd/service/entry_push.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

#include "taskd/base/assert.hpp"
#include "taskd/model/pattern.hpp"
#include "taskd/model/topic.hpp"
#include "taskd/protocol/endpoint_json.hpp"
#include "taskd/protocol/problem.hpp"
#include "taskd/protocol/queue_json.hpp"
#include "taskd/protocol/schedule_json.hpp"
#include "taskd/protocol/target.hpp"
#include "taskd/protocol/topic_json.hpp"
#include "taskd/protocol/value_json.hpp"
#include "taskd/service/http_front.hpp"

namespace taskd::service {
namespace {

using namespace std::chrono_literals;

constexpr Duration ask_timeout = 10s;
constexpr Duration again_after = 1s;
constexpr std::size_t proposed_at_once = 8;

constexpr std::string_view schema_kind = "queue.schema";
constexpr std::string_view schema_path = "/schema";

// What the dispatcher knows of, and what it is told when nobody speaks of it any more.
struct PushedKind {
    std::string_view kind;
    std::string_view path;
    std::string_view name_field;  // of the entry; empty: its name is the only one
    std::string_view gone_method;
    std::string_view gone_body;
};
constexpr PushedKind pushed_kinds[] = {
    // A queue without rules is as if nobody had spoken of it; a topic's events stay.
    {"queue", "/v1/queues/", "type", "PUT", "{}"},
    {schema_kind, "/v1/queues/", "type", "PUT", "null"},
    {"schedule", "/v1/schedules/", "", "DELETE", ""},
    {"topic", "/v1/topics/", "topic", "PUT", "{}"},
    {"subscription", "/v1/subscriptions/", "group", "DELETE", ""},
    {"http.endpoint", "/v1/endpoints/", "", "DELETE", ""},
};

constexpr std::string_view endpoint_kind = "http.endpoint";
constexpr std::string_view any_host = "http://host";  // to look at the rest of an endpoint

// Of every entry, and nothing to the dispatcher.
constexpr std::string_view registry_fields[] = {"meta", "needs", "embed", "embedded"};

const PushedKind* find_kind(std::string_view kind) {
    const auto found = std::ranges::find(pushed_kinds, kind, &PushedKind::kind);
    return found == std::end(pushed_kinds) ? nullptr : found;
}

// What the dispatcher takes: all but what only the registry knows.
std::string body_of(const Entry& entry) {
    if (entry.kind == schema_kind) return protocol::write_json_value(*entry.find("schema"));
    const std::string_view name_field = find_kind(entry.kind)->name_field;
    Value body;
    body.kind = ValueKind::map;
    for (const ValueField& field : entry.body.fields)
        if (std::ranges::find(registry_fields, field.name) == std::end(registry_fields) &&
            (name_field.empty() || field.name != name_field))
            body.fields.push_back(field);
    return protocol::write_json_value(body);
}

bool waits_for_host(const Entry& entry) {
    return !function_behind(entry).empty() && entry.find("host") == nullptr;
}

std::string target_of(const Entry& entry) {
    std::string target{find_kind(entry.kind)->path};
    target += protocol::percent_encode(pushed_name(entry));
    if (entry.kind == schema_kind) target += schema_path;
    return target;
}

const PushedKind* find_kind_at(std::string_view target) {
    for (const PushedKind& each : pushed_kinds)
        if (target.starts_with(each.path) &&
            target.ends_with(schema_path) == (each.kind == schema_kind))
            return &each;
    return nullptr;
}

bool is_pushed(std::string_view target) {
    return find_kind_at(target) != nullptr;
}

Result<void> check_name(const Entry& entry) {
    const std::string name = pushed_name(entry);
    const bool is_name = entry.kind == "queue"   ? is_type_name(name)
                         : entry.kind == "topic" ? is_topic(name)
                                                 : is_group_name(name);
    if (is_name) return {};
    return fail(ErrorCode::invalid_field, "'" + name + "' is no name of a " + entry.kind);
}

template <class Parsed>
Result<void> only_error(const Result<Parsed>& parsed) {
    return parsed ? Result<void>{} : std::unexpected{parsed.error()};
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

bool is_pushed_kind(std::string_view kind) {
    return find_kind(kind) != nullptr;
}

std::string pushed_name(const Entry& entry) {
    const PushedKind* kind = find_kind(entry.kind);
    const Value* said =
        kind == nullptr || kind->name_field.empty() ? nullptr : entry.find(kind->name_field);
    return said == nullptr ? std::string{entry.name()} : said->text;
}

std::string function_behind(const Entry& entry) {
    const Value* name = entry.kind == endpoint_kind ? entry.find("function") : nullptr;
    if (name == nullptr) return {};
    if (name->text.find(':') != std::string::npos) return name->text;
    return std::string{entry.ns()} + ":" + name->text;
}

Entry with_host(Entry entry, const std::string& url) {
    std::string function = function_behind(entry);
    if (function.empty() || url.empty()) return entry;
    for (ValueField& field : entry.body.fields)
        if (field.name == "function") field.value.text = std::move(function);
    entry.body.fields.push_back({"host", Value::of_text(url)});
    return entry;
}

Result<void> check_pushed_entry(const Entry& entry) {
    if (entry.kind == "schedule") {
        const auto schedule = protocol::parse_schedule(body_of(entry), std::string{entry.name()});
        if (!schedule) return std::unexpected{schedule.error()};
        return only_error(Plan::make(*schedule, WallTime{}));
    }
    if (entry.kind == "http.endpoint")
        return only_error(protocol::parse_endpoint(body_of(with_host(entry, std::string{any_host})),
                                                   std::string{entry.name()}));
    if (auto named = check_name(entry); !named) return named;
    const std::string body = body_of(entry);
    if (entry.kind == "queue") return only_error(protocol::parse_queue_rules(body));
    if (entry.kind == "topic") return only_error(protocol::parse_topic_rules(body));
    const auto group = protocol::parse_subscription(body, pushed_name(entry));
    if (!group) return std::unexpected{group.error()};
    return only_error(Pattern::parse(group->pattern));
}

EntryPush::EntryPush(protocol::ClusterKey key, EntryPushPorts ports)
    : key_{std::move(key)}, ports_{ports}, again_{ports_.timers.make()} {}

// As held in no way that a wish could equal: what still holds is said again.
void EntryPush::remember(const PushedThings& things) {
    noted_ = things;
    for (const auto& [target, id] : things)
        if (is_pushed(target)) held_[target] = {id, {}, {}};
}

void EntryPush::hold(const std::string& url, const std::vector<Entry>& entries) {
    answer_ = nullptr;
    want(url, entries);
    if (const auto noted = note_before(); !noted)
        ports_.log.error("cannot note the entries held", {{"error", noted.error().to_string()}});
    if (settled()) return note_after();
    send_next();
}

void EntryPush::propose(const std::string& url, const std::vector<Entry>& entries, Answer answer) {
    before_ = held_;
    for (const auto& [target, unsaid] : waiting_)
        before_[target] = {unsaid.id, {}, {}};
    tried_.clear();
    want(url, entries);
    answer_ = std::move(answer);
    if (const auto noted = note_before(); !noted) return refuse_proposal(noted.error());
    if (settled()) return this->answer({});
    send_next();
}

PushedThings EntryPush::may_be_held() const {
    PushedThings things;
    for (const auto* wishes : {&held_, &waiting_})
        for (const auto& [target, wish] : *wishes)
            things.emplace(target, wish.id);
    return things;
}

Result<void> EntryPush::note(PushedThings things) {
    if (things == noted_) return {};
    auto noted = ports_.note(things);
    if (noted) noted_ = std::move(things);
    return noted;
}

// What is noted already stays until all is said.
Result<void> EntryPush::note_before() {
    PushedThings things = may_be_held();
    things.insert(noted_.begin(), noted_.end());
    return note(std::move(things));
}

void EntryPush::note_after() {
    if (const auto noted = note(may_be_held()); !noted)
        ports_.log.error("cannot note the entries held", {{"error", noted.error().to_string()}});
}

// Nobody knows how far those came that were under way: whatever is wanted next, they are said anew.
// All others are as they were: what somebody else has set under such a name stays.
void EntryPush::refuse_proposal(Error error) {
    for (const auto& [target, unsaid] : waiting_)
        if (tried_.contains(target))
            held_[target] = {unsaid.id, {}, {}};
        else
            hold_as_before(target);
    waiting_.clear();
    answer(std::unexpected{std::move(error)});
}

void EntryPush::hold_as_before(const std::string& target) {
    const auto before = before_.find(target);
    if (before == before_.end())
        held_.erase(target);
    else
        held_[target] = before->second;
}

void EntryPush::answer(Result<void> verdict) {
    if (const auto answer = std::exchange(answer_, nullptr)) answer(std::move(verdict));
}

void EntryPush::want(const std::string& url, const std::vector<Entry>& entries) {
    url_ = url;
    std::map<std::string, Wish> wishes;
    for (const Entry& entry : entries) {
        if (!is_pushed_kind(entry.kind)) continue;
        const std::string target = target_of(entry);
        const auto held = held_.find(target);
        if (!waits_for_host(entry))
            wishes[target] = {entry.id, "PUT", body_of(entry)};
        else if (held != held_.end())
            wishes[target] = held->second;
    }
    for (const auto& [target, wish] : held_) {
        if (wishes.contains(target) || wish.method == "DELETE") continue;
        const PushedKind* kind = find_kind_at(target);
        TASKD_ASSERT(kind != nullptr);
        waiting_[target] = {wish.id, std::string{kind->gone_method}, std::string{kind->gone_body}};
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
}

// A proposal is told several at a time, because somebody waits; but the schema of a type follows
// its rules.
void EntryPush::send_next() {
    const std::size_t most = answer_ ? proposed_at_once : 1;
    for (const auto& [target, wish] : waiting_) {
        if (asking_.size() >= most) return;
        const bool behind_rules =
            target.ends_with(schema_path) &&
            waiting_.contains(target.substr(0, target.size() - schema_path.size()));
        if (!behind_rules && !asking_.contains(target)) send(target, wish);
    }
}

void EntryPush::send(const std::string& target, const Wish& wish) {
    asking_.insert(target);
    tried_.insert(target);
    port::HttpRequest request{wish.method, target, {}, wish.body};
    if (!wish.body.empty())
        request.headers.emplace_back("content-type", std::string{protocol::json_type});
    add_key(request.headers, key_);
    ports_.http.send(url_, std::move(request), ask_timeout,
                     [this, target, wish, alive = std::weak_ptr{alive_}](const auto& answer) {
                         if (alive.expired()) return;
                         asking_.erase(target);
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
    if (is_refused && !answer_)
        ports_.log.error("an entry is refused by the dispatcher",
                         {{"entry", wish.id}, {"answer", answer->body}});
    if (is_done) ports_.log.info("entry set", {{"entry", wish.id}, {"at", target}});
    if ((is_done || is_refused) && is_newest) waiting_.erase(entry);
    if (is_refused && answer_) {
        Error error = protocol::parse_problem(answer->body, status);
        error.detail = wish.id + (error.detail.empty() ? "" : ": " + error.detail);
        // What was ours before is said again; what was not stays whose it is.
        if (is_newest && !before_.contains(target)) held_.erase(target);
        return refuse_proposal(std::move(error));
    }
    if ((is_done || is_refused) && settled()) {
        note_after();
        return this->answer({});
    }
    if (is_done || is_refused || !is_newest) return send_next();
    ports_.log.debug("an entry could not be sent yet", {{"entry", wish.id}});
    again_->set(ports_.clock.steady() + again_after, [this] { send_next(); });
}

void EntryPush::stop() {
    again_->clear();
    waiting_.clear();
    answer_ = nullptr;
    alive_.reset();  // what is noted stays as it is
}

}  // namespace taskd::service

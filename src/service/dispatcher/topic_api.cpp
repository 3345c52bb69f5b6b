#include "taskd/service/topic_api.hpp"

#include <algorithm>
#include <charconv>

#include "taskd/model/pattern.hpp"
#include "taskd/protocol/cloud_event.hpp"
#include "taskd/protocol/json.hpp"
#include "taskd/protocol/topic_json.hpp"
#include "taskd/protocol/trace.hpp"

namespace taskd::service {
namespace {

using EventPtr = std::shared_ptr<const TopicEvent>;

Result<std::string> topic_of(const Call& call, bool to_change) {
    const std::string& topic = call.parameters[0];
    if (!is_topic(topic))
        return fail(ErrorCode::invalid_field,
                    "'" + topic + "' is no topic: words of A-Z a-z 0-9 _ - with dots between them");
    if (to_change && is_own_topic(topic))
        return fail(ErrorCode::invalid_field, "topics of taskd.* are the dispatcher's own");
    return topic;
}

Result<std::uint64_t> number_of(const Call& call, std::string_view name, std::uint64_t usual,
                                std::uint64_t least, std::uint64_t most) {
    const std::string* text = call.target.find(name);
    if (text == nullptr) return usual;
    std::uint64_t value = 0;
    const char* last = text->data() + text->size();
    const auto [stop, error] = std::from_chars(text->data(), last, value);
    if (error == std::errc{} && stop == last && value >= least && value <= most) return value;
    std::string why{name};
    why += " is a number from " + std::to_string(least) + " to " + std::to_string(most);
    return fail(ErrorCode::invalid_field, std::move(why));
}

// Events from `next` on.
std::uint64_t unseen(EventSequence next, const Topic& topic) {
    const std::uint64_t end = topic.newest.value + 1;
    return end - std::min(next.value, end);
}

// One event as its own answer, several as an array.
std::string published_answer(const engine::Publish& asked, const engine::TopicAnswer& answer,
                             bool is_array) {
    std::string out;
    protocol::JsonWriter json{out};
    if (is_array) json.begin_object().key("events").begin_array();
    for (std::size_t i = 0; i < answer.published.size(); ++i)
        json.begin_object()
            .field("topic", asked.events[i].topic)
            .field("sequence", answer.published[i].sequence.value)
            .field("id", asked.events[i].id)
            .field("duplicate", answer.published[i].again)
            .end_object();
    if (is_array) json.end_array().end_object();
    return out;
}

}  // namespace

TopicApi::TopicApi(Core& core, DeliveryDesk& desk, port::Clock& clock, port::Timers& timers)
    : core_{core}, desk_{desk}, clock_{clock}, timers_{timers} {}

// A timer holds its reader, and the reader its timer.
TopicApi::~TopicApi() {
    for (const auto& [topic, line] : readers_)
        for (const Shared& reader : line)
            reader->timer->clear();
}

void TopicApi::add_routes(HttpFront& front) {
    const auto to = [this](void (TopicApi::*handler)(Call)) {
        return [this, handler](Call&& call) { (this->*handler)(std::move(call)); };
    };
    front.add({"GET", "/v1/topics", {}, to(&TopicApi::list)});
    front.add({"GET", "/v1/topics/{topic}", {}, to(&TopicApi::show)});
    front.add(
        {"PUT", "/v1/topics/{topic}", {}, [this](Call&& call) { set(std::move(call), true); }});
    front.add(
        {"PATCH", "/v1/topics/{topic}", {}, [this](Call&& call) { set(std::move(call), false); }});
    front.add({"DELETE", "/v1/topics/{topic}", {}, to(&TopicApi::remove)});
    front.add(
        {"GET", "/v1/topics/{topic}/events", {"after", "limit", "wait"}, to(&TopicApi::read)});
    front.add({.method = "POST",
               .pattern = "/v1/topics/{topic}/events",
               .handle = to(&TopicApi::publish),
               .media = {any_media}});
}

void TopicApi::publish(Call call) {
    if (const auto slow = core_.slow_down()) return call.answer(*slow);
    const auto topic = topic_of(call, true);
    if (!topic) return call.answer(topic.error());
    auto body = protocol::read_events(call.request.headers, call.request.body);
    if (!body) return call.answer(body.error().error, body.error().index);
    call.drop_body();
    auto command = std::make_shared<engine::Publish>();
    command->events = std::move(body->events);
    const std::string_view trace = port::find_header(call.request.headers, "traceparent");
    const bool traced = protocol::parse_trace_id(trace).has_value();
    const std::string_view read = trace.substr(0, protocol::traceparent_bytes);
    for (TopicEvent& event : command->events) {
        event.topic = *topic;
        event.at = core_.now().wall;
        if (!event.id_given) event.id = core_.make_id().to_string();
        if (event.trace.empty() && traced) event.trace = read;
    }
    auto shared = std::make_shared<Call>(std::move(call));
    core_.execute(
        *command,
        [this, shared, command,
         is_array = body->is_array](const engine::Decision& decision) -> Core::Reply {
            if (decision.refused)
                return [shared, error = *decision.refused, index = decision.index, is_array] {
                    shared->answer(error, is_array ? index : std::nullopt);
                };
            desk_.serve();  // in the same batch
            return [shared, answer = published_answer(*command, decision.topics, is_array)] {
                shared->answer(201, answer);
            };
        });
}

std::string TopicApi::write_with_groups(const Topic& topic) const {
    std::string out = protocol::write_topic(topic);
    out.pop_back();
    out += ",\"groups\":";
    protocol::JsonWriter json{out};
    json.begin_array();
    for (const std::string& name : core_.engine().groups_of(topic.name)) {
        const Subscription& group = *core_.engine().subscription(name);
        std::uint64_t lag = unseen(group.next.at(topic.name), topic);
        for (const auto& [event, delivery] : group.open)
            lag += event.topic == topic.name ? 1 : 0;
        json.begin_object()
            .field("group", name)
            .field("settled", cursor_of(group, topic.name).value - 1)
            .field("lag", lag);
        if (group.last_gap && group.last_gap->topic == topic.name) {
            std::string gap;
            protocol::write_gap(gap, *group.last_gap);
            json.key("last_gap").raw(gap);
        }
        json.end_object();
    }
    json.end_array();
    return out += '}';
}

// Each group is gone through once, however many topics there are.
TopicApi::Lags TopicApi::largest_lags() const {
    Lags largest;
    core_.engine().each_subscription([&](const Subscription& group) {
        std::unordered_map<std::string_view, std::uint64_t> open;
        for (const auto& [event, delivery] : group.open)
            ++open[event.topic];
        for (const auto& [name, next] : group.next) {
            const Topic* topic = core_.engine().topic(name);
            if (topic == nullptr) continue;
            const auto found = open.find(name);
            const std::uint64_t held = found == open.end() ? 0 : found->second;
            auto& lag = largest.try_emplace(name, 0).first->second;
            lag = std::max(lag, unseen(next, *topic) + held);
        }
    });
    return largest;
}

void TopicApi::list(Call call) {
    std::string out = "{\"topics\":[";
    const Lags lags = largest_lags();
    core_.engine().each_topic([&](const Topic& topic) {
        if (!out.ends_with('[')) out.push_back(',');
        out += protocol::write_topic(topic);
        if (const auto lag = lags.find(topic.name); lag != lags.end()) {
            out.back() = ',';
            out += "\"largest_lag\":" + std::to_string(lag->second) + '}';
        }
    });
    out += "]}";
    core_.when_durable(
        [shared = std::make_shared<Call>(std::move(call)), out] { shared->answer(200, out); });
}

void TopicApi::show(Call call) {
    const auto name = topic_of(call, false);
    if (!name) return call.answer(name.error());
    const Topic* topic = core_.engine().topic(*name);
    if (topic == nullptr) return call.answer(Error{ErrorCode::topic_not_found, *name});
    core_.when_durable([shared = std::make_shared<Call>(std::move(call)),
                        out = write_with_groups(*topic)] { shared->answer(200, out); });
}

void TopicApi::set(Call call, bool anew) {
    const auto name = topic_of(call, false);
    if (!name) return call.answer(name.error());
    const Topic* there = core_.engine().topic(*name);
    if (there == nullptr && is_own_topic(*name))
        return call.answer(Error{ErrorCode::topic_not_found, *name});
    if (there == nullptr && !anew) return call.answer(Error{ErrorCode::topic_not_found, *name});
    const auto change = protocol::parse_topic_rules(call.request.body);
    if (!change) return call.answer(change.error());
    auto shared = std::make_shared<Call>(std::move(call));
    core_.execute(
        anew ? engine::SetTopic{*name, change->of({})} : engine::SetTopic{*name, {}, *change},
        [this, shared, name = *name](const engine::Decision& decision) -> Core::Reply {
            if (decision.refused)
                return [shared, error = *decision.refused] { shared->answer(error); };
            return [shared, out = write_with_groups(*core_.engine().topic(name))] {
                shared->answer(200, out);
            };
        });
}

void TopicApi::remove(Call call) {
    const auto name = topic_of(call, false);
    if (!name) return call.answer(name.error());
    auto shared = std::make_shared<Call>(std::move(call));
    core_.execute(engine::RemoveTopic{*name},
                  [shared](const engine::Decision& decision) -> Core::Reply {
                      if (decision.refused)
                          return [shared, error = *decision.refused] { shared->answer(error); };
                      return [shared] { shared->respond({204, {}, {}}); };
                  });
}

void TopicApi::read(Call call) {
    const auto topic = topic_of(call, false);
    if (!topic) return call.answer(topic.error());
    const auto after = number_of(call, "after", 0, 0, INT64_MAX);
    const auto limit =
        number_of(call, "limit", limits::page_tasks_default, 1, limits::page_tasks_max);
    const auto wait = protocol::read_wait(call.target, "wait");
    if (!after) return call.answer(after.error());
    if (!limit) return call.answer(limit.error());
    if (!wait) return call.answer(wait.error());
    const Topic* there = core_.engine().topic(*topic);
    if (there == nullptr) return call.answer(Error{ErrorCode::topic_not_found, *topic});
    // Nothing is behind it, and what comes next would be before it.
    if (*after > there->newest.value)
        return call.answer(
            Error{ErrorCode::invalid_field, "after " + std::to_string(*after) + "; the newest is " +
                                                std::to_string(there->newest.value)});
    if (*after > 0 && *after + 1 < there->oldest.value) {
        auto response = problem_response(
            {ErrorCode::events_gone, "the oldest kept is " + std::to_string(there->oldest.value)},
            {{}, {}, call.trace_id()});
        response.headers.emplace_back("Taskd-Oldest-Event", std::to_string(there->oldest.value));
        return call.respond(std::move(response));
    }
    auto reader = std::make_shared<Reader>();
    reader->call = std::move(call);
    reader->topic = *topic;
    reader->after = EventSequence{*after};
    reader->limit = static_cast<std::size_t>(*limit);
    reader->until = clock_.steady() + *wait;
    look(reader);
}

// From memory where the first is there, else from the view: what memory lacks, the view has.
void TopicApi::look(const Shared& reader) {
    const Topic* topic = core_.engine().topic(reader->topic);
    if (topic == nullptr)
        return reader->call.answer(Error{ErrorCode::topic_not_found, reader->topic});
    const EventSequence from = std::max(reader->after.next(), topic->oldest);
    if (from > topic->newest) {
        const bool over = let_go_ || clock_.steady() >= reader->until;
        return over ? found(reader, {}) : wait(reader);
    }
    std::vector<EventPtr> events;
    std::size_t bytes = 0;
    for (EventSequence place = from; events.size() < reader->limit; place = place.next()) {
        auto event = core_.engine().event(reader->topic, place);
        if (event) bytes += bytes_of(*event);
        if (!event || (!events.empty() && bytes > limits::deliveries_bytes_max)) break;
        events.push_back(std::move(event));
    }
    if (!events.empty()) return found(reader, std::move(events));
    const EventRange range{reader->topic, from, reader->limit, limits::deliveries_bytes_max, {}};
    auto rows = std::make_shared<Result<std::vector<TopicEvent>>>();
    core_.ask_view([rows, range](port::View& view) { *rows = view.events(range); },
                   [this, reader, rows] {
                       if (!*rows) return reader->call.answer(rows->error());
                       std::vector<EventPtr> read;
                       for (TopicEvent& event : **rows)
                           read.push_back(std::make_shared<const TopicEvent>(std::move(event)));
                       // Trimmed meanwhile: there may be others now.
                       if (read.empty()) return look(reader);
                       found(reader, std::move(read));
                   });
}

void TopicApi::found(const Shared& reader, std::vector<EventPtr> events) {
    std::string out = "{\"events\":[";
    EventSequence last = reader->after;
    for (const EventPtr& event : events) {
        if (!out.ends_with('[')) out.push_back(',');
        protocol::write_event(out, *event);
        last = event->sequence;
    }
    out += "],\"last\":" + std::to_string(last.value) + "}";
    core_.when_durable([reader, out] { reader->call.answer(200, out); });
}

void TopicApi::wait(const Shared& reader) {
    if (waiting_ >= limits::delivery_questions_max) drop_gone();
    if (waiting_ >= limits::delivery_questions_max)
        return reader->call.answer(Error{ErrorCode::too_many_waiters, {}});
    ++waiting_;
    readers_[reader->topic].push_back(reader);
    if (!reader->timer) reader->timer = timers_.make();
    reader->timer->set(reader->until, [this, reader] {
        const auto line = readers_.find(reader->topic);
        if (line == readers_.end() || std::erase(line->second, reader) == 0) return;
        if (line->second.empty()) readers_.erase(line);
        --waiting_;
        found(reader, {});
        timers_.post([reader] { reader->timer.reset(); });
    });
}

void TopicApi::drop_gone() {
    for (auto each = readers_.begin(); each != readers_.end();) {
        waiting_ -= std::erase_if(each->second, [](const Shared& reader) {
            if (reader->is_gone()) reader->timer->clear();
            return reader->is_gone();
        });
        each = each->second.empty() ? readers_.erase(each) : std::next(each);
    }
}

void TopicApi::on_records(const RecordBatch& batch) {
    if (readers_.empty()) return;
    std::vector<Shared> woken;
    const auto wake = [&](const std::string& topic) {
        const auto line = readers_.find(topic);
        if (line == readers_.end()) return;
        for (const Shared& reader : line->second) {
            reader->timer->clear();
            woken.push_back(reader);
        }
        readers_.erase(line);
    };
    for (const Record& record : batch.records) {
        if (const auto* published = std::get_if<EventPublished>(&record))
            wake(published->event.topic);
        if (const auto* removed = std::get_if<TopicRemoved>(&record)) wake(removed->topic);
    }
    waiting_ -= woken.size();
    for (const Shared& reader : woken)
        look(reader);
}

void TopicApi::let_go() {
    let_go_ = true;
    waiting_ = 0;
    for (auto& [topic, line] : std::exchange(readers_, {}))
        for (const Shared& reader : line) {
            reader->timer->clear();
            look(reader);
        }
}

}  // namespace taskd::service

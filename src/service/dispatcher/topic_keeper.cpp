#include "taskd/service/topic_keeper.hpp"

#include <algorithm>

#include "taskd/model/pattern.hpp"

namespace taskd::service {
namespace {

constexpr Duration round_interval = std::chrono::seconds{1};
constexpr Duration turn_pause = std::chrono::milliseconds{10};

}  // namespace

TopicKeeper::TopicKeeper(Core& core, port::Clock& clock, port::Timers& timers, port::Log& log)
    : core_{core}, clock_{clock}, log_{log}, timer_{timers.make()} {}

bool TopicKeeper::may_go(const Topic& topic) const {
    if (topic.count() <= (is_own_topic(topic.name) ? 1 : 0)) return false;
    if (topic.count() > topic.rules.count || topic.bytes() > topic.rules.bytes) return true;
    const auto known = oldest_.find(topic.name);
    const bool current = known != oldest_.end() && known->second.first == topic.oldest;
    return round_at_ - (current ? known->second.second : topic.made_at) > topic.rules.age;
}

void TopicKeeper::start() {
    timer_->set(clock_.steady() + round_interval, [this] { begin(); });
}

void TopicKeeper::begin() {
    round_at_ = core_.now().believed();
    left_.clear();
    core_.engine().each_topic([&](const Topic& topic) {
        if (may_go(topic)) left_.push_back(topic.name);
    });
    std::erase_if(oldest_, [&](const auto& each) { return !core_.engine().topic(each.first); });
    next();
}

void TopicKeeper::next() {
    if (left_.empty()) return start();
    const std::string topic = std::move(left_.back());
    left_.pop_back();
    look(topic);
}

// The oldest events, from memory where they are, else from the view.
void TopicKeeper::look(const std::string& name) {
    const Topic* topic = core_.engine().topic(name);
    if (topic == nullptr || !may_go(*topic)) return next();
    std::vector<TopicEvent> oldest;
    for (EventSequence place = topic->oldest; oldest.size() < limits::trim_turn_events;
         place = place.next()) {
        const auto event = core_.engine().event(name, place);
        if (!event) break;
        oldest.push_back(*event);
    }
    if (!oldest.empty()) return found(*topic, oldest);
    auto rows = std::make_shared<Result<std::vector<TopicEvent>>>();
    const EventRange range{
        name, topic->oldest, limits::trim_turn_events, limits::deliveries_bytes_max, {}};
    core_.ask_view([rows, range](port::View& view) { *rows = view.events(range); },
                   [this, rows, name, alive = std::weak_ptr{alive_}] {
                       if (alive.expired()) return;
                       if (!*rows)
                           log_.warn("a topic cannot be looked at",
                                     {{"topic", name}, {"error", rows->error().to_string()}});
                       const Topic* now = core_.engine().topic(name);
                       if (!*rows || now == nullptr || (*rows)->empty()) return next();
                       found(*now, **rows);
                   });
}

void TopicKeeper::found(const Topic& topic, const std::vector<TopicEvent>& oldest) {
    const TopicEvent* last = nullptr;
    for (const TopicEvent& event : oldest) {
        if (event.sequence < topic.oldest) continue;
        // The newest says after a restart up to where all is told.
        if (is_own_topic(topic.name) && event.sequence == topic.newest) break;
        const std::uint64_t behind = topic.newest.value - event.sequence.value + 1;  // it too
        const std::uint64_t before = last == nullptr ? topic.gone_bytes : last->total_bytes;
        const bool crowded =
            behind > topic.rules.count || topic.total_bytes - before > topic.rules.bytes;
        if (!crowded && round_at_ - event.at <= topic.rules.age) {
            oldest_[topic.name] = {event.sequence, event.at};
            break;
        }
        last = &event;
    }
    if (last == nullptr) return next();
    const std::string name = topic.name;
    core_.execute(engine::TrimTopic{name, last->sequence, last->total_bytes},
                  [this, name](const engine::Decision& decision) -> Core::Reply {
                      return [this, name, more = !decision.refused] {
                          if (more) left_.push_back(name);
                          timer_->set(clock_.steady() + turn_pause, [this] { next(); });
                      };
                  });
}

// Of a bounded number of topics and groups; the rest as one.
void TopicKeeper::report(port::MetricSink& sink) const {
    const engine::Engine& engine = core_.engine();
    struct Sums {
        std::uint64_t count = 0, bytes = 0, published = 0;
    } rest;
    std::size_t shown = 0;
    sink.put(port::Metric::topics, engine.topics());
    engine.each_topic([&](const Topic& topic) {
        if (shown++ < limits::metric_topics_max) {
            sink.put(port::Metric::topic_events, topic.count(), {topic.name});
            sink.put(port::Metric::topic_bytes, topic.bytes(), {topic.name});
            sink.put(port::Metric::topic_published_total, topic.newest.value, {topic.name});
            return;
        }
        rest.count += topic.count();
        rest.bytes += topic.bytes();
        rest.published += topic.newest.value;
    });
    if (shown > limits::metric_topics_max) {
        sink.put(port::Metric::topic_events, rest.count, {"others"});
        sink.put(port::Metric::topic_bytes, rest.bytes, {"others"});
        sink.put(port::Metric::topic_published_total, rest.published, {"others"});
    }
    struct Group {
        std::uint64_t lag = 0, open = 0, acknowledged = 0, failed = 0, dead = 0, lost = 0;
    } others;
    const auto put = [&](const Group& group, const std::string& name) {
        sink.put(port::Metric::group_lag, group.lag, {name});
        sink.put(port::Metric::group_open, group.open, {name});
        sink.put(port::Metric::group_acknowledged_total, group.acknowledged, {name});
        sink.put(port::Metric::group_failed_total, group.failed, {name});
        sink.put(port::Metric::group_dead, group.dead, {name});
        sink.put(port::Metric::group_lost_total, group.lost, {name});
    };
    shown = 0;
    engine.each_subscription([&](const Subscription& each) {
        const std::string& name = each.spec.group;
        const Group group{engine.lag_of(each),
                          each.open.size(),
                          each.acknowledged,
                          each.failed + each.timed_out,
                          engine.dead_letters(name).size(),
                          each.lost};
        if (shown++ < limits::metric_topics_max) return put(group, name);
        others.lag += group.lag;
        others.open += group.open;
        others.acknowledged += group.acknowledged;
        others.failed += group.failed;
        others.dead += group.dead;
        others.lost += group.lost;
    });
    if (shown > limits::metric_topics_max) put(others, "others");
}

}  // namespace taskd::service

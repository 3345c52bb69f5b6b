// Topics and groups in the engine: places, leases, order, retries, dead letters, retention.
#include <functional>
#include <map>

#include "catch.hpp"
#include "engine/topics.hpp"
#include "taskd/engine/engine.hpp"

namespace taskd::engine {
namespace {

using namespace std::chrono_literals;

// An engine whose events leave memory when they are forgotten; `view` stands for the view.
class World {
  public:
    Decision run(Command command) {
        Decision decision = engine.decide(now, command, random);
        if (!decision.topics.fetch.empty()) {
            std::visit([&](auto& each) { answer(each, decision.topics.fetch); }, command);
            ++fetches;
            decision = engine.decide(now, command, random);
        }
        for (const Record& record : decision.records) {
            if (const auto* published = std::get_if<EventPublished>(&record))
                view[{published->event.topic, published->event.sequence}] =
                    std::make_shared<const TopicEvent>(published->event);
            engine.apply(sequence = sequence.next(), record);
            records.push_back(record);
        }
        for (const Note& note : decision.notes)
            engine.apply(note);
        REQUIRE(engine.faults() == std::vector<std::string>{});
        return decision;
    }
    // Events that memory lacks, from the view.
    template <class Any>
    void answer(Any& command, const std::vector<EventRange>& ranges) {
        if constexpr (requires { command.known_events; }) {
            command.fetched = true;
            wanted = 0;
            for (const EventRange& range : ranges)
                wanted += range.count;
            for (const EventRange& range : ranges)
                for (std::size_t i = 0; i < range.count; ++i)
                    command.known_events.push_back(view.at({range.topic, {range.from.value + i}}));
        }
    }
    Decision publish(const std::string& topic, const std::string& body, const std::string& key = {},
                     const std::string& id = {}) {
        TopicEvent event;
        event.topic = topic;
        event.id = id.empty() ? "made" : id;
        event.id_given = !id.empty();
        event.key = key;
        event.at = now.wall;
        event.body = Blob{body};
        return run(Publish{{event}});
    }
    Decision subscribe(const std::string& group, const std::string& pattern,
                       const std::function<void(SubscriptionSpec&)>& more = {}) {
        SubscriptionSpec spec;
        spec.group = group;
        spec.pattern = pattern;
        spec.backoff.jitter = 0;
        if (more) more(spec);
        return run(SetSubscription{spec});
    }
    std::vector<TopicAnswer::Leased> ask(const std::string& group, std::size_t max = 10) {
        return run(AskDeliveries{group, "c1", max}).topics.leased;
    }
    std::string bodies(const std::string& group, std::size_t max = 10) {
        std::string out;
        for (const auto& each : last = ask(group, max))
            out += std::string{each.event->body.view()} + " ";
        return out;
    }
    std::optional<Error> end(const std::string& group, const TopicAnswer::Leased& delivery,
                             DeliveryEnd how = DeliveryEnd::acknowledged, bool permanent = false) {
        return run(EndDeliveries{group,
                                 {{{delivery.event->topic, delivery.event->sequence},
                                   delivery.epoch,
                                   how,
                                   {"no", "not now", permanent}}}})
            .topics.refused.at(0);
    }
    void advance(Duration by) {
        now.engine += by;
        now.wall += by;
    }
    const Subscription& group(const std::string& name) { return *engine.subscription(name); }

    Engine engine{EngineSettings{}};
    Random random{1};
    Now now{WallTime{1000s}, EngineTime{10s}};
    Sequence sequence;
    std::map<DeliveryKey, std::shared_ptr<const TopicEvent>> view;
    std::vector<Record> records;
    std::vector<TopicAnswer::Leased> last;
    int fetches = 0;
    std::size_t wanted = 0;  // of the view, the last time
};

}  // namespace

TEST_CASE("each group has every event once, and its members share them") {
    World world;
    CHECK(world.ask("nobody").empty());
    world.subscribe("a", "order.*");
    world.subscribe("b", "**");
    world.publish("order.placed", "1");
    world.publish("order.placed", "2");
    world.publish("other", "3");
    CHECK(world.bodies("a", 1) == "1 ");
    CHECK(world.bodies("a", 5) == "2 ");
    CHECK(world.bodies("a").empty());
    CHECK(world.ask("b").size() == 3);
    CHECK(world.engine.lag_of(world.group("a")) == 2);
    CHECK(world.engine.lag_of(world.group("b")) == 3);
}

TEST_CASE("the cursor goes over what is settled, in whatever order that was") {
    World world;
    world.subscribe("a", "t");
    for (int i = 1; i <= 3; ++i)
        world.publish("t", std::to_string(i));
    const auto out = world.ask("a");
    REQUIRE(out.size() == 3);
    CHECK_FALSE(world.end("a", out[2]));
    CHECK(cursor_of(world.group("a"), "t") == EventSequence{1});
    CHECK_FALSE(world.end("a", out[0]));
    CHECK(cursor_of(world.group("a"), "t") == EventSequence{2});
    CHECK_FALSE(world.end("a", out[1]));
    CHECK(cursor_of(world.group("a"), "t") == EventSequence{4});
    CHECK(world.engine.lag_of(world.group("a")) == 0);
    // Said again, it is settled; anything else of it is stale.
    CHECK_FALSE(world.end("a", out[1]));
    CHECK(world.end("a", out[1], DeliveryEnd::failed)->code == ErrorCode::stale_delivery);
}

TEST_CASE("who is silent loses the delivery, and its late word is refused") {
    World world;
    world.subscribe("a", "t", [](SubscriptionSpec& spec) { spec.ack_timeout = 5s; });
    world.publish("t", "1");
    const auto first = world.ask("a");
    REQUIRE(first.size() == 1);
    REQUIRE(world.engine.next_deadline(world.now) == world.now.engine + 5s);
    world.advance(4s);
    world.run(RenewDeliveries{"a", {{{"t", EventSequence{1}}, first[0].epoch}}});
    world.advance(4s);
    world.run(Tick{});
    CHECK(world.group("a").open.begin()->second.leased);
    world.advance(2s);
    world.run(Tick{});
    CHECK_FALSE(world.group("a").open.begin()->second.leased);
    CHECK(world.group("a").timed_out == 1);
    CHECK(world.ask("a").empty());  // it waits for its retry
    CHECK(world.engine.next_retry("a") == world.now.engine + 1s);
    // Its word still counts while nobody else has it.
    world.advance(1s);
    const auto second = world.ask("a");
    REQUIRE(second.size() == 1);
    CHECK(second[0].attempt == 2);
    CHECK(world.end("a", first[0])->code == ErrorCode::stale_delivery);
    CHECK_FALSE(world.end("a", second[0]));
}

TEST_CASE("a late acknowledgement counts while nobody else has the delivery") {
    World world;
    world.subscribe("a", "t", [](SubscriptionSpec& spec) { spec.ack_timeout = 5s; });
    world.publish("t", "1");
    const auto first = world.ask("a");
    world.advance(6s);
    world.run(Tick{});
    CHECK(world.end("a", first[0], DeliveryEnd::failed)->code == ErrorCode::stale_delivery);
    CHECK_FALSE(world.end("a", first[0]));
    CHECK(world.group("a").open.empty());
}

TEST_CASE("after a restart a delivery is held for its group's whole time once more") {
    World world;
    world.subscribe("long", "t", [](SubscriptionSpec& spec) { spec.ack_timeout = 1h; });
    world.subscribe("short", "t", [](SubscriptionSpec& spec) { spec.ack_timeout = 1s; });
    world.publish("t", "1");
    world.ask("long");
    world.ask("short");
    world.advance(500ms);
    const EngineTime resumed = world.now.engine;
    world.run(Resume{});
    CHECK(world.group("long").open.begin()->second.until == resumed + 1h);
    CHECK(world.group("short").open.begin()->second.until == resumed + 1s);
    CHECK(world.engine.next_deadline(world.now) == resumed + 1s);
    // What was lost with the answer comes again after the second that the group chose.
    world.advance(1s);
    world.run(Tick{});
    world.advance(1s);  // its retry
    REQUIRE(world.ask("short").size() == 1);
}

TEST_CASE("what fails comes again later, and is dead in the end") {
    World world;
    world.subscribe("a", "t", [](SubscriptionSpec& spec) { spec.attempts_max = 2; });
    world.publish("t", "1");
    CHECK_FALSE(world.end("a", world.ask("a").at(0), DeliveryEnd::failed));
    CHECK(world.ask("a").empty());
    world.advance(1s);
    const auto again = world.ask("a");
    REQUIRE(again.size() == 1);
    CHECK(again[0].attempt == 2);
    CHECK_FALSE(world.end("a", again[0], DeliveryEnd::failed));
    CHECK(world.engine.dead_letters("a").size() == 1);
    CHECK(world.engine.dead_letters("a").begin()->second.attempts == 2);
    CHECK(world.engine.lag_of(world.group("a")) == 0);
    const DeliveryKey letter{"t", EventSequence{1}};
    CHECK(world.end("a", again[0])->code == ErrorCode::stale_delivery);

    // Redriven, it begins anew, also when its topic has let it go.
    world.run(TrimTopic{"t", EventSequence{1}, 2});
    CHECK(world.group("a").lost == 0);
    world.run(ChangeDeadLetters{"a", false, {letter}});
    CHECK(world.engine.dead_letters("a").empty());
    const auto anew = world.ask("a");
    REQUIRE(anew.size() == 1);
    CHECK(anew[0].attempt == 1);
    CHECK(world.fetches > 0);
    CHECK_FALSE(world.end("a", anew[0], DeliveryEnd::failed, true));  // for good at once
    CHECK(world.run(ChangeDeadLetters{"a", true, {}, 10}).records.size() == 1);
    CHECK(world.engine.dead_letters("a").empty());
    CHECK(world.run(ChangeDeadLetters{"a", true, {letter}}).refused->code ==
          ErrorCode::dead_letter_not_found);
}

TEST_CASE("a dead letter that is named twice is changed once") {
    const bool drop = GENERATE(true, false);
    const bool in_memory = GENERATE(true, false);
    World world;
    world.subscribe("a", "t", [](SubscriptionSpec& spec) { spec.attempts_max = 1; });
    world.publish("t", "1");
    world.publish("t", "2");
    for (const auto& delivery : world.ask("a"))
        CHECK_FALSE(world.end("a", delivery, DeliveryEnd::failed));
    if (!in_memory) world.run(TrimTopic{"t", EventSequence{2}, 3});
    const DeliveryKey letter{"t", EventSequence{1}};
    const DeliveryKey other{"t", EventSequence{2}};

    const Decision decision = world.run(ChangeDeadLetters{"a", drop, {letter, other, letter}});
    CHECK(decision.topics.refused.size() == 2);
    CHECK(world.engine.dead_letters("a").empty());
    CHECK(world.ask("a").size() == (drop ? 0 : 2));
}

TEST_CASE("events of a key wait for those before them, others go on") {
    World world;
    world.subscribe("a", "t", [](SubscriptionSpec& spec) { spec.ordered = true; });
    world.publish("t", "x1", "x");
    world.publish("t", "x2", "x");
    world.publish("t", "y1", "y");
    world.publish("t", "n1");
    CHECK(world.bodies("a") == "x1 y1 n1 ");
    const auto out = world.last;
    CHECK(world.bodies("a").empty());
    CHECK_FALSE(world.end("a", out[0], DeliveryEnd::failed));
    CHECK(world.bodies("a").empty());
    CHECK_FALSE(world.engine.may_deliver(world.now, "a"));
    world.advance(1s);
    CHECK(world.bodies("a") == "x1 ");
    CHECK_FALSE(world.end("a", world.last[0]));
    CHECK(world.bodies("a") == "x2 ");
    CHECK_FALSE(world.end("a", world.last[0], DeliveryEnd::released));
    CHECK(world.bodies("a") == "x2 ");
    CHECK(world.last[0].attempt == 1);
}

TEST_CASE("a group begins where it is told") {
    World world;
    for (int i = 1; i <= 4; ++i)
        world.publish("t", std::to_string(i));
    const auto starting = [&](StartAt start) {
        static int made = 0;
        const std::string name = "g" + std::to_string(++made);
        world.subscribe(name, "*", [&](SubscriptionSpec& spec) { spec.start = start; });
        return world.bodies(name);
    };
    CHECK(starting({StartAt::From::oldest, {}, {}}) == "1 2 3 4 ");
    CHECK(starting({StartAt::From::newest, {}, {}}).empty());
    CHECK(starting({StartAt::From::sequence, EventSequence{3}, {}}) == "3 4 ");
    CHECK(starting({StartAt::From::sequence, EventSequence{300}, {}}).empty());
    SubscriptionSpec timed;
    timed.group = "timed";
    timed.pattern = "t";
    timed.start.from = StartAt::From::time;
    world.run(SetSubscription{timed, {{"t", EventSequence{2}}}});
    CHECK(world.bodies("timed") == "2 3 4 ");
    // A topic that comes later is read from its first event, whatever the start is.
    world.publish("later", "l");
    CHECK(world.bodies("g2") == "l ");
}

TEST_CASE("what retention takes before a group had it, the group is told once") {
    World world;
    world.subscribe("a", "t");
    for (int i = 1; i <= 6; ++i)
        world.publish("t", std::to_string(i));
    const auto out = world.ask("a", 2);
    CHECK_FALSE(world.end("a", out[0]));
    world.run(TrimTopic{"t", EventSequence{4}, 8});
    CHECK(world.engine.topic("t")->oldest == EventSequence{5});
    CHECK(world.engine.topic("t")->count() == 2);
    CHECK(world.group("a").lost == 3);  // 2 was out, 3 and 4 had not come in
    CHECK_FALSE(world.end("a", out[1]));
    const auto told = world.run(AskDeliveries{"a", "c1", 10});
    REQUIRE(told.topics.gaps.size() == 1);
    CHECK(told.topics.gaps[0].from == EventSequence{2});
    CHECK(told.topics.gaps[0].to == EventSequence{4});
    CHECK(told.topics.gaps[0].count == 3);
    CHECK(told.topics.leased.size() == 2);
    CHECK(world.run(AskDeliveries{"a", "c1", 10}).topics.gaps.empty());
    CHECK(world.group("a").last_gap->count == 3);
    CHECK(world.run(TrimTopic{"t", EventSequence{4}, 8}).records.empty());
}

TEST_CASE("an id of the publisher's is published once") {
    World world;
    const auto first = world.publish("t", "1", {}, "id-1");
    const auto again = world.publish("t", "1", {}, "id-1");
    CHECK(again.records.empty());
    CHECK(again.topics.published.at(0).again);
    CHECK(again.topics.published.at(0).sequence == first.topics.published.at(0).sequence);
    CHECK_FALSE(world.publish("u", "1", {}, "id-1").topics.published.at(0).again);
    // What is gone is forgotten.
    world.run(TrimTopic{"t", EventSequence{1}, 1});
    CHECK_FALSE(world.publish("t", "1", {}, "id-1").topics.published.at(0).again);
    TopicEvent twice;
    twice.topic = "t";
    twice.id = "id-2";
    twice.id_given = true;
    const auto both = world.run(Publish{{twice, twice}});
    CHECK(both.records.size() == 1);
    CHECK(both.topics.published.at(1).again);
}

TEST_CASE("a topic of the same name knows nothing of one that was removed") {
    World world;
    for (int i = 0; i < 5; ++i)
        world.publish("t", "1", {}, "id-" + std::to_string(i));
    world.publish("u", "1", {}, "id-0");
    REQUIRE_FALSE(world.run(RemoveTopic{"t"}).refused);
    for (int i = 0; i < 3; ++i)
        world.publish("t", "1", {}, "other-" + std::to_string(i));
    for (int i = 0; i < 5; ++i) {
        const auto again = world.publish("t", "1", {}, "id-" + std::to_string(i));
        CHECK_FALSE(again.topics.published.at(0).again);
        CHECK(again.records.size() == 1);
    }
    CHECK(world.publish("u", "1", {}, "id-0").topics.published.at(0).again);
}

TEST_CASE("what was not delivered is not acknowledged") {
    World world;
    world.subscribe("a", "t");
    world.publish("t", "1");
    world.publish("t", "2");
    const auto out = world.ask("a", 1);
    REQUIRE(out.size() == 1);
    const auto early = world.run(EndDeliveries{"a", {{{"t", EventSequence{2}}, LeaseEpoch{1}}}});
    REQUIRE(early.topics.refused.at(0));
    CHECK(early.topics.refused.at(0)->code == ErrorCode::stale_delivery);
    CHECK_FALSE(world.end("a", out[0]));
    CHECK_FALSE(world.end("a", out[0]));  // said again
    CHECK(world.ask("a", 1).size() == 1);
}

TEST_CASE("events that left memory are asked of the view") {
    World world;
    world.subscribe("a", "t");
    const std::string body(3 * limits::mebibyte / 4, 'x');
    for (int i = 0; i < 20; ++i)
        world.publish("t", body);
    CHECK(world.engine.event_bytes() > limits::events_bytes_in_memory);
    world.run(Forget{world.sequence});
    CHECK(world.engine.event_bytes() <= limits::events_bytes_in_memory);
    CHECK(world.engine.event("t", EventSequence{1}) == nullptr);
    const auto out = world.ask("a", 3);
    CHECK(world.fetches == 1);
    CHECK(out.size() == 3);
    CHECK(out[0].event->sequence == EventSequence{1});
    // One answer has its bound of bytes.
    CHECK(world.ask("a", 100).size() == 5);
}

TEST_CASE("the view is asked for no more events than one answer has, however many the topics") {
    World world;
    world.subscribe("a", "t.*");
    const std::string body(limits::mebibyte / 4, 'x');
    for (int i = 0; i < 60; ++i)
        world.publish("t." + std::to_string(i % 20), body);
    world.run(Forget{world.sequence});
    CHECK(world.ask("a", 4).size() == 4);
    CHECK(world.wanted == 4);
    CHECK(world.ask("a", 100).size() == 15);
    CHECK(world.wanted <= 100);
}

TEST_CASE("at the bound of open deliveries nothing new comes in") {
    World world;
    world.subscribe("a", "t");
    for (std::size_t i = 0; i < limits::deliveries_open_max + 5; ++i)
        world.publish("t", "1");
    CHECK(world.ask("a", 2'000).size() == limits::deliveries_open_max);
    CHECK_FALSE(world.engine.may_deliver(world.now, "a"));
    CHECK(world.ask("a").empty());
}

TEST_CASE("topics and groups that are not there are refused by name, and removed ones are gone") {
    World world;
    CHECK(world.run(AskDeliveries{"a", "c", 1}).refused->code == ErrorCode::subscription_not_found);
    CHECK(world.run(EndDeliveries{"a", {}}).refused->code == ErrorCode::subscription_not_found);
    CHECK(world.run(RenewDeliveries{"a", {}}).refused->code == ErrorCode::subscription_not_found);
    CHECK(world.run(ChangeDeadLetters{"a"}).refused->code == ErrorCode::subscription_not_found);
    CHECK(world.run(RemoveSubscription{"a"}).refused->code == ErrorCode::subscription_not_found);
    CHECK(world.run(RemoveTopic{"t"}).refused->code == ErrorCode::topic_not_found);
    CHECK(world.subscribe("a", "no good").refused->code == ErrorCode::invalid_field);
    world.subscribe("a", "t");
    CHECK(world.subscribe("a", "t").records.empty());
    world.publish("t", "1");
    const auto out = world.ask("a");
    world.run(RemoveTopic{"t"});
    CHECK(world.engine.topic("t") == nullptr);
    CHECK(world.group("a").open.empty());
    CHECK_FALSE(world.engine.next_deadline(world.now).has_value());
    world.publish("t", "anew");
    CHECK(world.bodies("a") == "anew ");
    // A word of the time before is not taken for one about what is there now.
    CHECK(world.end("a", out[0], DeliveryEnd::failed)->code == ErrorCode::stale_delivery);
    world.run(RemoveSubscription{"a"});
    CHECK(world.engine.subscription("a") == nullptr);
    const auto changes = world.engine.take_changed_topics();
    CHECK(changes.gone_topics == std::vector<std::string>{"t"});
    CHECK(changes.gone_groups == std::vector<std::string>{"a"});
    CHECK(changes.events.size() == 1);
}

TEST_CASE("there are as many topics and groups as may be") {
    World world;
    for (std::size_t i = 0; i < limits::topics_max; ++i)
        world.run(SetTopic{"t" + std::to_string(i), {}});
    CHECK(world.publish("one-more", "1").refused->code == ErrorCode::too_many_topics);
    CHECK(world.run(SetTopic{"one-more", {}}).refused->code == ErrorCode::too_many_topics);
    CHECK_FALSE(world.publish("t1", "1").refused.has_value());
    for (std::size_t i = 0; i < limits::subscriptions_max; ++i)
        world.subscribe("g" + std::to_string(i), "t1");
    CHECK(world.subscribe("one-more", "t1").refused->code == ErrorCode::too_many_subscriptions);
}

TEST_CASE("at the bound of dead letters what fails is tried on") {
    World world;
    world.subscribe("a", "t", [](SubscriptionSpec& spec) { spec.attempts_max = 1; });
    while (world.engine.dead_letters("a").size() < limits::dead_letters_max) {
        std::vector<TopicEvent> events(1'000);
        for (TopicEvent& event : events)
            event.topic = "t";
        world.run(Publish{events});
        EndDeliveries end{"a", {}};
        for (const auto& each : world.ask("a", 1'000))
            end.items.push_back({{"t", each.event->sequence}, each.epoch, DeliveryEnd::failed});
        world.run(end);
    }
    world.publish("t", "1");
    CHECK_FALSE(world.end("a", world.ask("a").at(0), DeliveryEnd::failed));
    CHECK(world.engine.dead_letters("a").size() == limits::dead_letters_max);
    CHECK(world.engine.next_retry("a") == world.now.engine + limits::backoff_max_default);
}

TEST_CASE("of many topics a group looks at those alone that have something for it") {
    World world;
    world.subscribe("all", "**");
    world.subscribe("one", "t.7");
    for (int i = 0; i < 200; ++i)
        world.publish("t." + std::to_string(i), "1");
    while (!world.ask("all", 100).empty()) {
    }
    world.publish("t.7", "2");
    world.publish("t.9", "2");
    Topics topics;  // the same records again
    Sequence sequence;
    for (const Record& record : world.records) {
        sequence = sequence.next();
        std::visit(
            [&]<class Any>(const Any& each) {
                if constexpr (OfTopics<Any>) topics.apply(sequence, each);
            },
            record);
    }
    using Names = std::set<std::string>;
    CHECK(topics.group("all")->sub.next.size() == 200);
    CHECK(topics.group("all")->fresh == Names{"t.7", "t.9"});
    CHECK(topics.group("one")->fresh == Names{"t.7"});
    // A topic knows those that have all of it: what is published looks at no others.
    CHECK(topics.find("t.8")->up_to_date == Names{"all"});
    CHECK(topics.find("t.9")->up_to_date == Names{});
    CHECK(topics.faults() == std::vector<std::string>{});
}

}  // namespace taskd::engine

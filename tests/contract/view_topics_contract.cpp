// What every view promises of topics, groups and dead letters.
#include <algorithm>

#include "catch.hpp"
#include "view_world.hpp"

using namespace taskd;
using namespace taskd::support;

namespace {

std::shared_ptr<const TopicEvent> event(Random& random, const std::string& topic,
                                        std::uint64_t place, bool given = false) {
    TopicEvent made = random_event(random);
    made.topic = topic;
    made.sequence = EventSequence{place};
    made.id_given = given;
    made.at = WallTime{std::chrono::seconds{place}};
    return std::make_shared<const TopicEvent>(std::move(made));
}

std::vector<std::uint64_t> places(const Result<std::vector<TopicEvent>>& events) {
    REQUIRE(events);
    std::vector<std::uint64_t> found;
    for (const TopicEvent& each : *events)
        found.push_back(each.sequence.value);
    return found;
}

using Places = std::vector<std::uint64_t>;

// Ten events of "a" and one of "b", of which the even ones have ids of their publisher's.
TopicChanges eleven(Random& random) {
    TopicChanges changes;
    for (std::uint64_t place = 1; place <= 10; ++place)
        changes.events.push_back(
            {Sequence{100 + place}, event(random, "a", place, place % 2 == 0)});
    changes.events.push_back({Sequence{90}, event(random, "b", 1, true)});
    return changes;
}

void store(ViewWorld& world, TopicChanges changes) {
    port::ViewChange change{.mark = world.mark};
    change.topics = std::move(changes);
    REQUIRE(world.view->store(change));
}

}  // namespace

TEST_CASE("events of a topic read back in their order, from any place on") {
    ON_EVERY_VIEW;
    const TopicChanges changes = eleven(world.random);
    store(world, changes);
    world.reopen();
    port::View& view = *world.view;
    const auto all = view.events({"a", EventSequence{1}, 20});
    REQUIRE(all);
    REQUIRE(all->size() == 10);
    for (std::size_t i = 0; i < 10; ++i)
        CHECK((*all)[i] == *changes.events[i].event);
    CHECK(places(view.events({"a", EventSequence{8}, 2})) == Places{8, 9});
    CHECK(places(view.events({"a", EventSequence{11}, 2})).empty());
    CHECK(places(view.events({"none", EventSequence{1}, 2})).empty());
    CHECK(places(view.events({"a", EventSequence{3}, 5, 1})) == Places{3});  // one, whatever it has
    CHECK(view.event_at("a", WallTime{std::chrono::seconds{4}}) == EventSequence{4});
    CHECK(view.event_at("a", WallTime{}) == EventSequence{1});
    CHECK(view.event_at("a", WallTime{std::chrono::seconds{11}}) == std::nullopt);
    CHECK(view.event_at("none", WallTime{}) == std::nullopt);
}

TEST_CASE("ids that publishers chose are told oldest first") {
    ON_EVERY_VIEW;
    store(world, eleven(world.random));
    world.reopen();
    std::vector<std::pair<std::string, std::uint64_t>> ids;
    REQUIRE(world.view->each_event_id(
        [&](const TopicEvent& each) { ids.emplace_back(each.topic, each.sequence.value); }));
    REQUIRE(ids.size() == 6);
    CHECK(ids.front() == std::pair{std::string{"b"}, std::uint64_t{1}});
    CHECK(ids.back() == std::pair{std::string{"a"}, std::uint64_t{10}});
}

TEST_CASE("topics and groups are replaced as a whole, and go with what is theirs") {
    ON_EVERY_VIEW;
    TopicChanges changes = eleven(world.random);
    Topic topic = random_topic(world.random);
    topic.name = "a";
    Subscription group = random_subscription(world.random);
    group.spec.group = "g";
    changes.topics = {topic};
    changes.subscriptions = {group};
    changes.letters = {{"g", {"a", EventSequence{2}}, random_letter(world.random)}};
    store(world, changes);
    topic.newest = topic.newest.next();
    group.acknowledged += 1;
    TopicChanges more;
    more.topics = {topic};
    more.subscriptions = {group};
    store(world, more);
    world.reopen();
    std::vector<Topic> topics;
    std::vector<Subscription> groups;
    REQUIRE(world.view->each_topic([&](const Topic& each) { topics.push_back(each); }));
    REQUIRE(
        world.view->each_subscription([&](const Subscription& each) { groups.push_back(each); }));
    CHECK(topics == std::vector{topic});
    CHECK(groups == std::vector{group});
    TopicChanges gone;
    gone.gone_topics = {"a"};
    gone.gone_groups = {"g"};
    gone.events = {{Sequence{300}, event(world.random, "a", 1)}};  // it came anew
    store(world, gone);
    world.reopen();
    CHECK(places(world.view->events({"a", EventSequence{1}, 20})) == Places{1});
    std::size_t left = 0;
    REQUIRE(world.view->each_topic([&](const Topic&) { ++left; }));
    REQUIRE(world.view->each_subscription([&](const Subscription&) { ++left; }));
    REQUIRE(world.view->each_letter([&](const TopicChanges::Letter&) { ++left; }));
    CHECK(left == 0);
}

TEST_CASE("dead letters keep their events when the topic lets them go") {
    ON_EVERY_VIEW;
    TopicChanges changes = eleven(world.random);
    const TopicEvent third = *changes.events[2].event;
    const DeadLetter letter = random_letter(world.random);
    const DeliveryKey place{"a", EventSequence{3}};
    changes.letters = {{"g", place, letter}};
    changes.trimmed = {{"a", EventSequence{5}}};  // in the same change
    store(world, changes);
    world.reopen();
    port::View& view = *world.view;
    CHECK(places(view.events({"a", EventSequence{1}, 3})) == Places{6, 7, 8});
    const auto kept = view.events({"a", EventSequence{3}, 1, 1, "g"});
    REQUIRE(kept);
    REQUIRE(kept->size() == 1);
    CHECK(kept->front() == third);
    TopicEvent bare = third;
    bare.body = {};
    const EventRange head{
        .topic = "a", .from = EventSequence{3}, .count = 1, .bytes = 1, .group = "g", .bare = true};
    CHECK(view.events(head)->front() == bare);
    // What has no copy is the event itself, or nothing.
    CHECK(places(view.events({"a", EventSequence{7}, 1, 1, "g"})) == Places{7});
    CHECK(places(view.events({"a", EventSequence{4}, 1, 1, "g"})).empty());
    // Once more dead: the copy stays.
    DeadLetter again = letter;
    ++again.attempts;
    TopicChanges more;
    more.letters = {{"g", place, again}};
    store(world, more);
    std::vector<DeadLetter> letters;
    REQUIRE(view.each_letter([&](const TopicChanges::Letter& each) {
        CHECK(each.group == "g");
        CHECK(each.event == place);
        letters.push_back(*each.letter);
    }));
    CHECK(letters == std::vector{again});
    CHECK(places(view.events({"a", EventSequence{3}, 1, 1, "g"})) == Places{3});
    more.letters = {{"g", place, std::nullopt}};
    store(world, more);
    CHECK(places(view.events({"a", EventSequence{3}, 1, 1, "g"})).empty());
}

#include "sim/topic_acts.hpp"

#include "sim/story.hpp"

namespace taskd::sim {

using namespace std::chrono_literals;

namespace {

constexpr const char* topic_names[] = {"a", "b.c", "b.d"};
constexpr const char* group_names[] = {"one", "two", "three"};
constexpr const char* patterns[] = {"a", "b.*", "**"};
constexpr std::size_t held_max = 60;  // consumers that forget what they had

std::string any_topic(Story& story) {
    return topic_names[story.random().below(std::size(topic_names))];
}

std::string any_group(Story& story) {
    return group_names[story.random().below(std::size(group_names))];
}

TopicEvent make_event(Story& story) {
    Random& random = story.random();
    static constexpr const char* keys[] = {"", "x", "x", "y"};
    TopicEvent event;
    event.topic = any_topic(story);
    event.key = keys[random.below(4)];
    event.id_given = random.chance(1, 3);
    event.id = event.id_given ? "order-" + std::to_string(random.below(200))
                              : TaskId::make(story.stage().wall(), random).to_string();
    event.at = story.stage().wall();
    event.body = Blob{random.chance(1, 6) ? std::string(900, 'b') : "1"};
    return event;
}

void remember(Story& story, const std::string& group, const engine::TopicAnswer& answer) {
    for (const auto& leased : answer.leased) {
        if (story.random().chance(story.lost_in_a_hundred, 100)) {
            story.hit("delivery lost on its way");
            continue;
        }
        const DeliveryKey event{leased.event->topic, leased.event->sequence};
        story.judge().topics().promised(event, leased.event->id, [&](std::string what) {
            story.judge().blame(std::move(what));
        });
        story.deliveries_held.push_back({group, event, leased.epoch});
    }
    if (story.deliveries_held.size() > held_max)
        story.deliveries_held.erase(
            story.deliveries_held.begin(),
            story.deliveries_held.begin() +
                static_cast<std::ptrdiff_t>(story.deliveries_held.size() - held_max));
}

void ask_for(Story& story, const std::string& group, std::size_t max, Duration wait) {
    auto gone = std::make_shared<bool>(story.random().chance(1, 20));
    (void)story.deliveries().ask(group, {max, wait, "consumer"}, gone,
                                 [&story, group](const Result<engine::TopicAnswer>& answer) {
                                     if (!answer) return;
                                     if (!answer->leased.empty())
                                         story.accepted("ask for deliveries");
                                     remember(story, group, *answer);
                                 });
}

}  // namespace

void publish_some(Story& story) {
    engine::Publish publish;
    for (std::uint64_t left = 1 + story.random().below(3); left > 0; --left)
        publish.events.push_back(make_event(story));
    const auto events = publish.events;
    story.ask("publish", std::move(publish), [&story, events](const engine::Decision& decision) {
        if (decision.refused) return;
        for (std::size_t i = 0; i < events.size(); ++i)
            story.judge().topics().promised(
                {events[i].topic, decision.topics.published[i].sequence}, events[i].id,
                [&](std::string what) { story.judge().blame(std::move(what)); });
        story.deliveries().serve();
    });
}

void subscribe(Story& story) {
    Random& random = story.random();
    SubscriptionSpec spec;
    spec.group = any_group(story);
    spec.pattern = patterns[random.below(std::size(patterns))];
    spec.start.from = static_cast<StartAt::From>(random.below(3));
    spec.start.sequence = EventSequence{1 + random.below(20)};
    spec.ordered = random.chance(1, 2);
    spec.attempts_max = static_cast<std::uint32_t>(1 + random.below(4));
    spec.backoff.initial = std::chrono::milliseconds{random.below(3'000)};
    spec.backoff.max = 8s;
    spec.ack_timeout = std::chrono::milliseconds{1'000 + random.below(5'000)};
    story.ask("set group", engine::SetSubscription{spec});
}

void ask_for_deliveries(Story& story) {
    story.asked("ask for deliveries");
    ask_for(story, any_group(story), 1 + story.random().below(6),
            std::chrono::milliseconds{story.random().below(3'000)});
}

void end_deliveries(Story& story) {
    auto& held = story.deliveries_held;
    if (held.empty()) return;
    const std::size_t first = story.random().below(held.size());
    const std::string group = held[first].group;
    const bool keep = story.random().chance(1, 10);  // it says so again later
    engine::EndDeliveries end{group, {}};
    for (std::size_t i = first; i < held.size() && end.items.size() < 4;) {
        if (held[i].group != group) {
            ++i;
            continue;
        }
        static constexpr DeliveryEnd ends[] = {DeliveryEnd::acknowledged, DeliveryEnd::acknowledged,
                                               DeliveryEnd::failed, DeliveryEnd::released};
        engine::EndDeliveries::Item item{held[i].event, held[i].epoch,
                                         ends[story.random().below(std::size(ends))]};
        item.error = {"no", "not now", story.random().chance(1, 10)};
        end.items.push_back(std::move(item));
        if (keep)
            ++i;
        else
            held.erase(held.begin() + static_cast<std::ptrdiff_t>(i));
    }
    story.ask("end deliveries", std::move(end),
              [&story](const engine::Decision&) { story.deliveries().serve(); });
}

void renew_deliveries(Story& story) {
    const auto& held = story.deliveries_held;
    if (held.empty()) return;
    const HeldDelivery& one = held[story.random().below(held.size())];
    story.ask("renew deliveries", engine::RenewDeliveries{one.group, {{one.event, one.epoch}}});
}

void disturb_topics(Story& story) {
    Random& random = story.random();
    switch (random.below(8)) {
        case 0:
            return story.ask("remove topic", engine::RemoveTopic{any_topic(story)});
        case 1:
            return story.ask("remove group", engine::RemoveSubscription{any_group(story)});
        case 2:
        case 3: {
            TopicRules rules;
            if (random.chance(1, 2)) rules.count = 1 + random.below(30);
            if (random.chance(1, 3)) rules.age = std::chrono::seconds{1 + random.below(40)};
            if (random.chance(1, 3)) rules.bytes = 100 + random.below(9'000);
            return story.ask("set topic", engine::SetTopic{any_topic(story), rules});
        }
        case 4:
            return story.ask("drop dead letters",
                             engine::ChangeDeadLetters{any_group(story), true, {}, 3});
        default:
            return story.ask("redrive dead letters",
                             engine::ChangeDeadLetters{any_group(story), false, {}, 5});
    }
}

void consume_all(Story& story) {
    for (const char* group : group_names) {
        engine::EndDeliveries end{group, {}};
        for (const HeldDelivery& held : story.deliveries_held)
            if (held.group == group) end.items.push_back({held.event, held.epoch});
        if (!end.items.empty()) story.ask("end deliveries", std::move(end));
        ask_for(story, group, 40, Duration{0});
    }
    story.deliveries_held.clear();
}

}  // namespace taskd::sim

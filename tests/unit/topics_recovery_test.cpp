// Whatever was published, leased and ended: an engine made of the view and of the records behind it
// is the one that never stopped.
#include "catch.hpp"
#include "taskd/engine/engine.hpp"
#include "taskd/sim/memory_topics.hpp"

using namespace taskd;
using namespace taskd::engine;
using namespace std::chrono_literals;

namespace {

struct Known {
    std::vector<Topic> topics;
    std::vector<Subscription> groups;
    std::vector<std::pair<DeliveryKey, DeadLetter>> letters;
    bool operator==(const Known&) const = default;
};

Known known_by(const Engine& engine) {
    Known known;
    engine.each_topic([&](const Topic& each) { known.topics.push_back(each); });
    engine.each_subscription([&](const Subscription& each) {
        known.groups.push_back(each);
        for (const auto& letter : engine.dead_letters(each.spec.group))
            known.letters.push_back(letter);
    });
    return known;
}

class Life {
  public:
    explicit Life(std::uint64_t seed) : random_{seed} {}

    void step() {
        now_.engine += std::chrono::milliseconds{random_.below(900)};
        now_.wall = WallTime{now_.engine.time_since_epoch()};
        const std::string group = "g" + std::to_string(random_.below(3));
        const std::string topic = "t" + std::to_string(random_.below(3));
        switch (random_.below(12)) {
            case 0: {
                SubscriptionSpec spec;
                spec.group = group;
                spec.pattern = random_.chance(1, 2) ? "*" : topic;
                spec.start.from = static_cast<StartAt::From>(random_.below(2));
                spec.ordered = random_.chance(1, 2);
                spec.attempts_max = static_cast<std::uint32_t>(1 + random_.below(3));
                spec.ack_timeout = 2s;
                return run(SetSubscription{spec});
            }
            case 1:
                if (random_.chance(1, 4)) return run(RemoveSubscription{group});
                return run(Tick{});
            case 2:
                if (random_.chance(1, 6)) return run(RemoveTopic{topic});
                if (const Topic* there = engine_.topic(topic); there && there->count() > 3)
                    return run(TrimTopic{topic, there->oldest.next(), there->gone_bytes + 10});
                return;
            case 3:
                return run(ChangeDeadLetters{group, random_.chance(1, 3), {}, 2});
            case 4:
            case 5:
            case 6: {
                Publish publish;
                publish.events.resize(1 + random_.below(3));
                for (TopicEvent& event : publish.events) {
                    event.topic = topic;
                    event.key = random_.chance(1, 2) ? "k" : "";
                    event.id = std::to_string(random_.below(30));
                    event.id_given = random_.chance(1, 2);
                    event.body = Blob{"1"};
                }
                return run(publish);
            }
            case 7:
            case 8:
                return run(AskDeliveries{group, "c", 1 + random_.below(4)});
            default:
                return end_some(group);
        }
    }

    // The view as it was stored last, then every record since.
    Known rebuilt() const {
        Engine other{EngineSettings{}};
        for (const auto& [name, topic] : view_.topics)
            other.restore(topic);
        for (const auto& [name, group] : view_.groups)
            other.restore(group);
        for (const auto& [place, letter] : view_.letters)
            other.restore(place.first, place.second, letter.letter);
        for (std::size_t i = stored_; i < records_.size(); ++i)
            other.apply(Sequence{i + 1}, records_[i]);
        return known_by(other);
    }
    Known now() const { return known_by(engine_); }
    void store() {
        view_.store(engine_.take_changed_topics());
        stored_ = records_.size();
    }
    std::size_t dead = 0;
    std::size_t lost = 0;

  private:
    void run(Command command) {
        Decision decision = engine_.decide(now_, command, random_);
        if (decision.asks()) {
            store();
            std::visit([&](auto& each) { answer(each, decision.topics.fetch); }, command);
            decision = engine_.decide(now_, command, random_);
            REQUIRE_FALSE(decision.asks());
        }
        for (const Record& record : decision.records) {
            records_.push_back(record);
            engine_.apply(Sequence{records_.size()}, record);
        }
        for (const Note& note : decision.notes)
            engine_.apply(note);
        for (const auto& leased : decision.topics.leased)
            held_.push_back({{leased.event->topic, leased.event->sequence},
                             leased.epoch,
                             DeliveryEnd::acknowledged});
        engine_.each_subscription([&](const Subscription& group) {
            dead = std::max<std::size_t>(dead, group.dead);
            lost = std::max<std::size_t>(lost, group.lost);
        });
    }

    // Events that memory lacks, from the view.
    template <class Any>
    void answer(Any& command, const std::vector<EventRange>& ranges) {
        if constexpr (requires { command.known_events; }) {
            command.fetched = true;
            for (const EventRange& range : ranges)
                for (TopicEvent& event : view_.find(range))
                    command.known_events.push_back(
                        std::make_shared<const TopicEvent>(std::move(event)));
        }
    }

    void end_some(const std::string& group) {
        EndDeliveries end{group, {}};
        for (std::size_t i = 0; i < 3 && !held_.empty(); ++i) {
            end.items.push_back(held_.back());
            held_.pop_back();
            end.items.back().end = static_cast<DeliveryEnd>(1 + random_.below(4));
            if (end.items.back().end == DeliveryEnd::timed_out)
                end.items.back().end = DeliveryEnd::failed;
        }
        run(end);
    }

    Random random_;
    Engine engine_{EngineSettings{}};
    Now now_{WallTime{1s}, EngineTime{1s}};
    std::vector<Record> records_;
    std::size_t stored_ = 0;
    sim::MemoryTopics view_;
    std::vector<EndDeliveries::Item> held_;
};

}  // namespace

TEST_CASE("topics and groups made of view and journal are those that never stopped") {
    std::size_t dead = 0, lost = 0, open = 0;
    for (std::uint64_t seed = 0; seed < 60; ++seed) {
        INFO("seed " << seed);
        Life life{seed};
        for (int step = 0; step < 250; ++step) {
            life.step();
            if (step % 7 == 0) life.store();
            if (step % 5 == 0) REQUIRE(life.rebuilt() == life.now());
        }
        dead += life.dead;
        lost += life.lost;
        for (const Subscription& group : life.now().groups)
            open += group.open.size();
    }
    // A life in which nothing happens proves nothing.
    CHECK(dead > 50);
    CHECK(lost > 50);
    CHECK(open > 50);
}

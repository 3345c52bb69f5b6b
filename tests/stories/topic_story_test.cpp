// Runs every story of topics: what is published, who gets it when, and how far groups have come.
#include "catch.hpp"
#include "replay.hpp"
#include "taskd/base/duration_text.hpp"
#include "taskd/engine/engine.hpp"

using namespace taskd;
using namespace taskd::engine;
using test::Arguments;

namespace {

// One engine whose clock the story moves.
class TopicStage {
  public:
    std::string play(const std::string& line) {
        out_.str("");
        const auto [verb, subject, given] = test::parse_line(line);
        if (verb == "advance") {
            now_.engine += *parse_duration(subject);
            now_.wall += *parse_duration(subject);
            turn(Tick{});
        } else if (verb == "show") {
            show(subject);
        } else {
            turn(command(verb, subject, given));
        }
        return out_.str();
    }

  private:
    static std::uint64_t number(const Arguments& given, const std::string& name,
                                std::uint64_t usual) {
        return given.contains(name) ? std::stoull(given.at(name)) : usual;
    }
    static std::string text(const Arguments& given, const std::string& name) {
        return given.contains(name) ? given.at(name) : "";
    }

    Command command(const std::string& verb, const std::string& subject, const Arguments& given) {
        if (verb == "publish") {
            TopicEvent event;
            event.topic = subject;
            event.key = text(given, "key");
            event.id = text(given, "id");
            event.id_given = !event.id.empty();
            event.body = Blob{text(given, "data")};
            event.at = now_.wall;
            return Publish{{event}};
        }
        if (verb == "subscribe") return group(subject, given);
        if (verb == "unsubscribe") return RemoveSubscription{subject};
        if (verb == "remove") return RemoveTopic{subject};
        if (verb == "trim")
            return TrimTopic{subject, EventSequence{number(given, "through", 0)}, 0};
        if (verb == "ask")
            return AskDeliveries{subject, text(given, "consumer"),
                                 static_cast<std::size_t>(number(given, "max", 10))};
        const DeliveryKey event{text(given, "topic"), EventSequence{number(given, "event", 0)}};
        if (verb == "redrive" || verb == "drop")
            return ChangeDeadLetters{subject, verb == "drop", {event}};
        if (verb == "renew")
            return RenewDeliveries{subject, {{event, LeaseEpoch{number(given, "epoch", 0)}}}};
        const auto end = verb == "ack"    ? DeliveryEnd::acknowledged
                         : verb == "nack" ? DeliveryEnd::failed
                                          : DeliveryEnd::released;
        return EndDeliveries{subject,
                             {{event,
                               LeaseEpoch{number(given, "epoch", 0)},
                               end,
                               {"broken", "it did not work", given.contains("permanent")}}}};
    }

    static SetSubscription group(const std::string& name, const Arguments& given) {
        SubscriptionSpec spec;
        spec.group = name;
        spec.pattern = given.at("pattern");
        spec.ordered = given.contains("ordered");
        spec.attempts_max = static_cast<std::uint32_t>(number(given, "attempts_max", 5));
        spec.backoff.jitter = 0;
        if (given.contains("ack_timeout"))
            spec.ack_timeout = *parse_duration(given.at("ack_timeout"));
        if (text(given, "from") == "newest") spec.start.from = StartAt::From::newest;
        if (given.contains("sequence"))
            spec.start = {StartAt::From::sequence, EventSequence{number(given, "sequence", 1)}, {}};
        return {spec};
    }

    void turn(const Command& command) {
        Decision decision = engine_.decide(now_, command, random_);
        if (decision.asks()) {  // of a dead letter that begins anew: its key
            auto change = std::get<ChangeDeadLetters>(command);
            change.fetched = true;
            decision = engine_.decide(now_, change, random_);
        }
        if (decision.refused) {
            out_ << "error " << decision.refused->to_string() << "\n";
            return;
        }
        for (const Record& record : decision.records) {
            engine_.apply(sequence_ = sequence_.next(), record);
            std::visit([this](const auto& each) { tell(each); }, record);
        }
        for (const Note& note : decision.notes)
            engine_.apply(note);
        for (const auto& published : decision.topics.published)
            if (published.again) out_ << "again " << published.sequence.value << "\n";
        for (const Gap& gap : decision.topics.gaps)
            out_ << "told lost " << gap.count << ": " << gap.topic << " " << gap.from.value
                 << " to " << gap.to.value << "\n";
        for (const auto& refused : decision.topics.refused)
            if (refused) out_ << "error " << refused->to_string() << "\n";
        for (const auto& leased : decision.topics.leased)
            out_ << "  " << leased.event->body.view() << " attempt " << leased.attempt << "\n";
    }

    void show(const std::string& name) {
        const Subscription& group = *engine_.subscription(name);
        out_ << name << " lag=" << engine_.lag_of(group)
             << " dead=" << engine_.dead_letters(name).size() << " lost=" << group.lost << "\n";
        for (const auto& [topic, next] : group.next)
            out_ << "  " << topic << " settled " << cursor_of(group, topic).value - 1 << " of "
                 << engine_.topic(topic)->newest.value << "\n";
    }

    static std::string name_of(const DeliveryKey& event) {
        return event.topic + ":" + std::to_string(event.sequence.value);
    }
    void tell(const EventPublished& record) {
        out_ << "published " << record.event.topic << ":" << record.event.sequence.value << "\n";
    }
    void tell(const TopicRemoved& record) { out_ << "topic " << record.topic << " removed\n"; }
    void tell(const TopicTrimmed& record) {
        out_ << "trimmed " << record.topic << " through " << record.through.value << "\n";
    }
    void tell(const SubscriptionChanged& record) {
        out_ << "group " << record.spec.group << " reads " << record.spec.pattern << "\n";
        for (const auto& [topic, start] : record.starts)
            out_ << "  " << topic << " from " << start.value << "\n";
    }
    void tell(const SubscriptionRemoved& record) {
        out_ << "group " << record.group << " removed\n";
    }
    void tell(const DeliveriesLeased& record) {
        out_ << record.group << " epoch " << record.epoch.value << ":";
        for (const auto& item : record.items)
            out_ << " " << name_of(item.event) << (item.held ? " waits for its key" : "");
        out_ << "\n";
    }
    void tell(const DeliveriesEnded& record) {
        constexpr const char* ends[] = {"", "acknowledged", "failed", "timed out", "released"};
        for (const auto& item : record.items) {
            out_ << record.group << " " << name_of(item.event) << " "
                 << ends[static_cast<std::size_t>(item.end)];
            const bool over = item.end == DeliveryEnd::failed || item.end == DeliveryEnd::timed_out;
            if (item.due_at)
                out_ << ", again at " << to_text(item.due_at->time_since_epoch());
            else if (over)
                out_ << ", dead";
            out_ << "\n";
        }
    }
    void tell(const DeadLettersChanged& record) {
        for (const auto& item : record.items)
            out_ << record.group << " " << name_of(item.event)
                 << (record.dropped ? " dropped" : " begins anew") << "\n";
    }
    template <class Other>
    void tell(const Other&) {}

    Engine engine_{EngineSettings{}};
    Random random_{1};
    Now now_{WallTime{std::chrono::seconds{1'700'000'000}}, EngineTime{}};
    Sequence sequence_;
    std::ostringstream out_;
};

}  // namespace

TEST_CASE("every story of topics ends as it is told") {
    CHECK(test::play_all<TopicStage>(TASKD_SOURCE_DIR "/tests/stories/topics") >= 4);
}

// Topics and patterns, mailboxes and routes: what the event bus is made of.
#include <functional>

#include "catch.hpp"
#include "taskd/base/limits.hpp"
#include "taskd/base/random.hpp"
#include "taskd/bus/mailbox.hpp"
#include "taskd/bus/routes.hpp"

using namespace taskd;
using namespace taskd::bus;

namespace {

bool matches(std::string_view pattern, std::string_view topic) {
    const auto parsed = Pattern::parse(pattern);
    REQUIRE(parsed);
    CHECK(parsed->text() == pattern);
    return parsed->matches(topic);
}

using Words = std::vector<std::string>;

std::string join(const Words& words) {
    std::string text;
    for (const auto& word : words)
        text += (text.empty() ? "" : ".") + word;
    return text;
}

// The definition, word for word; slow.
bool judge(const Words& pattern, const Words& topic, std::size_t p = 0, std::size_t t = 0) {
    if (p == pattern.size()) return t == topic.size();
    if (pattern[p] == "**") {
        for (std::size_t skip = t; skip <= topic.size(); ++skip)
            if (judge(pattern, topic, p + 1, skip)) return true;
        return false;
    }
    if (t == topic.size()) return false;
    const bool takes = pattern[p] == "*" || pattern[p] == topic[t] ||
                       (pattern[p] == "(a|b)" && (topic[t] == "a" || topic[t] == "b"));
    return takes && judge(pattern, topic, p + 1, t + 1);
}

Words draw(Random& random, const Words& choices, std::size_t most) {
    Words words;
    for (std::size_t left = random.below(most) + 1; left > 0; --left)
        words.push_back(choices[random.below(choices.size())]);
    return words;
}

EventPtr event(const std::string& topic) {
    return std::make_shared<const Event>(Event{topic, {}, {}});
}

std::string told(const std::vector<Delivery>& deliveries) {
    std::string text;
    for (const auto& [each, lost] : deliveries)
        text += (lost > 0 ? "(" + std::to_string(lost) + ")" : "") + each->topic;
    return text;
}

}  // namespace

TEST_CASE("a topic is words with dots between them", "[bus]") {
    for (const char* good : {"a", "log.info", "supervisor.state.running", "A-1_b.c"})
        CHECK(is_topic(good));
    for (const char* bad : {"", ".", "a.", ".a", "a..b", "a b", "a.*", "a/b", "ä", "(a|b)"})
        CHECK_FALSE(is_topic(bad));
    std::string deep = "a";
    for (std::size_t i = 1; i < limits::bus_topic_words_max; ++i)
        deep += ".a";
    CHECK(is_topic(deep));
    CHECK_FALSE(is_topic(deep + ".a"));
    CHECK(is_topic(std::string(limits::bus_topic_bytes_max, 'a')));
    CHECK_FALSE(is_topic(std::string(limits::bus_topic_bytes_max + 1, 'a')));
}

TEST_CASE("a pattern takes words, one word, any words, or one of several", "[bus]") {
    CHECK(matches("a.b", "a.b"));
    CHECK_FALSE(matches("a.b", "a"));
    CHECK_FALSE(matches("a.b", "a.b.c"));
    CHECK(matches("a.*", "a.b"));
    CHECK_FALSE(matches("a.*", "a"));
    CHECK_FALSE(matches("a.*", "a.b.c"));
    CHECK(matches("**", "a.b.c"));
    CHECK(matches("a.**", "a"));
    CHECK(matches("a.**.d", "a.d"));
    CHECK(matches("a.**.d", "a.b.c.d"));
    CHECK_FALSE(matches("a.**.d", "a.b.c"));
    CHECK(matches("log.(warn|error)", "log.error"));
    CHECK_FALSE(matches("log.(warn|error)", "log.info"));
    CHECK(matches("(log)", "log"));
}

TEST_CASE("what is no pattern is refused by name", "[bus]") {
    for (const char* bad : {"", "a..b", "a.b*", "***", "(a|)", "()", "(", ")", "(a|b", "a|b",
                            "(a|(b))", "(*)", "a.(b.c)", "a b"}) {
        INFO(bad);
        const auto parsed = Pattern::parse(bad);
        REQUIRE_FALSE(parsed);
        CHECK(parsed.error().code == ErrorCode::invalid_field);
    }
    CHECK_FALSE(Pattern::parse(std::string(limits::bus_topic_bytes_max + 1, 'a')));
}

TEST_CASE("a matcher agrees with the definition, whatever pattern and topic", "[bus]") {
    Random random{7};
    std::size_t hits = 0;
    for (int round = 0; round < 20'000; ++round) {
        const Words pattern = draw(random, {"a", "b", "c", "*", "**", "(a|b)"}, 6);
        const Words topic = draw(random, {"a", "b", "c"}, 7);
        INFO(join(pattern) << " against " << join(topic));
        const bool expected = judge(pattern, topic);
        hits += expected ? 1 : 0;
        REQUIRE(matches(join(pattern), join(topic)) == expected);
    }
    CHECK(hits > 1'000);
    CHECK(hits < 19'000);
}

TEST_CASE("many wildcards cost no more than their number", "[bus]") {
    Words pattern(limits::bus_topic_words_max, "**");
    pattern.back() = "z";
    CHECK_FALSE(matches(join(pattern), join(Words(limits::bus_topic_words_max, "a"))));
}

TEST_CASE("routes find each subscriber once and in order, and forget those who left", "[bus]") {
    Routes routes;
    const Words patterns{"a.b", "a.*", "**", "a.b", "(a|c).b", "c"};
    for (std::size_t i = 0; i < patterns.size(); ++i)
        routes.add(i, *Pattern::parse(patterns[i]));
    CHECK(routes.size() == patterns.size());
    std::vector<Routes::Id> found;
    routes.find("a.b", found);
    CHECK(found == std::vector<Routes::Id>{0, 1, 2, 3, 4});
    routes.find("c", found);
    CHECK(found == std::vector<Routes::Id>{2, 5});
    routes.remove(0);
    routes.remove(2);
    routes.find("a.b", found);
    CHECK(found == std::vector<Routes::Id>{1, 3, 4});
    routes.find("x", found);
    CHECK(found.empty());
    CHECK(routes.size() == 4);
}

TEST_CASE("a full mailbox loses the oldest or the newest, and says how many and where", "[bus]") {
    Mailbox oldest{3, WhenFull::drop_oldest};
    Mailbox newest{3, WhenFull::drop_newest};
    for (const char* topic : {"a", "b", "c", "d", "e"}) {
        oldest.put(event(topic));
        newest.put(event(topic));
    }
    CHECK(oldest.lost() == 2);
    CHECK(newest.lost() == 2);
    CHECK(told(oldest.take(2)) == "(2)cd");
    CHECK(told(newest.take(2)) == "ab");
    oldest.put(event("f"));
    newest.put(event("f"));
    CHECK(told(oldest.take(9)) == "ef");
    CHECK(told(newest.take(9)) == "c(2)f");
    CHECK(oldest.empty());
    CHECK(newest.take(9).empty());
}

TEST_CASE("whatever is put and taken, a mailbox accounts for every event", "[bus]") {
    for (std::uint64_t seed = 1; seed <= 50; ++seed) {
        Random random{seed};
        const auto when = seed % 2 == 0 ? WhenFull::drop_oldest : WhenFull::drop_newest;
        Mailbox mailbox{random.below(5) + 1, when};
        std::uint64_t put = 0;
        std::uint64_t seen = 0;  // taken, or said to be lost
        for (int step = 0; step < 500; ++step) {
            if (random.chance(2, 3)) {
                mailbox.put(event(std::to_string(put++)));
                continue;
            }
            for (const auto& [each, lost] : mailbox.take(random.below(4))) {
                seen += lost;
                REQUIRE(each->topic == std::to_string(seen));
                ++seen;
            }
        }
        mailbox.take(100);
        mailbox.put(event(std::to_string(put++)));
        const auto last = mailbox.take(1);
        REQUIRE(last.size() == 1);
        CHECK(last[0].event->topic == std::to_string(put - 1));
    }
}

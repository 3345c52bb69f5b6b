// Rows of topics, groups, events and dead letters to bytes and back.
#include "catch.hpp"
#include "random_model.hpp"
#include "taskd/protocol/record_codec.hpp"

using namespace taskd;
using namespace taskd::protocol;

TEST_CASE("rows of topics read back as written") {
    for (std::uint64_t seed = 0; seed < 1'000; ++seed) {
        INFO("seed " << seed);
        Random random{seed};
        std::string bytes;
        const Topic topic = support::random_topic(random);
        encode_topic_row(topic, bytes);
        CHECK(decode_topic_row(bytes) == topic);
        bytes.clear();
        const Subscription group = support::random_subscription(random);
        encode_subscription_row(group, bytes);
        CHECK(decode_subscription_row(bytes) == group);
        bytes.clear();
        const TopicEvent event = support::random_event(random);
        encode_event_row(event, bytes);
        CHECK(decode_event_row(bytes, event.body) == event);
        bytes.clear();
        const DeadLetter letter = support::random_letter(random);
        encode_letter_row(letter, bytes);
        CHECK(decode_letter_row(bytes) == letter);
        bytes[0] = 99;
        CHECK(decode_letter_row(bytes).error().code == ErrorCode::store_too_new);
    }
}

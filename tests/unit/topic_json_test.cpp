// Topics, events and groups as JSON; CloudEvents; the signature of webhooks.
#include <chrono>

#include "catch.hpp"
#include "protocol/base64.hpp"
#include "random_model.hpp"
#include "taskd/protocol/cloud_event.hpp"
#include "taskd/protocol/json.hpp"
#include "taskd/protocol/json_view.hpp"
#include "taskd/protocol/webhook_signature.hpp"

using namespace taskd;
using namespace taskd::protocol;
using namespace std::chrono_literals;

namespace {

JsonView view_of(const std::string& text) {
    REQUIRE(check_json(text));
    return JsonView{text};
}

ErrorCode refusal(const std::string& body) {
    const auto parsed = parse_publish(body);
    REQUIRE_FALSE(parsed.has_value());
    return parsed.error().error.code;
}

}  // namespace

TEST_CASE("base64 has one way to write bytes") {
    CHECK(encode_base64("") == "");
    CHECK(encode_base64("f") == "Zg==");
    CHECK(encode_base64("fo") == "Zm8=");
    CHECK(encode_base64("foobar") == "Zm9vYmFy");
    Random random{5};
    for (int i = 0; i < 300; ++i) {
        const std::string bytes = support::random_text(random, 50);
        CHECK(decode_base64(encode_base64(bytes)) == bytes);
    }
    for (const char* wrong : {"Zg=", "Zg", "Zh==", "Zm9=", "Z===", "Zg==Zg==", "Z g=", "-_=="})
        CHECK_FALSE(decode_base64(wrong).has_value());
}

TEST_CASE("an event is what was published, whatever its body is") {
    auto parsed = parse_publish(
        R"({"id":"7","source":"s","type":"t","key":"k","time":"2026-01-02T03:04:05Z",)"
        R"("traceparent":"p","headers":{"a\"b":"c"},"data":{"x":[1.50]}})");
    REQUIRE(parsed);
    REQUIRE(parsed->events.size() == 1);
    TopicEvent event = parsed->events[0];
    CHECK(event.body.view() == R"({"x":[1.50]})");
    CHECK(event.content_type == "application/json");
    event.topic = "order.placed";
    event.sequence = EventSequence{5};
    std::string out;
    write_event(out, event);
    const JsonView view = view_of(out);
    CHECK(view["data"].raw() == R"({"x":[1.50]})");
    CHECK(view["topic"].text() == "order.placed");
    CHECK(view["sequence"].number() == 5);
    CHECK(view["time"].text() == "2026-01-02T03:04:05.000000Z");

    const auto written = [](std::string type, std::string body) {
        TopicEvent each;
        each.content_type = std::move(type);
        each.body = Blob{std::move(body)};
        std::string text;
        write_event(text, each);
        return text;
    };
    CHECK(view_of(written("text/plain", "hello"))["data"].text() == "hello");
    CHECK(view_of(written("application/json", "{no"))["data"].text() == "{no");
    CHECK(view_of(written("", "\xff\x00"))["data_base64"].text() == encode_base64("\xff"));
    CHECK(view_of(written("a/b+json; charset=x", "[1]"))["data"].raw() == "[1]");
    parsed = parse_publish(R"([{"data_base64":"/wA="},{"data":"text","content_type":"text/x"}])");
    REQUIRE(parsed);
    CHECK(parsed->is_array);
    CHECK(parsed->events[0].body.size() == 2);
    CHECK(parsed->events[1].body.view() == "text");
    CHECK_FALSE(parsed->events[1].id_given);
}

TEST_CASE("what an event may not be is refused by name") {
    CHECK(refusal("{") == ErrorCode::bad_json);
    CHECK(refusal("{}") == ErrorCode::missing_field);
    CHECK(refusal("[]") == ErrorCode::invalid_field);
    CHECK(refusal(R"({"data":1,"x":1})") == ErrorCode::unknown_field);
    CHECK(refusal(R"({"data":1,"data_base64":"Zg=="})") == ErrorCode::invalid_field);
    CHECK(refusal("{\"data\":\"" + std::string(limits::event_bytes_max, 'x') + "\"}") ==
          ErrorCode::event_too_large);
    std::string headers;
    for (std::size_t i = 0; i <= limits::event_headers_max; ++i)
        headers += (headers.empty() ? "\"" : ",\"") + std::to_string(i) + "\":\"\"";
    CHECK(refusal("{\"data\":1,\"headers\":{" + headers + "}}") == ErrorCode::invalid_field);
    CHECK(refusal(R"({"data":1,"type":"a\u0000b"})") == ErrorCode::invalid_field);
    const auto second = parse_publish(R"([{"data":1},{}])");
    REQUIRE_FALSE(second.has_value());
    CHECK(second.error().index == 1);
}

TEST_CASE("a delivery's id is text and back") {
    const DeliveryId id{"kitchen", {"order.placed", EventSequence{17}}, LeaseEpoch{4}};
    CHECK(to_text(id) == "kitchen:order.placed:17:4");
    CHECK(parse_delivery_id(to_text(id)) == id);
    for (const char* wrong : {"", ":", "a", "a:b", "a:b:1", "a:b:0:1", "a:b:1:0", "a:b:x:1",
                              "a:b c:1:1", "a b:c:1:1", "a:b:1:1:1", "a:b:1:18446744073709551616"})
        CHECK_FALSE(parse_delivery_id(wrong).has_value());
}

TEST_CASE("a group is read with all it says") {
    const auto spec = parse_subscription(
        R"({"pattern":"order.*","start":{"sequence":5},"order_by_key":true,"attempts_max":3,)"
        R"("retry":{"initial_ms":5,"max_ms":50,"kind":"linear"},"ack_timeout_ms":2000,)"
        R"("webhook":{"url":"http://x/y","secret":"z"}})",
        "g");
    REQUIRE(spec);
    CHECK(spec->group == "g");
    CHECK(spec->start.sequence == EventSequence{5});
    CHECK(spec->ordered);
    CHECK(spec->attempts_max == 3);
    CHECK(spec->backoff.kind == BackoffKind::linear);
    CHECK(spec->ack_timeout == 2s);
    CHECK(spec->webhook == Webhook{"http://x/y", "z"});
    const auto timed =
        parse_subscription(R"({"pattern":"a","start":{"time":"1970-01-01T00:00:09Z"}})", "g");
    REQUIRE(timed);
    CHECK(timed->start.time == WallTime{9s});
    Subscription group;
    group.spec = *spec;
    group.next["order.placed"] = EventSequence{9};
    group.last_gap = Gap{"order.placed", EventSequence{1}, EventSequence{3}, 3, {}};
    const std::string out =
        write_subscription(group, 0, 1, 2, [](const std::string&) { return EventSequence{10}; });
    const JsonView view = view_of(out);
    CHECK(view["lag"].number() == 2);
    CHECK(view["topics"].items()[0]["settled"].number() == 8);
    CHECK(view["last_gap"]["error"].text() == "behind_retention");
    CHECK(out.find("\"z\"") == std::string::npos);
}

TEST_CASE("the address of a webhook is one that can be called") {
    const auto taken = [](const std::string& url) {
        return parse_subscription(R"({"pattern":"a","webhook":{"url":")" + url + R"("}})", "g")
            .has_value();
    };
    for (const char* url : {"http://x", "https://x:8443/a?b=1", "http://[::1]:80/", "http://ü/ä"})
        CHECK(taken(url));
    for (const char* url :
         {"", "x", "ftp://x/", "http://", "http:///x", "http://x/a#b", "http://x/a b",
          "http://me@x/", "http://x:0/", "http://x:99999/", "http://x:/", "http://[::1/"})
        CHECK_FALSE(taken(url));
}

TEST_CASE("an event in binary mode reads back as it was") {
    Random random{3};
    TopicEvent event;
    event.topic = "order.placed";
    event.id = "1 ü%";
    event.id_given = true;
    event.source = "shop";
    event.type = "placed";
    event.key = "ann";
    event.trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    event.headers = {{"subject", "a b"}};
    event.time = WallTime{5s};
    event.content_type = "text/plain";
    event.body = Blob{"hello"};
    const auto again = read_events(cloud_headers(event), "hello");
    REQUIRE(again);
    TopicEvent expected = event;
    expected.topic.clear();
    CHECK(again->events.at(0) == expected);
    event.source.clear();
    event.type.clear();
    const auto named = read_events(cloud_headers(event), "hello");
    REQUIRE(named);
    CHECK(named->events.at(0).source == "order.placed");
    CHECK(named->events.at(0).type == "order.placed");
    CHECK(read_events({{"Content-Type", "text/xml"}}, "<a/>").error().error.code ==
          ErrorCode::unsupported_media_type);
    CHECK(read_events({{"ce-specversion", "1.0"}, {"ce-id", "%zz"}}, "").error().error.code ==
          ErrorCode::bad_cloud_event);
}

TEST_CASE("a signature holds for its body, its secret and its time alone") {
    const WallTime now{1'700'000'000s};
    const std::string header = sign_webhook("secret", now, "{}");
    // By another program: printf '1700000000.{}' | openssl dgst -sha256 -hmac secret
    CHECK(header ==
          "t=1700000000,v1=b8569b78799ff9e3cbff0fc2d63a33a2b57f3282abd07c37ae5e8e7d79a5f163");
    CHECK(check_webhook(header, "secret", now + 4min, 5min, "{}"));
    CHECK(check_webhook(header, "secret", now - 4min, 5min, "{}"));
    CHECK_FALSE(check_webhook(header, "secret", now + 6min, 5min, "{}"));
    CHECK_FALSE(check_webhook(header, "other", now, 5min, "{}"));
    CHECK_FALSE(check_webhook(header, "secret", now, 5min, "{} "));
    for (const char* wrong : {"", "t=", "t=,v1=", "t=x,v1=00", "t=99999999999999999999,v1=00"})
        CHECK_FALSE(check_webhook(wrong, "secret", now, 5min, "{}"));
}

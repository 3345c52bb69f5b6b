// The contract of topics and groups, kept by their handlers.
#include "openapi_judge.hpp"
#include "taskd/protocol/cloud_event.hpp"

namespace taskd::test {
namespace {

const std::string topics = "/v1/topics", one_topic = topics + "/{topic}",
                  events = one_topic + "/events";
const std::string groups = "/v1/subscriptions", one_group = groups + "/{group}",
                  asking = one_group + "/deliveries", saying = one_group + "/acks",
                  dead = one_group + "/dead";
const std::string placed = topics + "/order.placed";

std::string text_of(std::string_view object, std::string_view name) {
    return *protocol::read_string(field(object, name), name);
}

void refuse_events(Judge& judge) {
    const auto refused = [&](const std::string& body, int status, const std::string& error) {
        judge.ask("POST", events, placed + "/events", body, status, error);
    };
    refused("{", 400, "bad_json");
    refused("7", 422, "invalid_field");
    refused("[]", 422, "invalid_field");
    refused("{}", 422, "missing_field");
    refused("{\"data\":1,\"more\":1}", 422, "unknown_field");
    for (const char* wrong :
         {R"({"data":1,"data_base64":""})", R"({"data_base64":"x"})", R"({"data":1,"id":""})",
          R"({"data":1,"key":7})", R"({"data":1,"time":"noon"})", R"({"data":1,"headers":[]})",
          R"({"data":1,"headers":{"a":1}})", R"({"data":1,"content_type":"text/plain"})",
          R"({"data":1,"type":"a\nb"})"})
        refused(wrong, 422, "invalid_field");
    refused("{\"data\":1,\"key\":\"" + std::string(257, 'k') + "\"}", 422, "invalid_field");
    refused("{\"data\":\"" + std::string(limits::event_bytes_max, 'x') + "\"}", 413,
            "event_too_large");
    std::string many = "[{\"data\":1}";
    for (std::size_t i = 0; i < limits::publish_events_max; ++i)
        many += ",{\"data\":1}";
    refused(many + "]", 413, "too_many_events");
    judge.ask("POST", events, topics + "/no%20topic/events", "{\"data\":1}", 422, "invalid_field");
    judge.ask("POST", events, topics + "/taskd.own/events", "{\"data\":1}", 422, "invalid_field");
}

void publish_clouds(Judge& judge) {
    const auto publish = [&](const std::string& type, const std::string& body, int status,
                             const std::string& error = {}) {
        return judge.ask("POST", events, topics + "/clouds/events", body, status, error,
                         {{"Content-Type", type}});
    };
    const std::string one = "application/cloudevents+json; charset=UTF-8",
                      batch = "application/cloudevents-batch+json";
    const std::string event = R"({"specversion":"1.0","id":"1","source":"s","type":"t",)";
    CHECK(field(publish(one, event + R"("partitionkey":"k","data":{"a":1}})", 201), "sequence") ==
          "1");
    CHECK(field(publish(one, event + R"("data":{"a":1}})", 201), "duplicate") == "true");
    publish(batch, "[" + event + R"("source":"twice"}])", 400, "bad_json");
    publish(batch,
            R"([{"specversion":"1.0","id":"2","source":"s","type":"t","data_base64":"AP8="},)"
            R"({"specversion":"1.0","id":"3","source":"s","type":"t","time":)"
            R"("2026-01-02T03:04:05Z","datacontenttype":"text/plain","data":"hello"}])",
            201);
    publish(one, R"({"id":"1"})", 400, "bad_cloud_event");
    publish(one, R"({"specversion":"0.3","id":"1","source":"s","type":"t"})", 400,
            "bad_cloud_event");
    publish(batch, R"([{"specversion":"1.0","id":"9","source":"s"}])", 400, "bad_cloud_event");
    const std::string binary = judge.ask("POST", events, topics + "/clouds/events", "raw", 201, {},
                                         {{"Content-Type", "text/plain"},
                                          {"ce-specversion", "1.0"},
                                          {"ce-id", "4"},
                                          {"ce-source", "s%20s"},
                                          {"ce-type", "t"},
                                          {"ce-partitionkey", "k"}});
    CHECK(field(binary, "sequence") == "4");
    const std::string read = judge.ask("GET", events, topics + "/clouds/events", "", 200);
    const auto all = *split_array(field(read, "events"));
    REQUIRE(all.size() == 4);
    CHECK(text_of(all[0], "key") == "k");
    CHECK(field(all[0], "data") == "{\"a\":1}");
    CHECK(text_of(all[1], "data_base64") == "AP8=");
    CHECK(text_of(all[2], "data") == "hello");
    CHECK(text_of(all[3], "data") == "raw");
    CHECK(text_of(all[3], "source") == "s s");
}

void try_topic(Judge& judge) {
    judge.ask("GET", one_topic, topics + "/nothing", "", 404, "topic_not_found");
    judge.ask("GET", one_topic, topics + "/a%20b", "", 422, "invalid_field");
    judge.ask("GET", events, topics + "/nothing/events", "", 404, "topic_not_found");
    judge.ask("DELETE", one_topic, topics + "/nothing", "", 404, "topic_not_found");
    judge.ask("DELETE", one_topic, topics + "/a%20b", "", 422, "invalid_field");
    judge.ask("PATCH", one_topic, topics + "/nothing", "{}", 404, "topic_not_found");
    judge.ask("PUT", one_topic, topics + "/taskd.own", "{}", 404, "topic_not_found");
    const std::string kept = topics + "/kept";
    for (const char* method : {"PUT", "PATCH"}) {
        judge.ask("PUT", one_topic, kept, "", 200);
        judge.ask(method, one_topic, kept, "{", 400, "bad_json");
        judge.ask(method, one_topic, kept, "{\"keep_ms\":1}", 422, "invalid_field");
        judge.ask(method, one_topic, kept, "{\"keep\":1}", 422, "unknown_field");
        judge.ask(method, one_topic, kept, "{\"keep_count\":3}", 200);
    }
    CHECK(field(judge.ask("PATCH", one_topic, kept, "{\"keep_bytes\":5000}", 200), "keep_count") ==
          "3");
    judge.ask("PUT", one_group, groups + "/late", R"({"pattern":"kept"})", 200);
    std::string body = "[{\"data\":1}";
    for (int i = 2; i <= 8; ++i)
        body += ",{\"data\":" + std::to_string(i) + "}";
    judge.ask("POST", events, kept + "/events", body + "]", 201);
    for (int i = 0; i < 50; ++i) {
        judge.cluster.run_for(100ms);
        if (field(judge.ask("GET", one_topic, kept, "", 200), "oldest") == "6") break;
    }
    judge.ask("GET", events, kept + "/events?after=2", "", 410, "events_gone");
    const std::string left = judge.ask("GET", events, kept + "/events?after=6&limit=1", "", 200);
    CHECK(field(left, "last") == "7");
    judge.ask("GET", events, kept + "/events?after=8&wait=100ms", "", 200);
    for (const char* bad : {"after=x", "limit=0", "limit=1001", "wait=soon"})
        judge.ask("GET", events, kept + "/events?" + std::string{bad}, "", 422, "invalid_field");
    // The group is told what it has lost, by name, once.
    const std::string told =
        judge.ask("POST", asking, groups + "/late/deliveries", R"({"max":10})", 200);
    const auto gap = split_array(field(told, "gaps"))->front();
    CHECK(text_of(gap, "error") == "behind_retention");
    CHECK(field(gap, "count") == "5");
    CHECK(split_array(field(told, "deliveries"))->size() == 3);
    CHECK_THAT(judge.ask("GET", one_topic, kept, "", 200),
               Catch::Matchers::Contains("\"last_gap\":{\"error\":\"behind_retention\""));
    judge.ask("DELETE", one_topic, kept, "", 204);
    judge.ask("GET", topics, topics, "", 200);
}

void refuse_groups_of_topics(Judge& judge) {
    const auto refused = [&](const std::string& body, int status, const std::string& error) {
        judge.ask("PUT", one_group, groups + "/g", body, status, error);
    };
    refused("{", 400, "bad_json");
    refused("{}", 422, "missing_field");
    refused(R"({"pattern":"a","more":1})", 422, "unknown_field");
    for (const char* wrong :
         {R"({"pattern":"a b"})", R"({"pattern":7})", R"({"pattern":"a","start":"now"})",
          R"({"pattern":"a","start":{"sequence":0}})", R"({"pattern":"a","start":{"time":"x"}})",
          R"({"pattern":"a","start":{"place":1}})", R"({"pattern":"a","order_by_key":1})",
          R"({"pattern":"a","attempts_max":0})", R"({"pattern":"a","ack_timeout_ms":999})",
          R"({"pattern":"a","retry":7})", R"({"pattern":"a","webhook":{"url":"ftp://x"}})"})
        refused(wrong, 422, "invalid_field");
    judge.ask("PUT", one_group, groups + "/a%20b", R"({"pattern":"a"})", 422, "invalid_field");
    for (const auto& [method, path, tail] :
         std::vector<std::tuple<std::string, std::string, std::string>>{
             {"GET", one_group, ""},
             {"DELETE", one_group, ""},
             {"POST", asking, "/deliveries"},
             {"POST", saying, "/acks"},
             {"GET", dead, "/dead"},
             {"POST", dead + "/redrive", "/dead/redrive"},
             {"POST", dead + "/drop", "/dead/drop"}})
        judge.ask(method, path, groups + "/nobody" + tail, "", 404, "subscription_not_found");
    for (const std::string verb : {"ack", "nack", "release", "renew"}) {
        const std::string path = "/v1/deliveries/{delivery}/" + verb;
        judge.ask("POST", path, "/v1/deliveries/x/" + verb, "", 422, "invalid_field");
        judge.ask("POST", path, "/v1/deliveries/nobody:t:1:1/" + verb, "", 404,
                  "subscription_not_found");
    }
}

std::vector<std::string> lease(Judge& judge, const std::string& group, const std::string& body) {
    const std::string answer =
        judge.ask("POST", asking, groups + "/" + group + "/deliveries", body, 200);
    std::vector<std::string> ids;
    const auto deliveries = split_array(field(answer, "deliveries"));
    REQUIRE(deliveries);
    for (const auto raw : *deliveries)
        ids.push_back(text_of(raw, "id"));
    return ids;
}

void refuse_deliveries(Judge& judge) {
    const std::string kitchen = groups + "/kitchen";
    judge.ask("PUT", one_group, kitchen,
              R"({"pattern":"order.*","attempts_max":1,"order_by_key":true})", 200);
    const auto refused = [&](const std::string& path, const std::string& tail,
                             const std::string& body, int status, const std::string& error) {
        judge.ask("POST", path, kitchen + tail, body, status, error);
    };
    refused(asking, "/deliveries", "{", 400, "bad_json");
    refused(asking, "/deliveries", "{\"most\":1}", 422, "unknown_field");
    for (const char* wrong : {"{\"max\":0}", "{\"wait_ms\":-1}", "{\"consumer\":\"a b\"}"})
        refused(asking, "/deliveries", wrong, 422, "invalid_field");
    refused(saying, "/acks", "{", 400, "bad_json");
    refused(saying, "/acks", "{\"more\":[]}", 422, "unknown_field");
    refused(saying, "/acks", "{\"acks\":[\"x\"]}", 422, "invalid_field");
    refused(saying, "/acks", "{\"acks\":[\"other:t:1:1\"]}", 422, "invalid_field");
    refused(saying, "/acks", "{\"nacks\":[{}]}", 422, "missing_field");
}

void refuse_letters(Judge& judge) {
    const std::string kitchen = groups + "/kitchen";
    const auto refused = [&](const std::string& path, const std::string& tail,
                             const std::string& body, int status, const std::string& error) {
        judge.ask("POST", path, kitchen + tail, body, status, error);
    };
    for (const std::string verb : {"redrive", "drop"}) {
        const std::string tail = "/dead/" + verb;
        refused(dead + "/" + verb, tail, "{", 400, "bad_json");
        refused(dead + "/" + verb, tail, "{}", 422, "missing_field");
        refused(dead + "/" + verb, tail, "{\"one\":1}", 422, "unknown_field");
        refused(dead + "/" + verb, tail, "{\"events\":[\"x\"]}", 422, "invalid_field");
        refused(dead + "/" + verb, tail, "{\"events\":[\"order.placed:99\"]}", 404,
                "dead_letter_not_found");
    }
}

void try_deliveries(Judge& judge) {
    const std::string kitchen = groups + "/kitchen";
    refuse_deliveries(judge);
    CHECK(lease(judge, "kitchen", R"({"wait_ms":100})").empty());
    judge.ask("POST", events, placed + "/events",
              R"([{"data":1,"key":"a"},{"data":2,"key":"b"},{"data":3},{"data":4},{"data":5}])",
              201);
    const auto ids = lease(judge, "kitchen", R"({"max":10,"consumer":"k1"})");
    REQUIRE(ids.size() == 5);
    const auto end = [&](const std::string& verb, const std::string& id, const std::string& body,
                         int status, const std::string& error = {}) {
        return judge.ask("POST", "/v1/deliveries/{delivery}/" + verb,
                         "/v1/deliveries/" + id + "/" + verb, body, status, error);
    };
    end("renew", ids[0], "", 200);
    end("ack", ids[0], "", 200);
    end("ack", ids[0], "", 200);
    end("release", ids[0], "", 409, "stale_delivery");
    end("renew", ids[0], "", 409, "stale_delivery");
    end("release", ids[1], "", 200);
    end("nack", ids[2], "{", 400, "bad_json");
    end("nack", ids[2], "{\"why\":1}", 422, "unknown_field");
    end("nack", ids[2], R"({"error":{"code":"burnt","message":"too hot"},"retry_after_ms":5})",
        200);
    end("nack", ids[2], "", 409, "stale_delivery");
    end("ack", "kitchen:order.placed:4:99999", "", 409, "stale_delivery");
    const std::string said = judge.ask("POST", saying, kitchen + "/acks",
                                       "{\"acks\":[\"" + ids[3] + "\"],\"nacks\":[{\"id\":\"" +
                                           ids[4] + "\"}],\"releases\":[\"" + ids[0] + "\"]}",
                                       200);
    CHECK(field(said, "taken") == "2");
    CHECK(split_array(field(said, "refused"))->size() == 1);
    const std::string letters = judge.ask("GET", dead, kitchen + "/dead", "", 200);
    REQUIRE(split_array(field(letters, "dead"))->size() == 2);
    refuse_letters(judge);
    CHECK(field(judge.ask("POST", dead + "/redrive", kitchen + "/dead/redrive",
                          "{\"events\":[\"order.placed:3\"]}", 200),
                "left") == "1");
    judge.ask("POST", dead + "/drop", kitchen + "/dead/drop", "{\"all\":true}", 200);
    CHECK(lease(judge, "kitchen", R"({"max":10})").size() == 2);  // released, and redriven
    judge.ask("GET", one_group, kitchen, "", 200);
    judge.ask("GET", groups, groups, "", 200);
    judge.ask("PUT", one_group, groups + "/timed",
              R"({"pattern":"order.*","start":{"time":"2001-01-01T00:00:00Z"}})", 200);
    CHECK(lease(judge, "timed", R"({"max":10})").size() == 5);
    judge.ask("PUT", one_group, groups + "/hooked",
              R"({"pattern":"none","webhook":{"url":"http://nowhere:1/x","secret":"s"}})", 200);
    judge.ask("POST", asking, groups + "/hooked/deliveries", "", 409, "group_has_webhook");
    CHECK_THAT(judge.ask("GET", one_group, groups + "/hooked", "", 200),
               !Catch::Matchers::Contains("secret"));
    judge.ask("DELETE", one_group, kitchen, "", 204);
}

void fill_groups_of_topics(Judge& judge) {
    for (std::size_t i = 0; i < limits::subscriptions_max; ++i) {
        const auto answer = judge.cluster.ask(
            "dispatcher", {"PUT", groups + "/g" + std::to_string(i), {}, R"({"pattern":"none"})"});
        REQUIRE(answer);
        if (answer->status != 200) break;
    }
    judge.ask("PUT", one_group, groups + "/one-more", R"({"pattern":"none"})", 429,
              "too_many_subscriptions");
}

}  // namespace

void try_topics(Judge& judge) {
    refuse_events(judge);
    publish_clouds(judge);
    try_topic(judge);
    refuse_groups_of_topics(judge);
    try_deliveries(judge);
    fill_groups_of_topics(judge);
}

}  // namespace taskd::test

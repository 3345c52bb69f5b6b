// What a search finds: each field on one task, and what JSON counts as equal or in order.
#include "taskd/protocol/search_match.hpp"

#include "catch.hpp"

using namespace taskd;
using namespace std::chrono_literals;

namespace {

const WallTime now{1000h};

Task dead_email() {
    Task task;
    task.spec.id = *TaskId::parse("018bcfe5-687b-7000-8000-0000000000ab");
    task.spec.type = "email";
    task.spec.payload =
        Blob{R"({"user":42,"name":"Ann","tags":["new","vip"],"deep":[{"a":[1,2.5]}],"ok":true,)"
             R"("none":null,"at":"2026-01-02","big":12345678901234567890})"};
    task.priority = 7;
    task.spec.key = "acme";
    task.spec.group = *GroupId::parse("018bcfe5-687b-7000-8000-0000000000cd");
    task.spec.labels = {{"team", "red"}, {"env", ""}};
    task.state = TaskState::dead;
    task.submitted_at = now - 2h;
    task.attempts_made = 3;
    task.attempts = {{.number = 1, .worker = "w1"}, {.number = 2, .worker = "w2"}};
    task.error = TaskError{"smtp_refused", "Connection Timeout at host", false};
    return task;
}

bool finds(std::string_view text, const Task& task = dead_email()) {
    const auto search = parse_search(text);
    INFO(text);
    REQUIRE(search);
    return protocol::matches(*search, task, now);
}

}  // namespace

TEST_CASE("every field of the search language is looked at") {
    for (const char* yes : {"",
                            "state:dead",
                            "state:queued,dead",
                            "type:email",
                            "type:em*",
                            "queue:sms,email",
                            "id:018bcfe5*",
                            "id:018BCFE5-687b-7000-8000-0000000000AB",
                            "worker:w2",
                            "worker:w*",
                            "error:smtp",
                            "error:TIMEOUT",
                            "timeout",
                            "\"connection timeout\"",
                            "age>1h",
                            "age<3h",
                            "age>=2h",
                            "age:2h",
                            "priority>5",
                            "priority:7",
                            "attempts<=3",
                            "key:acme",
                            "group:018BCFE5-687b-7000-8000-0000000000cd",
                            "group:018bc*",
                            "key:a*",
                            "label:team",
                            "label:team=red",
                            "label:team=r*",
                            "label:team=blue,env=",
                            "-label:team=blue",
                            "-label:tea",
                            "-type:sms",
                            "type!=sms",
                            "-worker:w3 state:dead age>1h payload.user=42 timeout"})
        CHECK(finds(yes));
    for (const char* no : {"state:queued", "type:mail",
                           "type:e",       "id:118*",
                           "worker:w3",    "error:quota",
                           "quota",        "age>2h",
                           "age<2h",       "priority<7",
                           "attempts>3",   "-type:email",
                           "type!=email",  "-timeout",
                           "key:acm",      "group:018b",
                           "-group:018b*", "label:team=",
                           "label:Team",   "label:team=re",
                           "-label:env",   "state:dead type:sms",
                           "result.a:1"})
        CHECK_FALSE(finds(no));
    Task fresh = dead_email();
    fresh.error.reset();
    CHECK_FALSE(finds("error:smtp", fresh));
    CHECK(finds("-error:smtp", fresh));
    fresh.result = Blob{R"([{"n":5}])"};
    CHECK(finds("result[0].n>=5", fresh));
}

TEST_CASE("payload fields are compared as what they are") {
    for (const char* yes :
         {"payload.user=42", "payload.user:42.0", "payload.user>41", "payload.user<=42",
          "payload.name:Ann", "payload.name:A*", "payload.name:\"Ann\"", "payload.tags:vip",
          "payload.tags[0]:new", "payload.deep[0].a:2.5", "payload.deep[0].a[1]>2",
          "payload.ok:true", "payload.none:null", "payload.at>2026-01-01", "payload.at<2026-02",
          "payload.big:12345678901234567890", "-payload.missing:1", "payload.user!=43"})
        CHECK(finds(yes));
    for (const char* no :
         {"payload.user:\"42\"", "payload.user:4", "payload.user>42", "payload.name:ann",
          "payload.name>B", "payload.tags:v", "payload.tags[5]:vip", "payload.missing:1",
          "payload.missing>0", "payload.deep:1", "payload.ok:false", "payload.none:0",
          "payload.name.more:1", "payload[0]:1", "payload.ok>0"})
        CHECK_FALSE(finds(no));
    Task scalar = dead_email();
    scalar.spec.payload = Blob{};
    CHECK_FALSE(finds("payload.a:1", scalar));
    scalar.spec.payload = Blob{R"(["x","y"])"};
    CHECK(finds("payload[1]:y", scalar));
}

// Ids, durations and the error table.
#include <set>

#include "catch.hpp"
#include "taskd/base/boxed.hpp"
#include "taskd/base/duration_text.hpp"
#include "taskd/base/error.hpp"
#include "taskd/base/ids.hpp"

using namespace taskd;
using namespace std::chrono_literals;

TEST_CASE("a task id keeps its time and reads back") {
    Random random{7};
    const WallTime now{std::chrono::milliseconds{1'700'000'000'123}};
    const TaskId id = TaskId::make(now, random);
    CHECK(id.made_at() == now);
    CHECK(TaskId::parse(id.to_string()) == id);
    CHECK(TaskId::from_bytes(id.bytes()) == id);
    CHECK(TaskId::make(now + 1ms, random) > id);
}

TEST_CASE("what is not a version 7 UUID is refused") {
    for (const char* text :
         {"", "x", "018bcfe5-687b-4000-8000-000000000000", "018bcfe5-687b-7000-c000-000000000000",
          "018bcfe5x687b-7000-8000-000000000000", "018bcfe5-687b-7000-8000-00000000000g"})
        CHECK_FALSE(TaskId::parse(text));
    CHECK(TaskId::parse("018BCFE5-687B-7000-8000-000000000000"));
}

TEST_CASE("a boxed value is copied and compared as an optional one is") {
    using Box = Boxed<std::string>;
    static_assert(sizeof(Box) == sizeof(void*));
    Box none;
    Box one{std::string{"one"}};
    CHECK_FALSE(none.has_value());
    CHECK(none == Box{std::nullopt});
    CHECK_FALSE(none == one);
    Box copy = one;
    CHECK(copy == one);
    *copy += "s";
    CHECK(*one == "one");
    CHECK_FALSE(copy == one);
    copy = copy;
    CHECK(*copy == "ones");
    const std::optional<std::string> out = copy;
    CHECK(out == "ones");
    CHECK(Box{out} == copy);
    CHECK_FALSE(Box{std::optional<std::string>{}}.has_value());
    one = none;
    CHECK_FALSE(one);
    copy.reset();
    CHECK(copy == none);
}

TEST_CASE("durations read back as written") {
    CHECK(parse_duration("1.5s") == 1500ms);
    CHECK(parse_duration("30") == 30s);
    CHECK(parse_duration("2m30s") == 150s);
    CHECK(parse_duration("250us") == 250us);
    for (const char* text : {"", "s", "-1s", "1x", "1s2", "1e9d9", "999999999999d"})
        CHECK_FALSE(parse_duration(text));
    for (const Duration each : {Duration{0}, Duration{1}, Duration{1500ms}, Duration{26h + 5ms}})
        CHECK(parse_duration(to_text(each)) == each);
}

TEST_CASE("each error has its own number and name") {
    std::set<std::string_view> names;
    std::set<ErrorCode> codes;
    for (const ErrorRow& row : error_table()) {
        CHECK(names.insert(row.name).second);
        CHECK(codes.insert(row.code).second);
        CHECK(row.http_status >= 400);
        CHECK(find_error(row.name) == &row);
    }
    CHECK(Error{ErrorCode::disk_full, "x"}.to_string().starts_with("disk_full: "));
}

TEST_CASE("wall time is shown in RFC 3339") {
    CHECK(to_rfc3339(WallTime{1'000'000'000'000'001us}) == "2001-09-09T01:46:40.000001Z");
}

TEST_CASE("instants are read in every form of RFC 3339, and nothing else is") {
    using namespace std::chrono_literals;
    const auto read = [](std::string_view text) { return parse_rfc3339(text); };
    const WallTime noon{1'767'355'200s};  // 2026-01-02T12:00:00Z
    CHECK(read("2026-01-02T12:00:00Z") == noon);
    CHECK(read("2026-01-02t12:00:00z") == noon);
    CHECK(read("2026-01-02T13:30:00+01:30") == noon);
    CHECK(read("2026-01-02T11:00:00-01:00") == noon);
    CHECK(read("2026-01-02T12:00:00.5Z") == noon + 500ms);
    CHECK(read("2026-01-02T12:00:00.000001999Z") == noon + 1us);
    CHECK(read("2026-01-02T11:59:60Z") == noon);
    CHECK(read(to_rfc3339(noon + 123456us)) == noon + 123456us);
    for (const char* bad :
         {"", "2026-01-02", "2026-01-02T12:00:00", "2026-13-02T12:00:00Z", "2026-02-29T12:00:00Z",
          "2026-01-02T24:00:00Z", "2026-01-02T12:60:00Z", "2026-01-02T12:00:61Z",
          "2026-01-02T12:00:00.Z", "2026-01-02T12:00:00.1234567890Z", "2026-01-02T12:00:00+24:00",
          "2026-01-02T12:00:00Z ", "+026-01-02T12:00:00Z", "1969-12-31T23:59:59Z", "12"}) {
        INFO(bad);
        CHECK_FALSE(read(bad).has_value());
    }
}

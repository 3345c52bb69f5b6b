// Messages that are said until they are answered, and the datagrams that carry them.
#include "taskd/protocol/outbox.hpp"
#include "catch.hpp"
#include "taskd/base/limits.hpp"
#include "taskd/protocol/json.hpp"

using namespace taskd;
using namespace taskd::protocol;
using namespace std::chrono_literals;

namespace {

constexpr SteadyTime start{};

LeaseKey lease(std::uint64_t n) {
    Random random{n};
    return {TaskId::make(WallTime{std::chrono::milliseconds{n}}, random), LeaseEpoch{n}};
}

JsonItem item_of(std::string_view text) {
    return read_items(text, 1)->items.at(0);
}

std::size_t items_in(const std::vector<Outbox::Packet>& packets) {
    std::size_t items = 0;
    for (const auto& packet : packets)
        items += read_body(packet.body)->items.size();
    return items;
}

}  // namespace

TEST_CASE("a message is said again with growing waits until it is answered") {
    Outbox outbox{"me", 1'400, 100'000};
    outbox.say(Kind::task, lease(1), "{}", start);
    CHECK(items_in(outbox.collect(start)) == 1);
    CHECK(outbox.collect(start).empty());
    Duration waited{0};
    SteadyTime at = start;
    for (int i = 0; i < 10; ++i) {
        const SteadyTime next = *outbox.next_deadline();
        CHECK(next - at >= std::min<Duration>(waited, limits::resend_max));
        CHECK(next - at <= limits::resend_max);
        waited = next - at;
        at = next;
        CHECK(items_in(outbox.collect(at)) == 1);
    }
    outbox.settle(Kind::task, lease(1));
    CHECK_FALSE(outbox.next_deadline());
    CHECK(outbox.pending() == 0);
}

TEST_CASE("what is dropped is not said again and leaves the window to others") {
    Outbox outbox{"me", 1'400, 10};
    outbox.say(Kind::task, lease(1), "{\"a\":1}", start);
    outbox.say(Kind::task, lease(2), "{\"a\":2}", start);
    outbox.say(Kind::revoke, lease(3), "{}", start);
    CHECK(items_in(outbox.collect(start)) == 2);
    outbox.drop(Kind::task);
    CHECK(outbox.pending() == 1);
    CHECK(items_in(outbox.collect(start + 1s)) == 1);
    outbox.settle(Kind::revoke, lease(3));
    CHECK_FALSE(outbox.next_deadline());
}

TEST_CASE("messages share datagrams of a bounded size") {
    Outbox outbox{"me", 1'400, 1'000'000};
    for (std::uint64_t n = 1; n <= 100; ++n)
        outbox.say(Kind::task, lease(n), "\"" + std::string(100, 'x') + "\"", start);
    outbox.say_once(Kind::renew, "{}");
    const auto packets = outbox.collect(start);
    CHECK(items_in(packets) == 101);
    CHECK(packets.size() < 12);
    for (const auto& packet : packets)
        CHECK(packet.body.size() + header_bytes <= 1'400);
    CHECK_FALSE(outbox.fits(std::string(1'400, 'x')));
}

TEST_CASE("no more is under way than the window takes, yet one always is") {
    Outbox outbox{"me", 1'400, 250};
    for (std::uint64_t n = 1; n <= 5; ++n)
        outbox.say(Kind::task, lease(n), "\"" + std::string(98, 'x') + "\"", start);
    CHECK(items_in(outbox.collect(start)) == 2);
    outbox.settle(Kind::task, lease(1));
    outbox.settle(Kind::task, lease(2));
    // What was held back goes as soon as there is room, as it came.
    CHECK(*outbox.next_deadline() > start);
    const auto packets = outbox.collect(start);
    CHECK(items_in(packets) == 2);
    CHECK(outbox.collect(start).empty());
    outbox.set_window(1);
    outbox.settle(Kind::task, lease(3));
    outbox.settle(Kind::task, lease(4));
    CHECK(items_in(outbox.collect(start)) == 1);
}

TEST_CASE("what is small does not overtake what waits for room in the window") {
    Outbox outbox{"me", 1'400, 200};
    const auto text = [](char letter, std::size_t bytes) {
        return "\"" + std::string(bytes, letter) + "\"";
    };
    outbox.say(Kind::task, lease(1), text('a', 98), start);
    CHECK(items_in(outbox.collect(start)) == 1);
    outbox.say(Kind::task, lease(2), text('b', 148), start);
    outbox.say(Kind::task, lease(3), text('c', 8), start);
    CHECK(outbox.collect(start).empty());
    outbox.settle(Kind::task, lease(1));
    const auto packets = outbox.collect(start);
    REQUIRE(packets.size() == 1);
    const std::string& body = packets.front().body;
    CHECK(body.find("bbb") < body.find("ccc"));
    CHECK(body.find("ccc") != std::string::npos);
    // With nothing under way the next always goes, however large.
    outbox.settle(Kind::task, lease(2));
    outbox.settle(Kind::task, lease(3));
    outbox.say(Kind::task, lease(4), text('d', 500), start);
    CHECK(items_in(outbox.collect(start)) == 1);
}

TEST_CASE("a datagram opens for whom it is, with the right key and no other") {
    const ClusterKey key{"0123456789abcdef"}, other{"0123456789abcdeX"}, none;
    const Header header{Kind::result, SessionId{42}, 7};
    const SessionId me{9};
    const std::string sealed = seal(header, "{\"from\":\"w\",\"items\":[]}", me, key);
    const auto opened = open(sealed, me, key);
    REQUIRE(opened);
    CHECK(opened->header.kind == Kind::result);
    CHECK(opened->header.session == SessionId{42});
    CHECK(opened->header.sequence == 7);
    CHECK(opened->body == "{\"from\":\"w\",\"items\":[]}");
    CHECK(open(sealed, me, other).error().code == ErrorCode::wrong_key);
    CHECK(open(sealed, me, none).error().code == ErrorCode::wrong_key);
    CHECK(open(sealed, SessionId{10}, key).error().code == ErrorCode::wrong_key);
    CHECK(open(seal(header, "{}", me, none), me, key).error().code == ErrorCode::missing_key);
    CHECK(open(seal(header, "{}", me, none), me, none));
    for (std::size_t i = 0; i < sealed.size(); ++i) {
        std::string bent = sealed;
        bent[i] = static_cast<char>(bent[i] ^ 1);
        CHECK_FALSE(open(bent, me, key));
        CHECK_FALSE(open(std::string_view{sealed}.substr(0, i), me, key));
    }
}

TEST_CASE("each datagram of a session passes once, in any order within the window") {
    ReplayGuard guard;
    const SessionId one{1}, two{2};
    CHECK(guard.accept(one, 5));
    CHECK_FALSE(guard.accept(one, 5));
    CHECK(guard.accept(one, 3));
    CHECK_FALSE(guard.accept(one, 3));
    CHECK(guard.accept(two, 5));
    CHECK(guard.accept(one, 5 + ReplayGuard::window));
    CHECK_FALSE(guard.accept(one, 5));
    CHECK(guard.accept(one, 6));
    CHECK(guard.accept(one, 10 * ReplayGuard::window));
    CHECK_FALSE(guard.accept(one, 7));
    for (std::uint64_t n = 9 * ReplayGuard::window + 1; n < 10 * ReplayGuard::window; ++n)
        CHECK(guard.accept(one, n));
}

TEST_CASE("messages read back as written") {
    TaskMessage task{lease(3), "sum", 15s, "[1,2.50]", 0};
    const std::string written = write_task_message(task);
    const auto read = read_task_message(item_of(written));
    REQUIRE(read);
    CHECK(read->lease == task.lease);
    CHECK(read->payload == "[1,2.50]");
    CHECK(read->duration == 15s);
    task.payload.reset();
    task.http_port = 4000;
    CHECK(read_task_message(item_of(write_task_message(task)))->http_port == 4000);
    using End = ResultMessage::End;
    for (const End end : {End::completed, End::failed, End::released, End::stopped}) {
        const ResultMessage result{
            lease(4), end, end == End::completed ? "6" : "",
            end == End::failed ? TaskError{"bad_payload", "no \"x\"", true} : TaskError{}};
        const std::string text = write_result(result);
        const auto back = read_result(item_of(text));
        REQUIRE(back);
        CHECK(back->end == end);
        CHECK(back->result == result.result);
        CHECK(back->error == result.error);
    }
    CHECK(read_lease_path(write_lease_path(lease(9))) == lease(9));
    for (const char* bad :
         {"", "x.1", "018bcfe5-687b-7000-8000-000000000000",
          "018bcfe5-687b-7000-8000-000000000000.", "018bcfe5-687b-7000-8000-000000000000.1x"})
        CHECK_FALSE(read_lease_path(bad));
    for (const char* bad : {"{}", "[]", "{\"from\":1,\"items\":[]}", "{\"from\":\"x\"}",
                            "{\"from\":\"x\",\"items\":{}}", "nonsense"})
        CHECK_FALSE(read_body(bad));
    for (const char* bad : {"{}", "{\"id\":\"x\",\"epoch\":1,\"result\":1}", "1"})
        CHECK_FALSE(read_result(item_of(bad)));
}

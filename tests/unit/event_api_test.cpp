// Readers of events at a dispatcher: live, resuming, slow, too late; what a crash leaves.
#include "catch.hpp"
#include "dispatcher_world.hpp"

using namespace taskd;
using namespace taskd::test;
using namespace std::chrono_literals;

namespace {

using Events = std::vector<protocol::EventStreamParser::Read>;

// One reader of a dispatcher's stream, which takes what there is when it is asked to.
struct Reader {
    Reader(DispatcherWorld& world, const std::string& query, port::HttpHeaders headers = {}) {
        world.service->front().handle(
            {"GET", "/v1/events" + query, std::move(headers), {}},
            [this](port::HttpResponse answer) { response = std::move(answer); });
        if (response) stream = response->stream;
    }
    ~Reader() {
        if (stream) stream->close();
    }

    const Events& take() {
        REQUIRE(stream);
        for (auto& event : parser.feed(stream->take()))
            events.push_back(std::move(event));
        return events;
    }
    // All that comes while it takes at once.
    const Events& follow(DispatcherWorld& world, Duration span = 1s) {
        world.world.run_until([&] { return take().empty() && false; }, span);
        return take();
    }
    std::string names() {
        std::string out;
        for (const auto& event : events)
            out += (out.empty() ? "" : " ") + event.name;
        return out;
    }
    std::string newest() const { return parser.last_id(); }

    std::optional<port::HttpResponse> response;
    std::shared_ptr<port::HttpStream> stream;
    protocol::EventStreamParser parser;
    Events events;
};

std::string problem_of(const Reader& reader) {
    return problem(reader.response);
}

std::string id_of(const std::optional<port::HttpResponse>& answer) {
    return protocol::JsonView{answer->body}["id"].text();
}

}  // namespace

TEST_CASE("a reader is told what happens from now on, once it is synced and not before") {
    DispatcherWorld world;
    REQUIRE(world.submit()->status == 202);
    Reader reader{world, ""};
    CHECK(port::find_header(reader.response->headers, "X-Accel-Buffering") == "no");
    CHECK(port::find_header(reader.response->headers, "Content-Type") == "text/event-stream");
    CHECK(reader.take().empty());
    CHECK_FALSE(reader.newest().empty());  // where it would resume
    world.journal_lane.hold();
    world.submit();  // not answered
    CHECK(reader.follow(world).empty());
    world.journal_lane.release();
    CHECK(reader.follow(world).size() == 1);
    CHECK(reader.names() == "task.submitted");
}

TEST_CASE("a task's way is told to whom it concerns") {
    DispatcherWorld world;
    Reader all{world, "?topic=task"}, sums{world, "?topic=queue:sum"},
        ends{world, "?topic=task.succeeded,task.cancelled"}, others{world, "?topic=queue:wait"};
    const std::string id = id_of(world.submit());
    Reader mine{world, "?topic=task:" + id};
    const std::string lease =
        protocol::JsonView{
            world.ask("POST", "/v1/leases", R"({"types":["sum"],"worker":"w"})")->body}["tasks"]
            .items()
            .at(0)["lease"]
            .text();
    REQUIRE(world.ask("POST", "/v1/leases/" + lease + "/complete", R"({"result":3})")->status ==
            200);
    REQUIRE(world.ask("POST", "/v1/queues/sum/pause")->status == 200);
    CHECK(all.follow(world).size() == 3);
    CHECK(all.names() == "task.submitted task.leased task.succeeded");
    sums.take();
    CHECK(sums.names() == "task.submitted task.leased task.succeeded queue.changed");
    CHECK(mine.take().size() == 2);
    CHECK(ends.take().size() == 1);
    CHECK(ends.events.front().data.find("\"type\":\"sum\"") != std::string::npos);
    CHECK(others.take().empty());
}

TEST_CASE("who resumes is told each event once, whatever it has seen last") {
    DispatcherWorld world;
    world.journal.keeps = true;
    Reader whole{world, "?since=0"};
    for (int i = 0; i < 30; ++i) {
        const std::string id = id_of(world.submit());
        if (i % 3 == 0) world.ask("POST", "/v1/tasks/" + id + "/cancel");
    }
    whole.follow(world);
    CHECK(whole.events.size() > 40);
    for (std::size_t seen = 0; seen < whole.events.size(); ++seen) {
        Reader later{world, "", {{"Last-Event-ID", whole.events[seen].id}}};
        later.follow(world, 10ms);
        REQUIRE(later.events.size() == whole.events.size() - seen - 1);
        for (std::size_t i = 0; i < later.events.size(); ++i)
            REQUIRE(later.events[i].data == whole.events[seen + 1 + i].data);
    }
}

TEST_CASE("a limit ends the stream, and the rest is there for who resumes") {
    DispatcherWorld world;
    world.journal.keeps = true;
    for (int i = 0; i < 5; ++i)
        world.submit();
    Reader two{world, "?since=oldest&topic=task&limit=2"};
    CHECK(two.follow(world).size() == 2);
    CHECK(two.stream->ended());
    Reader rest{world, "?topic=task&limit=9&since=" + two.newest()};
    CHECK(rest.follow(world).size() == 3);
    CHECK_FALSE(rest.stream->ended());
    world.submit();
    CHECK(rest.follow(world).size() == 4);
}

TEST_CASE("a slow reader costs a bound, holds nobody, and misses nothing") {
    DispatcherWorld world;
    world.journal.keeps = true;
    Reader slow{world, "?topic=task"};
    const int batches = 40, each = 100;
    std::string body = "[";
    for (int i = 0; i < each; ++i)
        body += R"({"type":"sum","payload":1,"labels":{"a":")" + std::string(200, 'x') + "\"}},";
    body.back() = ']';
    for (int i = 0; i < batches; ++i)
        REQUIRE(world.ask("POST", "/v1/tasks", body)->status == 202);
    CHECK(slow.stream->waiting() > limits::event_stream_bytes_max / 2);
    CHECK(slow.stream->waiting() < limits::event_stream_bytes_max + 1'000);
    slow.follow(world, 10s);
    REQUIRE(slow.events.size() == batches * each);
    for (std::size_t i = 1; i < slow.events.size(); ++i)
        REQUIRE(*protocol::parse_event_id(slow.events[i - 1].id) <
                *protocol::parse_event_id(slow.events[i].id));
    world.submit();
    CHECK(slow.follow(world).size() == batches * each + 1);
}

TEST_CASE("however large what happened is, a reader costs a page of it at a time") {
    DispatcherWorld world;
    world.journal.keeps = true;
    const std::string body =
        R"({"type":"sum","payload":")" + std::string(limits::task_bytes_max - 100, 'x') + "\"}";
    for (int i = 0; i < 40; ++i)
        REQUIRE(world.ask("POST", "/v1/tasks", body)->status == 202);
    Reader reader{world, "?since=oldest&topic=task"};
    CHECK(reader.follow(world, 10s).size() == 40);
    CHECK(world.records.batches_max > 10);
    CHECK(world.records.batches_max < 20);
}

TEST_CASE("who comes too late is told so, with the oldest there is") {
    DispatcherWorld world;
    for (int i = 0; i < 5; ++i)
        world.submit();
    world.world.run_for(5s);  // the view has it, and this journal keeps nothing for readers
    REQUIRE(world.tape.dropped.value > 0);
    Reader late{world, "?since=0"};
    CHECK(problem_of(late) == "410 events_gone");
    const std::string oldest{port::find_header(late.response->headers, "Taskd-Oldest-Event")};
    CHECK(oldest == std::to_string(world.tape.dropped.value + 1) + ".0");
    Reader from_oldest{world, "?since=oldest"};
    CHECK(from_oldest.follow(world).empty());
    world.submit();
    CHECK(from_oldest.follow(world).size() == 1);
}

TEST_CASE("a slow reader whose rest is no longer kept is cut off by name") {
    DispatcherWorld world;
    Reader slow{world, "?topic=task"};
    std::string body = "[";
    for (int i = 0; i < 3000; ++i)
        body += R"({"type":"sum"},)";
    body.back() = ']';
    for (int i = 0; i < 3; ++i)
        REQUIRE(world.ask("POST", "/v1/tasks", body)->status == 202);
    world.world.run_for(10s);
    slow.follow(world);
    REQUIRE_FALSE(slow.events.empty());
    CHECK(slow.events.back().name == "cut");
    CHECK(slow.events.back().data == R"({"event":"cut","error":"events_gone"})");
    CHECK(slow.stream->ended());
}

TEST_CASE("a reader that waits hears that the server lives, and how far it has been told") {
    DispatcherWorld world;
    world.journal.keeps = true;
    Reader reader{world, "?topic=schedule"};
    reader.take();
    const std::string first = reader.newest();
    world.submit();
    world.world.run_for(limits::event_heartbeat + 1s);
    CHECK(reader.take().empty());
    CHECK(*protocol::parse_event_id(reader.newest()) > *protocol::parse_event_id(first));
    Reader again{world, "?topic=task&since=" + reader.newest()};
    CHECK(again.follow(world).empty());
}

TEST_CASE("what cannot be followed is refused") {
    DispatcherWorld world;
    CHECK(problem_of({world, "?topic=nonsense"}) == "422 invalid_field");
    CHECK(problem_of({world, "?since=x"}) == "422 invalid_field");
    CHECK(problem_of({world, "?since=999999"}) == "422 invalid_field");
    CHECK(problem_of({world, "?limit=0"}) == "422 invalid_field");
    CHECK(problem_of({world, "?from=1"}) == "422 unknown_field");
}

TEST_CASE("there are only so many readers, and who has left makes room") {
    DispatcherWorld world;
    std::vector<std::unique_ptr<Reader>> readers;
    for (std::size_t i = 0; i < limits::event_streams_max; ++i)
        readers.push_back(std::make_unique<Reader>(world, ""));
    CHECK(problem_of({world, ""}) == "429 too_many_waiters");
    readers.clear();
    world.world.run_for(1s);
    Reader next{world, ""};
    REQUIRE(next.response);
    CHECK(next.response->status == 200);
}

TEST_CASE("a drain ends the streams") {
    DispatcherWorld world;
    Reader reader{world, ""};
    bool drained = false;
    world.service->drain([&] { drained = true; });
    CHECK(world.world.run_until([&] { return drained; }, 10s));
    CHECK(reader.take().empty());
    CHECK(reader.stream->ended());
    Reader late{world, ""};
    CHECK(late.stream->ended());
}

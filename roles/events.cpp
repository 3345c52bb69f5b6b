// taskd events: what happens, as it happens.
#include <fmt/format.h>

#include "client.hpp"
#include "taskd/io/clock.hpp"
#include "taskd/io/http_exchange.hpp"
#include "taskd/io/private_files.hpp"
#include "taskd/protocol/event.hpp"
#include "taskd/protocol/json.hpp"
#include "taskd/protocol/problem.hpp"
#include "taskd/protocol/target.hpp"
#include "taskd/service/http_front.hpp"

namespace taskd::roles {
namespace {

// The server says that it lives every 15 s.
constexpr Duration silence_most = 3 * limits::event_heartbeat;
constexpr Duration pause_between = std::chrono::milliseconds{200};

// "TIME EVENT name=value …".
std::string as_text(const std::string& data) {
    const auto fields = protocol::split_object(data);
    if (!fields) return data;
    const JsonView event{data};
    std::string line = event["at"].empty() ? std::string(27, ' ') : event["at"].text();
    line += " " + event["event"].text();
    for (const auto& [name, raw] : *fields)
        if (name != "at" && name != "event") line += " " + name + "=" + JsonView{raw}.text();
    return line;
}

class Follower {
  public:
    Follower(Server server, const Options& options)
        : server_{std::move(server)},
          options_{options},
          last_{options.text("since")},
          clock_{io::make_system_clock()} {
        if (options.given("limit")) left_ = static_cast<std::uint64_t>(options.number("limit"));
    }

    int run() {
        heard_ = clock_->steady();
        for (;;) {
            const Error error = once();
            if (done_) return end_of_output();
            const bool over = clock_->steady() - heard_ >= options_.duration("retry-for");
            if (!service::is_worth_retrying(error.code) || over) return report(error);
            if (!std::exchange(told_, true))
                say(fmt::format("{}, trying again", error.to_string()));
            io::pause_for(pause_between);
        }
    }

  private:
    // One connection; why it is over.
    Error once() {
        port::HttpRequest request{"GET", target(), {{"Accept", "text/event-stream"}}, {}};
        service::add_key(request.headers, server_.key);
        protocol::EventStreamParser parser;
        io::HttpCaller caller{server_.url, {}};
        const auto answer = caller.stream(request, silence_most, [&](std::string_view bytes) {
            heard_ = clock_->steady();
            told_ = false;
            for (const auto& event : parser.feed(bytes))
                if (!take(event)) return false;
            if (!parser.last_id().empty()) last_ = parser.last_id();
            return !is_output_lost();
        });
        if (!answer) return answer.error();
        tell_of_key(server_, *answer);
        if (answer->status < 200 || answer->status > 299)
            return protocol::parse_problem(answer->body, answer->status);
        if (is_output_lost()) done_ = true;
        return {ErrorCode::unreachable, "the stream has ended"};
    }

    bool take(const protocol::EventStreamParser::Read& event) {
        last_ = event.id;
        if (event.name == "cut") return true;  // the next connection says why
        print_line(options_.text("output") == "json" ? event.data : one_line(as_text(event.data)));
        if (left_ && --*left_ == 0) done_ = true;
        return !done_;
    }

    std::string target() const {
        std::string target = "/v1/events?topic=" + protocol::percent_encode(options_.text("topic"));
        if (!last_.empty()) target += "&since=" + protocol::percent_encode(last_);
        if (left_) target += fmt::format("&limit={}", *left_);
        return target;
    }

    Server server_;
    const Options& options_;
    std::string last_;  // seen
    std::optional<std::uint64_t> left_;
    std::unique_ptr<port::Clock> clock_;
    SteadyTime heard_{};
    bool told_ = false;
    bool done_ = false;
};

int run(const Options& options) {
    auto server = find_server(options);
    if (!server) return report(server.error());
    return Follower{std::move(*server), options}.run();
}

}  // namespace

const Command& events_command() {
    static const Command command{
        {.name = "events",
         .arguments = "",
         .summary = "follow what happens",
         .text = "What happens to tasks, queues, schedules, groups and operations, as it becomes "
                 "durable. Goes on over broken connections without missing or doubling anything. "
                 "Topics: names (task.dead), kinds (task), or what they are about (task:ID, "
                 "queue:TYPE, group:ID, schedule:NAME, operation:ID, worker:INSTANCE).",
         .options = with_client_rows(
             {{.name = "topic",
               .value = "TOPIC,…",
               .fallback = "*",
               .help = "what to be told of",
               .from_environment = false},
              {.name = "since",
               .value = "ID",
               .help = "what came behind this event, or 'oldest' (from now on unless said)",
               .from_environment = false},
              {.name = "limit",
               .kind = OptionKind::number,
               .value = "N",
               .help = "end after so many",
               .least = 1,
               .from_environment = false},
              {.name = "output",
               .letter = 'o',
               .kind = OptionKind::choice,
               .value = "text|json",
               .fallback = "text",
               .help = "print them so, one a line",
               .from_environment = false}},
             "1m"),
         .kind = PageKind::client,
         .examples = {{"taskd events", "all that happens from now on"},
                      {"taskd events --topic task.dead -o json", "what needs a person"},
                      {"taskd events --topic queue:sum --since oldest", "as far back as is kept"}}},
        run};
    return command;
}

}  // namespace taskd::roles

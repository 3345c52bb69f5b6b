// taskd subscribe: a consumer of a group. Each event is a line, or is given to a command, and is
// acknowledged when that has ended well.
#include <fmt/format.h>

#include "client.hpp"
#include "taskd/io/entropy.hpp"
#include "taskd/io/shell.hpp"
#include "taskd/protocol/json.hpp"
#include "taskd/protocol/target.hpp"

namespace taskd::roles {
namespace {

using Answer = Result<service::TaskClient::Answer>;

constexpr std::int64_t page_events = 100;
constexpr Duration poll_wait = std::chrono::seconds{20};

// "oldest", "newest", a sequence or an instant.
std::string start_of(const std::string& from) {
    std::string out;
    protocol::JsonWriter json{out};
    if (from == "oldest" || from == "newest")
        json.string(from);
    else if (from.find_first_not_of("0123456789") == std::string::npos)
        json.begin_object().key("sequence").raw(from).end_object();
    else
        json.begin_object().field("time", from).end_object();
    return out;
}

std::string as_text(const JsonView& event) {
    std::string line = fmt::format("{} {} {}", event["published_at"].text(), event["topic"].text(),
                                   event["sequence"].text());
    for (const char* name : {"type", "key"})
        if (!event[name].empty()) line += fmt::format(" {}={}", name, event[name].text());
    const JsonView data = event["data"];
    return line + " " + std::string{data.empty() ? event["data_base64"].raw() : data.raw()};
}

class Consumer {
  public:
    Consumer(const Options& options, service::TaskClient& client)
        : options_{options},
          client_{client},
          group_{options.text("group")},
          target_{"/v1/subscriptions/" + protocol::percent_encode(group_)},
          name_{fmt::format("cli-{:08x}", io::random_seed() & 0xffffffff)} {
        if (options.given("max")) left_ = options.number("max");
    }

    int run() {
        if (const auto there = make_group(); !there) return report(there.error());
        for (;;) {
            const auto answer = ask();
            if (!answer) return report(answer.error());
            const JsonView view{answer->body};
            for (const JsonView& gap : view["gaps"].items())
                say(fmt::format("behind_retention: {} events of {} are gone, {} to {}",
                                gap["count"].text(), gap["topic"].text(), gap["from"].text(),
                                gap["to"].text()));
            const auto deliveries = view["deliveries"].items();
            if (auto done = take(deliveries, view["ack_timeout_ms"]); !done)
                return is_output_lost() ? end_of_output() : report(done.error());
            if (left_ && *left_ == 0) return 0;
            if (deliveries.empty() && options_.toggle("once")) return 0;
        }
    }

  private:
    // A group that is there stays as it is.
    Result<void> make_group() {
        const auto& words = options_.positional();
        const std::string pattern = words.empty() ? "" : words[0];
        const Answer there = client_.ask("GET", target_);
        if (there) {
            const std::string reads = JsonView{there->body}["pattern"].text();
            if (pattern.empty() || reads == pattern) return {};
            return fail(ErrorCode::bad_usage,
                        fmt::format("the group {} reads '{}', not '{}'", group_, reads, pattern));
        }
        if (there.error().code != ErrorCode::subscription_not_found)
            return std::unexpected{there.error()};
        if (pattern.empty())
            return fail(ErrorCode::bad_usage, "a new group needs a pattern of topics");
        std::string body;
        protocol::JsonWriter json{body};
        json.begin_object()
            .field("pattern", pattern)
            .field("order_by_key", options_.toggle("order-by-key"))
            .key("start")
            .raw(start_of(options_.text("from")));
        if (options_.given("attempts-max"))
            json.field("attempts_max", options_.number("attempts-max"));
        if (options_.given("ack-timeout"))
            json.field("ack_timeout_ms",
                       options_.duration("ack-timeout") / std::chrono::milliseconds{1});
        json.end_object();
        if (auto made = client_.ask("PUT", target_, body); !made)
            return std::unexpected{made.error()};
        return {};
    }

    Answer ask() {
        std::int64_t most = options_.given("exec") ? 1 : page_events;
        if (left_) most = std::min(most, *left_);
        const Duration wait = options_.toggle("once") ? Duration{0} : poll_wait;
        std::string body;
        protocol::JsonWriter{body}
            .begin_object()
            .field("max", most)
            .field("wait_ms", wait / std::chrono::milliseconds{1})
            .field("consumer", name_)
            .end_object();
        return client_.ask("POST", target_ + "/deliveries", body, wait);
    }

    Result<void> take(const std::vector<JsonView>& deliveries, const JsonView& ack_timeout) {
        if (deliveries.empty()) return {};
        std::string acks, nacks;
        for (const JsonView& delivery : deliveries) {
            const std::string id = std::string{delivery["id"].raw()};
            const auto error = handle(delivery, ack_timeout);
            if (!error) {
                acks += (acks.empty() ? "" : ",") + id;
            } else {
                std::string why;
                protocol::append_json_string(why, *error);
                nacks += fmt::format(
                    "{}{{\"id\":{},\"error\":{{\"code\":\"exit_status\","
                    "\"message\":{}}}}}",
                    nacks.empty() ? "" : ",", id, why);
            }
            if (left_) --*left_;
        }
        // What was printed and is lost stays unacknowledged.
        if (is_output_lost()) return fail(ErrorCode::io_failed, "stdout");
        const Answer said =
            client_.ask("POST", target_ + "/acks",
                        fmt::format("{{\"acks\":[{}],\"nacks\":[{}]}}", acks, nacks));
        if (!said) return std::unexpected{said.error()};
        return {};
    }

    // Why it failed; none when it did not.
    std::optional<std::string> handle(const JsonView& delivery, const JsonView& ack_timeout) {
        const JsonView event = delivery["event"];
        if (!options_.given("exec")) {
            print_line(options_.text("output") == "json" ? std::string{event.raw()}
                                                         : one_line(as_text(event)));
            return std::nullopt;
        }
        const Duration timeout = std::chrono::milliseconds{
            static_cast<std::int64_t>(ack_timeout.number().value_or(30'000))};
        const std::string renew = "/v1/deliveries/" + delivery["id"].text() + "/renew";
        const auto status =
            io::run_shell({.command = options_.text("exec"),
                           .environment = {{"TASKD_TOPIC", event["topic"].text()},
                                           {"TASKD_SEQUENCE", event["sequence"].text()},
                                           {"TASKD_EVENT_ID", event["id"].text()},
                                           {"TASKD_EVENT_TYPE", event["type"].text()},
                                           {"TASKD_KEY_OF_EVENT", event["key"].text()},
                                           {"TASKD_ATTEMPT", delivery["attempt"].text()},
                                           {"TRACEPARENT", event["traceparent"].text()}},
                           .input = event.raw(),
                           .interval = timeout / 3,
                           .meanwhile = [&] { (void)client_.ask("POST", renew); }});
        if (!status) return status.error().to_string();
        if (*status == 0) return std::nullopt;
        return fmt::format("ended with {}", *status);
    }

    const Options& options_;
    service::TaskClient& client_;
    std::string group_;
    std::string target_;
    std::string name_;
    std::optional<std::int64_t> left_;
};

int run(const Options& options) {
    if (!options.given("group")) return report({ErrorCode::bad_usage, "--group is missing"});
    return with_client(
        options, [&](service::TaskClient& client) { return Consumer{options, client}.run(); });
}

OptionRow toggle_row(std::string_view name, std::string_view help) {
    return {.name = name, .kind = OptionKind::toggle, .help = help, .from_environment = false};
}

std::vector<OptionRow> subscribe_rows() {
    return {{.name = "group",
             .letter = 'g',
             .value = "GROUP",
             .help = "whose member it is; made when it is not there",
             .from_environment = false},
            {.name = "from",
             .value = "WHERE",
             .fallback = "oldest",
             .help = "of a new group: oldest, newest, a sequence, or an instant",
             .from_environment = false},
            {.name = "exec",
             .value = "CMD",
             .help = "a shell command for each event, which it has on stdin as JSON",
             .from_environment = false},
            {.name = "max",
             .kind = OptionKind::number,
             .value = "N",
             .help = "end after so many",
             .least = 1,
             .from_environment = false},
            toggle_row("once", "end when nothing is left"),
            toggle_row("order-by-key", "of a new group: events of a key one after the other"),
            {.name = "attempts-max",
             .kind = OptionKind::number,
             .value = "N",
             .help = "of a new group: attempts before an event is a dead letter",
             .least = 1,
             .most = limits::attempts_max_max,
             .from_environment = false},
            {.name = "ack-timeout",
             .kind = OptionKind::duration,
             .value = "TIME",
             .help = "of a new group: how long a silent consumer keeps an event",
             .from_environment = false},
            {.name = "output",
             .letter = 'o',
             .kind = OptionKind::choice,
             .value = "text|json",
             .fallback = "text",
             .help = "print events so, one a line",
             .from_environment = false}};
}

}  // namespace

const Command& subscribe_command() {
    static const Command command{
        {.name = "subscribe",
         .arguments = "--group GROUP [PATTERN]",
         .summary = "read events as a member of a group",
         .text =
             "Members of a group share its events; each group has all of them. Patterns: a word "
             "of the topic may\nbe * (any), ** (any number of words) or (a|b). An event is "
             "acknowledged once it is printed, or its\ncommand has ended with 0; else it comes "
             "again later.",
         .options = with_client_rows(subscribe_rows(), "1m"),
         .positional_min = 0,
         .positional_max = 1,
         .kind = PageKind::client,
         .examples = {{"taskd subscribe --group log '**' --from newest", "all that happens"},
                      {"taskd subscribe -g kitchen order.placed --exec ./bake.sh", ""},
                      {"taskd subscribe -g audit 'order.*' --once -o json", "what there is"}}},
        run};
    return command;
}

}  // namespace taskd::roles

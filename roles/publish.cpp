// taskd publish: one event into a topic. Its id is made here, so that saying it again after a
// broken connection never doubles the event.
#include <fmt/format.h>

#include "client.hpp"
#include "taskd/io/clock.hpp"
#include "taskd/io/entropy.hpp"
#include "taskd/io/private_files.hpp"
#include "taskd/protocol/json.hpp"
#include "taskd/protocol/target.hpp"
#include "taskd/protocol/topic_json.hpp"

namespace taskd::roles {
namespace {

// JSON as it is; other text as text/plain; bytes that are no text as they are.
Result<std::string> event_of(const Options& options) {
    const auto& words = options.positional();
    std::string body = words.size() > 1 ? words[1] : "-";
    if (body == "-") {
        auto read = io::read_whole_file("-", limits::event_bytes_max);
        if (!read) return read;
        body = std::move(*read);
    }
    Random random{io::random_seed()};
    std::string out;
    protocol::JsonWriter json{out};
    json.begin_object().field(
        "id", options.given("id")
                  ? options.text("id")
                  : TaskId::make(io::make_system_clock()->wall(), random).to_string());
    for (const char* name : {"key", "type", "source"})
        if (options.given(name)) json.field(name, options.text(name));
    std::string media = options.text("content-type");
    const bool is_json = protocol::check_json(body).has_value();
    if (media.empty() && !is_json) media = "text/plain";
    if (!media.empty()) json.field("content_type", media);
    if (is_json && (media.empty() || protocol::is_json_media(media)))
        json.key("data").raw(body);
    else if (protocol::is_json_media(media))
        return fail(ErrorCode::bad_json, "the body of " + media);
    else if (protocol::is_utf8(body))
        json.field("data", body);
    else
        return fail(ErrorCode::invalid_field, "the body is no text in UTF-8");
    json.end_object();
    return out;
}

int run(const Options& options) {
    const auto event = event_of(options);
    if (!event) return report(event.error());
    return with_client(options, [&](service::TaskClient& client) {
        const std::string target =
            "/v1/topics/" + protocol::percent_encode(options.positional()[0]) + "/events";
        const auto answer = client.ask("POST", target, *event);
        if (!answer) return report(answer.error());
        const JsonView published{answer->body};
        if (options.text("output") == "json")
            print_line(answer->body);
        else
            print_line(published["sequence"].text());
        return 0;
    });
}

OptionRow text_row(std::string_view name, std::string_view value, std::string_view help) {
    return {.name = name, .value = value, .help = help, .from_environment = false};
}

}  // namespace

const Command& publish_command() {
    static const Command command{
        {.name = "publish",
         .arguments = "TOPIC [BODY|-]",
         .summary = "publish one event",
         .text = "Prints its sequence within the topic once it is durable. A body that is JSON is "
                 "published as such, any other as text. Without one, or with -, it is read from "
                 "stdin.",
         .options = with_client_rows(
             {text_row("key", "KEY", "whose events keep their order"),
              text_row("type", "TYPE", "what happened"),
              text_row("source", "TEXT", "where it happened"),
              text_row("id", "ID", "published once under source and id (made here unless said)"),
              text_row("content-type", "MEDIA", "of the body (by what it is unless said)"),
              {.name = "output",
               .letter = 'o',
               .kind = OptionKind::choice,
               .value = "json|id",
               .fallback = "id",
               .help = "print it so; id is the sequence",
               .from_environment = false}},
             "10s"),
         .positional_min = 1,
         .positional_max = 2,
         .kind = PageKind::client,
         .examples = {{"taskd publish order.placed '{\"order\": 4711}' --key ann", ""},
                      {"date | taskd publish clock.struck", "text from stdin"}}},
        run};
    return command;
}

}  // namespace taskd::roles

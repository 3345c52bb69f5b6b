// taskd trace: the spans of one trace as a tree with times, from the topic that services tell them
// to.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "client.hpp"
#include "taskd/protocol/json.hpp"
#include "taskd/protocol/target.hpp"

namespace taskd::roles {
namespace {

constexpr std::size_t page_events = 1000;

struct ToldSpan {
    std::string trace;
    std::string id;
    std::string parent;
    std::string name;
    std::string service;
    std::string order;
    std::string note;
    WallTime start;
    WallTime end;
    std::string json;
};

std::optional<ToldSpan> read_span(const JsonView& data) {
    const auto start = parse_rfc3339(data["start"].text());
    const auto end = parse_rfc3339(data["end"].text());
    if (!start || !end || data["spanId"].empty()) return std::nullopt;
    return ToldSpan{data["traceId"].text(),
                    data["spanId"].text(),
                    data["parentId"].text(),
                    data["name"].text(),
                    data["service"].text(),
                    data["orderId"].text(),
                    data["note"].text(),
                    *start,
                    *end,
                    std::string{data.raw()}};
}

// Of the trace, or of the order, that is called so; in the order of their beginnings.
Result<std::vector<ToldSpan>> find_spans(service::TaskClient& client, const std::string& topic,
                                         const std::string& id) {
    std::vector<ToldSpan> spans;
    const std::string target = "/v1/topics/" + protocol::percent_encode(topic) + "/events";
    for (std::string after = "0";;) {
        const auto answer =
            client.ask("GET", fmt::format("{}?after={}&limit={}", target, after, page_events));
        if (!answer) return std::unexpected{answer.error()};
        const JsonView page{answer->body};
        const auto events = page["events"].items();
        for (const JsonView& event : events) {
            auto span = read_span(event["data"]);
            if (span && (span->trace == id || span->order == id)) spans.push_back(std::move(*span));
        }
        if (events.empty()) break;
        after = page["last"].text();
    }
    std::ranges::stable_sort(spans, {}, &ToldSpan::start);
    return spans;
}

// 412.3 ms, 7.25 s.
std::string short_duration(Duration duration) {
    const double ms = static_cast<double>(duration.count()) / 1000;
    return ms < 1000 ? fmt::format("{:.1f} ms", ms) : fmt::format("{:.2f} s", ms / 1000);
}

class Tree {
  public:
    explicit Tree(const std::vector<ToldSpan>& spans) : spans_{spans} {
        for (std::size_t i = 0; i < spans_.size(); ++i) {
            ids_.insert(spans_[i].id);
            below_[spans_[i].parent].push_back(i);
        }
    }

    // What has no parent here begins the tree: also spans below one that was not told, and the
    // first of those that name each other. Each stands in it once.
    TableRows rows() {
        rows_ = {{"SPAN", "SERVICE", "BEGINS", "TOOK", ""}};
        for (const ToldSpan& span : spans_)
            if (!ids_.contains(span.parent)) put(span, 0);
        for (const ToldSpan& span : spans_)
            put(span, 0);
        return std::move(rows_);
    }

  private:
    void put(const ToldSpan& span, std::size_t depth) {
        if (!shown_.insert(span.id).second) return;
        const std::size_t indent = 2 * std::min(depth, depth_max);
        rows_.push_back({std::string(indent, ' ') + span.name, span.service,
                         "+" + short_duration(span.start - spans_.front().start),
                         short_duration(span.end - span.start), span.note});
        if (depth >= depth_max) return;  // what is below stands at the end
        for (const std::size_t i : below_[span.id])
            put(spans_[i], depth + 1);
    }

    static constexpr std::size_t depth_max = 50;  // beyond it something is wrong
    const std::vector<ToldSpan>& spans_;
    std::set<std::string> ids_;
    std::set<std::string> shown_;
    std::map<std::string, std::vector<std::size_t>> below_;  // by parent
    TableRows rows_;
};

int run(const Options& options) {
    return with_client(options, [&](service::TaskClient& client) {
        const std::string& id = options.positional().front();
        const auto spans = find_spans(client, options.text("topic"), id);
        if (!spans) return report(spans.error());
        if (spans->empty())
            return report({ErrorCode::not_found,
                           fmt::format("no span of {} in {}", id, options.text("topic"))});
        if (options.text("output") == "json") {
            std::string out;
            protocol::JsonWriter json{out};
            json.begin_array();
            for (const ToldSpan& span : *spans)
                json.raw(span.json);
            json.end_array();
            print_line(out);
            return 0;
        }
        print_line("trace " + spans->front().trace);
        std::fputs(write_table(Tree{*spans}.rows()).c_str(), stdout);
        return 0;
    });
}

}  // namespace

const Command& trace_command() {
    static const Command command{
        {.name = "trace",
         .arguments = "TRACE|ORDER",
         .summary = "show the spans of a trace as a tree",
         .text = "Spans are events of a topic; each service tells its own. By the trace's id, or "
                 "by what it was\nabout.",
         .options = with_client_rows({{.name = "topic",
                                       .value = "TOPIC",
                                       .fallback = "trace.spans",
                                       .help = "where spans are told",
                                       .from_environment = false},
                                      {.name = "output",
                                       .letter = 'o',
                                       .kind = OptionKind::choice,
                                       .value = "json|table",
                                       .fallback = "table",
                                       .help = "print them so",
                                       .from_environment = false}},
                                     "0s"),
         .positional_min = 1,
         .positional_max = 1,
         .kind = PageKind::client,
         .examples = {{"taskd trace 4bf92f3577b34da6a3ce929d0e0e4736", "who did what, how long"},
                      {"taskd trace ORDER -o json", ""}}},
        run};
    return command;
}

}  // namespace taskd::roles

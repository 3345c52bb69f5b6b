// taskd doctor: whether what the dispatcher goes by is what its tasks and leases say; of one that
// runs, or of the directory of one that does not.
#include <fmt/format.h>

#include "client.hpp"
#include "command.hpp"
#include "stopped_store.hpp"
#include "taskd/io/clock.hpp"
#include "taskd/io/entropy.hpp"
#include "taskd/io/posix_files.hpp"
#include "taskd/io/work_dir.hpp"
#include "taskd/protocol/json.hpp"
#include "taskd/service/recount.hpp"

namespace taskd::roles {
namespace {

std::string joined(const std::vector<JsonView>& items) {
    std::string text;
    for (const JsonView& item : items)
        text += (text.empty() ? "" : ", ") + item.text();
    return text.empty() ? "none" : text;
}

std::string tell_retention(const JsonView& retention) {
    const auto days = [&](std::string_view name) {
        constexpr double ms_a_day = 24 * 3'600'000.0;
        return fmt::format("{:.4g} days",
                           static_cast<double>(retention[name].number().value_or(0)) / ms_a_day);
    };
    return fmt::format("{} of {}; {}, dead ones {}", retention["kept"].text(),
                       retention["count_max"].text(), days("keep_ms"), days("keep_dead_ms"));
}

std::string tell_disk(const JsonView& disk) {
    if (disk.empty()) return "not looked at yet";
    const auto mebibytes = [&](std::string_view name) {
        return disk[name].number().value_or(0) / limits::mebibyte;
    };
    return fmt::format("{} MiB free, {} MiB are the reserve{}", mebibytes("free_bytes"),
                       mebibytes("reserve_bytes"),
                       disk["low"].is_true() ? ": new tasks are refused" : "");
}

std::string write_json(const service::Recount& found, Sequence at) {
    std::string out;
    protocol::JsonWriter json{out};
    json.begin_object().field("sound", found.faults.empty()).key("faults").begin_array();
    for (const std::string& fault : found.faults)
        json.string(fault);
    json.end_array()
        .field("sequence", at.value)
        .field("live", found.live)
        .field("ended", found.ended)
        .key("queues")
        .begin_array();
    for (const service::QueueRecount& queue : found.queues) {
        json.begin_object()
            .field("type", queue.type)
            .field("queued", queue.queued)
            .field("scheduled", queue.scheduled)
            .field("running", queue.running)
            .field("leases", queue.leases);
        if (queue.concurrency > 0) json.field("concurrency", queue.concurrency);
        json.end_object();
    }
    json.end_array().end_object();
    return out;
}

std::string write_text(const service::Recount& found, Sequence at) {
    TableRows queues{{"QUEUE", "QUEUED", "SCHEDULED", "RUNNING", "LEASES", "LIMIT"}};
    for (const service::QueueRecount& queue : found.queues)
        queues.push_back({queue.type, std::to_string(queue.queued), std::to_string(queue.scheduled),
                          std::to_string(queue.running), std::to_string(queue.leases),
                          queue.concurrency == 0 ? "none" : std::to_string(queue.concurrency)});
    TableRows rows;
    for (const std::string& fault : found.faults)
        rows.push_back({"fault", fault});
    rows.push_back({"tasks", fmt::format("{} that have not ended, {} that have, at sequence {}",
                                         found.live, found.ended, at.value)});
    rows.push_back({"verdict", found.faults.empty() ? "sound" : "unsound"});
    return (found.queues.empty() ? "" : write_table(queues) + "\n") + write_table(rows);
}

// The engine comes up from a copy, as it would from the store; then every row is counted.
Result<int> examine_store(const Options& options) {
    const auto files = io::make_posix_files();
    const auto store = io::open_existing_store(*files, find_store_dir(*files, options.text("dir")));
    if (!store) return std::unexpected{store.error()};
    const auto place = io::WorkDir::make({}, fmt::format("doctor-{:x}", io::random_seed()));
    if (!place) return std::unexpected{place.error()};
    const auto stopped = copy_stopped(*files, *store, (*place)->path() + "/view.db",
                                      io::make_system_clock()->wall());
    if (!stopped) return std::unexpected{stopped.error()};
    const auto found = service::recount((*stopped)->engine, *(*stopped)->view);
    if (!found) return std::unexpected{found.error()};
    if (options.text("output") == "json")
        print_line(write_json(*found, (*stopped)->at));
    else
        std::fputs(write_text(*found, (*stopped)->at).c_str(), stdout);
    return found->faults.empty() ? 0 : 1;
}

int run(const Options& options) {
    if (options.given("dir")) {
        const auto examined = examine_store(options);
        return examined ? *examined : report(examined.error());
    }
    return with_client(options, [&](service::TaskClient& client) {
        const auto answer = client.ask("GET", "/v1/doctor");
        if (!answer) return report(answer.error());
        const JsonView found{answer->body};
        if (options.text("output") == "json")
            print_line(answer->body);
        else
            std::fputs(
                write_table({{"faults", joined(found["faults"].items())},
                             {"work beside idle workers", joined(found["idle_with_work"].items())},
                             {"for", found["idle_with_work_ms"].text() + " ms"},
                             {"tasks in memory", found["tasks_in_memory"].text()},
                             {"ended tasks kept", tell_retention(found["retention"])},
                             {"disk", tell_disk(found["disk"])},
                             {"verdict", found["sound"].is_true() ? "sound" : "unsound"}})
                    .c_str(),
                stdout);
        return found["sound"].is_true() ? 0 : 1;
    });
}

}  // namespace

const Command& doctor_command() {
    static const Command command{
        {.name = "doctor",
         .arguments = {},
         .summary = "count everything anew and compare",
         .text = "Every limit and figure is counted anew from leases and tasks; exit code 1 when "
                 "something differs.\nOf a dispatcher that does not run its directory is read as a "
                 "start would, "
                 "and nothing in it changes\n(a copy of its view stands in $TMPDIR meanwhile). "
                 "'taskd store check DIR' verifies the files.",
         .options = with_client_rows({{.name = "dir",
                                       .value = "DIR",
                                       .help = "the data directory of a dispatcher that does "
                                               "not run",
                                       .from_environment = false},
                                      {.name = "output",
                                       .letter = 'o',
                                       .kind = OptionKind::choice,
                                       .value = "json|table",
                                       .fallback = "table",
                                       .help = "print it so",
                                       .from_environment = false}},
                                     "0s"),
         .kind = PageKind::client,
         .examples = {{"taskd doctor", "sound, or what differs"},
                      {"taskd doctor --dir /var/lib/taskd/dispatcher",
                       "the same of one that is stopped"}}},
        run};
    return command;
}

}  // namespace taskd::roles

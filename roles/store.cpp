// taskd store check: verifies a data directory without changing it.
#include <fmt/format.h>

#include "client.hpp"
#include "taskd/io/posix_files.hpp"
#include "taskd/io/store_check.hpp"

namespace taskd::roles {
namespace {

// The store itself, or the data directory of `taskd up` around it.
Result<io::StoreReport> check(port::Files& files, const std::string& dir) {
    auto report = io::check_store(files, dir);
    if (report || report.error().code != ErrorCode::file_missing) return report;
    auto inner = io::check_store(files, dir + "/dispatcher");
    if (!inner && inner.error().code == ErrorCode::file_missing) return report;
    return inner;
}

std::string write_report(const io::StoreReport& report) {
    TableRows rows{
        {"store", fmt::format("{:016x}", report.store_id)},
        {"journal", fmt::format("{} records in {} frames, {} segments", report.records,
                                report.frames, report.segments)},
        {"sequences", fmt::format("{} to {}", report.first.value, report.last.value)},
    };
    if (report.torn) rows.push_back({"", "the last write was cut short; a start cuts it off"});
    rows.push_back({"view", report.view_found
                                ? fmt::format("{} tasks, {} of them live, at sequence {}",
                                              report.tasks, report.live, report.view_at.value)
                                : "none; a start builds it"});
    rows.push_back({"verdict", report.sound() ? "sound" : "damaged"});
    return write_table(rows);
}

int run(const Options& options) {
    const auto& words = options.positional();
    if (words.front() != "check")
        return report({ErrorCode::bad_usage, "'" + words.front() + "'; there is 'store check'"});
    const auto files = io::make_posix_files();
    const std::string dir = words.size() > 1 ? words[1] : options.text("data");
    const auto result = check(*files, dir);
    if (!result) return report(result.error());
    std::fputs(write_report(*result).c_str(), stdout);
    for (const Error& finding : result->findings)
        report(finding);
    return result->sound() ? 0 : row_of(result->findings.front().code).exit_code;
}

}  // namespace

const Command& store_command() {
    static const Command command{
        {.name = "store",
         .arguments = "check [DIR]",
         .summary = "verify a data directory",
         .text = "DIR is a dispatcher's data directory, or that of 'taskd up'. Nothing is changed; "
                 "the\ndispatcher must not be running on it.",
         .options = {{.name = "data",
                      .value = "DIR",
                      .fallback = "taskd-data",
                      .help = "the directory, when it is no argument"}},
         .positional_min = 1,
         .positional_max = 2,
         .examples = {{"taskd store check /var/lib/taskd/dispatcher",
                       "sound or damaged, and where"}},
         .words = {"check"}},
        run};
    return command;
}

}  // namespace taskd::roles

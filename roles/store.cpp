// taskd store: verifies a data directory or a backup without changing it, and brings directories
// of earlier versions up to date.
#include <fmt/format.h>

#include "client.hpp"
#include "stopped_store.hpp"
#include "taskd/io/posix_files.hpp"
#include "taskd/io/store_backup.hpp"
#include "taskd/io/store_check.hpp"
#include "taskd/io/store_upgrade.hpp"

namespace taskd::roles {
namespace {

// A file that is no folder is a backup.
bool is_file(port::Files& files, const std::string& path) {
    return files.open(path, port::OpenMode::read) && !files.list(path);
}

std::string write_bodies(const io::StoreReport& report) {
    return fmt::format("{} payloads and results, {} bytes", report.bodies, report.body_bytes);
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
    rows.push_back({"blobs", write_bodies(report)});
    rows.push_back({"verdict", report.sound() ? "sound" : "damaged"});
    return write_table(rows);
}

std::string write_backup_report(const io::StoreReport& report) {
    return write_table({{"store", fmt::format("{:016x}", report.store_id)},
                        {"backup", fmt::format("{} tasks, {} of them live, at sequence {}",
                                               report.tasks, report.live, report.view_at.value)},
                        {"blobs", write_bodies(report)},
                        {"logs", fmt::format("{} bytes", report.log_bytes)},
                        {"verdict", report.sound() ? "sound" : "damaged"}});
}

int check(port::Files& files, const std::string& path) {
    const bool backup = is_file(files, path);
    const auto result = backup ? io::check_backup(files, path)
                               : io::check_store(files, find_store_dir(files, path));
    if (!result) return report(result.error());
    std::fputs((backup ? write_backup_report(*result) : write_report(*result)).c_str(), stdout);
    for (const Error& finding : result->findings)
        report(finding);
    return result->sound() ? 0 : row_of(result->findings.front().code).exit_code;
}

int upgrade(port::Files& files, const std::string& path, bool dry_run) {
    const std::string dir = find_store_dir(files, path);
    const auto found = dry_run ? io::read_versions(files, dir) : io::upgrade_store(files, dir);
    if (!found) return report(found.error());
    TableRows rows{{"store", fmt::format("{:016x}, format {}", found->store_id, found->format)},
                   {"view", !found->view_found ? "none; a start builds it"
                                               : fmt::format("version {} of {}", found->view,
                                                             found->view_newest)}};
    for (const std::string_view step : found->steps)
        rows.push_back({dry_run ? "to do" : "done", std::string{step}});
    rows.push_back({"verdict", found->is_newest() ? "up to date"
                               : dry_run          ? "to be upgraded"
                                                  : "upgraded"});
    std::fputs(write_table(rows).c_str(), stdout);
    return 0;
}

int run(const Options& options) {
    const auto& words = options.positional();
    const auto files = io::make_posix_files();
    const std::string path = words.size() > 1 ? words[1] : options.text("data");
    const bool dry_run = options.toggle("dry-run");
    if (words.front() == "upgrade") return upgrade(*files, path, dry_run);
    if (words.front() != "check" || dry_run)
        return report({ErrorCode::bad_usage, "'" + words.front() +
                                                 "'; there are 'store check' and 'store upgrade', "
                                                 "which has --dry-run"});
    return check(*files, path);
}

}  // namespace

const Command& store_command() {
    static const Command command{
        {.name = "store",
         .arguments = "check|upgrade [DIR]",
         .summary = "verify a data directory, or bring it up to date",
         .text = "DIR is a dispatcher's data directory, or that of 'taskd up'; a backup can be "
                 "checked as well.\nThe dispatcher must not be running on it. A check changes "
                 "nothing; an upgrade does what the\nnext start would do.",
         .options = {{.name = "data",
                      .value = "DIR",
                      .fallback = "taskd-data",
                      .help = "the directory, when it is no argument"},
                     {.name = "dry-run",
                      .kind = OptionKind::toggle,
                      .help = "say what an upgrade would do",
                      .from_environment = false}},
         .positional_min = 1,
         .positional_max = 2,
         .examples = {{"taskd store check /var/lib/taskd/dispatcher",
                       "sound or damaged, and where"},
                      {"taskd store upgrade --data /var/lib/taskd/dispatcher --dry-run",
                       "versions, and what is to be done"}},
         .words = {"check", "upgrade"}},
        run};
    return command;
}

}  // namespace taskd::roles

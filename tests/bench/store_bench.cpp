// How fast the store is on a real disk: bench_store [FOLDER]. Prints one line a figure.
#include <fmt/format.h>

#include <chrono>
#include <cstdlib>
#include <ctime>
#include <filesystem>

#include "disk_worlds.hpp"
#include "journal_driver.hpp"
#include "taskd/io/file_journal.hpp"
#include "taskd/io/posix_files.hpp"
#include "taskd/io/sqlite_view.hpp"

using namespace taskd;
using namespace taskd::support;

namespace {

class RealClock final : public port::Clock {
  public:
    WallTime wall() const override {
        return WallTime{std::chrono::duration_cast<Duration>(
            std::chrono::system_clock::now().time_since_epoch())};
    }
    SteadyTime steady() const override {
        return SteadyTime{std::chrono::duration_cast<Duration>(
            std::chrono::steady_clock::now().time_since_epoch())};
    }
};

template <class T>
T need(Result<T>&& result) {
    if (!result) {
        fmt::print(stderr, "{}\n", result.error().to_string());
        std::exit(1);
    }
    if constexpr (!std::is_void_v<T>) return std::move(*result);
}

struct Times {
    std::chrono::steady_clock::time_point wall = std::chrono::steady_clock::now();
    std::clock_t processor = std::clock();
};

double seconds_since(const Times& begin) {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin.wall).count();
}
double processor_seconds_since(const Times& begin) {
    return static_cast<double>(std::clock() - begin.processor) / CLOCKS_PER_SEC;
}

Record submitted(Random& random) {
    TaskSpec spec;
    spec.id = TaskId::make(RealClock{}.wall(), random);
    spec.type = "email";
    spec.payload = Blob{std::string(100, 'p')};
    return TaskSubmitted{std::move(spec), RealClock{}.wall()};
}

void bench_journal(port::Files& files, const std::string& dir, std::size_t records,
                   std::size_t commits) {
    const RealClock clock;
    Random random{1};
    io::FileJournal journal{files, clock, {.dir = dir, .store_id = 1, .salt_seed = random.next()}};
    need(recover_all(journal));
    RecordBatch batch{Sequence{1}, {}, {}};
    for (std::size_t i = 0; i < records; ++i)
        batch.records.push_back(submitted(random));
    double in_commits = 0;
    double slowest = 0;
    const Times begin;
    for (std::size_t i = 0; i < commits; ++i) {
        if (journal.stats().wants_prepare) need(journal.prepare());  // a lane of its own in taskd
        const Times one;
        need(append(journal, batch));
        const double took = seconds_since(one);
        in_commits += took;
        slowest = std::max(slowest, took);
        batch.first = batch.last().next();
    }
    const double total = static_cast<double>(commits * records);
    fmt::print(
        "journal {:4} records/commit: {:8.0f} commits/s {:10.0f} records/s  slowest {:.1f} ms"
        "  ({:.2f} us of processor a record, filling ahead included)\n",
        records, static_cast<double>(commits) / in_commits, total / in_commits, slowest * 1e3,
        processor_seconds_since(begin) / total * 1e6);
    const Times again;
    io::FileJournal reader{files, clock, {.dir = dir, .store_id = 1, .salt_seed = random.next()}};
    std::size_t seen = 0;
    need(reader.recover({}, [&](const RecordBatch& each) -> Result<void> {
        seen += each.records.size();
        return {};
    }));
    fmt::print("  recovered {} records in {:.2f} s\n", seen, seconds_since(again));
}

void bench_view(const std::string& path, std::size_t rows, std::size_t changes) {
    auto view = need(io::SqliteView::open({.path = path, .store_id = 1}));
    Random random{2};
    std::vector<Task> all;
    port::ViewMark mark;
    const auto run = [&](std::string_view what, const auto& task_at) {
        double slowest = 0;
        const Times begin;
        for (std::size_t i = 0; i < changes; ++i) {
            mark.sequence = mark.sequence.next();
            port::ViewChange change{mark, {}};
            for (std::size_t n = 0; n < rows; ++n)
                change.tasks.push_back(std::make_shared<const Task>(task_at(i * rows + n)));
            const Times one;
            need(view->store(change));
            slowest = std::max(slowest, seconds_since(one));
        }
        const double total = static_cast<double>(rows * changes);
        fmt::print(
            "view {} {} rows/store: {:8.0f} rows/s  {:.2f} us of processor a row"
            "  slowest store {:.0f} ms\n",
            what, rows, total / seconds_since(begin), processor_seconds_since(begin) / total * 1e6,
            slowest * 1e3);
    };
    run("insert", [&](std::size_t) {
        Task task;
        task.spec = std::get<TaskSubmitted>(submitted(random)).spec;
        task.queued_as = Sequence{all.size() + 1};
        all.push_back(task);
        return task;
    });
    run("complete", [&](std::size_t i) {
        Task task = all[i];
        task.state = TaskState::succeeded;
        task.attempts = {{1, LeaseEpoch{1}, "worker-1", WallTime{}, WallTime{}}};
        task.result = Blob{std::string(60, 'r')};
        return task;
    });
    const Times page;
    for (int i = 0; i < 100; ++i)
        need(view->list({.type = "email", .state = TaskState::succeeded}));
    fmt::print("  a page of 50 in {:.0f} us\n", seconds_since(page) * 1e4);
}

// Tasks that carry much, each stored three times in its life; in rows, and in files beside the
// view.
void bench_bodies(const std::string& dir, std::size_t tasks, std::size_t body_bytes,
                  std::size_t row_body_bytes_max) {
    constexpr std::size_t together = 10;
    need(io::make_posix_files()->make_dir(dir));
    const std::string path = dir + "/view.db";
    std::size_t log_bytes = 0;
    const Times begin;
    {
        auto view = need(io::SqliteView::open(
            {.path = path, .store_id = 1, .row_body_bytes_max = row_body_bytes_max}));
        Random random{3};
        port::ViewMark mark;
        for (std::size_t i = 0; i < tasks; i += together) {
            std::vector<Task> some(together);
            for (Task& task : some) {
                task.spec = std::get<TaskSubmitted>(submitted(random)).spec;
                task.spec.payload =
                    Blob{std::to_string(random.next()) + std::string(body_bytes, 'b')};
            }
            for (const TaskState state :
                 {TaskState::queued, TaskState::running, TaskState::succeeded}) {
                mark.sequence = mark.sequence.next();
                port::ViewChange change{mark, {}};
                for (Task& task : some) {
                    task.state = state;
                    change.tasks.push_back(std::make_shared<const Task>(task));
                }
                need(view->store(change));
            }
        }
        log_bytes = std::filesystem::file_size(path + "-wal");
    }
    std::size_t beside = 0;
    for (const auto& each : std::filesystem::recursive_directory_iterator{dir})
        if (each.is_regular_file() && each.path() != path) beside += each.file_size();
    fmt::print(
        "{} tasks of {} KiB {}: {:.2f} ms a task, {:.2f} of processor; view.db {} MiB, its log"
        " {} MiB, beside it {} MiB\n",
        tasks, body_bytes / limits::kibibyte,
        row_body_bytes_max > body_bytes ? "in rows" : "in files",
        seconds_since(begin) * 1e3 / static_cast<double>(tasks),
        processor_seconds_since(begin) * 1e3 / static_cast<double>(tasks),
        std::filesystem::file_size(path) / limits::mebibyte, log_bytes / limits::mebibyte,
        beside / limits::mebibyte);
}

}  // namespace

int main(int count, char** arguments) {
    const TempDir temp;
    const std::string base = count > 1 ? arguments[1] : temp.path();
    const auto files = io::make_posix_files();
    need(files->make_dir(base));
    bench_journal(*files, base + "/journal-1", 1, 2'000);
    bench_journal(*files, base + "/journal-64", 64, 2'000);
    bench_journal(*files, base + "/journal-512", 512, 2'000);
    bench_view(base + "/view.db", 1'000, 300);
    for (const std::size_t row_bytes : {limits::mebibyte, 64 * limits::kibibyte})
        bench_bodies(fmt::format("{}/bodies-{}", base, row_bytes), 1'000, 512 * limits::kibibyte,
                     row_bytes);
}

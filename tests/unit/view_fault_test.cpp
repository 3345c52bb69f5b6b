// The view under faults: power cut at every operation, full disk, failing sync, damaged pages. The
// disk is simulated; every failure prints the seed and the operation.
#include <map>

#include "catch.hpp"
#include "files_vfs.hpp"
#include "io/store/body_files.hpp"
#include "random_model.hpp"
#include "sim_files.hpp"
#include "taskd/io/sqlite_view.hpp"

using namespace taskd;
using namespace taskd::support;

namespace {

using Rows = std::map<TaskId, Task>;

// Stores changes of a history made from a seed, and knows what the view must hold at each mark.
class ViewScript {
    SimFiles& disk_;
    FilesVfs vfs_;  // before the view, which closes on it

  public:
    ViewScript(SimFiles& disk, std::uint64_t seed) : disk_{disk}, vfs_{disk}, random_{seed} {
        history_.push_back({});
    }

    std::unique_ptr<io::SqliteView> view;
    std::size_t acked = 0;  // index in the history

    Result<void> restart() {
        view.reset();
        auto opened = io::SqliteView::open({.path = "/data/view.db",
                                            .store_id = 1,
                                            .vfs = vfs_.name(),
                                            .files = &disk_,
                                            .checkpoint_pages = 12,
                                            .cache_bytes = 64 * limits::kibibyte,
                                            .row_body_bytes_max = row_body_bytes_max});
        if (!opened) return std::unexpected{opened.error()};
        view = std::move(*opened);
        swept_ = false;
        return {};
    }

    Result<void> store_next() {
        if (history_.size() == acked + 1) history_.push_back(next());
        const auto& [mark, rows, gone] = history_[acked + 1];
        port::ViewChange change{mark, {}};
        change.gone_tasks = gone;
        for (const auto& [id, task] : rows)
            if (task.changed_as == mark.sequence)
                change.tasks.push_back(std::make_shared<const Task>(task));
        if (auto done = view->store(change); !done) return done;
        swept_ = true;
        ++acked;
        return {};
    }

    Result<void> run(int changes) {
        for (int i = 0; i < changes; ++i) {
            if (i % 10 == 9)
                if (auto done = restart(); !done) return done;
            if (auto done = store_next(); !done) return done;
        }
        return {};
    }

    // At least what was acknowledged, at most the change in doubt, and rows exactly as at the mark.
    void check() {
        const auto mark = view->mark().value();
        std::size_t at = 0;
        while (at < history_.size() && !(history_[at].mark == mark))
            ++at;
        REQUIRE(at < history_.size());
        REQUIRE(at >= acked);
        REQUIRE(at <= acked + 1);
        acked = at;
        Rows found;
        TaskQuery query{.limit = 1'000};
        const TaskPage page = view->list(query).value();
        for (const Task& task : page.tasks)
            found[task.spec.id] = task;
        REQUIRE(found == history_[at].rows);
        check_files(found);
        std::size_t live = 0;
        REQUIRE(view->each_live([&](const TaskHead&) { ++live; }));
        REQUIRE(static_cast<long>(live) == std::ranges::count_if(found, [](const auto& row) {
                    return !is_terminal(row.second.state) || row.second.lease;
                }));
    }

    // The files that rows name, whole; and no other once the first store after a start has swept.
    void check_files(const Rows& rows) {
        std::map<std::string, std::string> wanted, found;
        for (const auto& [id, task] : rows)
            for (const Blob& body : {task.spec.payload, task.result})
                if (body.size() > row_body_bytes_max)
                    wanted["/data/blobs/" + io::BodyFiles::place_of(
                                                io::BodyFiles::name_of(body.view()))] = body.view();
        for (auto& [path, bytes] : disk_.snapshot())
            if (path.starts_with("/data/blobs/")) found[path] = bytes;
        if (!swept_)
            std::erase_if(found, [&](const auto& file) { return !wanted.contains(file.first); });
        REQUIRE(found == wanted);
        bodies_seen += found.size();
    }

    std::size_t bodies_seen = 0;

  private:
    static constexpr std::size_t row_body_bytes_max = 3'000;

    struct Point {
        port::ViewMark mark;
        Rows rows;
        std::vector<TaskId> gone;
    };

    Point next() {
        Point point = history_.back();
        point.gone.clear();
        if (point.rows.size() > 4 && random_.chance(1, 2)) {
            point.gone.push_back(point.rows.begin()->first);
            point.rows.erase(point.rows.begin());
        }
        point.mark.sequence = Sequence{point.mark.sequence.value + 1 + random_.below(5)};
        point.mark.totals.submitted += 1;
        for (std::uint64_t changes = 1 + random_.below(6); changes > 0; --changes) {
            Task task = random_task(random_);
            if (point.rows.size() > 3 && random_.chance(2, 3)) {
                auto old = point.rows.begin();
                std::advance(old, static_cast<long>(random_.below(point.rows.size())));
                const TaskSpec spec = old->second.spec;
                task.spec = spec;
            } else {
                task.spec.type = random_.chance(1, 2) ? "email" : "sum";
            }
            if (random_.chance(1, 8)) task.result = Blob{std::string(9'000, 'r')};
            if (random_.chance(1, 4))
                task.spec.payload = Blob{std::string(4'000 + random_.below(3), 'p')};
            task.changed_as = point.mark.sequence;
            point.rows[task.spec.id] = std::move(task);
        }
        return point;
    }

    Random random_;
    bool swept_ = false;
    std::vector<Point> history_;  // by mark, from the empty one
};

}  // namespace

TEST_CASE("a cut at any operation leaves the view at a mark and its rows as they were there") {
    SimFilesHits hits;
    std::uint64_t cuts = 0;
    std::size_t bodies = 0;
    for (const std::uint64_t seed : {1}) {
        bool was_cut = true;
        for (std::uint64_t cut = 1; was_cut; ++cut) {
            INFO("seed " << seed << " cut at operation " << cut);
            SimFiles disk{seed * 104'729 + cut, {.cut_at = cut}};
            REQUIRE(disk.make_dir("/data"));
            ViewScript script{disk, seed};
            if (script.restart()) static_cast<void>(script.run(14));
            was_cut = !disk.powered();
            Random random{cut};
            for (int crashes = 0; !disk.powered(); ++crashes) {
                script.view.reset();
                disk.power_on();
                disk.faults.cut_at = crashes < 2 ? disk.operations() + 1 + random.below(12) : 0;
                const auto done = script.restart();
                if (!disk.powered()) continue;
                INFO((done ? "" : done.error().to_string()));
                REQUIRE(done.has_value());
                script.check();
            }
            disk.faults.cut_at = 0;
            REQUIRE(script.run(3));
            script.check();
            REQUIRE(script.restart());
            script.check();
            script.view.reset();
            cuts += disk.hits().cuts;
            bodies += script.bodies_seen;
            hits.sectors_torn += disk.hits().sectors_torn;
            hits.sectors_lost += disk.hits().sectors_lost;
            hits.sectors_kept += disk.hits().sectors_kept;
        }
    }
    CHECK(cuts > 200);
    CHECK(bodies > 500);
    CHECK(hits.sectors_torn > 500);
    CHECK(hits.sectors_lost > 500);
    CHECK(hits.sectors_kept > 500);
}

TEST_CASE("a full disk stores nothing of a change and says so; with room it goes on") {
    SimFiles disk{3};
    REQUIRE(disk.make_dir("/data"));
    ViewScript script{disk, 3};
    REQUIRE(script.restart());
    REQUIRE(script.run(5));
    int refused = 0;
    for (int i = 0; i < 90; ++i) {
        disk.faults.capacity_bytes = disk.bytes_used() + 3'000 * static_cast<std::uint64_t>(i % 3);
        const auto done = script.store_next();
        if (!done) {
            CHECK(done.error().code == ErrorCode::disk_full);
            ++refused;
        }
        script.check();
        disk.faults.capacity_bytes = 0;
        REQUIRE(script.store_next());
    }
    CHECK(refused > 5);
    // A start needs no room: what waits in the log goes on waiting there.
    for (int i = 0; i < 20; ++i) {
        disk.faults.capacity_bytes = 0;
        REQUIRE(script.run(3));
        disk.faults.capacity_bytes = disk.bytes_used();
        REQUIRE(script.restart());
        script.check();
    }
    disk.faults.capacity_bytes = 0;
    REQUIRE(script.restart());
    script.check();
}

TEST_CASE("a failed sync is the end of storing, and a restart finds what was acknowledged") {
    for (std::uint64_t at = 1; at <= 12; ++at) {
        INFO("sync " << at);
        SimFiles disk{at};
        REQUIRE(disk.make_dir("/data"));
        ViewScript script{disk, 5};
        REQUIRE(script.restart());
        REQUIRE(script.run(8));
        disk.faults.sync_fails_at = disk.syncs() + at;
        Result<void> done{};
        while (done)
            done = script.store_next();
        CHECK(done.error().code == ErrorCode::io_failed);
        CHECK(script.store_next().error().code == ErrorCode::io_failed);
        script.view.reset();
        disk.cut_power();
        disk.power_on();
        REQUIRE(script.restart());
        script.check();
    }
}

TEST_CASE("a damaged page is view_corrupt") {
    SimFiles disk{3};
    REQUIRE(disk.make_dir("/data"));
    ViewScript script{disk, 3};
    REQUIRE(script.restart());
    REQUIRE(script.run(30));
    REQUIRE(script.view->checkpoint());
    script.view.reset();
    std::string bytes = *disk.content("/data/view.db");
    REQUIRE(bytes.size() > 5 * 4'096);
    for (std::size_t page = 1; page * 4'096 < bytes.size(); ++page)
        std::fill_n(bytes.begin() + static_cast<long>(page * 4'096), 16, '\x55');
    disk.set_content("/data/view.db", bytes);
    const auto opened = script.restart();
    const auto listed = opened ? script.view->list({}).error().code : opened.error().code;
    CHECK(listed == ErrorCode::view_corrupt);
}

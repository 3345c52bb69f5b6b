// Backups: what is in them whatever happens meanwhile, and stores made of them, with the power cut
// at every step.
#include "catch.hpp"
#include "disk_worlds.hpp"
#include "files_vfs.hpp"
#include "io/store/body_files.hpp"
#include "io/store/sqlite_db.hpp"
#include "io/store/view_schema.hpp"
#include "random_model.hpp"
#include "sim_cluster.hpp"
#include "taskd/io/file_task_logs.hpp"
#include "taskd/io/sqlite_view.hpp"
#include "taskd/io/store_backup.hpp"
#include "taskd/io/store_upgrade.hpp"
#include "taskd/protocol/json_view.hpp"
#include "taskd/service/rebuild.hpp"
#include "taskd/sim/memory_view.hpp"

using namespace taskd;
using namespace taskd::test;
using namespace taskd::support;
using namespace std::chrono_literals;
using protocol::JsonView;

namespace {

constexpr std::uint64_t store_id = 0x5eed;

std::vector<Task> tasks_of(port::View& view) {
    std::vector<Task> tasks;
    TaskQuery query;
    query.limit = limits::page_tasks_max;
    do {
        auto page = view.list(query);
        REQUIRE(page.has_value());
        std::ranges::move(page->tasks, std::back_inserter(tasks));
        query.after = page->next;
    } while (query.after);
    return tasks;
}

// A view on a simulated disk, filled by hand.
struct ViewOnDisk {
    explicit ViewOnDisk(std::size_t bound = 64 * limits::kibibyte) : row_body_bytes_max{bound} {
        REQUIRE(disk.make_dir("data/backups"));
        auto opened = io::SqliteView::open(settings("data/view.db"));
        REQUIRE(opened.has_value());
        view = std::move(*opened);
    }

    io::SqliteViewSettings settings(const std::string& path) {
        return {.path = path,
                .store_id = store_id,
                .vfs = vfs.name(),
                .files = &disk,
                .checkpoint_pages = 50,
                .row_body_bytes_max = row_body_bytes_max};
    }

    void store(std::size_t count, TaskState state = TaskState::succeeded) {
        std::vector<Task> rows;
        for (; count > 0; --count) {
            Task task = random_task(random);
            task.spec.id = TaskId::make(WallTime{std::chrono::milliseconds{++time}}, random);
            task.spec.payload = Blob{"\"" + std::string(400 + random.below(5), 'p') + "\""};
            task.state = state;
            task.lease.reset();
            task.queued_as = Sequence{task.queued_as.value >> 1};
            mark.totals.kept += is_terminal(state) ? 1 : 0;
            rows.push_back(std::move(task));
        }
        mark.sequence = mark.sequence.next();
        REQUIRE(view->store({mark, sim::as_rows(std::move(rows))}));
    }

    // As it stands, in one go.
    std::string backup() {
        for (int i = 0; i < 1'000; ++i) {
            const auto made = view->copy_some("data/backups/b", logs);
            REQUIRE(made.has_value());
            log_bytes = *made ? (*made)->log_bytes : 0;
            if (*made) return disk.content("data/backups/b").value();
        }
        FAIL("a copy has no end");
        return {};
    }

    std::size_t row_body_bytes_max;
    std::string logs;
    std::uint64_t log_bytes = 0;  // of the last backup
    SimFiles disk{3};
    FilesVfs vfs{disk};
    std::unique_ptr<io::SqliteView> view;
    port::ViewMark mark;
    Random random{5};
    std::int64_t time = 1'000'000;
};

// A backup alone on a disk.
struct Elsewhere {
    explicit Elsewhere(const std::string& bytes, std::uint64_t seed = 1) : disk{seed} {
        REQUIRE(disk.make_dir("elsewhere"));
        disk.set_content("elsewhere/b", bytes);
    }
    Result<io::StoreReport> restore(const std::string& dir = "data") {
        const FilesVfs vfs{disk};
        return io::restore_store(disk, "elsewhere/b", dir, random, vfs.name());
    }
    Result<io::StoreReport> check(const std::string& dir = "data") {
        const FilesVfs vfs{disk};
        return io::check_store(disk, dir, vfs.name());
    }

    SimFiles disk;
    Random random{9};
};

}  // namespace

TEST_CASE("what is stored while a copy is made is in the copy") {
    ViewOnDisk world;
    world.store(3'000);
    const port::ViewMark begun = world.mark;
    std::optional<port::ViewCopied> whole;
    int parts = 0;
    for (; !whole; ++parts) {
        const auto made = world.view->copy_some("data/backups/b", {});
        REQUIRE(made.has_value());
        whole = *made;
        if (!whole && parts < 3) world.store(300, TaskState::queued);
    }
    CHECK(parts > 2);
    CHECK(whole->mark.sequence > begun.sequence);
    CHECK(whole->mark == world.mark);
    const auto copy = io::SqliteView::open(world.settings("data/backups/b"));
    REQUIRE(copy.has_value());
    CHECK((*copy)->mark() == world.mark);
    CHECK(tasks_of(**copy) == tasks_of(*world.view));
}

TEST_CASE("a copy that finds no room is given up, and the view goes on") {
    ViewOnDisk world;
    world.store(3'000);
    world.disk.faults.capacity_bytes = world.disk.bytes_used() + 500'000;
    Result<std::optional<port::ViewCopied>> made = std::nullopt;
    for (int i = 0; i < 1'000 && made && !*made; ++i)
        made = world.view->copy_some("data/backups/b", {});
    REQUIRE_FALSE(made.has_value());
    CHECK(made.error().code == ErrorCode::disk_full);
    world.view->drop_copy();
    REQUIRE(world.disk.remove("data/backups/b"));
    world.disk.faults.capacity_bytes = 0;
    world.store(10);
    CHECK(tasks_of(*world.view).size() == 3'010);
    CHECK(world.backup().size() > 1'000'000);
}

TEST_CASE("a store is made of a backup as a whole, wherever the power goes") {
    ViewOnDisk world;
    world.store(20);
    world.store(20, TaskState::queued);
    const std::string bytes = world.backup();
    const auto tasks = tasks_of(*world.view);
    std::uint64_t cuts = 0, refused = 0, whole = 0;
    for (bool was_cut = true; was_cut; ++cuts) {
        Elsewhere other{bytes, cuts + 1};
        INFO("cut at " << cuts);
        other.disk.faults.cut_at = cuts + 1;
        const auto made = other.restore();
        was_cut = !other.disk.powered();
        CHECK(made.has_value() == !was_cut);
        if (was_cut) other.disk.power_on();
        other.disk.faults = {};
        // Nothing there, refused by name, or all of it.
        const auto found = other.check();
        if (!found) {
            const ErrorCode code = found.error().code;
            CHECK((code == ErrorCode::file_missing || code == ErrorCode::restore_unfinished));
            refused += code == ErrorCode::restore_unfinished ? 1 : 0;
            const auto again = other.restore();
            INFO((again ? "" : again.error().to_string()));
            REQUIRE(again.has_value());
        } else {
            ++whole;
            CHECK(other.restore().error().code == ErrorCode::store_not_empty);
        }
        const auto sound = other.check();
        REQUIRE(sound.has_value());
        CHECK(sound->sound());
        CHECK(sound->tasks == 40);
        CHECK(sound->live == 20);
        CHECK(sound->first == sound->view_at.next());
        const FilesVfs vfs{other.disk};
        const auto id = io::read_store_id(other.disk, "data");
        REQUIRE(id.has_value());
        CHECK(*id != store_id);
        const auto view = io::SqliteView::open(
            {.path = "data/view.db", .store_id = *id, .vfs = vfs.name(), .files = &other.disk});
        REQUIRE(view.has_value());
        CHECK(tasks_of(**view) == tasks);
    }
    CHECK(cuts > 10);
    CHECK(refused > 5);
    CHECK(whole >= 1);
}

TEST_CASE("what is no backup, or no place for one, is refused by name") {
    ViewOnDisk world;
    world.store(5);
    const std::string bytes = world.backup();
    CHECK(Elsewhere{std::string(8'192, 'x')}.restore().error().code == ErrorCode::view_corrupt);
    std::string newer = bytes;
    newer[63] = 99;  // user_version, big-endian at 60
    CHECK(Elsewhere{newer}.restore().error().code == ErrorCode::store_too_new);
    Elsewhere torn{bytes.substr(0, bytes.size() / 2)};
    CHECK(torn.restore().error().code == ErrorCode::view_corrupt);
    CHECK(torn.disk.content("data/view.db") == std::nullopt);
    Elsewhere other{bytes};
    REQUIRE(other.restore().has_value());
    CHECK(other.restore().error().code == ErrorCode::store_not_empty);
    for (const char* left : {"view.db", "journal/00000000000000000001.seg"}) {
        Elsewhere used{bytes};
        REQUIRE(used.disk.make_dir("data/journal"));
        used.disk.set_content(std::string{"data/"} + left, "something");
        CHECK(used.restore().error().code == ErrorCode::store_not_empty);
    }
    {
        const auto lock = other.disk.lock("data/lock");
        CHECK(other.restore().error().code == ErrorCode::store_locked);
    }
    other.disk.set_content("elsewhere/b", "");
    CHECK_FALSE(other.restore("new").has_value());
    REQUIRE(other.disk.remove("elsewhere/b"));
    CHECK(other.restore("new").error().code == ErrorCode::file_missing);
}

TEST_CASE("a running dispatcher makes a backup of which another goes on") {
    SimCluster cluster{{.seed = 3}};
    cluster.run_for(2s);
    std::vector<TaskSpec> tasks;
    for (int i = 0; i < 50; ++i)
        tasks.push_back(cluster.make_task(i % 2 == 0 ? "echo" : "nobody", std::to_string(i)));
    cluster.submit(tasks);
    cluster.run_for(5s);
    const auto made = cluster.ask("dispatcher", {"POST", "/v1/backups", {}, R"({"name":"one"})"});
    REQUIRE((made && made->status == 201));
    const std::string bytes = cluster.disk().content("data/backups/one").value();
    CHECK(JsonView{made->body}["bytes"].number() == bytes.size());
    CHECK_FALSE(cluster.disk().content("data/backups/one.part").has_value());
    Elsewhere other{bytes};
    const auto restored = other.restore();
    REQUIRE(restored.has_value());
    CHECK(restored->tasks == 50);
    CHECK(restored->live == 25);
    // An engine comes up from it, and has what waited.
    const FilesVfs vfs{other.disk};
    const auto store = io::open_existing_store(other.disk, "data");
    REQUIRE(store.has_value());
    const auto view = io::SqliteView::open(
        {.path = "data/view.db", .store_id = store->id, .vfs = vfs.name(), .files = &other.disk});
    REQUIRE(view.has_value());
    engine::Engine engine{{}};
    const auto rebuilt =
        service::rebuild(engine, **view, [&](Sequence after, const service::TakeBatch& take) {
            return io::read_journal(other.disk, *store, after, take);
        });
    REQUIRE(rebuilt.has_value());
    CHECK(rebuilt->applied == rebuilt->viewed.next());
    CHECK(engine.figures_of("nobody").queued == 25);
    CHECK(engine.totals().kept == 25);
    CHECK(engine.totals().submitted == 50);
}

TEST_CASE("an earlier version is told what it needs, and gets it") {
    ViewOnDisk world;
    world.store(5);
    world.store(5, TaskState::queued);
    const std::string bytes = world.backup();
    Elsewhere other{bytes};
    REQUIRE(other.restore().has_value());
    const FilesVfs vfs{other.disk};
    const auto newest = io::read_versions(other.disk, "data", vfs.name());
    REQUIRE(newest.has_value());
    CHECK(newest->is_newest());
    CHECK(newest->steps.empty());
    {
        auto db = io::SqliteDb::open("data/view.db", vfs.name(), SQLITE_OPEN_READWRITE);
        REQUIRE(db.has_value());
        REQUIRE(db->run("PRAGMA locking_mode = EXCLUSIVE"));
        REQUIRE(
            db->run("ALTER TABLE mark DROP COLUMN kept; DROP INDEX tasks_payload_file;"
                    " DROP INDEX tasks_result_file; DROP TABLE workflows; DROP TABLE "
                    "workflow_plans; DROP TABLE workflow_steps;"
                    " DROP TABLE topics; DROP TABLE subscriptions; DROP TABLE topic_events;"
                    " DROP TABLE dead_letters; PRAGMA user_version = 6"));
    }
    for (int i = 0; i < 2; ++i) {
        const auto told = io::read_versions(other.disk, "data", vfs.name());
        REQUIRE(told.has_value());
        CHECK(told->view == 6);
        CHECK(told->view_newest == io::view_version);
        REQUIRE(told->steps.size() == 3);
        CHECK(told->steps[0] == "ended tasks that are kept are counted");
        CHECK(told->steps[1].starts_with("long payloads and results may get files"));
    }
    REQUIRE(io::upgrade_store(other.disk, "data", vfs.name()).has_value());
    CHECK(io::read_versions(other.disk, "data", vfs.name())->is_newest());
    const auto sound = io::check_store(other.disk, "data", vfs.name());
    REQUIRE(sound.has_value());
    CHECK(sound->sound());  // of the count too
}

namespace {

// Bodies beside the view, some of them equal, and what tasks printed.
struct FullDisk : ViewOnDisk {
    FullDisk() : ViewOnDisk{300} {
        logs = "data/logs";
        store(20);
        store(20, TaskState::queued);
        io::FileTaskLogs printed{disk, {logs}};
        for (const Task& task : tasks_of(*view)) {
            const std::string line = "printed by " + task.spec.id.to_string() + "\n";
            REQUIRE(printed.append({task.spec.id, LeaseEpoch{1}}, 0, line).has_value());
        }
        // Of a task that is not there any more.
        REQUIRE(printed.append({TaskId{}, LeaseEpoch{1}}, 0, "of nobody").has_value());
    }
};

std::vector<std::string> below(const SimFiles& disk, const std::string& folder) {
    std::vector<std::string> found;
    for (const auto& [path, bytes] : disk.snapshot())
        if (path.starts_with(folder + "/")) found.push_back(path);
    return found;
}

}  // namespace

TEST_CASE("a backup holds what lies beside the view, and a store made of it has it again") {
    FullDisk world;
    const auto tasks = tasks_of(*world.view);
    const std::size_t bodies = below(world.disk, "data/blobs").size();
    CHECK(bodies > 3);
    const std::string bytes = world.backup();
    CHECK(world.log_bytes > 40 * 40);
    std::uint64_t cuts = 0, unfinished = 0;
    for (bool was_cut = true; was_cut; cuts += 7) {
        INFO("cut at " << cuts);
        Elsewhere other{bytes, cuts + 1};
        {
            const FilesVfs vfs{other.disk};
            const auto found = io::check_backup(other.disk, "elsewhere/b", vfs.name());
            REQUIRE(found.has_value());
            CHECK(found->sound());
            CHECK(found->bodies == bodies);
            CHECK(found->log_bytes == world.log_bytes);
        }
        other.disk.faults.cut_at = other.disk.operations() + cuts + 1;
        static_cast<void>(other.restore());
        was_cut = !other.disk.powered();
        if (was_cut) other.disk.power_on();
        other.disk.faults = {};
        if (!other.check()) {
            ++unfinished;
            const auto again = other.restore();
            INFO((again ? "" : again.error().to_string()));
            REQUIRE(again.has_value());
        }
        const auto sound = other.check();
        REQUIRE(sound.has_value());
        INFO((sound->sound() ? "" : sound->findings.front().to_string()));
        CHECK(sound->sound());
        CHECK(sound->bodies == bodies);
        CHECK(below(other.disk, "data/blobs").size() == bodies);
        // Compact: what lies beside it takes no room in it.
        CHECK(other.disk.content("data/view.db")->size() < bytes.size());
        const FilesVfs vfs{other.disk};
        const auto view = io::SqliteView::open({.path = "data/view.db",
                                                .store_id = sound->store_id,
                                                .vfs = vfs.name(),
                                                .files = &other.disk});
        REQUIRE(view.has_value());
        CHECK(tasks_of(**view) == tasks);
        io::FileTaskLogs printed{other.disk, {"data/logs"}};
        CHECK(below(other.disk, "data/logs").size() == tasks.size());
        for (const Task& task : tasks)
            CHECK(printed.read({task.spec.id, LeaseEpoch{1}}, 0, 1'000)->bytes ==
                  "printed by " + task.spec.id.to_string() + "\n");
    }
    CHECK(cuts > 200);
    CHECK(unfinished > 20);
}

TEST_CASE("a backup without what tasks printed is one without it") {
    FullDisk world;
    world.logs.clear();
    Elsewhere other{world.backup()};
    CHECK(world.log_bytes == 0);
    REQUIRE(other.restore().has_value());
    CHECK(below(other.disk, "data/logs").empty());
    CHECK_FALSE(below(other.disk, "data/blobs").empty());
}

TEST_CASE("endpoints are in a backup, and in a store made of it, and no others") {
    const std::string declared = R"([{"name":"sums","method":"POST"}])";
    const std::string stale = R"([{"name":"of another store"}])";
    for (const bool running : {true, false}) {
        INFO(running);
        ViewOnDisk world;
        world.store(5);
        world.disk.set_content("data/endpoints.json", declared);
        if (running) {
            world.backup();
        } else {
            world.view.reset();
            REQUIRE(io::describe_store(world.disk, "data", store_id));
            const auto store = io::open_existing_store(world.disk, "data");
            const std::string& vfs = world.vfs.name();
            REQUIRE(io::copy_view(world.disk, *store, "data/backups/b", vfs).value());
            CHECK(io::seal_backup(world.disk, *store, "data/backups/b", true, vfs) == 0u);
        }
        CHECK(world.log_bytes == 0);
        Elsewhere other{world.disk.content("data/backups/b").value()};
        REQUIRE(other.disk.make_dir("data"));
        other.disk.set_content("data/endpoints.json", stale);
        const auto restored = other.restore();
        REQUIRE(restored.has_value());
        CHECK(restored->log_bytes == 0);
        CHECK(other.check()->sound());
        CHECK(other.disk.content("data/endpoints.json") == declared);
    }
    ViewOnDisk world;
    world.store(5);
    Elsewhere other{world.backup()};
    REQUIRE(other.disk.make_dir("data"));
    other.disk.set_content("data/endpoints.json", stale);
    other.disk.set_content("data/own_events.json", R"({"told":9})");
    REQUIRE(other.restore().has_value());
    CHECK(other.disk.content("data/endpoints.json") == std::nullopt);
    CHECK(other.disk.content("data/own_events.json") == std::nullopt);
}

TEST_CASE("a backup that lacks a body, or has another, is damaged") {
    FullDisk world;
    const std::string bytes = world.backup();
    for (const char* damage : {"DELETE FROM beside WHERE name LIKE 'blobs/%'",
                               "UPDATE beside SET bytes = x'00' WHERE name LIKE 'blobs/%'",
                               "UPDATE beside SET name = '../' || name WHERE name LIKE 'logs/%'"}) {
        INFO(damage);
        Elsewhere other{bytes};
        {
            const FilesVfs vfs{other.disk};
            auto db = io::SqliteDb::open("elsewhere/b", vfs.name(), SQLITE_OPEN_READWRITE);
            REQUIRE(db.has_value());
            REQUIRE(db->run("PRAGMA locking_mode = EXCLUSIVE"));
            REQUIRE(db->run(damage));
        }
        const auto restored = other.restore();
        REQUIRE_FALSE(restored.has_value());
        CHECK(restored.error().code == ErrorCode::view_corrupt);
        CHECK(below(other.disk, "data").empty());
    }
}

TEST_CASE("a damaged body stops a backup and names its file") {
    FullDisk world;
    const std::string path = below(world.disk, "data/blobs").front();
    world.disk.set_content(path, "something else");
    Result<std::optional<port::ViewCopied>> made = std::nullopt;
    for (int i = 0; i < 100 && made && !*made; ++i)
        made = world.view->copy_some("data/backups/b", {});
    REQUIRE_FALSE(made.has_value());
    CHECK(made.error().code == ErrorCode::view_corrupt);
    CHECK(made.error().to_string().find(path) != std::string::npos);
}

TEST_CASE("the store of a stopped dispatcher is backed up with what lies beside its view") {
    FullDisk world;
    const auto tasks = tasks_of(*world.view);
    world.view.reset();
    REQUIRE(io::describe_store(world.disk, "data", store_id));
    const auto store = io::open_existing_store(world.disk, "data");
    REQUIRE(store.has_value());
    REQUIRE(io::copy_view(world.disk, *store, "data/backups/b", world.vfs.name()).value());
    Task late = tasks.front();
    {
        // A body that only the journal has stays in its row; nothing of the store changes.
        const auto before = below(world.disk, "data/blobs");
        auto settings = world.settings("data/backups/b");
        settings.bodies = "data/blobs";
        settings.is_copy = true;
        const auto copy = io::SqliteView::open(settings);
        REQUIRE(copy.has_value());
        CHECK(tasks_of(**copy) == tasks);
        late.spec.payload = Blob{"\"" + std::string(2'000, 'l') + "\""};
        REQUIRE((*copy)->store({world.mark, sim::as_rows({late})}));
        CHECK((*copy)->find(std::span{&late.spec.id, 1}) == std::vector{late});
        CHECK(below(world.disk, "data/blobs") == before);
    }
    const auto sealed =
        io::seal_backup(world.disk, *store, "data/backups/b", true, world.vfs.name());
    REQUIRE(sealed.has_value());
    CHECK(*sealed > 40 * 40);
    Elsewhere other{world.disk.content("data/backups/b").value()};
    const auto restored = other.restore();
    INFO((restored ? "" : restored.error().to_string()));
    REQUIRE(restored.has_value());
    CHECK(restored->tasks == 40);
    CHECK(other.check()->sound());
}

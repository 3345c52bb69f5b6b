// A data directory as a whole, on every disk: opening it, refusing what does not belong, checking
// it.
#include "catch.hpp"
#include "disk_worlds.hpp"
#include "files_vfs.hpp"
#include "io/store/body_files.hpp"
#include "io/store/sqlite_db.hpp"
#include "journal_driver.hpp"
#include "manual_clock.hpp"
#include "random_model.hpp"
#include "sim_files.hpp"
#include "taskd/io/file_journal.hpp"
#include "taskd/io/sqlite_view.hpp"
#include "taskd/io/store_check.hpp"
#include "taskd/io/store_dir.hpp"
#include "taskd/sim/memory_view.hpp"

using namespace taskd;
using namespace taskd::support;

namespace {

struct StoreWorld {
    explicit StoreWorld(DiskKind kind) : disk{make_disk_world(kind)}, dir{disk.dir + "/store"} {
        if (kind == DiskKind::simulated) vfs = std::make_unique<FilesVfs>(*disk.files);
    }

    port::Files& files() { return *disk.files; }
    std::string vfs_name() const { return vfs ? vfs->name() : ""; }
    Result<io::Store> open() { return io::open_store(files(), dir, random); }
    Result<io::StoreReport> check() { return io::check_store(files(), dir, vfs_name()); }

    // Journal with `batches` batches, the view at the end of the last `behind` but one, all closed.
    void fill(int batches, int behind) {
        const auto store = open().value();
        auto settings = small_journal(store.paths.journal);
        settings.store_id = store.id;
        io::FileJournal journal{files(), clock, settings};
        REQUIRE(recover_all(journal));
        auto view = io::SqliteView::open({.path = store.paths.view,
                                          .store_id = store.id,
                                          .vfs = vfs_name(),
                                          .files = disk.files.get(),
                                          .row_body_bytes_max = row_body_bytes_max});
        REQUIRE(view.has_value());
        for (int i = 0; i < batches; ++i) {
            REQUIRE(journal.prepare());
            const RecordBatch batch = history_batch(1, last.next());
            REQUIRE(append(journal, batch));
            last = batch.last();
            if (i >= batches - behind) continue;
            Task task = random_task(random);
            task.spec.type = "email";
            task.queued_as = last;
            tasks.push_back(task);
            view_at = last;
            if (is_terminal(task.state)) ++totals.kept;
            REQUIRE((*view)->store({{last, {}, totals}, sim::as_rows({task})}));
        }
    }

    std::size_t row_body_bytes_max = 64 * limits::kibibyte;
    DiskWorld disk;
    std::string dir;
    std::unique_ptr<FilesVfs> vfs;
    ManualClock clock;
    Random random{4};
    Sequence last;
    Sequence view_at;
    Totals totals;
    std::vector<Task> tasks;
};

std::vector<ErrorCode> codes_of(const io::StoreReport& report) {
    std::vector<ErrorCode> codes;
    for (const Error& finding : report.findings)
        codes.push_back(finding.code);
    return codes;
}

}  // namespace

#define ON_EVERY_DISK                                                \
    StoreWorld world{GENERATE(DiskKind::real, DiskKind::simulated)}; \
    INFO(world.disk.name)

TEST_CASE("a store is made once and keeps its id") {
    ON_EVERY_DISK;
    std::uint64_t id = 0;
    {
        const auto store = world.open();
        REQUIRE(store.has_value());
        id = store->id;
        CHECK(world.open().error().code == ErrorCode::store_locked);
        CHECK(world.check().error().code == ErrorCode::store_locked);
    }
    CHECK(world.open().value().id == id);
    const std::string text = get_file(world.files(), world.dir + "/store.json");
    CHECK(text.starts_with("{\"format\":1,\"store_id\":\""));
}

TEST_CASE("a description that cannot be understood is refused by name") {
    ON_EVERY_DISK;
    static_cast<void>(world.open().value());
    const std::string path = world.dir + "/store.json";
    const auto with = [&](std::string_view text) {
        put_file(world.files(), path, text);
        return world.open().error().code;
    };
    CHECK(with("") == ErrorCode::store_damaged);
    CHECK(with("[]") == ErrorCode::store_damaged);
    CHECK(with("{}") == ErrorCode::store_damaged);
    CHECK(with(R"({"format":1})") == ErrorCode::store_damaged);
    CHECK(with(R"({"format":0,"store_id":"0123456789abcdef"})") == ErrorCode::store_damaged);
    CHECK(with(R"({"format":1,"store_id":"0123456789abcde"})") == ErrorCode::store_damaged);
    CHECK(with(R"({"format":1,"store_id":"0123456789abcdeg"})") == ErrorCode::store_damaged);
    CHECK(with(R"({"format":2,"store_id":"0123456789abcdef"})") == ErrorCode::store_too_new);
    put_file(world.files(), path, R"({"format":1,"store_id":"0123456789abcdef"})");
    CHECK(world.open().value().id == 0x0123456789abcdef);
}

TEST_CASE("a journal or a view without a description is not taken for a new store") {
    ON_EVERY_DISK;
    world.fill(3, 0);
    REQUIRE(world.files().remove(world.dir + "/store.json"));
    CHECK(world.open().error().code == ErrorCode::store_damaged);
    CHECK(world.check().error().code == ErrorCode::file_missing);
}

TEST_CASE("a sound store is checked without a change to it") {
    ON_EVERY_DISK;
    world.fill(60, 5);
    const std::string before = get_file(world.files(), world.dir + "/view.db");
    const auto report = world.check();
    REQUIRE(report.has_value());
    for (const Error& finding : report->findings)
        UNSCOPED_INFO(finding.to_string());
    CHECK(report->sound());
    CHECK(report->frames == 60);
    CHECK(report->segments >= 3);
    CHECK(report->first == Sequence{1});
    CHECK(report->last == world.last);
    CHECK(report->view_found);
    CHECK(report->view_at == world.view_at);
    CHECK(report->tasks == world.tasks.size());
    CHECK(get_file(world.files(), world.dir + "/view.db") == before);
    CHECK_FALSE(report->torn);
}

TEST_CASE("a store that was never written to is sound") {
    ON_EVERY_DISK;
    static_cast<void>(world.open().value());
    const auto report = world.check();
    REQUIRE(report.has_value());
    CHECK(report->sound());
    CHECK_FALSE(report->view_found);
    CHECK(io::check_store(world.files(), world.dir + "/none").error().code ==
          ErrorCode::file_missing);
}

TEST_CASE("a check finds a count of ended tasks that is not theirs") {
    ON_EVERY_DISK;
    world.totals.kept = 3;
    world.fill(20, 0);
    const auto report = world.check().value();
    CHECK(codes_of(report) == std::vector{ErrorCode::view_corrupt});
    CHECK_THAT(report.findings.front().detail, Catch::Matchers::Contains("ended tasks"));
}

TEST_CASE("a check finds damage in the journal, in the view, and between them") {
    ON_EVERY_DISK;
    world.fill(60, 5);
    port::Files& files = world.files();
    const io::StorePaths paths{world.dir};
    const auto names = files.list(paths.journal).value();
    const std::string segment = paths.journal + "/" + names.front();
    const std::string view = get_file(files, paths.view);
    const std::string whole = get_file(files, segment);

    std::string bytes = whole;
    bytes[4'200] = static_cast<char>(bytes[4'200] ^ 1);
    put_file(files, segment, bytes);
    CHECK(codes_of(world.check().value()) == std::vector{ErrorCode::journal_corrupt});
    put_file(files, segment, whole);

    bytes = view;
    std::fill_n(bytes.begin() + 4'096, 64, '\x55');
    put_file(files, paths.view, bytes);
    const auto damaged = codes_of(world.check().value());
    REQUIRE_FALSE(damaged.empty());
    CHECK(damaged.front() == ErrorCode::view_corrupt);
    put_file(files, paths.view, view);
    CHECK(world.check().value().sound());

    // Without its first segment the journal does not reach a view that starts from nothing.
    REQUIRE(files.remove(segment));
    REQUIRE(files.remove(paths.view));
    REQUIRE(files.remove(paths.view + "-wal"));
    CHECK(codes_of(world.check().value()) == std::vector{ErrorCode::store_mismatch});
}

TEST_CASE("a long body that is missing or damaged is found, with the file's path") {
    ON_EVERY_DISK;
    world.row_body_bytes_max = 10;
    world.fill(20, 0);
    const auto sound = world.check();
    REQUIRE(sound.has_value());
    CHECK(sound->sound());
    CHECK(sound->bodies > 5);
    CHECK(sound->body_bytes > 10 * sound->bodies);
    const auto& task = *std::ranges::find_if(
        world.tasks, [](const Task& each) { return each.spec.payload.size() > 10; });
    const std::string path =
        io::StorePaths{world.dir}.bodies + "/" +
        io::BodyFiles::place_of(io::BodyFiles::name_of(task.spec.payload.view()));
    const std::string bytes = get_file(world.files(), path);
    CHECK(bytes == task.spec.payload.view());
    const auto damaged = [&] {
        const auto report = world.check();
        REQUIRE(report.has_value());
        CHECK(codes_of(*report) == std::vector{ErrorCode::view_corrupt});
        CHECK(report->findings.front().to_string().find(path) != std::string::npos);
        CHECK(report->bodies == sound->bodies - 1);
    };
    put_file(world.files(), path, bytes.substr(1));
    damaged();
    REQUIRE(world.files().remove(path));
    damaged();
    put_file(world.files(), path, bytes);
    CHECK(world.check()->sound());
}

TEST_CASE("a view ahead of its journal is a mismatch") {
    ON_EVERY_DISK;
    world.fill(20, 0);
    const io::StorePaths paths{world.dir};
    for (const std::string& name : std::vector(world.files().list(paths.journal).value()))
        REQUIRE(world.files().remove(paths.journal + "/" + name));
    CHECK(codes_of(world.check().value()) == std::vector{ErrorCode::store_mismatch});
}

TEST_CASE("workflows are checked: heads, plans and steps belong together") {
    SimFiles disk{1};
    Random random{1};
    const FilesVfs vfs{disk};
    const auto store = io::open_store(disk, "/data", random).value();
    const auto make = [&](const char* damage) {
        auto view = io::SqliteView::open(
            {.path = store.paths.view, .store_id = store.id, .vfs = vfs.name(), .files = &disk});
        REQUIRE(view.has_value());
        port::ViewChange change{.mark = {}};
        WorkflowChange& each = change.workflows.emplace_back();
        each.workflow = random_workflow(random);
        each.plan = random_plan(random);
        each.workflow.steps = static_cast<std::uint32_t>(each.plan->steps.size());
        each.steps.emplace_back(0, random_step(random));
        REQUIRE((*view)->store(change));
        view->reset();
        auto db = io::SqliteDb::open(store.paths.view, vfs.name(), SQLITE_OPEN_READWRITE);
        REQUIRE(db);
        REQUIRE(db->run("PRAGMA locking_mode = EXCLUSIVE"));
        REQUIRE(db->run(damage));
        *db = {};
        SimFiles copy{2};
        const FilesVfs copy_vfs{copy};
        REQUIRE(copy.make_dir("/data"));
        for (const auto& [path, bytes] : disk.snapshot())
            copy.set_content(path, bytes);
        return codes_of(io::check_store(copy, "/data", copy_vfs.name()).value());
    };
    CHECK(make("SELECT 1").empty());
    CHECK(make("UPDATE workflow_steps SET row = x'01'").size() == 2);
    CHECK(make("DELETE FROM workflow_steps; UPDATE workflows SET head = x'01'").size() == 3);
    CHECK(make("DELETE FROM workflows; DELETE FROM workflow_plans").size() == 1);
    CHECK(make("DELETE FROM workflow_steps; DELETE FROM workflow_plans").size() == 1);
}

TEST_CASE("what a killed process left in the view's log is checked and left as it is") {
    SimFiles disk{1};
    Random random{1};
    const FilesVfs vfs{disk};
    SimFiles copy{2};
    const FilesVfs copy_vfs{copy};
    const auto store = io::open_store(disk, "/data", random).value();
    auto view = io::SqliteView::open(
        {.path = store.paths.view, .store_id = store.id, .vfs = vfs.name(), .files = &disk});
    REQUIRE(view.has_value());
    Task task = random_task(random);
    task.spec.type = "email";
    task.state = TaskState::queued;
    REQUIRE((*view)->store({{Sequence{}, {}, {}}, sim::as_rows({task})}));
    REQUIRE(copy.make_dir("/data"));
    for (const auto& [path, bytes] : disk.snapshot())
        copy.set_content(path, bytes);
    REQUIRE(copy.content("/data/view.db-wal")->size() > 4'096);
    const auto before = copy.snapshot();
    const auto report = io::check_store(copy, "/data", copy_vfs.name());
    REQUIRE(report.has_value());
    CHECK(report->sound());
    CHECK(report->tasks == 1);
    CHECK(copy.snapshot() == before);
}

TEST_CASE("a cut while a store is made leaves no store or a whole one") {
    for (std::uint64_t cut = 1; cut <= 6; ++cut) {
        INFO("cut at operation " << cut);
        SimFiles disk{cut, {.cut_at = cut}};
        Random random{cut};
        const auto made = io::open_store(disk, "/data", random);
        const bool answered = made.has_value();
        const std::uint64_t id = answered ? made->id : 0;
        disk.cut_power();
        disk.power_on();
        const auto again = io::open_store(disk, "/data", random);
        REQUIRE(again.has_value());
        if (answered) CHECK(again->id == id);
    }
}

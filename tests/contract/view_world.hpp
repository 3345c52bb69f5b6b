// The views that the contract of port::View is held against: SqliteView, on the real disk and,
// through a file layer of the tests' own, on the simulated one, and its twin in memory.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "catch.hpp"
#include "disk_worlds.hpp"
#include "files_vfs.hpp"
#include "random_model.hpp"
#include "taskd/io/sqlite_view.hpp"
#include "taskd/sim/memory_view.hpp"

namespace taskd::support {

struct ViewWorld {
    // Without a disk: the twin.
    explicit ViewWorld(std::optional<DiskKind> kind)
        : disk{make_disk_world(kind.value_or(DiskKind::simulated))}, is_twin{!kind} {
        settings.path = disk.dir + "/view.db";
        settings.store_id = 0x5eed;
        if (kind == DiskKind::simulated) {
            vfs = std::make_unique<FilesVfs>(*disk.files);
            settings.vfs = vfs->name();
            settings.files = disk.files.get();
        }
        reopen();
    }

    void reopen() {
        view.reset();
        if (is_twin) {
            view = std::make_unique<sim::MemoryView>(table);
            return;
        }
        auto opened = io::SqliteView::open(settings);
        INFO((opened ? "" : opened.error().to_string()));
        REQUIRE(opened.has_value());
        sqlite = opened->get();
        view = std::move(*opened);
    }

    Task task(std::string type, TaskState state) {
        Task made = random_task(random);
        made.spec.id = TaskId::make(WallTime{std::chrono::milliseconds{++time}}, random);
        made.spec.type = std::move(type);
        made.spec.idempotency_key.clear();
        made.state = state;
        made.lease.reset();
        made.queued_as = Sequence{made.queued_as.value >> 1};
        return made;
    }

    void store(std::vector<Task> tasks) {
        mark.sequence = Sequence{mark.sequence.value + 10};
        mark.engine += Duration{7};
        ++mark.totals.submitted;
        mark.totals.leases += 3;
        REQUIRE(view->store({mark, sim::as_rows(std::move(tasks))}));
    }

    DiskWorld disk;
    bool is_twin;
    sim::MemoryTable table;
    std::unique_ptr<FilesVfs> vfs;
    io::SqliteViewSettings settings;
    std::unique_ptr<port::View> view;
    io::SqliteView* sqlite = nullptr;
    Random random{99};
    std::int64_t time = 1'000'000;
    port::ViewMark mark;
};

}  // namespace taskd::support

#define ON_EVERY_VIEW                                                                           \
    ViewWorld world{GENERATE(                                                                   \
        values<std::optional<DiskKind>>({DiskKind::real, DiskKind::simulated, std::nullopt}))}; \
    INFO((world.is_twin ? "the twin" : world.disk.name))

#define ON_EVERY_DISK                                               \
    ViewWorld world{GENERATE(DiskKind::real, DiskKind::simulated)}; \
    INFO(world.disk.name)

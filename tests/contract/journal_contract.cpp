// What every port::Journal promises: FileJournal, on the real disk and on the simulated one, and
// its twin in memory. What only segments can show runs on the disks alone.
#include <thread>

#include "catch.hpp"
#include "disk_worlds.hpp"
#include "journal_driver.hpp"
#include "locked_journal.hpp"
#include "manual_clock.hpp"

using namespace taskd;
using namespace taskd::support;
using port::Purpose;

namespace {

constexpr std::uint64_t seed = 7;

enum class JournalKind { real, simulated, memory };

struct JournalWorld {
    explicit JournalWorld(JournalKind kind_in)
        : kind{kind_in},
          disk{make_disk_world(kind == JournalKind::simulated ? DiskKind::simulated
                                                              : DiskKind::real)} {
        settings = small_journal(disk.dir + "/journal");
        open();
    }

    std::string name() const { return kind == JournalKind::memory ? "memory" : disk.name; }

    // As after a restart; recovery is up to the test.
    void open() {
        if (kind == JournalKind::memory) {
            return keep(std::make_unique<test::LockedJournal>(
                tape, sim::MemoryJournal::Settings{.frame_bytes_max = settings.frame_bytes_max,
                                                   .room_bytes = 3 * settings.segment_bytes,
                                                   .old_work_bytes = settings.segment_bytes}));
        }
        ++settings.salt_seed;
        keep(std::make_unique<io::FileJournal>(*disk.files, clock, settings));
    }

    template <class Made>
    void keep(std::unique_ptr<Made> made) {
        reader = made.get();
        journal = std::move(made);
    }

    // What a reader is told, up to `count` batches a call.
    Result<std::vector<RecordBatch>> read(Sequence after, std::size_t count = SIZE_MAX) const {
        std::vector<RecordBatch> batches;
        const auto done = reader->read(after, [&](const RecordBatch& batch) {
            batches.push_back(batch);
            return batches.size() < count;
        });
        if (!done) return std::unexpected{done.error()};
        return batches;
    }

    std::vector<RecordBatch> reopen(Sequence after = {}) {
        open();
        const auto batches = recover_all(*journal, after);
        INFO(name() << (batches ? "" : batches.error().to_string()));
        REQUIRE(batches.has_value());
        return *batches;
    }

    // The next batch of the history, committed.
    RecordBatch add() {
        const RecordBatch batch = history_batch(seed, last.next());
        if (journal->stats().wants_prepare) REQUIRE(journal->prepare());
        const auto done = append(*journal, batch);
        INFO(name() << (done ? "" : done.error().to_string()));
        REQUIRE(done.has_value());
        last = batch.last();
        written.push_back(batch);
        return batch;
    }

    JournalKind kind;
    DiskWorld disk;
    sim::JournalTape tape;
    ManualClock clock;
    io::FileJournalSettings settings;
    std::unique_ptr<port::Journal> journal;
    port::JournalReader* reader = nullptr;  // the same one
    Sequence last;
    std::vector<RecordBatch> written;
};

}  // namespace

#define ON_EACH_OF(...)                                                   \
    JournalWorld world{GENERATE(__VA_ARGS__)};                            \
    INFO(world.name());                                                   \
    REQUIRE(recover_all(*world.journal).value_or(world.written).empty()); \
    port::Journal& journal = *world.journal;                              \
    REQUIRE(journal.prepare())
#define ON_EVERY_JOURNAL ON_EACH_OF(JournalKind::real, JournalKind::simulated, JournalKind::memory)
#define ON_EVERY_DISK ON_EACH_OF(JournalKind::real, JournalKind::simulated)

TEST_CASE("what was committed is handed over in order, again and again") {
    ON_EVERY_JOURNAL;
    CHECK(world.reopen().empty());
    for (int i = 0; i < 5; ++i)
        world.add();
    CHECK(world.reopen() == world.written);
    CHECK(world.reopen() == world.written);
    for (int i = 0; i < 100; ++i)
        world.add();  // through many segments
    CHECK(world.reopen() == world.written);
    world.add();
    CHECK(world.reopen() == world.written);
}

TEST_CASE("recovery hands over only batches that end after the mark") {
    ON_EVERY_JOURNAL;
    for (int i = 0; i < 60; ++i)
        world.add();
    for (std::size_t from = 0; from <= world.written.size(); from += 6) {
        const Sequence after = from == 0 ? Sequence{} : world.written[from - 1].last();
        const std::vector<RecordBatch> expected(world.written.begin() + static_cast<long>(from),
                                                world.written.end());
        REQUIRE(world.reopen(after) == expected);
    }
    for (const RecordBatch& batch : world.written) {
        if (batch.records.size() < 2) continue;
        REQUIRE(world.reopen(batch.first).front() == batch);  // in the middle: as a whole
    }
}

TEST_CASE("a refused batch ends the recovery with its error") {
    ON_EVERY_JOURNAL;
    world.add();
    world.add();
    world.open();
    int seen = 0;
    const auto done = world.journal->recover({}, [&](const RecordBatch&) -> Result<void> {
        ++seen;
        return fail(ErrorCode::internal, "no");
    });
    CHECK(done.error().code == ErrorCode::internal);
    CHECK(seen == 1);
    CHECK(world.reopen() == world.written);
}

TEST_CASE("several batches may be sealed before the first is committed") {
    ON_EVERY_JOURNAL;
    std::vector<RecordBatch> waiting;
    for (int i = 0; i < 12; ++i) {
        const RecordBatch batch = history_batch(seed, world.last.next());
        for (const Record& record : batch.records) {
            const RecordBatch one{batch.first, {}, {record}};
            REQUIRE(journal.reserve(reserve_bytes(one), Purpose::old_work));
        }
        journal.seal();
        journal.seal();  // of nothing: no batch
        world.last = batch.last();
        waiting.push_back(batch);
    }
    for (const RecordBatch& batch : waiting)
        REQUIRE(journal.commit(batch));
    CHECK(world.reopen() == waiting);
}

TEST_CASE("at the end of what is filled ahead new work is refused and old work goes on") {
    ON_EVERY_JOURNAL;
    std::size_t old_work = 0;
    for (;;) {
        const RecordBatch batch = history_batch(seed, world.last.next());
        auto done = append(journal, batch, Purpose::new_work);
        if (!done) {
            CHECK(done.error().code == ErrorCode::overloaded);
            done = append(journal, batch, Purpose::old_work);
            ++old_work;
        }
        if (!done) {
            CHECK(done.error().code == ErrorCode::overloaded);
            break;
        }
        world.last = batch.last();
        world.written.push_back(batch);
        if (old_work == 0) REQUIRE(world.written.size() < 1'000);
    }
    CHECK(old_work > 10);
    CHECK(journal.stats().wants_prepare);
    REQUIRE(journal.prepare());
    CHECK_FALSE(journal.stats().wants_prepare);
    world.add();
    CHECK(world.reopen() == world.written);
}

TEST_CASE("a recovered journal takes work before anything is filled ahead") {
    JournalWorld world{GENERATE(JournalKind::real, JournalKind::simulated, JournalKind::memory)};
    INFO(world.name());
    REQUIRE(recover_all(*world.journal).value_or(world.written).empty());
    port::Journal& journal = *world.journal;
    const RecordBatch batch = history_batch(seed, Sequence{1});
    REQUIRE(append(journal, batch, Purpose::new_work));
    world.last = batch.last();
    world.written.push_back(batch);
    // What the first segments do not hold waits for a whole one, and old work is not kept by it.
    if (world.kind != JournalKind::memory) {
        CHECK(journal.stats().wants_prepare);
        CHECK(journal.reserve(6'000, Purpose::new_work).error().code == ErrorCode::overloaded);
        CHECK(journal.reserve(6'000, Purpose::old_work).error().code == ErrorCode::overloaded);
        CHECK(journal.reserve(1'000, Purpose::old_work).has_value());
        journal.seal();
    }
    REQUIRE(journal.prepare());
    CHECK_FALSE(journal.stats().wants_prepare);
    REQUIRE(journal.reserve(6'000, Purpose::new_work));
    CHECK(world.reopen() == world.written);
    for (int i = 0; i < 100; ++i)
        world.add();
    CHECK(world.reopen() == world.written);
}

TEST_CASE("a segment that was too small for a batch goes with those before it") {
    ON_EVERY_DISK;
    for (int i = 0; i < 40; ++i)
        world.add();
    REQUIRE(world.journal->drop_through(world.last));
    const auto names = world.disk.files->list(world.settings.dir);
    REQUIRE(names);
    for (const std::string& name : *names) {
        const auto file =
            world.disk.files->open(world.settings.dir + "/" + name, port::OpenMode::read).value();
        CHECK(file->size().value() == world.settings.segment_bytes);
    }
    CHECK(world.reopen(world.last).empty());
}

TEST_CASE("a batch takes no more than a frame holds") {
    ON_EVERY_JOURNAL;
    CHECK(journal.reserve(8'000, Purpose::new_work).error().code == ErrorCode::body_too_large);
    CHECK(journal.reserve(9'000, Purpose::old_work).error().code == ErrorCode::body_too_large);
    REQUIRE(journal.reserve(6'000, Purpose::new_work));
    CHECK(journal.reserve(2'000, Purpose::new_work).error().code == ErrorCode::overloaded);
    REQUIRE(journal.reserve(1'500, Purpose::old_work));
    CHECK(journal.reserve(1'500, Purpose::old_work).error().code == ErrorCode::overloaded);
    journal.seal();
    CHECK(journal.reserve(2'000, Purpose::new_work).has_value());
}

TEST_CASE("what is reserved and not used comes back") {
    ON_EVERY_JOURNAL;
    const std::uint64_t room = journal.stats().bytes_room;
    const RecordBatch batch = history_batch(seed, Sequence{1});
    REQUIRE(journal.reserve(6'000, Purpose::new_work));
    const std::uint64_t left = journal.stats().bytes_room;
    CHECK(left <= room - 6'000);
    journal.seal();
    REQUIRE(journal.commit(batch));
    CHECK(journal.stats().bytes_room >= left + 6'000 - reserve_bytes(batch) - 100);
    CHECK(journal.stats().bytes_room < room);
}

TEST_CASE("segments that the view covers go, and the rest is handed over") {
    ON_EVERY_JOURNAL;
    for (int i = 0; i < 400; ++i)
        world.add();
    const std::uint64_t used = world.journal->stats().bytes_used;
    CHECK(world.journal->stats().bytes_since_drop > 0);
    const std::size_t kept_from = 390;
    const Sequence covered = world.written[kept_from - 1].last();
    REQUIRE(journal.drop_through(covered));
    CHECK(journal.stats().bytes_used < used);
    CHECK(world.reopen(covered) ==
          std::vector<RecordBatch>(world.written.begin() + kept_from, world.written.end()));
    for (int i = 0; i < 100; ++i) {
        world.add();
        REQUIRE(world.journal->drop_through(world.last));
        CHECK(world.journal->stats().bytes_since_drop == 0);
        CHECK(world.journal->stats().bytes_used <= 6 * world.settings.segment_bytes);
    }
    CHECK(world.reopen(world.last).empty());
    world.add();
    CHECK(world.reopen(world.last).empty());
}

TEST_CASE("covered segments stay for readers until they are old or many") {
    ON_EVERY_DISK;
    world.settings.retain_age = std::chrono::hours{1};
    world.settings.retain_bytes = 4 * world.settings.segment_bytes;
    CHECK(world.reopen().empty());
    for (int i = 0; i < 400; ++i)
        world.add();
    const std::uint64_t used = world.journal->stats().bytes_used;
    REQUIRE(world.journal->drop_through(world.last));
    const std::uint64_t kept = world.journal->stats().bytes_used;
    CHECK(kept >= 4 * world.settings.segment_bytes);
    CHECK(kept < used);
    world.clock.advance(std::chrono::minutes{59});
    REQUIRE(world.journal->drop_through(world.last));
    CHECK(world.journal->stats().bytes_used == kept);
    world.clock.advance(std::chrono::minutes{1});
    REQUIRE(world.journal->drop_through(world.last));
    CHECK(world.journal->stats().bytes_used < kept);
}

TEST_CASE("a journal that does not meet the view's mark is refused") {
    ON_EVERY_JOURNAL;
    for (int i = 0; i < 100; ++i)
        world.add();
    REQUIRE(journal.drop_through(world.last));
    world.open();
    CHECK(recover_all(*world.journal, world.last.next()).error().code == ErrorCode::store_mismatch);
    world.open();
    CHECK(recover_all(*world.journal).error().code == ErrorCode::store_mismatch);
}

TEST_CASE("segments of another store are refused") {
    ON_EVERY_DISK;
    world.add();
    world.settings.store_id ^= 1;
    world.open();
    CHECK(recover_all(*world.journal, world.last).error().code == ErrorCode::store_mismatch);
}

TEST_CASE("other segment sizes are taken over") {
    ON_EVERY_DISK;
    for (int i = 0; i < 30; ++i)
        world.add();
    for (const std::size_t bytes : {64 * limits::kibibyte, 12 * limits::kibibyte}) {
        world.settings.segment_bytes = bytes;
        CHECK(world.reopen() == world.written);
        for (int i = 0; i < 30; ++i)
            world.add();
        CHECK(world.reopen() == world.written);
    }
}

TEST_CASE("readers get what is committed from any sequence on, and nothing else") {
    ON_EVERY_JOURNAL;
    CHECK(world.reader->oldest() == Sequence{1});
    CHECK(world.read({}).value().empty());
    REQUIRE(journal.reserve(1'000, Purpose::new_work));  // not committed: not told
    CHECK(world.read({}).value().empty());
    journal.seal();
    const RecordBatch first = history_batch(seed, Sequence{1});
    REQUIRE(journal.commit(first));
    world.last = first.last();
    world.written.push_back(first);
    for (int i = 0; i < 150; ++i)
        world.add();  // through many segments
    CHECK(world.read({}).value() == world.written);
    for (std::size_t from = 0; from <= world.written.size(); from += 10) {
        const Sequence after = from == 0 ? Sequence{} : world.written[from - 1].last();
        const std::vector<RecordBatch> expected(world.written.begin() + static_cast<long>(from),
                                                world.written.end());
        REQUIRE(world.read(after).value() == expected);
    }
    for (const RecordBatch& batch : world.written) {
        if (batch.records.size() < 2) continue;
        REQUIRE(world.read(batch.first, 1).value().front() == batch);  // in the middle: as a whole
    }
    CHECK(world.read(world.last).value().empty());
}

TEST_CASE("a reader goes on page by page while others write, also after a restart") {
    ON_EVERY_JOURNAL;
    std::vector<RecordBatch> told;
    Sequence after;
    for (int round = 0; round < 60; ++round) {
        for (int i = 0; i < 3; ++i)
            world.add();
        if (round % 20 == 19) CHECK(world.reopen() == world.written);
        const auto page = world.read(after, 1 + static_cast<std::size_t>(round) % 4).value();
        told.insert(told.end(), page.begin(), page.end());
        if (!page.empty()) after = page.back().last();
    }
    const auto rest = world.read(after).value();
    told.insert(told.end(), rest.begin(), rest.end());
    CHECK(told == world.written);
}

TEST_CASE("what is no longer kept is refused by name, with the oldest that is") {
    ON_EVERY_JOURNAL;
    for (int i = 0; i < 400; ++i)
        world.add();
    const Sequence middle = world.written[200].last();
    CHECK(world.read(middle, 1).value().size() == 1);  // remembered where, and gone all the same
    REQUIRE(journal.drop_through(world.written[390].last()));
    const Sequence oldest = world.reader->oldest();
    CHECK(oldest > middle);
    const auto refused = world.read(middle);
    CHECK(refused.error().code == ErrorCode::events_gone);
    CHECK(refused.error().detail.find(std::to_string(oldest.value)) != std::string::npos);
    CHECK(world.read({}).error().code == ErrorCode::events_gone);
    const auto kept = world.read(Sequence{oldest.value - 1}).value();
    CHECK(kept.front().first == oldest);
    CHECK(kept.back() == world.written.back());
    for (int i = 0; i < 50; ++i)
        world.add();  // into segments that were used before
    const auto more = world.read(Sequence{world.reader->oldest().value - 1}).value();
    CHECK(more.back() == world.written.back());
    CHECK(world.reopen(world.last).empty());
    CHECK(world.reader->oldest() <= world.last.next());
}

TEST_CASE("the lanes work at the same time") {
    ON_EVERY_JOURNAL;
    if (world.kind == JournalKind::simulated) return;  // the simulated disk is for one thread
    std::atomic<std::uint64_t> committed{0};
    std::atomic<bool> stop{false};
    std::atomic<int> failures{0};
    std::thread filler{[&] {
        while (!stop)
            if (!journal.stats().wants_prepare)
                std::this_thread::yield();
            else if (!journal.prepare())
                ++failures;
    }};
    std::thread dropper{[&] {
        while (!stop) {
            if (!journal.drop_through(Sequence{committed})) ++failures;
            std::this_thread::yield();
        }
    }};
    std::thread follower{[&] {  // each batch once and in order, but for what went before it came
        Sequence after;
        while (!stop) {
            const auto told = world.reader->read(after, [&](const RecordBatch& batch) {
                if (after.value != 0 && batch.first != after.next()) ++failures;
                after = batch.last();
                return true;
            });
            if (told) continue;
            if (told.error().code != ErrorCode::events_gone) ++failures;
            after = Sequence{world.reader->oldest().value - 1};
        }
    }};
    std::thread committer;
    for (int i = 0; i < 300; ++i) {
        const RecordBatch batch = history_batch(seed, world.last.next());
        for (;;) {
            const auto reserved = journal.reserve(reserve_bytes(batch), Purpose::new_work);
            if (reserved) break;
            if (reserved.error().code != ErrorCode::overloaded) ++failures;
            std::this_thread::yield();
        }
        journal.seal();
        if (committer.joinable()) committer.join();
        committer = std::thread{[&, batch] {
            if (!journal.commit(batch)) ++failures;
            committed = batch.last().value;
        }};
        world.last = batch.last();
    }
    committer.join();
    stop = true;
    filler.join();
    dropper.join();
    follower.join();
    CHECK(failures == 0);
    CHECK(world.reopen(world.last).empty());
}

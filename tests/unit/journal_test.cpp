// The file journal under faults: power cut at every operation, full disk, failing and lying syncs,
// damage, stale bytes. The disk is simulated; every failure prints the seed and the operation.
#include "catch.hpp"
#include "io/store/crc32c.hpp"
#include "io/store/segment.hpp"
#include "journal_driver.hpp"
#include "manual_clock.hpp"
#include "sim_files.hpp"

using namespace taskd;
using namespace taskd::support;
using port::Purpose;

namespace {

const std::string dir = "/data/journal";

// A journal's life as a script: appends, fills ahead, drops and restarts, until the disk fails.
class Script {
  public:
    Script(SimFiles& disk, std::uint64_t seed) : disk_{disk}, seed_{seed} {}

    Sequence covered;                     // the view's durable mark
    std::vector<RecordBatch> acked;       // commit returned
    std::optional<RecordBatch> in_doubt;  // commit did not
    bool appending = false;               // it was the commit that failed
    std::unique_ptr<io::FileJournal> journal;

    Result<std::vector<RecordBatch>> restart() {
        auto settings = small_journal(dir);
        settings.salt_seed = ++starts_;
        journal.reset();
        journal = std::make_unique<io::FileJournal>(disk_, clock_, settings);
        return recover_all(*journal, covered);
    }

    Result<void> run(int batches) {
        for (int i = 0; i < batches; ++i) {
            if (i % 16 == 15) {
                auto restarted = restart();
                if (!restarted) return std::unexpected{restarted.error()};
            }
            if (auto done = step(i); !done) return done;
        }
        return {};
    }

    Sequence last() const { return acked.empty() ? Sequence{} : acked.back().last(); }

    // What a recovery has to hand over: all that was acknowledged after the mark, then at most what
    // was in doubt.
    void check(const std::vector<RecordBatch>& found) {
        std::vector<RecordBatch> expected;
        for (const RecordBatch& batch : acked)
            if (batch.last() > covered) expected.push_back(batch);
        if (found.size() > expected.size() && in_doubt) {
            acked.push_back(*in_doubt);
            expected.push_back(*in_doubt);
        }
        in_doubt.reset();
        REQUIRE(found == expected);
    }

  private:
    Result<void> step(int i) {
        if (journal->stats().wants_prepare)
            if (auto done = journal->prepare(); !done) return done;
        const RecordBatch batch = history_batch(seed_, last().next());
        in_doubt = batch;
        appending = true;
        if (auto done = append(*journal, batch); !done) return done;
        appending = false;
        in_doubt.reset();
        acked.push_back(batch);
        if (i % 9 != 8) return {};
        covered = acked[acked.size() - 3].last();
        return journal->drop_through(covered);
    }

    SimFiles& disk_;
    ManualClock clock_;
    std::uint64_t seed_;
    std::uint64_t starts_ = 0;
};

constexpr int script_batches = 48;

// Runs the script to a cut, then cuts the recovery as well, and checks what comes back.
void cut_at(std::uint64_t seed, std::uint64_t cut, SimFilesHits& hits, bool& was_cut) {
    INFO("seed " << seed << " cut at operation " << cut);
    SimFiles disk{seed * 7'919 + cut, {.cut_at = cut}};
    Script script{disk, seed};
    if (script.restart()) static_cast<void>(script.run(script_batches));
    was_cut = !disk.powered();
    Random random{seed ^ cut};
    for (int crashes = 0; !disk.powered(); ++crashes) {
        disk.power_on();
        // Recovery is cut as well, several times over, somewhere in its first operations.
        disk.faults.cut_at = crashes < 3 ? disk.operations() + 1 + random.below(12) : 0;
        auto found = script.restart();
        if (!disk.powered()) continue;
        INFO((found ? "" : found.error().to_string()));
        REQUIRE(found.has_value());
        script.check(*found);
    }
    disk.faults.cut_at = 0;
    auto again = script.restart();
    REQUIRE(again.has_value());
    script.check(*again);
    REQUIRE(script.run(3).has_value());
    again = script.restart();
    REQUIRE(again.has_value());
    script.check(*again);
    hits.cuts += disk.hits().cuts;
    hits.sectors_kept += disk.hits().sectors_kept;
    hits.sectors_lost += disk.hits().sectors_lost;
    hits.sectors_torn += disk.hits().sectors_torn;
    hits.entries_kept += disk.hits().entries_kept;
    hits.entries_lost += disk.hits().entries_lost;
}

// A journal of several segments, closed; returns its batches.
std::vector<RecordBatch> write_journal(SimFiles& disk, int batches) {
    Script script{disk, 1};
    REQUIRE(script.restart().has_value());
    for (int i = 0; i < batches; ++i) {
        if (script.journal->stats().wants_prepare) REQUIRE(script.journal->prepare());
        const RecordBatch batch = history_batch(1, script.last().next());
        REQUIRE(append(*script.journal, batch));
        script.acked.push_back(batch);
    }
    return script.acked;
}

std::vector<io::SegmentFile> files_of(SimFiles& disk) {
    return io::list_segments(disk, dir).value();
}

struct Place {
    std::string path;
    std::size_t offset = 0;
    std::size_t bytes = 0;
};

// Where each frame stands, in order.
std::vector<Place> find_frames(SimFiles& disk) {
    std::vector<Place> places;
    for (const auto& file : files_of(disk)) {
        if (file.role != io::SegmentRole::segment) continue;
        const std::string bytes = *disk.content(file.path);
        const auto salt = io::decode_segment_header(bytes).value().salt;
        std::size_t offset = io::segment_header_bytes;
        while (const auto frame = io::frame_at(bytes, offset, salt)) {
            places.push_back({file.path, offset, frame->bytes()});
            offset += frame->bytes();
        }
    }
    return places;
}

void flip(SimFiles& disk, const std::string& path, std::size_t offset) {
    std::string bytes = *disk.content(path);
    bytes[offset] = static_cast<char>(bytes[offset] ^ 0x10);
    disk.set_content(path, bytes);
}

Result<std::vector<RecordBatch>> read_journal(SimFiles& disk, Sequence after = {}) {
    Script script{disk, 1};
    script.covered = after;
    return script.restart();
}

}  // namespace

TEST_CASE("a cut at any operation loses nothing acknowledged and invents nothing") {
    SimFilesHits hits;
    for (const std::uint64_t seed : {1, 2, 3}) {
        std::uint64_t cut = 1;
        for (bool was_cut = true; was_cut; ++cut)
            cut_at(seed, cut, hits, was_cut);
        CHECK(cut > 150);  // a loop that cut nothing proves nothing
    }
    CHECK(hits.sectors_kept > 500);
    CHECK(hits.sectors_lost > 500);
    CHECK(hits.sectors_torn > 500);
    CHECK(hits.entries_kept > 50);
    CHECK(hits.entries_lost > 50);
}

TEST_CASE("a damaged frame with whole ones behind it is corruption, the last one is a torn tail") {
    SimFiles disk{1};
    const auto batches = write_journal(disk, 60);
    const auto places = find_frames(disk);
    REQUIRE(places.size() == batches.size());
    REQUIRE(places.front().path != places.back().path);
    const auto whole = disk.snapshot();
    for (std::size_t i = 0; i < places.size(); ++i) {
        for (const std::size_t at : {std::size_t{0}, std::size_t{5}, std::size_t{9},
                                     std::size_t{20}, places[i].bytes - 1}) {
            INFO("frame " << i << " byte " << at);
            for (const auto& [path, bytes] : whole)
                disk.set_content(path, bytes);
            flip(disk, places[i].path, places[i].offset + at);
            const auto found = read_journal(disk);
            if (i + 1 < places.size()) {
                REQUIRE_FALSE(found.has_value());
                REQUIRE(found.error().code == ErrorCode::journal_corrupt);
            } else {
                REQUIRE(found.has_value());
                REQUIRE(*found == std::vector(batches.begin(), batches.end() - 1));
            }
        }
    }
}

TEST_CASE("corruption is found also when recovery starts late") {
    SimFiles disk{1};
    const auto batches = write_journal(disk, 60);
    const auto places = find_frames(disk);
    const Sequence after = batches[40].last();
    flip(disk, places[50].path, places[50].offset + 40);
    CHECK(read_journal(disk, after).error().code == ErrorCode::journal_corrupt);
}

TEST_CASE("a missing segment is corruption") {
    SimFiles disk{1};
    write_journal(disk, 150);
    const auto places = find_frames(disk);
    std::size_t middle = 0;
    while (places[middle].path == places.front().path)
        ++middle;
    REQUIRE(places[middle].path != places.back().path);
    REQUIRE(disk.remove(places[middle].path));
    CHECK(read_journal(disk).error().code == ErrorCode::journal_corrupt);
}

TEST_CASE("a segment of a newer version is refused by name and stays as it is") {
    SimFiles disk{1};
    write_journal(disk, 150);
    const auto places = find_frames(disk);
    for (const std::string& path : {places.front().path, places.back().path}) {
        const std::string whole = *disk.content(path);
        std::string newer = whole;
        newer[8] = 2;  // the version; its sum is made anew below
        newer.replace(12, 4, 4, '\0');
        const std::uint32_t sum = io::crc32c(std::string_view{newer}.substr(0, 64));
        for (std::size_t i = 0; i < 4; ++i)
            newer[12 + i] = static_cast<char>(sum >> (8 * i));
        disk.set_content(path, newer);
        const auto before = disk.snapshot();
        INFO(path);
        CHECK(read_journal(disk).error().code == ErrorCode::journal_too_new);
        CHECK(disk.snapshot() == before);
        disk.set_content(path, whole);
        CHECK(read_journal(disk).has_value());
    }
}

TEST_CASE("a damaged segment header is refused by name") {
    SimFiles disk{1};
    write_journal(disk, 20);
    const std::string path = find_frames(disk).front().path;
    const std::string whole = *disk.content(path);
    flip(disk, path, 20);
    CHECK(read_journal(disk).error().code == ErrorCode::journal_corrupt);
    disk.set_content(path, whole.substr(0, 30));
    CHECK(read_journal(disk).error().code == ErrorCode::journal_corrupt);
    disk.set_content(path, whole);
    REQUIRE(disk.rename(path, io::segment_path(dir, 99, io::SegmentRole::segment)));
    CHECK(read_journal(disk).error().code == ErrorCode::journal_corrupt);
}

TEST_CASE("the header of segments still has the bytes of version 1") {
    const std::string header = io::encode_segment_header(
        {.store_id = 0x1122334455667788, .number = 7, .salt = 0xa1a2a3a4a5a6a7a8});
    CHECK(header.size() == io::segment_header_bytes);
    CHECK(header.substr(0, 12) == std::string("TASKDSEG\x01\0\0\0", 12));
    CHECK(header.substr(16, 8) == "\x88\x77\x66\x55\x44\x33\x22\x11");
    CHECK(header.substr(32, 8) == "\xa8\xa7\xa6\xa5\xa4\xa3\xa2\xa1");
    CHECK(header.find_first_not_of('\0', 40) == std::string::npos);
    std::string frame;
    io::begin_frame(frame);
    frame += "123456789";
    io::finish_frame(frame, 0, 5, 6);
    CHECK(frame.substr(0, 4) == std::string("\x09\0\0\0", 4));
    CHECK(frame.substr(8) == std::string("\x05\0\0\0\0\0\0\0\x06\0\0\0\0\0\0\0", 16) + "123456789");
    CHECK(io::frame_at(frame, 0, 6)->payload == "123456789");
    CHECK_FALSE(io::frame_at(frame, 0, 7));
    CHECK_FALSE(io::frame_at(frame, 1, 6));
}

TEST_CASE("a failed sync poisons the journal, and a restart keeps what was acknowledged") {
    int poisoned = 0;
    for (std::uint64_t seed = 1; seed <= 30; ++seed) {
        INFO("seed " << seed);
        SimFiles disk{seed};
        Script script{disk, seed};
        REQUIRE(script.restart().has_value());
        disk.faults.sync_fails_at = disk.syncs() + seed;
        const auto failed = script.run(60);
        REQUIRE_FALSE(failed.has_value());
        CHECK(failed.error().code == ErrorCode::io_failed);
        if (script.in_doubt && script.appending) {
            ++poisoned;
            CHECK(append(*script.journal, *script.in_doubt).error().code == ErrorCode::io_failed);
        }
        // The cache still shows what the disk may not have: what recovery answers must be on disk.
        const auto found = script.restart();
        REQUIRE(found.has_value());
        script.check(*found);
        disk.cut_power();
        disk.power_on();
        const auto again = script.restart();
        REQUIRE(again.has_value());
        REQUIRE(*again == *found);
    }
    CHECK(poisoned > 10);
}

TEST_CASE("a full disk refuses new work by name, finishes old work, and comes back") {
    // What is written to, two ahead and a spare; and the small one of the last start.
    SimFiles disk{1, {.capacity_bytes = (4 * 16 + 8) * limits::kibibyte}};
    Script script{disk, 1};
    REQUIRE(script.restart().has_value());
    Sequence last;
    int old_work = 0;
    for (bool refused = false; old_work < 10;) {
        const RecordBatch batch = history_batch(1, last.next());
        if (script.journal->stats().wants_prepare) {
            const auto prepared = script.journal->prepare();
            if (!prepared) CHECK(prepared.error().code == ErrorCode::disk_full);
        }
        auto done = append(*script.journal, batch, Purpose::new_work);
        if (!done) {
            CHECK(done.error().code == ErrorCode::disk_full);
            CHECK(script.journal->stats().full);
            refused = true;
            done = append(*script.journal, batch, Purpose::old_work);
            REQUIRE(done.has_value());
            ++old_work;
        }
        REQUIRE((refused || last.value < 10'000));
        last = batch.last();
        script.acked.push_back(batch);
    }
    // A start on the full disk loses nothing: a spare was kept for it.
    auto found = script.restart();
    REQUIRE(found.has_value());
    script.check(*found);
    // The view catches up: room comes back without more disk.
    script.covered = last;
    REQUIRE(script.journal->drop_through(last));
    REQUIRE(script.journal->prepare());
    CHECK_FALSE(script.journal->stats().full);
    REQUIRE(append(*script.journal, history_batch(1, last.next()), Purpose::new_work));
}

TEST_CASE("a disk that holds the first segments alone takes no new work once that is known") {
    SimFiles disk{1, {.capacity_bytes = 24 * limits::kibibyte}};
    Script script{disk, 1};
    REQUIRE(script.restart().has_value());
    REQUIRE_FALSE(script.journal->stats().full);
    RecordBatch batch = history_batch(1, Sequence{1});
    REQUIRE(append(*script.journal, batch, Purpose::new_work));
    script.acked.push_back(batch);
    CHECK(script.journal->prepare().error().code == ErrorCode::disk_full);
    CHECK(script.journal->stats().full);
    batch = history_batch(1, script.last().next());
    CHECK(append(*script.journal, batch, Purpose::new_work).error().code == ErrorCode::disk_full);
    REQUIRE(append(*script.journal, batch, Purpose::old_work));
    script.acked.push_back(batch);
    disk.faults.capacity_bytes = 0;  // there is room again
    REQUIRE(script.journal->prepare());
    CHECK_FALSE(script.journal->stats().full);
    batch = history_batch(1, script.last().next());
    REQUIRE(append(*script.journal, batch, Purpose::new_work));
    script.acked.push_back(batch);
    const auto found = script.restart();
    REQUIRE(found.has_value());
    script.check(*found);
}

TEST_CASE("a granted reservation never meets a full disk") {
    for (std::uint64_t capacity = 2 * 16; capacity <= 6 * 16; ++capacity) {
        SimFiles disk{capacity, {.capacity_bytes = capacity * limits::kibibyte}};
        Script script{disk, capacity};
        const auto started = script.restart();
        REQUIRE(started.has_value());
        Sequence last;
        for (int i = 0; i < 120; ++i) {
            static_cast<void>(script.journal->prepare());
            const RecordBatch batch = history_batch(capacity, last.next());
            if (!script.journal->reserve(reserve_bytes(batch), Purpose::old_work)) break;
            script.journal->seal();
            REQUIRE(script.journal->commit(batch));
            last = batch.last();
        }
        CHECK(last.value > 0);
    }
}

TEST_CASE("without a segment to copy the tail to a full disk is refused by name") {
    SimFiles disk{1};
    const auto batches = write_journal(disk, 10);
    for (const auto& file : files_of(disk))
        if (file.path != find_frames(disk).front().path) REQUIRE(disk.remove(file.path));
    REQUIRE(find_frames(disk).size() == batches.size());
    disk.faults.capacity_bytes = disk.bytes_used();
    const auto before = disk.snapshot();
    CHECK(read_journal(disk).error().code == ErrorCode::disk_full);
    CHECK(disk.snapshot() == before);
    disk.faults.capacity_bytes += 16 * limits::kibibyte;
    CHECK(read_journal(disk).value() == batches);
    SimFiles empty{1, {.capacity_bytes = 1'000}};
    CHECK(read_journal(empty).error().code == ErrorCode::disk_full);
}

TEST_CASE("what an earlier life left in a reused segment never passes for new") {
    SimFiles disk{1};
    Script script{disk, 1};
    REQUIRE(script.restart().has_value());
    REQUIRE(script.run(400));
    // All files have been used many times over: their ends are full of old frames.
    std::size_t reused = 0;
    for (const auto& file : files_of(disk)) {
        const std::string bytes = *disk.content(file.path);
        reused += bytes.find_last_not_of('\0') > bytes.size() / 2 ? 1 : 0;
    }
    CHECK(reused >= 1);
    const auto found = script.restart();
    REQUIRE(found.has_value());
    script.check(*found);
}

TEST_CASE("a spare that could not be made a segment of stays a spare") {
    SimFiles disk{1};
    Script script{disk, 1};
    REQUIRE(script.restart().has_value());
    io::FileJournal& journal = *script.journal;
    Sequence last;
    const auto append_one = [&] {
        const RecordBatch batch = history_batch(1, last.next());
        REQUIRE(append(journal, batch, Purpose::old_work));
        last = batch.last();
    };
    REQUIRE(journal.prepare());
    for (int i = 0; i < 200; ++i) {
        append_one();
        REQUIRE(journal.prepare());
    }
    REQUIRE(journal.drop_through(last));
    while (!journal.stats().wants_prepare)
        append_one();
    const auto spares = [&] {
        return std::ranges::count_if(
            files_of(disk), [](const auto& file) { return file.role == io::SegmentRole::spare; });
    };
    const auto before = spares();
    const auto used = journal.stats().bytes_used;
    REQUIRE(before > 1);
    disk.faults.sync_fails_at = disk.syncs() + 1;
    CHECK(journal.prepare().error().code == ErrorCode::io_failed);
    CHECK(spares() == before);
    CHECK(journal.stats().bytes_used == used);
    disk.faults.sync_fails_at = 0;
    REQUIRE(journal.prepare());
    CHECK(spares() == before - 1);
}

TEST_CASE("leftovers of filling are removed and foreign files are left alone") {
    SimFiles disk{1};
    const auto batches = write_journal(disk, 10);
    disk.set_content(io::segment_path(dir, 77, io::SegmentRole::filling), "x");
    disk.set_content(dir + "/notes.txt", "x");
    CHECK(read_journal(disk).value() == batches);
    CHECK_FALSE(disk.content(io::segment_path(dir, 77, io::SegmentRole::filling)));
    CHECK(disk.content(dir + "/notes.txt"));
}

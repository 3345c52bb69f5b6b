#include "journal_driver.hpp"

#include "random_model.hpp"
#include "taskd/protocol/record_codec.hpp"

namespace taskd::support {

io::FileJournalSettings small_journal(const std::string& dir) {
    return {.dir = dir,
            .store_id = 0x5eed,
            .salt_seed = 1,
            .segment_bytes = 16 * limits::kibibyte,
            .first_bytes = 8 * limits::kibibyte,
            .segments_ready = 2,
            .frame_bytes_max = 8 * limits::kibibyte,
            .retain_age = Duration{0},
            .retain_bytes = 0};
}

RecordBatch history_batch(std::uint64_t seed, Sequence first) {
    Random random{seed * 1'000'003 + first.value};
    return random_batch(random, first, 1 + random.below(6));
}

std::size_t reserve_bytes(const RecordBatch& batch) {
    std::size_t bytes = 0;
    for (const Record& record : batch.records)
        bytes += protocol::encoded_bytes_max(record);
    return bytes;
}

Result<void> append(port::Journal& journal, const RecordBatch& batch, port::Purpose purpose) {
    if (auto reserved = journal.reserve(reserve_bytes(batch), purpose); !reserved) return reserved;
    journal.seal();
    return journal.commit(batch);
}

Result<std::vector<RecordBatch>> recover_all(port::Journal& journal, Sequence after) {
    std::vector<RecordBatch> batches;
    const auto done = journal.recover(after, [&](const RecordBatch& batch) -> Result<void> {
        batches.push_back(batch);
        return {};
    });
    if (!done) return std::unexpected{done.error()};
    return batches;
}

}  // namespace taskd::support

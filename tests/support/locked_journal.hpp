// The journal's twin for more than one thread, as the lanes of a real loop call it.
#pragma once

#include <mutex>

#include "taskd/sim/memory_journal.hpp"

namespace taskd::test {

class LockedJournal final : public port::Journal, public port::JournalReader {
  public:
    LockedJournal(sim::JournalTape& tape, sim::MemoryJournal::Settings settings)
        : twin_{tape, settings} {}

    Result<void> recover(Sequence after,
                         const std::function<Result<void>(const RecordBatch&)>& replay) override {
        return twin_.recover(after, replay);
    }
    Result<void> reserve(std::size_t bytes, port::Purpose purpose) override {
        const std::lock_guard guard{mutex_};
        return twin_.reserve(bytes, purpose);
    }
    void seal() override {
        const std::lock_guard guard{mutex_};
        twin_.seal();
    }
    Result<void> commit(const RecordBatch& batch) override {
        const std::lock_guard guard{mutex_};
        return twin_.commit(batch);
    }
    Result<void> prepare() override {
        const std::lock_guard guard{mutex_};
        return twin_.prepare();
    }
    Result<void> drop_through(Sequence covered) override {
        const std::lock_guard guard{mutex_};
        return twin_.drop_through(covered);
    }
    port::JournalStats stats() const override {
        const std::lock_guard guard{mutex_};
        return twin_.stats();
    }

    Result<void> read(Sequence after,
                      const std::function<bool(const RecordBatch&)>& take) override {
        const std::lock_guard guard{mutex_};
        return twin_.read(after, take);
    }
    Sequence oldest() const override {
        const std::lock_guard guard{mutex_};
        return twin_.oldest();
    }

  private:
    sim::MemoryJournal twin_;
    mutable std::mutex mutex_;
};

}  // namespace taskd::test

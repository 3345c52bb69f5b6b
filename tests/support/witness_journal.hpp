// A journal that shows every batch to a witness before it is written.
#pragma once

#include <functional>
#include <memory>

#include "taskd/io/file_journal.hpp"

namespace taskd::test {

class WitnessJournal final : public port::Journal, public port::JournalReader {
  public:
    using Witness = std::function<void(const RecordBatch&)>;

    WitnessJournal(std::unique_ptr<io::FileJournal> journal, Witness witness)
        : journal_{std::move(journal)}, witness_{std::move(witness)} {}

    Result<void> recover(Sequence after,
                         const std::function<Result<void>(const RecordBatch&)>& replay) override {
        return journal_->recover(after, replay);
    }
    Result<void> reserve(std::size_t bytes, port::Purpose purpose) override {
        return journal_->reserve(bytes, purpose);
    }
    void seal() override { journal_->seal(); }
    Result<void> commit(const RecordBatch& batch) override {
        witness_(batch);
        return journal_->commit(batch);
    }
    Result<void> prepare() override { return journal_->prepare(); }
    Result<void> drop_through(Sequence covered) override { return journal_->drop_through(covered); }
    port::JournalStats stats() const override { return journal_->stats(); }
    Result<void> read(Sequence after,
                      const std::function<bool(const RecordBatch&)>& take) override {
        return journal_->read(after, take);
    }
    Sequence oldest() const override { return journal_->oldest(); }

  private:
    std::unique_ptr<io::FileJournal> journal_;
    Witness witness_;
};

}  // namespace taskd::test

// What the dispatcher itself tells (GET /v1/events), as events of topics: "task.succeeded" stands
// in the topic "taskd.task.succeeded". Only what the pattern of some group asks for, from when the
// group was made; made of the journal's records, each once, over restarts too. What happens to
// topics and groups makes none. How far they are told is marked in a file now and then: a start
// reads on from there, or from behind the newest of the events.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "taskd/port/files.hpp"
#include "taskd/port/journal_reader.hpp"
#include "taskd/protocol/event.hpp"
#include "taskd/service/core.hpp"

namespace taskd::service {

struct OwnEventsPorts {
    port::JournalReader& records;
    port::Background& lane;  // every read of the journal, every write of the mark
    port::Clock& clock;
    port::Timers& timers;
    port::Log& log;
    port::Files* files = nullptr;  // none: nothing is marked
};

class OwnEvents {
  public:
    // `mark`: the file.
    OwnEvents(Core& core, const OwnEventsPorts& ports, std::string mark);

    void start();
    void on_records(const RecordBatch& batch);
    void let_go();

  private:
    struct Page;

    void learn_groups();
    void find_cursor();
    void pump();
    void pump_later();
    void page_read(const std::shared_ptr<Page>& page);
    engine::Publish told_by(const Page& page, Sequence& through) const;
    void note_refused(const Error& error);
    void publish(const std::shared_ptr<Page>& page);
    void pass_over_gone();
    std::optional<Sequence> read_mark() const;
    void write_mark();
    void told_through(Sequence place);

    Core& core_;
    OwnEventsPorts ports_;
    std::string mark_;
    std::unique_ptr<port::Timer> retry_;
    protocol::EventNames wanted_;  // by the pattern of some group
    Sequence first_{UINT64_MAX};   // the record that made the first group that wants any
    Sequence cursor_;              // records up to here are told
    bool sure_ = false;            // and what is behind it is not, as far as is known
    Sequence marked_;              // the newest that was written
    SteadyTime mark_at_{};         // the next, when there is something to mark
    bool marking_ = false;
    std::optional<ErrorCode> refused_;  // why the newest could not be told
    bool ready_ = false;                // the cursor is known
    bool busy_ = false;
    bool pausing_ = false;  // until the retry
    bool let_go_ = false;
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace taskd::service

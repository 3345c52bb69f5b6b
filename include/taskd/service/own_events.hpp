// What the dispatcher itself tells (GET /v1/events), as events of topics: "task.succeeded" stands
// in the topic "taskd.task.succeeded". Only what the pattern of some group asks for, from when the
// group was made; made of the journal's records, each once, over restarts too. What happens to
// topics and groups makes none.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "taskd/model/pattern.hpp"
#include "taskd/port/journal_reader.hpp"
#include "taskd/protocol/event.hpp"
#include "taskd/service/core.hpp"

namespace taskd::service {

class OwnEvents {
  public:
    // `lane`: every read of the journal.
    OwnEvents(Core& core, port::JournalReader& records, port::Background& lane, port::Clock& clock,
              port::Timers& timers, port::Log& log);

    void start();
    void on_records(const RecordBatch& batch);
    void let_go() { let_go_ = true; }

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
    bool is_wanted(const std::string& topic) const;

    Core& core_;
    port::JournalReader& records_;
    port::Background& lane_;
    port::Clock& clock_;
    port::Log& log_;
    std::unique_ptr<port::Timer> retry_;
    std::vector<Pattern> wanted_;
    Sequence first_{UINT64_MAX};        // the record that made the first group that wants any
    Sequence cursor_;                   // records up to here are told
    std::optional<ErrorCode> refused_;  // why the newest could not be told
    bool ready_ = false;                // the cursor is known
    bool busy_ = false;
    bool pausing_ = false;  // until the retry
    bool let_go_ = false;
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace taskd::service

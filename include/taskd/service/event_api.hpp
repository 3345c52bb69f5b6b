// What happens, told over HTTP as server-sent events: live from the batches that have just been
// synced, and from the journal to readers who resume or have fallen behind. A slow reader holds
// nobody: what it does not take waits up to a bound, then it is told from the journal at its pace.
#pragma once

#include <list>
#include <memory>
#include <optional>
#include <unordered_map>
#include <vector>

#include "taskd/port/journal_reader.hpp"
#include "taskd/protocol/event.hpp"
#include "taskd/service/core.hpp"
#include "taskd/service/http_front.hpp"

namespace taskd::service {

struct EventPorts {
    port::JournalReader& records;
    port::Background& lane;  // every read
    port::Clock& clock;
    port::Timers& timers;
};

class EventApi {
  public:
    EventApi(EventPorts ports, Core& core);
    ~EventApi();

    void add_routes(HttpFront& front);
    // Records that are durable.
    void on_records(const RecordBatch& batch);
    // From now on nobody is told anything: streams end.
    void let_go();
    std::size_t readers() const { return streams_.size(); }

  private:
    using Facts = std::unordered_map<TaskId, protocol::TaskFacts>;
    struct Stream {
        std::shared_ptr<port::HttpStream> out;
        protocol::TopicFilter topics;
        protocol::EventId told;           // up to here, told or not wanted
        std::optional<std::size_t> left;  // events until it ends
        bool live = false;                // gets what is synced at once
        bool reading = false;             // the journal is being read for it
    };
    using Shared = std::shared_ptr<Stream>;
    struct Page;

    void follow(Call call);
    Result<protocol::EventId> begin_of(const Call& call) const;
    void pump(const Shared& stream);
    void page_read(const Shared& stream, const std::shared_ptr<Page>& page);
    void tell_page(const Shared& stream, const Page& page);
    void tell(Stream& stream, const std::vector<protocol::Event>& events, Sequence through);
    void end(const Shared& stream, std::string_view last_words);
    void beat();
    // False when somebody else has to be asked about some of the tasks.
    bool know(const RecordBatch& batch, Facts& facts, std::vector<TaskId>& unknown) const;

    EventPorts ports_;
    Core& core_;
    std::list<Shared> streams_;
    std::unique_ptr<port::Timer> heartbeat_;
    bool let_go_ = false;
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // jobs may come after our end
};

}  // namespace taskd::service

// Brings entries to a dispatcher, those of queues, schedules, topics, subscriptions and endpoints,
// and keeps it so: what changes is sent again, what is gone is taken away, what could not be sent
// is tried again. On the loop.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "taskd/base/result.hpp"
#include "taskd/model/entry.hpp"
#include "taskd/port/clock.hpp"
#include "taskd/port/http.hpp"
#include "taskd/port/log.hpp"
#include "taskd/port/timers.hpp"
#include "taskd/protocol/datagram.hpp"
#include "taskd/service/worker_list.hpp"

namespace taskd::service {

// The schemas of payloads that workers bring with them, as entries of a kind of their own, which
// leaves the other rules of a queue as they are.
std::vector<Entry> schemas_of(const std::vector<WorkerEntry>& workers);

// The kinds that a dispatcher is told of.
bool is_pushed_kind(std::string_view kind);
// What the dispatcher calls it: the field that says so, else the entry's name.
std::string pushed_name(const Entry& entry);
// The function behind an entry of kind http.endpoint, its name made whole; empty: a task is.
std::string function_behind(const Entry& entry);
// Such an entry, and where its function is called. Without that a dispatcher is not told of it, and
// what it holds of it stays.
Entry with_host(Entry entry, const std::string& url);
// Whether a dispatcher would understand it: the errors of its own parsers.
Result<void> check_pushed_entry(const Entry& entry);

// What a dispatcher may hold of ours: the path there, and the id of the entry behind it.
using PushedThings = std::map<std::string, std::string>;

struct EntryPushPorts {
    port::HttpExchange& http;
    port::Timers& timers;
    port::Clock& clock;
    port::Log& log;
    // Keeps them for a later life. Runs before the first of them is told, so that whatever an end
    // in between leaves at the dispatcher is known of, and again when fewer are left.
    std::function<Result<void>(const PushedThings&)> note;
};

class EntryPush {
  public:
    EntryPush(protocol::ClusterKey key, EntryPushPorts ports);

    // These may be held by an earlier life: what of them is not to hold any more is taken away.
    void remember(const PushedThings& things);
    // These are to hold at this dispatcher from now on; entries of other kinds are left out. What
    // others have set there stays.
    void hold(const std::string& url, const std::vector<Entry>& entries);
    // The same as a question: answers once, that the dispatcher has taken all of it, or what it has
    // refused, and then nothing more is sent. Nothing is sent that could not be noted. What it took
    // stays so until the next hold(). None other is asked meanwhile; a hold() makes an end of it
    // without an answer.
    using Answer = std::function<void(Result<void>)>;
    void propose(const std::string& url, const std::vector<Entry>& entries, Answer answer);
    bool settled() const { return waiting_.empty() && asking_.empty(); }
    void stop();

  private:
    // What is to be said of one thing of the dispatcher's.
    struct Wish {
        std::string id;
        std::string method;
        std::string body;
        friend bool operator==(const Wish&, const Wish&) = default;
    };
    void want(const std::string& url, const std::vector<Entry>& entries);
    PushedThings may_be_held() const;
    Result<void> note_before();
    void note_after();
    Result<void> note(PushedThings things);
    void refuse_proposal(Error error);
    void hold_as_before(const std::string& target);
    void send_next();
    void send(const std::string& target, const Wish& wish);
    void answer(Result<void> verdict);
    void took(const std::string& target, const Wish& wish,
              const Result<port::HttpResponse>& answer);

    protocol::ClusterKey key_;
    EntryPushPorts ports_;
    std::string url_;
    std::map<std::string, Wish> held_;     // by target
    std::map<std::string, Wish> waiting_;  // the same
    std::set<std::string> asking_;         // targets that are being told
    std::map<std::string, Wish> before_;   // what was held when something was proposed
    std::set<std::string> tried_;          // targets that were told since
    PushedThings noted_;
    Answer answer_;  // of what is proposed
    std::unique_ptr<port::Timer> again_;
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // answers may come after stop()
};

}  // namespace taskd::service

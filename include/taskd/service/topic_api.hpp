// Topics over HTTP: publishing, reading, and what topics keep.
#pragma once

#include <list>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>

#include "taskd/service/core.hpp"
#include "taskd/service/delivery_desk.hpp"
#include "taskd/service/http_front.hpp"

namespace taskd::service {

class TopicApi {
  public:
    TopicApi(Core& core, DeliveryDesk& desk, port::Clock& clock, port::Timers& timers);
    ~TopicApi();

    void add_routes(HttpFront& front);
    void on_records(const RecordBatch& batch);
    void let_go();

  private:
    struct Reader {
        Call call;
        std::string topic;
        EventSequence after;
        std::size_t limit = 0;
        SteadyTime until{};
        std::unique_ptr<port::Timer> timer;
        bool is_gone() const { return call.request.nobody_waits(); }
    };
    using Shared = std::shared_ptr<Reader>;

    void publish(Call call);
    void read(Call call);
    void list(Call call);
    void show(Call call);
    void set(Call call, bool anew);
    void remove(Call call);
    void look(const Shared& reader);
    void found(const Shared& reader, std::vector<std::shared_ptr<const TopicEvent>> events);
    void wait(const Shared& reader);
    void drop_gone();
    std::string write_with_groups(const Topic& topic) const;
    // Events that a group has not settled, by topic: of the group that is furthest behind.
    using Lags = std::unordered_map<std::string, std::uint64_t>;
    Lags largest_lags() const;

    Core& core_;
    DeliveryDesk& desk_;
    port::Clock& clock_;
    port::Timers& timers_;
    std::map<std::string, std::list<Shared>> readers_;  // that wait, by topic
    std::size_t waiting_ = 0;
    bool let_go_ = false;
};

}  // namespace taskd::service

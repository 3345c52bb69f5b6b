#include "taskd/service/delivery_desk.hpp"

#include <algorithm>

namespace taskd::service {

DeliveryDesk::DeliveryDesk(Core& core, port::Clock& clock, port::Timers& timers)
    : core_{core}, clock_{clock}, timers_{timers}, retry_timer_{timers.make()} {}

// A timer holds its question, and the question its timer.
DeliveryDesk::~DeliveryDesk() {
    for (const auto& [group, line] : waiting_)
        for (const Shared& question : line)
            question->timer->clear();
}

Result<void> DeliveryDesk::ask(const std::string& group, const protocol::DeliveryQuestion& asked,
                               std::shared_ptr<const bool> gone, Answer answer) {
    if (questions_ >= limits::delivery_questions_max) drop_gone();
    if (questions_ >= limits::delivery_questions_max) return fail(ErrorCode::too_many_waiters);
    auto question = std::make_shared<Question>();
    question->group = group;
    question->consumer = asked.consumer;
    question->max = asked.max;
    question->until = clock_.steady() + asked.wait;
    question->gone = std::move(gone);
    question->answer = std::move(answer);
    ++questions_;
    attempt(question);
    return {};
}

void DeliveryDesk::attempt(const Shared& question) {
    core_.execute(engine::AskDeliveries{question->group, question->consumer, question->max},
                  [this, question](const engine::Decision& decision) -> Core::Reply {
                      const bool empty = !decision.refused && decision.topics.leased.empty() &&
                                         decision.topics.gaps.empty();
                      if (empty) {
                          decided(question, decision);
                          return {};
                      }
                      if (decision.refused)
                          return [this, question, error = *decision.refused] {
                              finish(question, std::unexpected{error});
                          };
                      return
                          [this, question, topics = decision.topics] { finish(question, topics); };
                  });
}

// Nothing came of it: other consumers were sooner, or what came in waits for its key.
void DeliveryDesk::decided(const Shared& question, const engine::Decision& decision) {
    const bool came_in = !decision.records.empty();
    if (came_in || core_.engine().may_deliver(core_.now(), question->group)) {
        timers_.post([this, question, alive = std::weak_ptr{alive_}] {
            if (!alive.expired()) attempt(question);
        });
        return;
    }
    if (let_go_ || question->is_gone() || question->until <= clock_.steady()) {
        core_.when_durable([this, question] { finish(question, engine::TopicAnswer{}); });
        return;
    }
    wait(question);
}

void DeliveryDesk::wait(const Shared& question) {
    waiting_[question->group].push_back(question);
    if (!question->timer) question->timer = timers_.make();
    question->timer->set(question->until, [this, question] {
        const auto line = waiting_.find(question->group);
        if (line == waiting_.end() || std::erase(line->second, question) == 0) return;
        if (line->second.empty()) waiting_.erase(line);
        core_.when_durable([this, question] { finish(question, engine::TopicAnswer{}); });
    });
    arm();
}

void DeliveryDesk::finish(const Shared& question, Result<engine::TopicAnswer> answer) {
    --questions_;
    if (question->timer) timers_.post([question] { question->timer.reset(); });
    if (question->is_gone()) {
        if (answer) give_back(question->group, *answer);
        return;
    }
    question->answer(answer);
}

// Nobody has them, so nobody else would say so; it costs no attempt.
void DeliveryDesk::give_back(const std::string& group, const engine::TopicAnswer& answer) {
    if (answer.leased.empty()) return;
    engine::EndDeliveries end{group, {}};
    for (const auto& leased : answer.leased)
        end.items.push_back(
            {{leased.event->topic, leased.event->sequence}, leased.epoch, DeliveryEnd::released});
    core_.execute(std::move(end), [this](const engine::Decision&) {
        serve();
        return Core::Reply{};
    });
}

void DeliveryDesk::serve() {
    if (waiting_.empty() || std::exchange(serving_, true)) return;
    std::vector<std::string> groups;
    for (const auto& [group, line] : waiting_)
        groups.push_back(group);
    const Now now = core_.now();
    for (const std::string& group : groups) {
        const auto there_now = waiting_.find(group);
        std::size_t left = there_now == waiting_.end() ? 0 : there_now->second.size();
        while (left-- > 0) {
            const bool there = core_.engine().subscription(group) != nullptr;
            if (there && !core_.engine().may_deliver(now, group)) break;
            const auto line = waiting_.find(group);
            if (line == waiting_.end()) break;
            const Shared question = line->second.front();
            line->second.pop_front();
            if (line->second.empty()) waiting_.erase(line);
            question->timer->clear();
            if (question->is_gone())
                --questions_;
            else
                attempt(question);
        }
    }
    serving_ = false;
    arm();
}

void DeliveryDesk::on_records(const RecordBatch& batch) {
    if (waiting_.empty()) return;
    const bool topical = std::ranges::any_of(batch.records, [](const Record& record) {
        return std::visit([]<class Any>(const Any&) { return OfTopics<Any>; }, record);
    });
    if (topical) serve();
}

// Retries become due without a record.
void DeliveryDesk::arm() {
    std::optional<EngineTime> next;
    for (const auto& [group, line] : waiting_)
        if (const auto due = core_.engine().next_retry(group); due && (!next || *due < *next))
            next = due;
    if (!next) return retry_timer_->clear();
    const Duration wait = std::max(*next - core_.now().engine, Duration{0});
    retry_timer_->set(clock_.steady() + wait + Duration{1}, [this] { serve(); });
}

void DeliveryDesk::drop_gone() {
    for (auto each = waiting_.begin(); each != waiting_.end();) {
        questions_ -= std::erase_if(each->second, [](const Shared& question) {
            if (question->is_gone()) question->timer->clear();
            return question->is_gone();
        });
        each = each->second.empty() ? waiting_.erase(each) : std::next(each);
    }
}

void DeliveryDesk::let_go() {
    let_go_ = true;
    for (auto& [group, line] : std::exchange(waiting_, {}))
        for (const Shared& question : line) {
            question->timer->clear();
            finish(question, engine::TopicAnswer{});
        }
}

}  // namespace taskd::service

// Submits: which tasks are new, which were there before, and what has to be asked of the view
// first.
#include <algorithm>
#include <unordered_map>

#include "engine/rules.hpp"

namespace taskd::engine {
// When it may begin, and by when it must have begun and ended. The limits follow engine time, which
// a clock set forward does not move.
TaskSubmitted submitted(const Now& now, const TaskSpec& spec) {
    TaskSubmitted record{spec, now.wall, std::nullopt, std::nullopt, std::nullopt};
    if (spec.run_at) record.due = spec.run_at;
    if (spec.delay > Duration{0}) record.due = now.wall + spec.delay;
    if (record.due && *record.due <= now.wall) record.due.reset();
    const Duration ahead = record.due ? *record.due - now.wall : Duration{0};
    record.expires =
        now.engine + (spec.expires_at ? *spec.expires_at - now.wall : ahead + spec.queue_timeout);
    record.ends_by = now.engine + ahead + spec.total_timeout;
    return record;
}

namespace {

// One submit on its way: what is known of other tasks, here and by the view.
class Submission {
  public:
    Submission(const Context& context, const Submit& command)
        : context_{context}, command_{command} {
        for (const Task& task : command.known)
            known_.emplace(task.spec.id, &task);
        for (const KeyUse& use : command.known_keys)
            known_keys_.emplace(use.key, &use);
        if (command.tasks.size() > 1) seen_.reserve(command.tasks.size());
    }

    Decision decide() {
        for (std::size_t i = 0; i < command_.tasks.size(); ++i)
            if (auto refused = take(i)) return std::move(*refused);
        if (!decision_.fetch.empty() || !decision_.fetch_keys.empty()) decision_.records.clear();
        return std::move(decision_);
    }

  private:
    enum class Place { nowhere, asked, here };

    // A refusal, or nothing.
    std::optional<Decision> take(std::size_t i) {
        const TaskSpec& spec = command_.tasks[i];
        if (command_.tasks.size() > 1)
            if (const auto [seen, is_new] = seen_.try_emplace(spec.id, i); !is_new) {
                if (command_.tasks[seen->second] != spec)
                    return refuse(ErrorCode::id_conflict, "the id stands twice in this request", i);
                say_again(i, seen->second);
                return std::nullopt;
            }
        const Task* there = nullptr;
        const Place place = look_for(spec.id, there);
        if (place == Place::asked) return std::nullopt;
        if (place == Place::here) {
            if (there->spec != spec) return refuse(ErrorCode::id_conflict, spec.id.to_string(), i);
            return std::nullopt;
        }
        // An id greater than every forgotten one cannot have been forgotten. What was taken before
        // is not refused now.
        const auto& forgotten = context_.state.forgotten_max;
        const bool asked = forgotten && spec.id <= *forgotten && !command_.fetched;
        if (asked) decision_.fetch.push_back(spec.id);
        if (!spec.idempotency_key.empty()) {
            // All that is unknown is asked for at once: there is no second question.
            bool done = false;
            auto refused = take_key(i, done);
            if (refused && !asked) return refused;
            if (done) return std::nullopt;
        }
        if (asked) return std::nullopt;
        if (auto refused = take_room(i)) return refused;
        if (auto refused = take_group(i)) return refused;
        decision_.records.emplace_back(submitted(context_.now, spec));
        return std::nullopt;
    }

    // New tasks come into open groups, and into the one that is made with them.
    std::optional<Decision> take_group(std::size_t i) {
        const auto& group = command_.tasks[i].group;
        if (!group || command_.group_made == group) return std::nullopt;
        const auto found = context_.state.groups.find(*group);
        if (found == context_.state.groups.end())
            return refuse(ErrorCode::group_not_found, group->to_string(), i);
        if (found->second.state != GroupState::open)
            return refuse(ErrorCode::group_closed,
                          "it is " + std::string{to_text(found->second.state)}, i);
        return std::nullopt;
    }

    // New tasks alone are refused for want of room.
    std::optional<Decision> take_room(std::size_t i) {
        const TaskSpec& spec = command_.tasks[i];
        const auto queue = context_.state.queues.find(spec.type);
        if (queue == context_.state.queues.end()) return std::nullopt;
        const QueueRules& rules = queue->second.rules;
        if (rules.draining) return refuse(ErrorCode::queue_draining, spec.type, i);
        if (rules.key_backlog_max == 0 || spec.key.empty()) return std::nullopt;
        const auto lane = queue->second.lanes.find(spec.key);
        const std::size_t there = lane == queue->second.lanes.end() ? 0 : lane->second.backlog;
        if (there + ++coming_[{spec.type, spec.key}] <= rules.key_backlog_max) return std::nullopt;
        return refuse(ErrorCode::key_backlog_full,
                      std::to_string(rules.key_backlog_max) + " of key '" + spec.key + "'", i);
    }

    // Whether the task is known; asked: its body must be read first.
    Place look_for(TaskId id, const Task*& there) {
        if (const Header* header = context_.state.find(id)) {
            if (!header->body) {
                decision_.fetch.push_back(id);
                return Place::asked;
            }
            there = header->body->task.get();
            return Place::here;
        }
        const auto found = known_.find(id);
        if (found == known_.end()) return Place::nowhere;
        there = found->second;
        decision_.known.push_back(*there);
        return Place::here;
    }

    // The same task once more: whatever the first one is, this one is too.
    void say_again(std::size_t i, std::size_t first) {
        auto& existing = decision_.existing;  // in the order of the request
        const auto other =
            std::ranges::lower_bound(existing, first, {}, &std::pair<std::size_t, TaskId>::first);
        const bool is_other = other != existing.end() && other->first == first;
        const TaskId id = is_other ? other->second : command_.tasks[first].id;
        if (id != command_.tasks[i].id) existing.emplace_back(i, id);
    }

    // `done` when the key says that there is nothing more to do, or not yet.
    std::optional<Decision> take_key(std::size_t i, bool& done) {
        const TaskSpec& spec = command_.tasks[i];
        if (const auto [seen, is_new] = seen_keys_.try_emplace(spec.idempotency_key, i); !is_new) {
            done = true;
            // What is asked first may need no key: then this one does.
            if (decision_.asks()) return std::nullopt;
            TaskSpec same = spec;
            same.id = command_.tasks[seen->second].id;
            if (same != command_.tasks[seen->second])
                return refuse(ErrorCode::key_conflict, "the key stands twice in this request", i);
            say_again(i, seen->second);
            return std::nullopt;
        }
        const auto use = find_key(spec.idempotency_key, done);
        if (!use || done) return std::nullopt;
        const Header* header = context_.state.find(use->id);
        const bool lives = header != nullptr && !is_terminal(header->state);
        if (!lives && use->until <= context_.now.believed()) return std::nullopt;
        const Task* holder = nullptr;
        const Place place = look_for(use->id, holder);
        if (place == Place::nowhere && command_.fetched) return std::nullopt;  // it is gone
        done = true;
        if (place == Place::nowhere) decision_.fetch.push_back(use->id);
        if (place != Place::here) return std::nullopt;
        TaskSpec same = spec;
        same.id = holder->spec.id;
        if (same != holder->spec)
            return refuse(ErrorCode::key_conflict, "task " + use->id.to_string(), i);
        decision_.existing.emplace_back(i, use->id);
        return std::nullopt;
    }

    std::optional<KeyUse> find_key(const std::string& key, bool& asked) {
        const auto& keys = context_.state.keys;
        if (const auto found = keys.find(key); found != keys.end())
            return KeyUse{key, found->second.id, found->second.until};
        if (const auto found = known_keys_.find(key); found != known_keys_.end())
            return *found->second;
        if (context_.state.keys_elsewhere && !command_.fetched) {
            decision_.fetch_keys.push_back(key);
            asked = true;
        }
        return std::nullopt;
    }

    const Context& context_;
    const Submit& command_;
    Decision decision_;
    std::unordered_map<TaskId, const Task*> known_;
    std::unordered_map<std::string, const KeyUse*> known_keys_;
    // Where in the request they stand first.
    std::unordered_map<TaskId, std::size_t> seen_;
    std::unordered_map<std::string_view, std::size_t> seen_keys_;
    std::map<std::pair<std::string_view, std::string_view>, std::size_t> coming_;
};

}  // namespace

Decision decide_submit(const Context& context, const Submit& command) {
    if (command.tasks.empty())
        return refuse(ErrorCode::invalid_field, "an array of at least one task is needed");
    if (command.tasks.size() > limits::submit_tasks_max) return refuse(ErrorCode::too_many_tasks);
    return Submission{context, command}.decide();
}

}  // namespace taskd::engine

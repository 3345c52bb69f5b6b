#include "taskd/service/lease_desk.hpp"

#include <algorithm>

namespace taskd::service {
namespace {

// How soon it is seen that a client has left.
constexpr Duration sweep_interval = std::chrono::milliseconds{500};

}  // namespace

LeaseDesk::LeaseDesk(Core& core, port::Clock& clock, port::Timers& timers, Duration lease_duration,
                     TakenName taken)
    : core_{core},
      clock_{clock},
      timers_{timers},
      lease_duration_{lease_duration},
      taken_{std::move(taken)},
      sweep_timer_{timers.make()} {}

LeaseDesk::~LeaseDesk() = default;

Result<void> LeaseDesk::ask(protocol::LeaseQuestion question, std::shared_ptr<const bool> gone,
                            Answer answer) {
    if (let_go_) return fail(ErrorCode::shutting_down);
    if (questions_ >= limits::lease_questions_max) return fail(ErrorCode::too_many_waiters);
    if (taken_(question.worker)) return fail(ErrorCode::registration_conflict, question.worker);
    const auto [found, is_new] = pullers_.try_emplace(question.worker);
    Puller& puller = found->second;
    // What it had before a restart of ours was told to it then.
    if (is_new) puller.given = core_.engine().leases_of(question.worker);
    ++questions_;
    const auto place =
        puller.questions.insert(puller.questions.end(), Question{.types = std::move(question.types),
                                                                 .max = question.max,
                                                                 .got = {},
                                                                 .gone = std::move(gone),
                                                                 .answer = std::move(answer),
                                                                 .timer = timers_.make()});
    const std::string instance = std::move(question.worker);
    heard(instance);
    update(instance);
    // Without a wait it is asked what there is now: the turn that follows tells.
    if (question.wait > Duration{0}) {
        place->timer->set(clock_.steady() + question.wait,
                          [this, instance, place] { finish(instance, place); });
    } else {
        place->answering = true;
        core_.when_durable([this, instance, place, alive = std::weak_ptr{alive_}] {
            if (!alive.expired()) finish(instance, place);
        });
    }
    arm_sweep();
    return {};
}

void LeaseDesk::heard(const std::string& instance) {
    const auto found = pullers_.find(instance);
    if (found == pullers_.end()) return;
    found->second.heard = clock_.steady();
    found->second.heard_at = clock_.wall();
}

bool LeaseDesk::on_output(const engine::Output& output) {
    const auto* sent = std::get_if<engine::SendLease>(&output);
    if (sent == nullptr) {
        const auto* revoked = std::get_if<engine::SendRevoke>(&output);
        return revoked != nullptr && pullers_.contains(revoked->worker);  // told when it renews
    }
    const auto found = pullers_.find(sent->worker);
    if (found == pullers_.end()) return false;
    // Much may have happened until the lease was synced.
    const auto standing = core_.engine().standing(sent->lease);
    if (standing == engine::LeaseStanding::lost) {
        update_soon(sent->worker);
        return true;
    }
    if (standing == engine::LeaseStanding::revoked) {
        give_back(sent->worker, sent->lease);  // nobody has it, so nobody else would
        return true;
    }
    auto& questions = found->second.questions;
    const TaskSpec& spec = core_.engine().find(sent->lease.id)->spec;
    note_size(found->second, spec.payload.size());
    // The newest: one before may be of a connection that broke, which nobody has noticed yet.
    auto place = questions.end();
    for (auto each = questions.begin(); each != questions.end(); ++each) {
        const bool asked = std::ranges::find(each->types, spec.type) != each->types.end();
        const bool there = !(each->gone && *each->gone);
        if (asked && there && !each->full()) place = each;
    }
    if (place == questions.end()) {
        update(sent->worker);  // first: it may have room only for what is full, or has left
        give_back(sent->worker, sent->lease);
        return true;
    }
    place->got.push_back(sent->lease);
    place->bytes += spec.payload.size();
    found->second.given.push_back(sent->lease);
    if (std::exchange(place->answering, true)) return true;
    place->timer->clear();
    // More of the same turn may follow.
    timers_.post([this, instance = sent->worker, place, alive = std::weak_ptr{alive_}] {
        if (!alive.expired()) finish(instance, place);
    });
    return true;
}

// What one answer holds of its tasks is bounded: the last one may go beyond.
bool LeaseDesk::Question::full() const {
    return got.size() >= max || bytes >= limits::answer_payload_bytes_max;
}

// How many more it would take of such tasks as came last; if they are smaller now, so many less are
// in its answer, and if they are larger, some go back.
std::size_t LeaseDesk::Question::room(std::size_t task_bytes) const {
    if (full()) return 0;
    const std::size_t fit = (limits::answer_payload_bytes_max - bytes) / std::max(task_bytes, 1uz);
    return std::min(max - got.size(), fit + 1);
}

void LeaseDesk::note_size(Puller& puller, std::size_t bytes) {
    puller.task_bytes = puller.task_bytes - puller.task_bytes / 8 + bytes / 8;
}

// Untouched, so it costs no attempt. The room that was kept for it is free again.
void LeaseDesk::give_back(const std::string& instance, const engine::LeaseRef& lease) {
    core_.execute(engine::Release{lease}, [](const auto&) { return Core::Reply{}; });
    update_soon(instance);
}

// Once the turn that is under way is over.
void LeaseDesk::update_soon(const std::string& instance) {
    timers_.post([this, instance, alive = std::weak_ptr{alive_}] {
        if (!alive.expired() && pullers_.contains(instance)) update(instance);
    });
}

void LeaseDesk::finish(const std::string& instance, std::list<Question>::iterator place) {
    Puller& puller = pullers_.at(instance);
    Question question = std::move(*place);
    puller.questions.erase(place);
    --questions_;
    const bool gone = question.gone && *question.gone;
    update(instance);
    if (gone) {
        for (const engine::LeaseRef& lease : question.got)
            give_back(instance, lease);
        return;
    }
    std::erase_if(question.got, [&](const engine::LeaseRef& lease) {
        const auto standing = core_.engine().standing(lease);
        if (standing == engine::LeaseStanding::revoked) give_back(instance, lease);
        return standing != engine::LeaseStanding::held;
    });
    question.answer(question.got);
}

void LeaseDesk::update(const std::string& instance) {
    Puller& puller = pullers_.at(instance);
    std::erase_if(puller.given, [this](const engine::LeaseRef& lease) {
        return core_.engine().standing(lease) != engine::LeaseStanding::held;
    });
    std::vector<std::string> types;
    std::size_t room = 0;
    for (const Question& question : puller.questions) {
        if (question.full() || (question.gone && *question.gone)) continue;
        room += question.room(puller.task_bytes);
        for (const std::string& type : question.types)
            if (std::ranges::find(types, type) == types.end()) types.push_back(type);
    }
    // What is leased and not yet synced is still to come.
    const std::size_t held = core_.engine().leases_of(instance).size();
    const std::size_t coming = held - std::min(held, puller.given.size());
    const auto credit = static_cast<std::uint32_t>(room - std::min(room, coming));
    // Between two questions it is still there, but takes nothing.
    if (!types.empty()) puller.types = std::move(types);
    core_.execute(engine::WorkerUp{instance, puller.types, limits::concurrency_max, credit},
                  [](const auto&) { return Core::Reply{}; });
}

void LeaseDesk::arm_sweep() {
    if (pullers_.empty()) return;
    sweep_timer_->set(clock_.steady() + sweep_interval, [this] { sweep(); });
}

void LeaseDesk::sweep() {
    const SteadyTime now = clock_.steady();
    for (auto each = pullers_.begin(); each != pullers_.end();) {
        auto& [instance, puller] = *each;
        bool left = false;
        for (auto place = puller.questions.begin(); place != puller.questions.end();) {
            const auto question = place++;
            if (!(question->gone && *question->gone) || question->answering) continue;
            puller.questions.erase(question);
            --questions_;
            left = true;
        }
        if (left) update(instance);
        const bool over = puller.questions.empty() && core_.engine().held_by(instance) == 0 &&
                          now - puller.heard > 2 * lease_duration_;
        if (over)
            core_.execute(engine::WorkerGone{instance}, [](const auto&) { return Core::Reply{}; });
        each = over ? pullers_.erase(each) : std::next(each);
    }
    arm_sweep();
}

void LeaseDesk::let_go() {
    let_go_ = true;
    std::vector<std::string> names;
    for (const auto& [instance, puller] : pullers_)
        names.push_back(instance);
    for (const std::string& instance : names) {
        auto& questions = pullers_.at(instance).questions;
        for (auto place = questions.begin(); place != questions.end();) {
            const auto question = place++;
            if (!question->answering) finish(instance, question);
        }
    }
}

std::vector<PullerFigures> LeaseDesk::figures() const {
    std::vector<PullerFigures> all;
    for (const auto& [instance, puller] : pullers_) {
        PullerFigures figures{.instance = instance,
                              .types = puller.types,
                              .slots = core_.engine().held_by(instance),
                              .asks = !puller.questions.empty(),
                              .heard_at = puller.heard_at};
        for (const Question& question : puller.questions)
            figures.slots += question.max;
        all.push_back(std::move(figures));
    }
    return all;
}

}  // namespace taskd::service

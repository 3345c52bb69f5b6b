#include "sim_world.hpp"

#include <algorithm>

#include "sim_parts.hpp"
#include "taskd/base/assert.hpp"

namespace taskd::test {
namespace {

constexpr std::uint32_t script = 0;
// 2026-01-01T00:00:00Z: the wall clock when a world begins.
constexpr WallTime world_begins{std::chrono::seconds{1'767'225'600}};

}  // namespace

std::vector<std::pair<std::string_view, std::uint64_t>> SimCounts::rows() const {
    return {{"steps", steps},
            {"datagrams_sent", datagrams_sent},
            {"datagrams_delivered", datagrams_delivered},
            {"datagrams_lost", datagrams_lost},
            {"datagrams_doubled", datagrams_doubled},
            {"datagrams_reordered", datagrams_reordered},
            {"datagrams_cut", datagrams_cut},
            {"datagrams_to_nobody", datagrams_to_nobody},
            {"http_sent", http_sent},
            {"http_answered", http_answered},
            {"http_requests_lost", http_requests_lost},
            {"http_answers_lost", http_answers_lost},
            {"http_cut", http_cut},
            {"http_refused", http_refused},
            {"http_broken_by_crash", http_broken_by_crash},
            {"http_timed_out", http_timed_out},
            {"crashes", crashes},
            {"crashes_between_job_and_then", crashes_between_job_and_then},
            {"events_dropped_by_crash", events_dropped_by_crash},
            {"pauses", pauses},
            {"wall_jumps", wall_jumps}};
}

SimWorld::SimWorld(std::uint64_t seed, SimOptions options) : options_{options}, random_{seed} {}
SimWorld::~SimWorld() = default;

SimHost& SimWorld::host(const std::string& name) {
    const auto found = std::ranges::find(hosts_, name, &SimHost::name);
    if (found != hosts_.end()) return **found;
    const auto number = static_cast<std::uint32_t>(hosts_.size() + 1);
    return *hosts_.emplace_back(std::make_unique<SimHost>(*this, number, name));
}

// Moves what a paused host would do to the end of its pause; false when nothing is left at all.
bool SimWorld::settle_pauses() {
    while (!queue_.empty()) {
        const auto [at, owner] = queue_.next();
        if (owner == script || hosts_[owner - 1]->paused_until_ <= at) return true;
        queue_.postpone(hosts_[owner - 1]->paused_until_);
    }
    return false;
}

bool SimWorld::step() {
    if (!settle_pauses()) return false;
    now_ = std::max(now_, queue_.next().at);
    ++counts_.steps;
    Job job = queue_.take();
    job();
    return true;
}

void SimWorld::run_until(Duration time) {
    while (settle_pauses() && queue_.next().at <= time)
        step();
    now_ = std::max(now_, time);
}

bool SimWorld::run_until_idle(Duration limit) {
    const Duration end = now_ + limit;
    while (settle_pauses()) {
        if (queue_.next().at > end) return false;
        step();
    }
    return true;
}

bool SimWorld::run_until(const std::function<bool()>& done, Duration limit) {
    const Duration end = now_ + limit;
    while (!done()) {
        if (!settle_pauses() || queue_.next().at > end) return false;
        step();
    }
    return true;
}

void SimWorld::at(Duration time, std::function<void()> act) {
    queue_.add(std::max(time, now_), script, std::move(act));
}

SimQueue::Ticket SimWorld::schedule(SimHost& host, Duration at, Job job) {
    if (!host.up_) return {};
    return queue_.add(std::max(at, now_), host.number_, std::move(job));
}

void SimWorld::crash(SimHost& host) {
    TASKD_ASSERT(host.up_);
    ++counts_.crashes;
    if (host.thens_due_ > 0) ++counts_.crashes_between_job_and_then;
    host.up_ = false;
    ++host.life_;
    host.thens_due_ = 0;
    host.paused_until_ = Duration{0};
    host.handlers_.clear();
    host.sockets_.clear();
    std::vector<std::uint64_t> broken;
    std::vector<Call> forgotten;  // destroyed last, see SimQueue::drop
    for (auto call = calls_.begin(); call != calls_.end();) {
        if (call->second.caller == host.number_) {
            forgotten.push_back(std::move(call->second));
            call = calls_.erase(call);
            continue;
        }
        if (call->second.server == host.number_ && call->second.at_server)
            broken.push_back(call->first);
        ++call;
    }
    counts_.events_dropped_by_crash += queue_.drop(host.number_);
    // The kernel closes the connections of a killed process; a machine that is gone says nothing.
    for (const std::uint64_t call : broken) {
        ++counts_.http_broken_by_crash;
        if (random_.chance(1, 2))
            finish_later(call, fail(ErrorCode::unreachable, "closed before the answer"));
    }
}

void SimWorld::boot(SimHost& host) {
    TASKD_ASSERT(!host.up_);
    host.up_ = true;
    host.steady_base_ = draw(std::chrono::seconds{1}, std::chrono::days{10});
}

void SimWorld::pause(SimHost& host, Duration span) {
    ++counts_.pauses;
    host.paused_until_ = std::max(host.paused_until_, now_ + span);
}

void SimWorld::set_wall_offset(SimHost& host, Duration offset) {
    if (offset != host.wall_offset_) ++counts_.wall_jumps, host.clock_was_set_ = true;
    host.wall_offset_ = offset;
}

void SimWorld::block(SimHost& from, SimHost& to) {
    blocked_.emplace(from.number_, to.number_);
}

void SimWorld::partition(SimHost& a, SimHost& b) {
    block(a, b);
    block(b, a);
}

void SimWorld::heal(SimHost& a, SimHost& b) {
    blocked_.erase({a.number_, b.number_});
    blocked_.erase({b.number_, a.number_});
}

bool SimWorld::is_blocked(std::uint32_t from, std::uint32_t to) const {
    return !blocked_.empty() && blocked_.contains({from, to});
}

Duration SimWorld::draw(Duration min, Duration max) {
    TASKD_ASSERT(min <= max);
    const auto span = static_cast<std::uint64_t>((max - min).count());
    return min + Duration{static_cast<std::int64_t>(random_.below(span + 1))};
}

SimHost* SimWorld::find(std::string_view name_or_address, SimHost& asking) {
    if (name_or_address == "localhost" || name_or_address == "127.0.0.1") return &asking;
    for (const auto& host : hosts_)
        if (host->name_ == name_or_address || host->address_ == name_or_address) return host.get();
    return nullptr;
}

SimHost::SimHost(SimWorld& world, std::uint32_t number, std::string name)
    : world_{world},
      number_{number},
      name_{std::move(name)},
      address_{"10.0." + std::to_string(number / 256) + "." + std::to_string(number % 256)},
      steady_base_{world.draw(std::chrono::seconds{1}, std::chrono::days{10})} {}

WallTime SimHost::wall() const {
    return world_begins + world_.now_ + wall_offset_;
}
SteadyTime SimHost::steady() const {
    return SteadyTime{steady_base_ + world_.now_};
}

std::unique_ptr<port::Timer> SimHost::make() {
    return std::make_unique<SimTimer>(*this);
}
void SimHost::post(std::function<void()> job) {
    world_.schedule(*this, world_.now_, std::move(job));
}
std::unique_ptr<port::Background> SimHost::make_lane() {
    return std::make_unique<SimLane>(*this);
}

// A timer's past instant means now; one beyond the world's end is never reached.
void SimTimer::set(SteadyTime at, std::function<void()> fire) {
    clear();
    if (life_ != host_.life_) return;
    fire_ = std::move(fire);
    ticket_ = host_.world_.schedule(host_, at.time_since_epoch() - host_.steady_base_, [this] {
        const auto run = std::exchange(fire_, nullptr);
        run();
    });
}

void SimTimer::clear() {
    host_.world_.queue_.cancel(std::exchange(ticket_, {}));
    fire_ = nullptr;
}

SimLane::~SimLane() {
    if (host_.life_ != shared_->life) return;
    shared_->gone = true;
    while (!shared_->waiting.empty()) {
        auto work = std::move(shared_->waiting.front());
        shared_->waiting.pop_front();
        work.job();
    }
}

void SimLane::run(std::function<void()> job, std::function<void()> then) {
    SimWorld& world = host_.world_;
    if (host_.life_ != shared_->life) return;
    shared_->waiting.push_back({std::move(job), std::move(then)});
    const SimLaneOptions& lane = world.options_.lane;
    shared_->busy_until =
        std::max(shared_->busy_until, world.now_) + world.draw(lane.job_min, lane.job_max);
    world.schedule(host_, shared_->busy_until, [shared = shared_, &host = host_] {
        if (!shared->waiting.empty()) finish_one(shared, host);
    });
}

void SimLane::finish_one(const std::shared_ptr<Shared>& shared, SimHost& host) {
    SimWorld& world = host.world_;
    Work work = std::move(shared->waiting.front());
    shared->waiting.pop_front();
    work.job();
    if (host.life_ != shared->life) return;  // the job was cut short by a crash
    // A little later, so that a crash can come between; never before the one before it.
    shared->then_at = std::max(shared->then_at, world.now_ + world.draw(Duration{0}, Duration{50}));
    ++host.thens_due_;
    world.schedule(host, shared->then_at, [shared, &host, then = std::move(work.then)] {
        --host.thens_due_;
        if (!shared->gone && then) then();
    });
}

}  // namespace taskd::test

#include "taskd/worker.hpp"

#include <algorithm>
#include <atomic>
#include <csignal>
#include <map>
#include <vector>

#include "client/held_lease.hpp"
#include "taskd/io/clock.hpp"
#include "taskd/io/entropy.hpp"
#include "taskd/io/http_exchange.hpp"
#include "taskd/io/lane.hpp"
#include "taskd/protocol/json.hpp"
#include "taskd/protocol/json_view.hpp"
#include "taskd/protocol/lease_json.hpp"
#include "taskd/protocol/problem.hpp"
#include "taskd/service/http_front.hpp"

namespace taskd {
namespace {

using namespace std::chrono_literals;

constexpr unsigned concurrency_most = 256;
constexpr Duration ask_wait = 25s;         // some proxies cut off after half a minute of silence
constexpr Duration patience_of_one = 10s;  // of an exchange, beside what it waits for
constexpr Duration pause_first = 50ms;
constexpr Duration pause_most = 2s;
constexpr std::size_t threads_most = 16;  // that exchange with the dispatcher, beside the asker

}  // namespace

// Everything but the handlers happens on the loop, on the thread that called run().
class Worker::Impl final : public client::LeaseHost {
  public:
    explicit Impl(WorkerSettings settings)
        : settings_{std::move(settings)}, clock_{io::make_system_clock()}, random_{seed_} {}

    void on(std::string type, Handler handler) { handlers_[std::move(type)] = std::move(handler); }
    Result<void> run();
    void stop(Duration patience) {
        loop_.post_from_any_thread([this, patience] { drain(patience); });
    }

    // LeaseHost, for the leases that are held.
    void send(std::string target, std::string body, Answer then) override {
        exchange(*work_http_, std::move(target), std::move(body), patience_of_one, std::move(then));
    }
    service::LogSenderPorts log_ports() override { return {*work_http_, *clock_, loop_}; }
    const protocol::ClusterKey& key() const override { return key_; }
    const std::string& url() const override { return settings_.url; }
    io::Loop& loop() override { return loop_; }
    SteadyTime now() const override { return clock_->steady(); }
    Duration longer(Duration pause) override;
    void ended(const std::string& lease) override;
    void refused(const Error& error) override { give_up(error); }

  private:
    Result<void> check() const;
    void exchange(io::HttpExchange& http, std::string target, std::string body, Duration timeout,
                  Answer then);
    void ask();
    void asked(const Result<port::HttpResponse>& answer);
    bool take(std::string_view body);
    void begin(client::TakenTask task);
    void give_back(const std::string& lease);
    void renew();
    void ask_later(const Error& error);
    void give_up(const Error& error);
    void drain(Duration patience);
    void check_drained();

    WorkerSettings settings_;
    std::uint64_t seed_ = io::random_seed();
    std::unique_ptr<port::Clock> clock_;
    Random random_;
    protocol::ClusterKey key_;
    std::map<std::string, Handler> handlers_;
    io::Loop loop_;
    // Asking is broken off when it is over; what is held is handed over by the other.
    std::unique_ptr<io::HttpExchange> ask_http_;
    std::unique_ptr<io::HttpExchange> work_http_;
    std::map<std::string, std::unique_ptr<client::HeldLease>> held_;
    std::vector<std::unique_ptr<io::Lane>> lanes_;  // one a task at a time
    std::vector<std::size_t> free_lanes_;
    std::map<std::string, std::size_t> lane_of_;
    std::unique_ptr<port::Timer> renew_timer_;
    std::unique_ptr<port::Timer> ask_timer_;
    std::unique_ptr<port::Timer> patience_timer_;
    Duration lease_ = limits::lease_duration_default;
    Duration pause_ = pause_first;
    bool asking_ = false;
    bool draining_ = false;
    Result<void> outcome_;
};

Result<void> Worker::Impl::check() const {
    if (handlers_.empty()) return fail(ErrorCode::invalid_field, "no handler: call on() first");
    if (handlers_.size() > limits::lease_types_max)
        return fail(ErrorCode::invalid_field, "more than 100 types");
    for (const auto& [type, handler] : handlers_)
        if (!is_type_name(type) || !handler)
            return fail(ErrorCode::invalid_field, "type '" + type + "'");
    if (settings_.concurrency == 0 || settings_.concurrency > concurrency_most)
        return fail(ErrorCode::invalid_field, "concurrency must be 1 to 256");
    if (!is_instance_name(settings_.name))
        return fail(ErrorCode::invalid_field, "name '" + settings_.name + "'");
    return {};
}

Result<void> Worker::Impl::run() {
    if (settings_.name.empty())
        settings_.name = "cpp-" + protocol::write_session(SessionId{random_.next()});
    if (auto checked = check(); !checked) return checked;
    if (!settings_.key.empty()) key_ = protocol::ClusterKey{settings_.key};
    ask_http_ = std::make_unique<io::HttpExchange>(
        loop_, io::HttpExchangeSettings{.threads_max = 1, .all_repeatable = true});
    work_http_ = std::make_unique<io::HttpExchange>(
        loop_, io::HttpExchangeSettings{
                   .threads_max = std::min<std::size_t>(settings_.concurrency + 1, threads_most),
                   .all_repeatable = true});
    for (std::size_t i = 0; i < settings_.concurrency; ++i) {
        lanes_.push_back(std::make_unique<io::Lane>(loop_, "handler"));
        free_lanes_.push_back(i);
    }
    renew_timer_ = loop_.make();
    ask_timer_ = loop_.make();
    patience_timer_ = loop_.make();
    if (settings_.stop_on_signals)
        if (auto done = loop_.on_signal({SIGINT, SIGTERM}, [this](int) { drain(30s); }); !done)
            return done;
    loop_.post([this] {
        ask();
        renew();
    });
    loop_.run();
    ask_http_->stop();
    work_http_->stop();
    lanes_.clear();  // waits for handlers that did not end in time
    held_.clear();
    return outcome_;
}

void Worker::Impl::exchange(io::HttpExchange& http, std::string target, std::string body,
                            Duration timeout, Answer then) {
    port::HttpRequest request{"POST", std::move(target), {}, std::move(body)};
    service::add_key(request.headers, key_);
    if (!request.body.empty())
        request.headers.emplace_back("Content-Type", std::string{protocol::json_type});
    http.send(settings_.url, std::move(request), timeout, std::move(then));
}

// One question at a time, for as many as there are free lanes.
void Worker::Impl::ask() {
    if (asking_ || draining_ || free_lanes_.empty()) return;
    asking_ = true;
    std::string body;
    protocol::JsonWriter json{body};
    json.begin_object().key("types").begin_array();
    for (const auto& [type, handler] : handlers_)
        json.string(type);
    json.end_array()
        .field("worker", settings_.name)
        .field("max", free_lanes_.size())
        .field("wait_ms", ask_wait / 1ms)
        .end_object();
    exchange(*ask_http_, "/v1/leases", std::move(body), ask_wait + patience_of_one,
             [this](const Result<port::HttpResponse>& answer) { asked(answer); });
}

void Worker::Impl::asked(const Result<port::HttpResponse>& answer) {
    asking_ = false;
    if (!answer) {
        if (answer.error().code == ErrorCode::bad_address) return give_up(answer.error());
        return ask_later(answer.error());
    }
    if (answer->status != 200) {
        const auto refusal = protocol::parse_refusal(answer->body, answer->status);
        return refusal ? give_up(*refusal)
                       : ask_later(protocol::parse_problem(answer->body, answer->status));
    }
    if (!take(answer->body)) return ask_later({ErrorCode::bad_answer, "not what leases are"});
    pause_ = pause_first;
    ask();
}

void Worker::Impl::ask_later(const Error& error) {
    if (draining_) return;
    if (pause_ == pause_first && settings_.trying_again) settings_.trying_again(error);
    ask_timer_->set(now() + pause_, [this] { ask(); });
    pause_ = longer(pause_);
}

Duration Worker::Impl::longer(Duration pause) {
    const auto jitter = random_.below(static_cast<std::uint64_t>(pause.count()) / 4 + 1);
    return std::min<Duration>(2 * pause + Duration{jitter}, pause_most);
}

// False for something else than an answer of ours; leases that stood in it run out.
bool Worker::Impl::take(std::string_view body) {
    if (!protocol::check_json(body)) return false;
    const protocol::JsonView answer{body};
    if (!answer["tasks"].raw().starts_with('[')) return false;
    if (const auto lease = answer["lease_ms"].number())
        lease_ = std::chrono::milliseconds{std::max<std::uint64_t>(*lease, 100)};
    for (const protocol::JsonView& task : answer["tasks"].items()) {
        auto taken = client::read_task(task);
        if (taken && !handlers_.contains(taken->type))
            give_back(taken->path);
        else if (taken && !free_lanes_.empty())
            begin(std::move(*taken));
    }
    return true;
}

// Of a type that was not asked for. If this is lost the lease runs out.
void Worker::Impl::give_back(const std::string& lease) {
    exchange(*work_http_, "/v1/leases/" + lease + "/release", {}, patience_of_one,
             [](const Result<port::HttpResponse>&) {});
}

void Worker::Impl::begin(client::TakenTask task) {
    const std::string lease = task.path;
    if (held_.contains(lease)) return;
    const std::size_t lane = free_lanes_.back();
    free_lanes_.pop_back();
    lane_of_[lease] = lane;
    const auto held = held_.emplace(lease, std::make_unique<client::HeldLease>(*this, task)).first;
    // Handlers do not change once run() was called.
    const Handler& handler = handlers_.at(task.type);
    auto made = std::make_shared<client::HandlerResult>();
    lanes_[lane]->run(
        [&handler, made, shared = held->second->shared()] {
            *made = client::run_handler(handler, shared);
        },
        [this, lease, made] {
            if (const auto found = held_.find(lease); found != held_.end())
                found->second->finish(std::move(*made));
        });
}

// By the loop, for as long as it turns and the handler's thread lives.
void Worker::Impl::renew() {
    renew_timer_->set(now() + lease_ / 3, [this] { renew(); });
    for (const auto& [lease, held] : held_)
        held->renew();
}

void Worker::Impl::ended(const std::string& lease) {
    // Not from within: it is the lease itself that says so.
    loop_.post([this, lease] {
        held_.erase(lease);
        const auto lane = lane_of_.extract(lease);
        if (!lane.empty()) free_lanes_.push_back(lane.mapped());
        ask();
        check_drained();
    });
}

void Worker::Impl::give_up(const Error& error) {
    if (outcome_) outcome_ = std::unexpected{error};
    drain(30s);
}

// A question that is broken off is leased nothing, but for one that is being answered just now:
// what was leased by it runs out.
void Worker::Impl::drain(Duration patience) {
    if (!std::exchange(draining_, true)) {
        ask_timer_->clear();
        ask_http_->stop();
    }
    patience_timer_->set(now() + patience, [this] {
        for (const auto& [lease, held] : held_)
            held->unwanted();
        loop_.stop();
    });
    check_drained();
}

void Worker::Impl::check_drained() {
    if (draining_ && held_.empty()) loop_.stop();
}

Worker::Worker(WorkerSettings settings) : impl_{std::make_unique<Impl>(std::move(settings))} {}
Worker::~Worker() = default;

void Worker::on(std::string type, Handler handler) {
    impl_->on(std::move(type), std::move(handler));
}

Result<void> Worker::run() {
    return impl_->run();
}

void Worker::stop(std::chrono::milliseconds patience) {
    impl_->stop(patience);
}

}  // namespace taskd

#include "taskd/service/load.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "taskd/base/assert.hpp"
#include "taskd/protocol/json.hpp"
#include "taskd/protocol/problem.hpp"
#include "taskd/protocol/task_json.hpp"
#include "taskd/service/http_front.hpp"
#include "taskd/service/task_client.hpp"
#include "taskd/work/work.hpp"

namespace taskd::service {
namespace {

using namespace std::chrono_literals;

constexpr Duration tick_interval = 2ms;
constexpr Duration pause_after_failure = 100ms;
constexpr Duration exchange_timeout = 30s;
constexpr std::size_t collect_max = 500;
constexpr std::string_view words[] = {"straße", "task",  "überall", "Ω",   "noël",
                                      "λόγος",  "a b c", "👋🏽",    "ﬁsh", "0123456789"};

// Something that the type can work on; null for types of others.
std::string make_payload(std::string_view type, Random& random) {
    std::string out;
    protocol::JsonWriter json{out};
    if (type == "sum") {
        json.begin_array();
        for (std::uint64_t i = 2 + random.below(8); i > 0; --i)
            json.number(static_cast<std::int64_t>(random.below(2'000'001)) - 1'000'000);
        json.end_array();
    } else if (type == "wait") {
        json.number(static_cast<double>(10 + random.below(190)) / 1000);
    } else if (work::find_work(work::work_table(), type) != nullptr) {
        std::string text;
        for (std::uint64_t i = 1 + random.below(6); i > 0; --i) {
            if (!text.empty()) text.push_back(' ');
            text.append(words[random.below(std::size(words))]);
        }
        json.string(text);
    } else {
        json.null();
    }
    return out;
}

std::string write_results_request(const std::vector<TaskId>& ids, bool as_fast_as_it_goes) {
    std::string body;
    protocol::JsonWriter json{body};
    json.begin_object().key("ids").begin_array();
    for (const TaskId& id : ids)
        json.string(id.to_string());
    json.end_array();
    // The first result at once for true latencies; in a flood many together.
    json.field("wait_ms", as_fast_as_it_goes ? 100 : 1000);
    json.field("for", as_fast_as_it_goes ? "all" : "first").end_object();
    return body;
}

std::string_view raw_field(const protocol::JsonFields& fields, std::string_view name) {
    for (const auto& [key, raw] : fields)
        if (key == name) return raw;
    return {};
}

}  // namespace

Result<std::vector<LoadShare>> parse_load_mix(std::string_view text) {
    std::vector<LoadShare> mix;
    while (true) {
        const std::string_view part = text.substr(0, text.find(','));
        const std::string_view type = part.substr(0, part.find('='));
        LoadShare share{std::string{type}, 1};
        if (type.size() < part.size()) {
            const std::string_view weight = part.substr(type.size() + 1);
            const auto [end, error] =
                std::from_chars(weight.data(), weight.data() + weight.size(), share.weight);
            if (error != std::errc{} || end != weight.data() + weight.size() || share.weight == 0 ||
                share.weight > 1'000'000)
                return fail(ErrorCode::bad_usage,
                            "'" + std::string{part} + "' has no weight from 1 to 1000000");
        }
        if (!is_type_name(type))
            return fail(ErrorCode::bad_usage, "'" + std::string{type} + "' is no name of a type");
        mix.push_back(std::move(share));
        if (part.size() == text.size()) return mix;
        text.remove_prefix(part.size() + 1);
    }
}

Duration Latencies::percentile(double share) {
    if (values_.empty()) return Duration{0};
    const auto rank =
        static_cast<std::size_t>(std::ceil(share * static_cast<double>(values_.size())));
    const std::size_t index = std::clamp<std::size_t>(rank, 1, values_.size()) - 1;
    std::ranges::nth_element(values_, values_.begin() + static_cast<std::ptrdiff_t>(index));
    return Duration{values_[index]};
}

Load::Load(LoadSettings settings, port::HttpExchange& http, port::Clock& clock,
           port::Timers& timers)
    : settings_{std::move(settings)},
      http_{http},
      clock_{clock},
      timers_{timers},
      random_{settings_.seed},
      tick_timer_{timers.make()} {
    TASKD_ASSERT(!settings_.mix.empty() && settings_.submitters > 0 && settings_.collectors > 0);
    for (const LoadShare& share : settings_.mix)
        weights_ += share.weight;
}

Load::~Load() = default;

void Load::start(std::function<void(LoadReport)> done) {
    done_ = std::move(done);
    started_at_ = clock_.steady();
    tick();
}

void Load::tick() {
    const Duration gone = clock_.steady() - started_at_;
    make_due();
    pump();
    if (!done_) return;
    if (gone >= settings_.span + settings_.patience) return finish_if_done();
    tick_timer_->set(clock_.steady() + tick_interval, [this] { tick(); });
}

// What is due by now, however many answers are still out.
void Load::make_due() {
    const SteadyTime now = clock_.steady();
    if (settings_.rate <= 0) {
        if (now - started_at_ >= settings_.span) return;
        while (pending_.size() < settings_.outstanding_max)
            make_task(now);
        return;
    }
    const double interval = 1e6 / settings_.rate;
    const Duration until = std::min<Duration>(now - started_at_, settings_.span);
    while (true) {
        const Duration due{
            static_cast<std::int64_t>(static_cast<double>(report_.offered) * interval)};
        if (due > until || due >= settings_.span) return;
        make_task(started_at_ + due);
    }
}

void Load::make_task(SteadyTime due) {
    std::uint64_t pick = random_.below(weights_);
    const LoadShare* share = settings_.mix.data();
    while (pick >= share->weight)
        pick -= (share++)->weight;
    const TaskId id = TaskId::make(clock_.wall(), random_);
    pending_.emplace(id, Pending{share, make_payload(share->type, random_), due});
    to_submit_.push_back(id);
    ++report_.offered;
}

// Gives every free connection something to do.
void Load::pump() {
    while (submits_under_way_ < settings_.submitters && !to_submit_.empty()) {
        const std::size_t count = std::min(settings_.batch_max, to_submit_.size());
        Batch batch(to_submit_.begin(), to_submit_.begin() + static_cast<std::ptrdiff_t>(count));
        to_submit_.erase(to_submit_.begin(),
                         to_submit_.begin() + static_cast<std::ptrdiff_t>(count));
        submit(std::move(batch));
    }
    while (collects_under_way_ < settings_.collectors && !to_collect_.empty())
        collect();
    finish_if_done();
}

void Load::send(const char* target, std::string body, Duration timeout,
                std::function<void(Result<port::HttpResponse>)> then) {
    port::HttpRequest request{"POST", target, {}, std::move(body)};
    add_key(request.headers, settings_.key);
    request.headers.emplace_back("Content-Type", protocol::json_type);
    http_.send(settings_.url, std::move(request), timeout,
               [alive = std::weak_ptr{alive_}, then = std::move(then)](auto answer) {
                   if (!alive.expired()) then(std::move(answer));
               });
}

void Load::submit(Batch batch) {
    std::vector<TaskSpec> specs;
    for (const TaskId& id : batch) {
        const Pending& pending = pending_.at(id);
        TaskSpec spec;
        spec.id = id;
        spec.type = pending.share->type;
        spec.payload = Blob{pending.payload};
        specs.push_back(std::move(spec));
    }
    ++submits_under_way_;
    send("/v1/tasks", protocol::write_submit(specs, true), exchange_timeout,
         [this, batch = std::move(batch)](const auto& answer) mutable {
             --submits_under_way_;
             submitted(std::move(batch), answer);
             pump();
         });
}

void Load::submitted(Batch batch, const Result<port::HttpResponse>& answer) {
    if (answer && answer->status == 202) {
        const SteadyTime now = clock_.steady();
        report_.submitting = now - started_at_;
        report_.submitted += batch.size();
        for (const TaskId& id : batch) {
            report_.to_submit.add(now - pending_.at(id).due);
            to_collect_.push_back(id);
        }
        return;
    }
    const Error error =
        answer ? protocol::parse_problem(answer->body, answer->status) : answer.error();
    if (is_worth_retrying(error.code)) {
        ++report_.repeated;
        ++submits_under_way_;  // holds its place while it pauses
        later([this, batch = std::move(batch)]() mutable {
            --submits_under_way_;
            submit(std::move(batch));
        });
        return;
    }
    report_.refused[std::string{error.name()}] += batch.size();
    for (const TaskId& id : batch)
        pending_.erase(id);
}

void Load::collect() {
    const std::size_t fair = to_collect_.size() / settings_.collectors + 1;
    const std::size_t count = std::min({collect_max, fair, to_collect_.size()});
    Batch batch(to_collect_.begin(), to_collect_.begin() + static_cast<std::ptrdiff_t>(count));
    to_collect_.erase(to_collect_.begin(),
                      to_collect_.begin() + static_cast<std::ptrdiff_t>(count));
    ++collects_under_way_;
    std::string body = write_results_request(batch, settings_.rate <= 0);
    send("/v1/results", std::move(body), exchange_timeout,
         [this, batch = std::move(batch)](const auto& answer) {
             --collects_under_way_;
             collected(batch, answer);
             pump();
         });
}

void Load::collected(const Batch& batch, const Result<port::HttpResponse>& answer) {
    if (answer && answer->status == 200) return take_results(answer->body, batch);
    ++report_.repeated;
    ++collects_under_way_;
    later([this, batch] {
        --collects_under_way_;
        to_collect_.insert(to_collect_.end(), batch.begin(), batch.end());
    });
}

void Load::take_results(std::string_view body, const Batch& batch) {
    if (protocol::check_json(body)) {
        const auto fields = protocol::split_object(body).value_or(protocol::JsonFields{});
        const auto tasks = protocol::split_array(raw_field(fields, "tasks"));
        for (const std::string_view raw : tasks.value_or(std::vector<std::string_view>{})) {
            const auto task = protocol::split_object(raw).value_or(protocol::JsonFields{});
            const auto name = protocol::read_string(raw_field(task, "id"), "id").value_or("");
            const auto id = TaskId::parse(name);
            const auto pending = id ? pending_.find(*id) : pending_.end();
            if (pending != pending_.end()) take_end(raw, pending);
        }
        const auto missing = protocol::split_array(raw_field(fields, "missing"));
        for (const std::string_view raw : missing.value_or(std::vector<std::string_view>{})) {
            const auto id = TaskId::parse(protocol::read_string(raw, "id").value_or(""));
            if (id && pending_.erase(*id) != 0) ++report_.missing;
        }
    }
    for (const TaskId& id : batch)
        if (pending_.contains(id)) to_collect_.push_back(id);
}

void Load::take_end(std::string_view raw, std::unordered_map<TaskId, Pending>::iterator pending) {
    const auto outcome = parse_outcome(raw);
    if (!outcome || !outcome->ended()) return;
    const SteadyTime now = clock_.steady();
    report_.whole = now - started_at_;
    report_.to_result.add(now - pending->second.due);
    if (outcome->state == "dead") ++report_.dead;
    if (outcome->state == "cancelled") ++report_.cancelled;
    if (outcome->state == "succeeded") {
        ++report_.succeeded;
        const auto* type = work::find_work(work::work_table(), pending->second.share->type);
        if (type != nullptr) {
            const auto expected = work::run_work(*type, pending->second.payload);
            if (!expected || expected->result_json != outcome->result) ++report_.wrong;
        }
    }
    pending_.erase(pending);
}

void Load::finish_if_done() {
    if (!done_) return;
    const Duration gone = clock_.steady() - started_at_;
    const bool all_back = gone >= settings_.span && pending_.empty();
    if (!all_back && gone < settings_.span + settings_.patience) return;
    tick_timer_->clear();
    auto done = std::exchange(done_, nullptr);
    done(std::move(report_));
}

void Load::later(std::function<void()> job) {
    const std::uint64_t number = ++last_pause_;
    auto timer = timers_.make();
    timer->set(clock_.steady() + pause_after_failure, [this, number, job = std::move(job)] {
        job();
        timers_.post([this, number, alive = std::weak_ptr{alive_}] {
            if (!alive.expired()) pauses_.erase(number);
        });
        pump();
    });
    pauses_.emplace(number, std::move(timer));
}

}  // namespace taskd::service

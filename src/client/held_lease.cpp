#include "client/held_lease.hpp"

#include <algorithm>
#include <exception>

#include "taskd/io/clock.hpp"
#include "taskd/protocol/json.hpp"
#include "taskd/protocol/lease_json.hpp"
#include "taskd/protocol/problem.hpp"
#include "taskd/protocol/task_json.hpp"

namespace taskd::client {
namespace {

using namespace std::chrono_literals;

constexpr Duration pause_first = 50ms;
constexpr Duration log_patience = 10s;

// What a handler says of itself, as the contract takes it.
void cut(std::string& text, std::size_t bytes_max) {
    if (text.size() <= bytes_max) return;
    while (bytes_max > 0 && (text[bytes_max] & 0xC0) == 0x80)
        --bytes_max;  // not within a character
    text.resize(bytes_max);
}

}  // namespace

std::optional<TakenTask> read_task(const protocol::JsonView& json) {
    TakenTask task{.lease = {},
                   .path = json["lease"].text(),
                   .id = json["id"].text(),
                   .type = json["type"].text(),
                   .payload = std::string{json["payload"].raw()},
                   .attempt = static_cast<unsigned>(json["attempt"].number().value_or(0))};
    const auto lease = protocol::read_lease_path(task.path);
    if (!lease) return std::nullopt;
    task.lease = *lease;
    return task;
}

HandlerResult run_handler(const Handler& handler, const std::shared_ptr<LeasedTask::Shared>& task) {
    const auto clock = io::make_system_clock();
    const SteadyTime begin = clock->steady();
    HandlerResult made;
    LeasedTask leased{task};
    try {
        made.result = handler(leased);
    } catch (const std::exception& thrown) {
        made.result = std::unexpected{Failure{"exception", thrown.what()}};
    } catch (...) {
        made.result = std::unexpected{Failure{"exception", "something that is no std::exception"}};
    }
    made.took = clock->steady() - begin;
    return made;
}

HeldLease::HeldLease(LeaseHost& host, const TakenTask& task)
    : host_{host},
      path_{"/v1/leases/" + task.path},
      lease_{task.path},
      shared_{std::make_shared<LeasedTask::Shared>()},
      log_{host.log_ports(), host.key(), host.url(), task.lease},
      pause_{pause_first},
      timer_{host.loop().make()},
      self_{std::make_shared<HeldLease*>(this)} {
    shared_->id = task.id;
    shared_->type = task.type;
    shared_->payload = task.payload;
    shared_->attempt = task.attempt;
    // The loop outlives the handlers' threads.
    shared_->log = [&loop = host.loop(), weak = std::weak_ptr{self_}](std::string bytes) {
        loop.post_from_any_thread([weak, bytes = std::move(bytes)] {
            if (const auto self = weak.lock()) (*self)->log_.append(bytes);
        });
    };
    shared_->progress = [&loop = host.loop(), weak = std::weak_ptr{self_}](Progress progress) {
        loop.post_from_any_thread([weak, progress = std::move(progress)] {
            if (const auto self = weak.lock()) (*self)->report(progress);
        });
    };
}

LeaseHost::Answer HeldLease::mine(void (HeldLease::*then)(const Answer&)) {
    return [weak = std::weak_ptr{self_}, then](const Answer& answer) {
        if (const auto self = weak.lock()) ((*self)->*then)(answer);
    };
}

// Also while the result waits for a dispatcher: until it has it, the lease is ours.
void HeldLease::renew() {
    host_.send(path_ + "/renew", {}, mine(&HeldLease::renewed));
}

void HeldLease::renewed(const Answer& answer) {
    if (!answer) return;  // the next one may get through
    const auto refusal = protocol::parse_refusal(answer->body, answer->status);
    if (refusal && protocol::ends_lease(*refusal)) return unwanted();
    if (answer->status == 200 && protocol::check_json(answer->body) &&
        protocol::JsonView{answer->body}["cancelled"].is_true())
        unwanted();
}

// The newest counts: what is said while one is on its way waits, and is replaced.
void HeldLease::report(Progress progress) {
    if (over_) return;
    if (std::exchange(reporting_, true)) {
        progress_ = std::move(progress);
        return;
    }
    std::string body;
    protocol::write_progress(body, progress);
    host_.send(path_ + "/progress", std::move(body), mine(&HeldLease::reported));
}

void HeldLease::reported(const Answer& answer) {
    reporting_ = false;
    renewed(answer);
    if (progress_) report(*std::exchange(progress_, std::nullopt));
}

void HeldLease::finish(HandlerResult made) {
    over_ = true;
    progress_.reset();
    write_end(made);
    log_.finish(log_patience, [weak = std::weak_ptr{self_}] {
        if (const auto self = weak.lock()) (*self)->hand_over();
    });
}

void HeldLease::write_end(const HandlerResult& made) {
    took_ = made.took;
    if (!made.result) return write_failure(made.result.error(), took_);
    if (made.result->size() > limits::result_bytes_max)
        return write_failure({"task_too_large", "the result has more than 1 MiB", true}, took_);
    if (const auto checked = protocol::check_json(*made.result); !checked)
        return write_failure({"bad_json", "the result is no JSON: " + checked.error().detail, true},
                             took_);
    end_target_ = path_ + "/complete";
    protocol::JsonWriter{end_body_}
        .begin_object()
        .key("result")
        .raw(*made.result)
        .field("took_us", took_.count())
        .end_object();
}

void HeldLease::write_failure(const Failure& failure, Duration took) {
    TaskError error{failure.code, failure.message, failure.permanent};
    if (error.code.empty() || !protocol::is_utf8(error.code)) error.code = "worker_failed";
    if (!protocol::is_utf8(error.message)) error.message = "not UTF-8";
    cut(error.code, limits::error_code_bytes_max);
    std::string written;
    protocol::write_task_error(written, error);
    end_target_ = path_ + "/fail";
    end_body_.clear();
    protocol::JsonWriter json{end_body_};
    json.begin_object().key("error").raw(written).field("took_us", took.count());
    if (failure.retry_after)
        json.field("retry_after_ms",
                   std::clamp<std::int64_t>(failure.retry_after->count(), 0,
                                            limits::backoff_most / std::chrono::milliseconds{1}));
    json.end_object();
}

void HeldLease::hand_over() {
    host_.send(end_target_, end_body_, mine(&HeldLease::handed_over));
}

void HeldLease::handed_over(const Answer& answer) {
    if (answer && answer->status == 200 && protocol::check_json(answer->body))
        return host_.ended(lease_);
    const auto refusal =
        answer ? protocol::parse_refusal(answer->body, answer->status) : std::nullopt;
    if (!refusal) {
        timer_->set(host_.now() + pause_, [this] { hand_over(); });
        pause_ = host_.longer(pause_);
        return;
    }
    const bool no_key = answer->status == 401 || answer->status == 403;
    if (no_key) host_.refused(*refusal);
    if (no_key || protocol::ends_lease(*refusal) || std::exchange(replaced_, true))
        return host_.ended(lease_);
    write_failure({std::string{refusal->name()}, refusal->detail, true}, took_);
    hand_over();
}

}  // namespace taskd::client

namespace taskd {

const std::string& LeasedTask::id() const {
    return shared_->id;
}
const std::string& LeasedTask::type() const {
    return shared_->type;
}
const std::string& LeasedTask::payload() const {
    return shared_->payload;
}
unsigned LeasedTask::attempt() const {
    return shared_->attempt;
}
bool LeasedTask::wanted() const {
    return shared_->wanted;
}

void LeasedTask::progress(unsigned percent, std::string note) {
    Progress said;
    said.percent = static_cast<std::uint8_t>(std::min(percent, 100U));
    client::cut(note, limits::progress_note_bytes_max);
    said.note = std::move(note);
    shared_->progress(std::move(said));
}

void LeasedTask::log(std::string_view bytes) {
    shared_->log(std::string{bytes});
}

}  // namespace taskd

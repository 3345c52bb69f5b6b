#include "taskd/service/containers.hpp"

#include <algorithm>

#include "taskd/protocol/container_api.hpp"
#include "taskd/protocol/json.hpp"

namespace taskd::service {
namespace {

constexpr Duration events_ahead = std::chrono::seconds{1};
constexpr Duration events_overlap = std::chrono::seconds{2};

std::string_view state_of(const Error& fault) {
    if (fault.code == ErrorCode::socket_missing) return "absent";
    if (fault.code == ErrorCode::socket_forbidden) return "forbidden";
    return "unreachable";
}

void write_container(protocol::JsonWriter& json, const Container& container) {
    json.begin_object()
        .field("id", container.id)
        .field("name", container.name)
        .field("image", container.image)
        .field("state", container.state);
    if (!container.health.empty()) json.field("health", container.health);
    if (!container.started_at.empty()) json.field("started_at", container.started_at);
    json.field("restarts", container.restarts);
    if (!container.runs()) json.field("exit_code", container.exit_code);
    if (container.out_of_memory) json.field("out_of_memory", true);
    if (container.cpu_share) json.key("cpu_share").number(*container.cpu_share);
    if (container.use) {
        json.field("memory_bytes", container.use->memory_bytes);
        json.field("memory_limit_bytes", container.use->memory_limit_bytes);
    }
    json.key("log").begin_array();
    for (const std::string& line : container.log)
        json.string(line);
    json.end_array().end_object();
}

void write_event(protocol::JsonWriter& json, const ContainerEvent& event) {
    const WallTime at{Duration{static_cast<std::int64_t>(event.at_ns / 1'000)}};
    json.begin_object()
        .field("at", at)
        .field("container", event.name.empty() ? event.id.substr(0, 12) : event.name)
        .field("action", event.action);
    if (!event.exit_code.empty()) json.field("exit_code", event.exit_code);
    json.end_object();
}

}  // namespace

Containers::Containers(ContainersSettings settings, port::HttpExchange& http, port::Clock& clock,
                       port::Timers& timers, port::Log& log)
    : settings_{std::move(settings)},
      http_{http},
      clock_{clock},
      log_{log},
      timer_{timers.make()} {}

void Containers::start() {
    if (settings_.socket.empty()) return;
    events_until_ = clock_.wall();
    look();
}

void Containers::ask(std::string target, Take take, std::function<void(const Error&)> otherwise) {
    port::HttpRequest request{"GET", std::move(target), {}, {}};
    http_.send("unix:" + settings_.socket, std::move(request), settings_.timeout,
               [this, take = std::move(take), otherwise = std::move(otherwise),
                alive = std::weak_ptr{alive_}](const Result<port::HttpResponse>& answer) {
                   if (alive.expired()) return;
                   if (!answer) return otherwise(answer.error());
                   if (answer->status != 200)
                       return otherwise({ErrorCode::bad_answer, "the engine refuses its list"});
                   take(answer->body);
               });
}

void Containers::ask_about(std::string target, Take take, std::function<void()> otherwise) {
    ask(std::move(target), std::move(take),
        [otherwise = std::move(otherwise)](const Error&) { otherwise(); });
}

void Containers::look() {
    ask(
        protocol::container_list_target(),
        [this](const std::string& body) {
            auto list = protocol::parse_container_list(body);
            if (!list) return failed(list.error());
            std::ranges::sort(*list, {}, &Container::name);
            left_out_ = list->size() - std::min(list->size(), settings_.shown_max);
            list->resize(list->size() - left_out_);
            round_ = std::move(*list);
            look_at(0);
        },
        [this](const Error& error) { failed(error); });
}

void Containers::look_at(std::size_t number) {
    if (number == round_.size()) return look_at_events();
    ask_about(
        protocol::container_details_target(round_[number].id),
        [this, number](const std::string& body) {
            static_cast<void>(protocol::parse_container_details(body, round_[number]));
            look_at_log(number);
        },
        [this, number] { look_at(number + 1); });
}

void Containers::look_at_log(std::size_t number) {
    ask_about(
        protocol::container_log_target(round_[number].id, settings_.log_lines),
        [this, number](const std::string& body) {
            Container& container = round_[number];
            container.log = protocol::parse_container_log(body, container.terminal);
            look_at_use(number);
        },
        [this, number] { look_at_use(number); });
}

void Containers::look_at_use(std::size_t number) {
    if (!round_[number].runs()) return look_at(number + 1);
    ask_about(
        protocol::container_use_target(round_[number].id),
        [this, number](const std::string& body) {
            take_use(round_[number], body);
            look_at(number + 1);
        },
        [this, number] { look_at(number + 1); });
}

// The engine's own difference between two samples is not the same everywhere, and is zero in the
// first answer of some: ours is of two answers.
void Containers::take_use(Container& container, const std::string& body) {
    const auto use = protocol::parse_container_use(body);
    if (!use) return;
    container.use = *use;
    const SteadyTime now = clock_.steady();
    const auto before = samples_.find(container.id);
    if (before != samples_.end() && use->cpu_ns >= before->second.cpu_ns &&
        now > before->second.at) {
        const auto span = std::chrono::duration<double, std::nano>(now - before->second.at);
        container.cpu_share =
            static_cast<double>(use->cpu_ns - before->second.cpu_ns) / span.count();
    }
    samples_[container.id] = {use->cpu_ns, now};
}

// The span ends a little ahead, because podman tells nothing of one that has passed when it is
// asked; and spans overlap, because it stops reading when the time has come, whatever was still to
// read.
void Containers::look_at_events() {
    const WallTime until = clock_.wall() + events_ahead;
    const WallTime since = std::min(events_until_, until) - events_overlap;
    ask(
        protocol::container_events_target(since, until),
        [this, until](const std::string& body) {
            events_until_ = until;
            take_events(body);
            finish_round();
        },
        [this](const Error& error) {
            error.code == ErrorCode::bad_answer ? finish_round() : failed(error);
        });
}

void Containers::take_events(const std::string& body) {
    for (ContainerEvent& event : protocol::parse_container_events(body)) {
        // Spans overlap, and some engines tell each good check of a container's health.
        const auto newest = std::ranges::find(events_, event.id, &ContainerEvent::id);
        const bool again = std::ranges::find(events_, event) != events_.end();
        const bool same_health = newest != events_.end() && newest->action == event.action &&
                                 event.action.starts_with("health_status");
        if (!again && !same_health) events_.push_front(std::move(event));
    }
    if (events_.size() > settings_.events_max) events_.resize(settings_.events_max);
}

void Containers::finish_round() {
    shown_ = std::move(round_);
    round_.clear();
    std::erase_if(samples_, [this](const auto& sample) {
        return std::ranges::find(shown_, sample.first, &Container::id) == shown_.end();
    });
    looked_ = true;
    if (fault_) log_.info("containers are seen", {{"socket", settings_.socket}});
    fault_.reset();
    timer_->set(clock_.steady() + settings_.interval, [this] { look(); });
}

void Containers::failed(const Error& error) {
    // No engine is the normal case on a machine without containers: told once, and not as a fault.
    if (!fault_ || fault_->code != error.code)
        log_.info("containers are not seen",
                  {{"socket", settings_.socket}, {"error", error.to_string()}});
    fault_ = error;
    looked_ = true;
    round_.clear();
    shown_.clear();
    timer_->set(clock_.steady() + settings_.interval_without, [this] { look(); });
}

void Containers::write(protocol::JsonWriter& json) const {
    json.begin_object();
    if (settings_.socket.empty()) {
        json.field("state", "off").end_object();
        return;
    }
    json.field("socket", settings_.socket);
    if (fault_ || !looked_) {
        json.field("state", fault_ ? state_of(*fault_) : "unreachable");
        json.field("detail", fault_ ? fault_->to_string() : "not asked yet");
        json.end_object();
        return;
    }
    json.field("state", "shown").field("left_out", left_out_).key("list").begin_array();
    for (const Container& container : shown_)
        write_container(json, container);
    json.end_array().key("events").begin_array();
    for (const ContainerEvent& event : events_)
        write_event(json, event);
    json.end_array().end_object();
}

}  // namespace taskd::service

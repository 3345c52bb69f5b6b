#include "taskd/service/name_service.hpp"

#include <algorithm>

#include "taskd/base/duration_text.hpp"
#include "taskd/protocol/json.hpp"
#include "taskd/protocol/registration_json.hpp"
#include "taskd/protocol/task_json.hpp"
#include "taskd/service/whole_file.hpp"

namespace taskd::service {
namespace {

// Versions that one life may hand out before they are written: the next life begins beyond them, so
// that no version ever names two different lists.
constexpr std::uint64_t versions_a_life = 1 << 20;

// A disk that refuses is tried again.
constexpr Duration save_again = std::chrono::seconds{10};

constexpr std::size_t registry_bytes_max = 64 * limits::mebibyte;

}  // namespace

NameService::NameService(NameServiceSettings settings, port::Files& files,
                         port::Background& disk_lane, port::Clock& clock, port::Timers& timers,
                         port::Log& log)
    : settings_{std::move(settings)},
      file_{settings_.dir + "/registry.json"},
      files_{files},
      disk_lane_{disk_lane},
      clock_{clock},
      log_{log},
      save_timer_{timers.make()},
      expiry_timer_{timers.make()},
      watch_timer_{timers.make()} {}

Result<void> NameService::load() {
    if (auto made = files_.make_dir(settings_.dir); !made) return made;
    const auto names = files_.list(settings_.dir);
    if (!names) return fail(names.error().code, names.error().detail);
    if (std::ranges::find(*names, "registry.json") != names->end())
        if (auto back = read_back(); !back) return back;
    registry_.version += versions_a_life;
    arm();
    auto written = write_whole(files_, file_, protocol::write_registry(registry_));
    if (written || written.error().code != ErrorCode::disk_full) return written;
    // What this life hands out the file may never know: the time keeps it apart from other lives.
    const auto seconds = clock_.wall().time_since_epoch() / std::chrono::seconds{1};
    registry_.version =
        std::max(registry_.version, static_cast<std::uint64_t>(seconds) * versions_a_life);
    not_written(written.error());
    return {};
}

void NameService::not_written(const Error& error) {
    if (!std::exchange(unwritten_, true))
        log_.error("registry not written", {{"error", error.to_string()}});
    save_timer_->set(clock_.steady() + save_again, [this] {
        to_write_.emplace_back([] {});
        save();
    });
}

Result<void> NameService::read_back() {
    auto text = read_whole(files_, file_, registry_bytes_max);
    if (!text) return fail(std::move(text));
    auto stored = protocol::parse_registry(*text);
    if (!stored) return fail(ErrorCode::config_invalid, file_ + ": " + stored.error().to_string());
    registry_ = std::move(*stored);
    for (Registration& registration : registry_.registrations) {
        registration.renewed_at = clock_.wall();
        if (registration.registered_at == WallTime{})  // not in the file
            registration.registered_at = clock_.wall();
        expires_[registration.instance] = clock_.steady() + settings_.expiry;
    }
    log_.info("registry read back",
              {{"registrations", std::to_string(registry_.registrations.size())}});
    return {};
}

void NameService::add_routes(HttpFront& front) {
    const auto to = [this](void (NameService::*handler)(Call)) {
        return [this, handler](Call&& call) { (this->*handler)(std::move(call)); };
    };
    front.add({"PUT", "/v1/registrations/{instance}", {}, to(&NameService::put)});
    front.add({"DELETE", "/v1/registrations/{instance}", {"session"}, to(&NameService::remove)});
    front.add({"GET", "/v1/registrations/{instance}", {}, to(&NameService::get)});
    front.add({"GET", "/v1/registrations", {"type", "watch", "wait"}, to(&NameService::list)});
}

Registration* NameService::find(const std::string& instance) {
    const auto found =
        std::ranges::find(registry_.registrations, instance, &Registration::instance);
    return found == registry_.registrations.end() ? nullptr : &*found;
}

void NameService::put(Call call) {
    const std::string instance = call.parameters[0];
    if (!is_instance_name(instance))
        return call.answer(Error{ErrorCode::invalid_field, "instance '" + instance + "'"});
    auto given = protocol::parse_registration(call.request.body);
    if (!given) return call.answer(given.error());
    given->instance = instance;
    // Whoever leaves its host out is reached where it speaks from.
    if (given->host.empty())
        given->host = std::string{port::find_header(call.request.headers, port::sender_header)};
    if (given->host.empty()) return call.answer(Error{ErrorCode::missing_field, "host"});
    if (const auto old = replaced_.find(instance);
        old != replaced_.end() && old->second == given->session)
        return call.answer(Error{ErrorCode::registration_conflict, instance});
    if (has_left(instance, given->session))
        return call.answer(Error{ErrorCode::registration_conflict, instance + " has left"});
    Registration* there = find(instance);
    if (there == nullptr && registry_.registrations.size() >= limits::registrations_max)
        return call.answer(Error{ErrorCode::overloaded, "as many registrations as there may be"});
    const bool is_new = there == nullptr || there->session != given->session;
    if (there != nullptr && is_new) replaced_[instance] = there->session;
    given->registered_at = is_new ? clock_.wall() : there->registered_at;
    given->renewed_at = clock_.wall();
    bool differs = is_new;
    if (there != nullptr) {
        Registration as_before = *there;
        as_before.renewed_at = given->renewed_at;
        differs = as_before != *given;
        *there = std::move(*given);
    } else {
        registry_.registrations.push_back(std::move(*given));
    }
    expires_[instance] = clock_.steady() + settings_.expiry;
    arm();
    if (is_new) log_.info("registered", {{"worker", instance}});
    if (differs) ++registry_.version;
    auto shared = std::make_shared<Call>(std::move(call));
    const auto answer = [this, shared, is_new] {
        std::string out;
        protocol::JsonWriter{out}
            .begin_object()
            .field("version", registry_.version)
            .field("heartbeat_ms", settings_.heartbeat / std::chrono::milliseconds{1})
            .field("expiry_ms", settings_.expiry / std::chrono::milliseconds{1})
            .end_object();
        shared->answer(is_new ? 201 : 200, std::move(out));
    };
    if (differs)
        changed(answer);
    else
        answer();
}

void NameService::remove(Call call) {
    const std::string instance = call.parameters[0];
    const Registration* there = find(instance);
    if (!is_instance_name(instance))
        return call.answer(Error{ErrorCode::invalid_field, "instance '" + instance + "'"});
    const std::string* session = call.target.find("session");
    if (session == nullptr) return call.answer(Error{ErrorCode::missing_field, "session"});
    const auto wanted = protocol::parse_session(*session);
    if (!wanted) return call.answer(wanted.error());
    if (there != nullptr && there->session != *wanted)
        return call.answer(Error{ErrorCode::registration_conflict, instance});
    note_left(instance, *wanted);
    if (there == nullptr) return call.answer(Error{ErrorCode::registration_not_found, instance});
    erase(instance);
    log_.info("deregistered", {{"worker", instance}});
    ++registry_.version;
    changed([shared = std::make_shared<Call>(std::move(call))] {
        shared->respond(port::HttpResponse{204, {}, {}});
    });
}

// A heartbeat on another connection may come behind the end of its own session.
void NameService::note_left(const std::string& instance, SessionId session) {
    const SteadyTime now = clock_.steady();
    std::erase_if(left_, [&](const auto& each) { return each.second <= now; });
    if (left_.size() < limits::registrations_max)
        left_[{instance, session}] = now + settings_.expiry;
}

bool NameService::has_left(const std::string& instance, SessionId session) const {
    const auto found = left_.find({instance, session});
    return found != left_.end() && found->second > clock_.steady();
}

void NameService::erase(const std::string& instance) {
    std::erase_if(registry_.registrations,
                  [&](const Registration& each) { return each.instance == instance; });
    expires_.erase(instance);
    replaced_.erase(instance);
    arm();
}

void NameService::get(Call call) {
    if (!is_instance_name(call.parameters[0]))
        return call.answer(
            Error{ErrorCode::invalid_field, "instance '" + call.parameters[0] + "'"});
    const Registration* there = find(call.parameters[0]);
    if (there == nullptr)
        return call.answer(Error{ErrorCode::registration_not_found, call.parameters[0]});
    call.answer(200, protocol::write_registration(*there));
}

void NameService::list(Call call) {
    const std::string* type = call.target.find("type");
    const std::string* watch = call.target.find("watch");
    auto wait = protocol::read_wait(call.target, "wait");
    if (!wait) return call.answer(wait.error());
    if (call.target.find("wait") == nullptr) *wait = limits::watch_default;
    if (type != nullptr && !is_type_name(*type))
        return call.answer(Error{ErrorCode::invalid_field, "type '" + *type + "'"});
    std::uint64_t version = registry_.version;
    if (watch != nullptr) {
        const auto number = protocol::read_integer(*watch, "watch", 0, INT64_MAX);
        if (!number) return call.answer(number.error());
        version = static_cast<std::uint64_t>(*number);
    }
    const std::string wanted = type == nullptr ? "" : *type;
    if (watch == nullptr || version != registry_.version || *wait == Duration{0})
        return answer_list(call, wanted);
    if (watchers_.size() >= limits::waiters_max)
        std::erase_if(watchers_,
                      [](const auto& each) { return each.second.call->request.nobody_waits(); });
    if (watchers_.size() >= limits::waiters_max)
        return call.answer(Error{ErrorCode::too_many_waiters, {}});
    watchers_.emplace(clock_.steady() + *wait,
                      Watcher{std::make_shared<Call>(std::move(call)), wanted, version});
    watch_timer_->set(watchers_.begin()->first, [this] { wake_watchers(); });
}

void NameService::answer_list(Call& call, const std::string& type) {
    if (type.empty()) return call.answer(200, protocol::write_registry(registry_));
    RegistrySnapshot some{registry_.version, {}};
    std::ranges::copy_if(registry_.registrations, std::back_inserter(some.registrations),
                         [&](const Registration& each) { return each.type == type; });
    call.answer(200, protocol::write_registry(some));
}

// Those whose time is up, and those who know an older version.
void NameService::wake_watchers() {
    const SteadyTime now = clock_.steady();
    for (auto each = watchers_.begin(); each != watchers_.end();) {
        if (each->first > now && each->second.version == registry_.version) {
            ++each;
            continue;
        }
        answer_list(*each->second.call, each->second.type);
        each = watchers_.erase(each);
    }
    if (!watchers_.empty())
        watch_timer_->set(watchers_.begin()->first, [this] { wake_watchers(); });
}

void NameService::report(port::MetricSink& sink) const {
    std::map<std::string_view, std::uint64_t> by_type;
    for (const Registration& each : registry_.registrations) {
        const bool has_room = by_type.size() < limits::metric_types_max;
        ++by_type[has_room || by_type.contains(each.type) ? each.type : other_types];
    }
    for (const auto& [type, count] : by_type)
        sink.put(port::Metric::registrations, count, {type});
    sink.put(port::Metric::registry_version, registry_.version);
}

void NameService::let_go() {
    for (auto& [until, watcher] : watchers_)
        answer_list(*watcher.call, watcher.type);
    watchers_.clear();
}

void NameService::changed(std::function<void()> written) {
    to_write_.push_back(std::move(written));
    wake_watchers();
    save();
}

// One save at a time; what changes meanwhile goes with the next.
void NameService::save() {
    if (saving_ || to_write_.empty()) return;
    saving_ = true;
    auto told = std::make_shared<std::vector<std::function<void()>>>(std::exchange(to_write_, {}));
    auto result = std::make_shared<Result<void>>();
    disk_lane_.run(
        [&files = files_, path = file_, result, text = protocol::write_registry(registry_)] {
            *result = write_whole(files, path, text);
        },
        [this, result, told] {
            saving_ = false;
            // Registrations live by their heartbeats: without the file only a restart would miss
            // them.
            if (!*result)
                not_written(result->error());
            else if (std::exchange(unwritten_, false))
                log_.info("registry written again");
            for (const auto& tell : *told)
                tell();
            save();
        });
}

void NameService::arm() {
    if (expires_.empty()) return expiry_timer_->clear();
    const auto first =
        std::ranges::min_element(expires_, {}, [](const auto& e) { return e.second; });
    expiry_timer_->set(first->second, [this] { expire(); });
}

void NameService::expire() {
    const SteadyTime now = clock_.steady();
    std::vector<std::string> gone;
    for (const auto& [instance, at] : expires_)
        if (at <= now) gone.push_back(instance);
    for (const std::string& instance : gone) {
        log_.warn("registration expired", {{"worker", instance}});
        erase(instance);
    }
    if (!gone.empty()) {
        ++registry_.version;
        changed([] {});
    }
    arm();
}

}  // namespace taskd::service

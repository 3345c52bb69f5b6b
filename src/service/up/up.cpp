#include "taskd/service/up.hpp"

#include <algorithm>
#include <utility>

#include "taskd/base/assert.hpp"
#include "taskd/protocol/json.hpp"
#include "taskd/service/http_front.hpp"

namespace taskd::service {
namespace {

using namespace std::chrono_literals;

constexpr std::string_view host = "127.0.0.1";
constexpr Duration ask_timeout = 2s;
// A child is started again at once; one that died young several times in a row waits a little
// longer each time.
constexpr Duration stable_after = 5s;
constexpr unsigned short_lives_at_once = 3;
constexpr Duration pause_initial = 100ms;
constexpr Duration pause_max = 5s;

}  // namespace

Up::Up(UpSettings settings, UpPorts ports, std::function<void(int status)> failed,
       std::function<void()> ready)
    : settings_{std::move(settings)},
      ports_{std::move(ports)},
      failed_{std::move(failed)},
      ready_{std::move(ready)},
      poll_timer_{ports_.timers.make()},
      drain_timer_{ports_.timers.make()} {
    add(Role::dispatcher, "dispatcher", nullptr);
    add(Role::nameservice, "nameservice", nullptr);
    add(Role::monitor, "monitor", nullptr);
    for (const WorkerEntry& worker : settings_.workers)
        add(Role::worker, worker.type + "-1", &worker);
}

Up::~Up() = default;

void Up::add(Role role, std::string name, const WorkerEntry* worker) {
    auto child = std::make_unique<Child>();
    child->role = role;
    child->worker = worker;
    child->port_file = settings_.data + "/ports/" + name;
    child->name = std::move(name);
    child->timer = ports_.timers.make();
    if (settings_.port != 0)
        child->port = static_cast<std::uint16_t>(settings_.port + children_.size());
    children_.push_back(std::move(child));
}

Up::Child& Up::first(Role role) {
    return const_cast<Child&>(std::as_const(*this).first(role));
}

const Up::Child& Up::first(Role role) const {
    const auto found = std::ranges::find(children_, role, [](const auto& it) { return it->role; });
    TASKD_ASSERT(found != children_.end());
    return **found;
}

Result<void> Up::start() {
    if (settings_.port != 0 && settings_.port + children_.size() > 65536)
        return fail(ErrorCode::bad_usage, "there are not enough ports behind --port");
    poll();
    return {};
}

// A child starts once it can be told where those are that it talks to.
bool Up::may_start(const Child& child) const {
    const bool has_nameservice = first(Role::nameservice).port != 0;
    switch (child.role) {
        case Role::nameservice:
            return true;
        case Role::dispatcher:
        case Role::worker:
            return has_nameservice;
        case Role::monitor:
            return has_nameservice && first(Role::dispatcher).port != 0;
    }
    return false;
}

std::vector<std::string> Up::arguments(const Child& child) const {
    std::vector<std::string> out{settings_.program};
    const auto option = [&](const char* name, const std::string& value) {
        out.emplace_back(name);
        out.push_back(value);
    };
    const auto& nameservice = first(Role::nameservice);
    WorkerArguments made;
    switch (child.role) {
        case Role::nameservice:
            out.emplace_back("nameservice");
            option("--data", settings_.data + "/nameservice");
            break;
        case Role::dispatcher:
            out.emplace_back("dispatcher");
            option("--data", settings_.data + "/dispatcher");
            option("--nameservice", url_of(nameservice));
            if (!settings_.lease.empty()) option("--lease", settings_.lease);
            break;
        case Role::monitor:
            out.emplace_back("monitor");
            option("--dispatcher", url_of(first(Role::dispatcher)));
            option("--nameservice", url_of(nameservice));
            break;
        case Role::worker:
            out.emplace_back("worker");
            made = arguments_of(*child.worker);
            out.insert(out.end(), made.front.begin(), made.front.end());
            option("--nameservice", url_of(nameservice));
            option("--name", child.name);
            option("--concurrency", std::to_string(child.worker->concurrency));
            break;
    }
    option("--host", std::string{host});
    option("--port", std::to_string(child.port));
    option("--port-file", child.port_file);
    option("--key-file", settings_.key_file);
    const auto config = settings_.config_files.find(out[1]);
    option("--config", config == settings_.config_files.end() ? "" : config->second);
    out.insert(out.end(), settings_.common_flags.begin(), settings_.common_flags.end());
    out.insert(out.end(), made.back.begin(), made.back.end());
    return out;
}

void Up::start_child(Child& child) {
    ports_.remove(child.port_file);
    child.port_told = false;
    child.ready = false;
    child.asking = false;
    child.started_at = ports_.clock.steady();
    const std::uint64_t life = ++child.life;
    auto process = ports_.processes.spawn(
        {arguments(child), {}},
        {[this, &child](port::ProcessStream, std::string_view line) {
             ports_.print(child.name, line);
         },
         [this, &child, life](port::ProcessEnd end) {
             // Destroyed later: this is its own callback.
             ports_.timers.post([this, &child, life, end, alive = std::weak_ptr{alive_}] {
                 if (!alive.expired()) child_ended(child, life, end);
             });
         }});
    if (!process) {
        ports_.log.error("cannot start",
                         {{"child", child.name}, {"error", process.error().to_string()}});
        return give_up(row_of(process.error().code).exit_code);
    }
    child.process = std::move(*process);
    if (told_) tell_endpoints();
}

void Up::child_ended(Child& child, std::uint64_t life, port::ProcessEnd end) {
    if (life != child.life) return;
    child.process.reset();
    child.ready = false;
    const std::string how = end.signal != 0 ? "signal " + std::to_string(end.signal)
                                            : "status " + std::to_string(end.status);
    if (draining_) {
        ports_.log.info("ended", {{"child", child.name}, {"with", how}});
        return drain_next();
    }
    if (!child.was_ready) {
        ports_.log.error("ended before it was ready", {{"child", child.name}, {"with", how}});
        return give_up(end.signal == 0 && end.status != 0 ? end.status : 1);
    }
    ports_.log.warn("ended, started again", {{"child", child.name}, {"with", how}});
    const SteadyTime now = ports_.clock.steady();
    child.short_lives = now - child.started_at >= stable_after ? 0 : child.short_lives + 1;
    if (child.short_lives <= short_lives_at_once) return start_child(child);
    const unsigned doublings = std::min(child.short_lives - short_lives_at_once - 1, 10U);
    child.timer->set(now + std::min<Duration>(pause_initial * (1 << doublings), pause_max),
                     [this, &child] { start_child(child); });
}

// There is no point in going on: a child cannot start at all.
void Up::give_up(int status) {
    if (!std::exchange(gave_up_, true)) failed_(status);
}

// Looks after everything that is not ready yet.
void Up::poll() {
    bool workers_wait = false;
    for (const auto& child : children_) {
        if (draining_ || gave_up_) return;
        if (child->life == 0 && may_start(*child)) start_child(*child);
        if (!child->process || child->ready) continue;
        look_at_port(*child);
        if (!child->port_told) continue;
        if (child->role == Role::worker)
            workers_wait = true;
        else if (!child->asking)
            ask_ready(*child);
    }
    if (draining_ || gave_up_) return;
    if (workers_wait && !asking_workers_ && first(Role::dispatcher).ready) ask_workers();
    poll_timer_->set(ports_.clock.steady() + settings_.poll_interval, [this] { poll(); });
}

void Up::look_at_port(Child& child) {
    if (child.port_told) return;
    const auto port = ports_.read_port(child.port_file);
    if (!port) return;
    child.port = *port;
    child.port_told = true;
}

void Up::ask_ready(Child& child) {
    child.asking = true;
    ports_.http.send(url_of(child), {"GET", "/readyz", {}, {}}, ask_timeout,
                     [this, &child, life = child.life,
                      alive = std::weak_ptr{alive_}](const Result<port::HttpResponse>& answer) {
                         if (alive.expired() || life != child.life) return;
                         child.asking = false;
                         if (answer && answer->status == 200) became_ready(child);
                     });
}

// Workers are ready when the dispatcher reaches them.
void Up::ask_workers() {
    asking_workers_ = true;
    port::HttpRequest request{"GET", "/v1/workers", {}, {}};
    add_key(request.headers, settings_.key);
    ports_.http.send(url_of(first(Role::dispatcher)), std::move(request), ask_timeout,
                     [this, alive = std::weak_ptr{alive_}](const auto& answer) {
                         if (alive.expired()) return;
                         asking_workers_ = false;
                         took_workers(answer);
                     });
}

void Up::took_workers(const Result<port::HttpResponse>& answer) {
    if (!answer || answer->status != 200 || !protocol::check_json(answer->body)) return;
    const auto fields = protocol::split_object(answer->body);
    if (!fields) return;
    for (const auto& [name, raw] : *fields) {
        const auto workers = protocol::split_array(raw);
        if (name != "workers" || !workers) continue;
        for (const std::string_view worker : *workers) {
            std::string instance;
            std::int64_t port = 0;
            bool reachable = false;
            for (const auto& [key, value] :
                 protocol::split_object(worker).value_or(protocol::JsonFields{})) {
                if (key == "instance") instance = protocol::read_string(value, key).value_or("");
                if (key == "port") port = protocol::read_integer(value, key, 0, 65535).value_or(0);
                if (key == "reachable") reachable = value == "true";
            }
            if (!reachable) continue;
            for (const auto& child : children_) {
                if (child->role != Role::worker || child->ready || !child->port_told) continue;
                // The entry of its former life may stand there for a while.
                if (child->port != port || child->instance == instance) continue;
                child->instance = instance;
                became_ready(*child);
            }
        }
    }
}

void Up::became_ready(Child& child) {
    if (draining_ || !child.process) return;
    child.ready = true;
    child.was_ready = true;
    ports_.log.info("ready",
                    {{"child", child.name}, {"pid", std::to_string(child.process->pid())}});
    if (told_ || !all_ready()) return;
    told_ = true;
    tell_endpoints();
    ready_();
}

bool Up::all_ready() const {
    return std::ranges::all_of(children_, [](const auto& child) { return child->ready; });
}

std::string Up::url_of(const Child& child) const {
    return child.port == 0 ? std::string{}
                           : "http://" + std::string{host} + ":" + std::to_string(child.port);
}

std::string Up::url(std::string_view name) const {
    for (const auto& child : children_)
        if (child->name == name) return url_of(*child);
    return {};
}

std::string Up::endpoints() const {
    std::string out;
    protocol::JsonWriter json{out};
    const auto pid = [](const Child& child) { return child.process ? child.process->pid() : 0; };
    json.begin_object();
    for (const Role role : {Role::dispatcher, Role::nameservice, Role::monitor}) {
        const Child& child = first(role);
        json.key(child.name).begin_object();
        json.field("url", url_of(child)).field("pid", pid(child)).end_object();
    }
    json.key("workers").begin_array();
    for (const auto& child : children_)
        if (child->role == Role::worker)
            json.begin_object()
                .field("type", child->worker->type)
                .field("name", child->name)
                .field("pid", pid(*child))
                .end_object();
    json.end_array().field("key_file", settings_.key_file).end_object();
    out.push_back('\n');
    return out;
}

void Up::tell_endpoints() {
    const std::string path = settings_.data + "/endpoints.json";
    if (auto written = ports_.write(path, endpoints()); !written)
        ports_.log.error("cannot tell the addresses", {{"error", written.error().to_string()}});
}

void Up::drain(std::function<void()> done) {
    draining_ = true;
    drained_ = std::move(done);
    poll_timer_->clear();
    for (const auto& child : children_)
        child->timer->clear();
    stage_ = 0;
    drain_next();
}

// One stage after the other: the next is asked to end when the one before has ended.
void Up::drain_next() {
    const bool busy = std::ranges::any_of(children_, [this](const auto& child) {
        return child->process && stage_of(child->role) <= stage_;
    });
    if (busy) return;
    if (stage_ == 3) {
        drain_timer_->clear();
        if (drained_) std::exchange(drained_, nullptr)();
        return;
    }
    ++stage_;
    for (const auto& child : children_)
        if (child->process && stage_of(child->role) == stage_) child->process->terminate();
    drain_timer_->set(ports_.clock.steady() + settings_.drain_max, [this] {
        for (const auto& child : children_) {
            if (!child->process || stage_of(child->role) != stage_) continue;
            ports_.log.warn("did not end in time, killed", {{"child", child->name}});
            child->process->kill();
        }
    });
    drain_next();  // there may be nobody in this stage
}

int Up::stage_of(Role role) {
    if (role == Role::dispatcher) return 2;
    return role == Role::nameservice ? 3 : 1;
}

void Up::pass_on(int signal) {
    for (const auto& child : children_)
        // One that does not listen yet has no handler either, and would die of it.
        if (child->process && child->port_told) child->process->signal(signal);
}

void Up::stop() {
    poll_timer_->clear();
    drain_timer_->clear();
    for (const auto& child : children_) {
        child->timer->clear();
        child->process.reset();
    }
}

}  // namespace taskd::service

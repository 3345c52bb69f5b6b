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
// Nobody waits longer, and sums of such times have room.
constexpr Duration drain_longest = 24h * 365;
// People and tasks wait for a child that died.
constexpr port::RestartPolicy restart{.initial_delay = 100ms, .max_delay = 5s};

}  // namespace

std::string Up::name_of(const WorkerEntry& worker) {
    return worker_name(worker.type, instance_head_bytes_max - 2) + "-1";
}

// A child, as the supervisor knows it.
class Up::ChildService final : public port::Service {
  public:
    ChildService(Up& up, Child& child) : up_{up}, child_{child} {}
    ~ChildService() override {
        ++child_.life;
        child_.process.reset();
    }
    ChildService(const ChildService&) = delete;
    ChildService& operator=(const ChildService&) = delete;

    void start(port::ServiceHandlers handlers) override {
        child_.handlers = std::move(handlers);
        up_.start_child(child_);
    }
    void stop() override {
        if (child_.process) child_.process->terminate();
    }
    void kill() override {
        if (child_.process) child_.process->kill();
    }
    std::optional<Duration> stop_timeout() const override { return child_.drain_max; }

  private:
    Up& up_;
    Child& child_;
};

Up::Up(UpSettings settings, UpPorts ports, std::function<void()> ready)
    : settings_{std::move(settings)},
      ports_{std::move(ports)},
      ready_{std::move(ready)},
      poll_timer_{ports_.timers.make()} {
    add(Role::dispatcher, "dispatcher", {});
    add(Role::nameservice, "nameservice", {});
    add(Role::monitor, "monitor", {});
    for (const WorkerEntry& worker : settings_.workers)
        add(Role::worker, name_of(worker), worker);
    if (settings_.host) add(Role::host, "host", {});
}

Up::~Up() = default;

Up::Child& Up::add(Role role, std::string name, std::optional<WorkerEntry> worker) {
    auto child = std::make_unique<Child>();
    child->role = role;
    child->worker = std::move(worker);
    child->port_file = settings_.data + "/ports/" + name;
    child->name = std::move(name);
    if (settings_.port != 0)
        child->port = static_cast<std::uint16_t>(settings_.port + children_.size());
    return *children_.emplace_back(std::move(child));
}

port::SupervisedService Up::add_worker(const WorkerEntry& worker) {
    Child& child = add(Role::worker, name_of(worker), worker);
    child.port = 0;
    return {spec_of(child), std::make_unique<ChildService>(*this, child)};
}

void Up::forget(std::string_view name) {
    std::erase_if(children_, [&](const auto& child) { return child->name == name; });
    tell_endpoints();
}

bool Up::has(std::string_view name) const {
    return std::ranges::any_of(children_, [&](const auto& child) { return child->name == name; });
}

std::vector<WorkerEntry> Up::workers() const {
    std::vector<WorkerEntry> found;
    for (const auto& child : children_)
        if (child->worker) found.push_back(*child->worker);
    return found;
}

const Up::Child& Up::first(Role role) const {
    const auto found = std::ranges::find(children_, role, [](const auto& it) { return it->role; });
    TASKD_ASSERT(found != children_.end());
    return **found;
}

std::vector<port::SupervisedService> Up::services() {
    std::vector<port::SupervisedService> services;
    for (const auto& child : children_)
        services.push_back({spec_of(*child), std::make_unique<ChildService>(*this, *child)});
    return services;
}

port::ServiceSpec Up::spec_of(Child& child) const {
    port::ServiceSpec spec;
    spec.name = child.name;
    if (child.role == Role::dispatcher)
        spec.needs = {first(Role::nameservice).name};
    else if (child.role != Role::nameservice)
        spec.needs = {first(Role::dispatcher).name};
    if (child.worker)
        spec.needs.insert(spec.needs.end(), child.worker->needs.begin(), child.worker->needs.end());
    if (!is_required(child)) spec.startup = port::Startup::optional;
    spec.start_timeout = child.role == Role::dispatcher ? Duration{0} : settings_.start_max;
    child.drain_max = drain_max_of(child);
    spec.stop_timeout = child.drain_max;
    spec.restart = restart;
    return spec;
}

Duration Up::drain_max_of(const Child& child) const {
    const Duration held = settings_.drain_timeout_of ? settings_.drain_timeout_of(arguments(child))
                                                     : limits::drain_timeout;
    return std::min<Duration>(held, drain_longest) + settings_.drain_margin;
}

Duration Up::drain_max() const {
    Duration all{0};
    for (const auto& child : children_)
        all = std::min<Duration>(all + child->drain_max, drain_longest);
    return all;
}

Result<void> Up::start() {
    if (settings_.port != 0 && settings_.port + children_.size() > 65536)
        return fail(ErrorCode::bad_usage, "there are not enough ports behind --port");
    return {};
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
            if (child.worker->work == WorkerWork::lua) {
                option("--dispatcher", url_of(first(Role::dispatcher)));
                if (!child.worker->program.empty()) option("--source", program_file(child));
            }
            if (!child.worker->contract.empty()) option("--contract", contract_file(child));
            option("--concurrency", std::to_string(child.worker->concurrency));
            break;
        case Role::host:
            out.emplace_back("host");
            option("--registry", settings_.data);
            option("--data", settings_.data);
            option("--dispatcher", url_of(first(Role::dispatcher)));
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

std::string Up::program_file(const Child& child) const {
    return settings_.data + "/" + child.name + ".lua";
}

std::string Up::contract_file(const Child& child) const {
    return settings_.data + "/" + child.name + ".contract.json";
}

void Up::write_files(const Child& child) {
    if (!child.worker) return;
    for (const auto& [path, content] : {std::pair{program_file(child), child.worker->program},
                                        std::pair{contract_file(child), child.worker->contract}})
        if (!content.empty())
            if (auto written = ports_.write(path, content); !written)
                ports_.log.error("cannot write a file", {{"service", child.name},
                                                         {"path", path},
                                                         {"error", written.error().to_string()}});
}

void Up::start_child(Child& child) {
    ports_.remove(child.port_file);
    write_files(child);
    child.drain_max = drain_max_of(child);  // its settings may be others than in its last life
    child.port_told = false;
    child.ready = false;
    child.asking = false;
    const std::uint64_t life = ++child.life;
    // Told later: this is the process's own callback.
    const auto end_later = [this, &child, life](const port::ServiceEnd& end) {
        ports_.timers.post([this, &child, life, end, alive = std::weak_ptr{alive_}] {
            if (!alive.expired()) child_ended(child, life, end);
        });
    };
    auto process = ports_.processes.spawn(
        {arguments(child), {}},
        {[this, &child](port::ProcessStream, std::string_view line) {
             ports_.print(child.name, line);
         },
         [end_later](port::ProcessEnd end) {
             if (end.signal != 0) return end_later({.how = "signal " + std::to_string(end.signal)});
             end_later({.status = end.status, .how = "status " + std::to_string(end.status)});
         }});
    if (!process)
        return end_later(
            {.status = row_of(process.error().code).exit_code, .how = process.error().to_string()});
    child.process = std::move(*process);
    ports_.log.debug("started",
                     {{"child", child.name}, {"pid", std::to_string(child.process->pid())}});
    if (!std::exchange(polling_, true)) poll();
}

void Up::child_ended(Child& child, std::uint64_t life, const port::ServiceEnd& end) {
    if (life != child.life) return;
    child.process.reset();
    child.ready = false;
    child.ended_once = true;
    const auto handlers = std::exchange(child.handlers, {});
    handlers.ended(end);
    look_if_all_ready();
}

// Looks after everything that is not ready yet.
void Up::poll() {
    bool workers_wait = false;
    polling_ = false;
    for (const auto& child : children_) {
        if (!child->process || child->ready) continue;
        polling_ = true;
        look_at_port(*child);
        if (!child->port_told) continue;
        if (child->role == Role::worker)
            workers_wait = true;
        else if (!child->asking)
            ask_ready(*child);
    }
    if (workers_wait && !asking_workers_ && first(Role::dispatcher).ready) ask_workers();
    if (polling_)
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
    if (!child.process || child.ready) return;
    child.ready = true;
    child.handlers.ready();
    look_if_all_ready();
}

void Up::look_if_all_ready() {
    if (told_ || !all_ready()) return;
    told_ = true;
    tell_endpoints();
    ready_();
}

// A host with programs that cannot run keeps nobody from submitting tasks.
bool Up::is_required(const Child& child) {
    if (child.role == Role::host) return false;
    return !child.worker || child.worker->required;
}

bool Up::all_ready() const {
    return std::ranges::all_of(children_, [](const auto& child) {
        const bool is_awaited =
            is_required(*child) || (child->role == Role::host && !child->ended_once);
        return child->ready || !is_awaited;
    });
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
    for (const auto& child : children_) {
        if (child->role == Role::worker) continue;
        json.key(child->name).begin_object();
        json.field("url", url_of(*child)).field("pid", pid(*child)).end_object();
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
    if (!told_) return;
    const std::string path = settings_.data + "/endpoints.json";
    if (auto written = ports_.write(path, endpoints()); !written)
        ports_.log.error("cannot tell the addresses", {{"error", written.error().to_string()}});
}

void Up::pass_on(int signal) {
    for (const auto& child : children_)
        // One that does not listen yet has no handler either, and would die of it.
        if (child->process && child->port_told) child->process->signal(signal);
}

void Up::stop() {
    poll_timer_->clear();
}

}  // namespace taskd::service

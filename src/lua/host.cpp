#include "taskd/lua/host.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "host_parts.hpp"
#include "taskd/base/assert.hpp"

namespace taskd::lua {
namespace {

Result<void> missing(runtime::ProcessNumber number) {
    return fail(ErrorCode::process_not_found, fmt::format("number {}", number));
}

Value end_value(const runtime::ProcessId& id, const std::string& program, const Error* error) {
    Value value;
    value.kind = ValueKind::map;
    value.fields.push_back({"pid", Value::of_text(to_text(id))});
    value.fields.push_back({"program", Value::of_text(program)});
    value.fields.push_back({"ok", Value::of_boolean(error == nullptr)});
    if (error != nullptr) {
        value.fields.push_back({"kind", Value::of_text(std::string{error->name()})});
        value.fields.push_back({"message", Value::of_text(error->detail)});
    }
    return value;
}

}  // namespace

Value to_value(Message message) {
    Value value;
    value.kind = ValueKind::map;
    if (!message.from.empty())
        value.fields.push_back({"from", Value::of_text(std::move(message.from))});
    value.fields.push_back({"topic", Value::of_text(std::move(message.topic))});
    value.fields.push_back({"payload", std::move(message.payload)});
    return value;
}

// ---- beginning ----------------------------------------------------------------------------------

ProcessPtr Host::Impl::find(runtime::ProcessNumber number) const {
    const Shard& shard = shard_of(number);
    const std::lock_guard lock{shard.mutex};
    const auto found = shard.processes.find(number);
    return found == shard.processes.end() ? nullptr : found->second;
}

Result<std::unique_ptr<Machine>> Host::Impl::make_machine(const std::string& program,
                                                          std::string& method,
                                                          const std::string& shown) {
    ProgramSpec spec;
    {
        const std::lock_guard lock{programs_mutex};
        const auto found = programs.find(program);
        if (found == programs.end()) return fail(ErrorCode::function_not_found, program);
        spec = found->second;
    }
    method = spec.method;
    return Machine::make({.program = std::move(spec.program),
                          .limits = spec.limits,
                          .modules = modules,
                          .clock = &ports.clock,
                          .print = [this, shown, program](const std::string& line) {
                              ports.log.info(line, {{"process", shown}, {"program", program}});
                          }});
}

Result<runtime::ProcessId> Host::Impl::spawn(SpawnRequest request) {
    const runtime::ProcessId id = ports.ids.next(settings.name);
    std::string method;
    auto machine = make_machine(request.program, method, to_text(id));
    if (!machine) return fail(std::move(machine));
    {
        const std::lock_guard lock{alive_mutex};
        if (ending) return fail(ErrorCode::process_ended, "the node is shutting down");
        if (alive == settings.processes_max)
            return fail(ErrorCode::too_many_processes, fmt::format("{}", alive));
        ++alive;
    }
    auto process = std::make_shared<Process>();
    process->number = id.number;
    process->program = request.program;
    process->on_end = std::move(request.on_end);
    process->execution = std::make_shared<Execution>(ports.scheduler, ports.commands, id.number,
                                                     std::move(*machine));
    Shard& shard = shard_of(id.number);
    {  // before anybody can know of it: a parent that ends now finds it
        const std::lock_guard lock{shard.mutex};
        shard.processes.emplace(id.number, process);
    }
    auto begun = ports.topology.begin(id.number, request.parent, request.program);
    if (begun && request.link) begun = ports.topology.link(request.parent, id.number);
    if (begun && request.monitor) begun = ports.topology.monitor(request.parent, id.number);
    if (!begun) {
        ports.topology.end(id.number, "not begun");
        {
            const std::lock_guard lock{shard.mutex};
            shard.processes.erase(id.number);
        }
        const std::lock_guard lock{alive_mutex};
        if (--alive == 0) all_gone.notify_all();
        return fail(std::move(begun));
    }
    spawned.fetch_add(1, std::memory_order_relaxed);
    process->execution->start(std::move(method), std::move(request.arguments),
                              [self = shared_from_this(), process](Outcome outcome) {
                                  self->ended(process, std::move(outcome));
                              });
    return id;
}

// ---- ending -------------------------------------------------------------------------------------

void Host::Impl::ended(const ProcessPtr& process, Outcome outcome) {
    const Error* error = outcome.values ? nullptr : &outcome.values.error();
    {
        Shard& shard = shard_of(process->number);
        const std::lock_guard lock{shard.mutex};
        shard.processes.erase(process->number);
    }
    std::deque<Process::Parked> parked;
    std::deque<Message> dropped;
    Alarms::Id alarm = 0;
    {
        const std::lock_guard lock{process->mutex};
        process->ended = true;
        parked.swap(process->parked);
        dropped.swap(process->inbox);
        if (process->receiving) alarm = process->receiving->alarm;
        process->receiving.reset();
    }
    if (alarm != 0) ports.alarms.clear(alarm);
    for (Process::Parked& each : parked) {
        ports.alarms.clear(each.alarm);
        each.delivered(fail(ErrorCode::process_ended, "before there was room"));
    }
    if (error != nullptr) {
        failed.fetch_add(1, std::memory_order_relaxed);
        ports.log.warn("a process failed",
                       {{"process", to_text(ports.topology.id_of(process->number))},
                        {"program", process->program},
                        {"error", error->to_string()},
                        {"trace", outcome.trace}});
    }
    const runtime::ProcessEnd end =
        ports.topology.end(process->number, error == nullptr ? "done" : error->to_string());
    take_down(*process, end, error);
    if (process->on_end) {
        ProcessEnded told{process->program, Value{}};
        if (error != nullptr)
            told.result = std::unexpected{*error};
        else if (!outcome.values->empty())
            told.result = std::move(outcome.values->front());
        process->on_end(told);
    }
    const std::lock_guard lock{alive_mutex};
    if (--alive == 0) all_gone.notify_all();
}

void Host::Impl::take_down(const Process& process, const runtime::ProcessEnd& end,
                           const Error* error) {
    const runtime::ProcessId id = ports.topology.id_of(process.number);
    const Value told = end_value(id, process.program, error);
    for (const runtime::ProcessNumber each : end.monitors)
        tell(each, "@exit", told);
    if (error != nullptr)
        for (const runtime::ProcessNumber each : end.linked) {
            const ProcessPtr other = find(each);
            if (!other) continue;
            bool traps = false;
            {
                const std::lock_guard lock{other->mutex};
                traps = other->traps;
            }
            if (traps)
                tell(each, "@link_down", told);
            else
                other->execution->stop({ErrorCode::process_ended, "linked to " + to_text(id)});
        }
    for (const runtime::ProcessNumber each : end.children)
        if (const ProcessPtr child = find(each))
            child->execution->stop({ErrorCode::process_ended, "child of " + to_text(id)});
}

Result<void> Host::Impl::terminate(runtime::ProcessNumber number, const std::string& why) {
    const ProcessPtr process = find(number);
    if (!process) return missing(number);
    process->execution->stop({ErrorCode::cancelled, why.empty() ? "terminated" : why});
    return {};
}

Result<void> Host::Impl::cancel(runtime::ProcessNumber number, const std::string& why,
                                Duration grace) {
    if (!find(number)) return missing(number);
    Value payload;
    payload.kind = ValueKind::map;
    payload.fields.push_back({"reason", Value::of_text(why)});
    tell(number, "@cancel", std::move(payload));
    ports.alarms.set(grace, [weak = weak_from_this(), number, why] {
        if (const auto self = weak.lock()) (void)self->terminate(number, why);
    });
    return {};
}

// ---- messages -----------------------------------------------------------------------------------

void Host::Impl::tell(runtime::ProcessNumber number, std::string topic, Value payload) {
    if (const ProcessPtr process = find(number))
        give(process, {{}, std::move(topic), std::move(payload)}, Duration{0}, true,
             [](const Result<void>&) {});
}

// With the process's lock held. Once its time is over the message does not come any more.
void Host::Impl::park(const ProcessPtr& process, Message message, Duration wait,
                      runtime::Delivered delivered) {
    const std::uint64_t number = ++process->waits;
    const Alarms::Id alarm = ports.alarms.set(wait, [weak = std::weak_ptr{process}, number] {
        const auto self = weak.lock();
        if (!self) return;
        runtime::Delivered late;
        {
            const std::lock_guard inner{self->mutex};
            const auto found = std::ranges::find(self->parked, number, &Process::Parked::number);
            if (found == self->parked.end()) return;
            late = std::move(found->delivered);
            self->parked.erase(found);
        }
        late(fail(ErrorCode::mailbox_full, "all the time that it waited"));
    });
    process->parked.push_back({std::move(message), std::move(delivered), number, alarm});
}

void Host::Impl::give(const ProcessPtr& process, Message message, Duration wait, bool unbounded,
                      runtime::Delivered delivered) {
    Result<void> outcome;
    Answer receiver;
    Alarms::Id alarm = 0;
    {
        const std::lock_guard lock{process->mutex};
        auto& receiving = process->receiving;
        if (process->ended) {
            outcome = missing(process->number);
        } else if (receiving && (receiving->topic.empty() || receiving->topic == message.topic)) {
            receiver = std::move(receiving->answer);
            alarm = receiving->alarm;
            receiving.reset();
        } else if (unbounded || process->inbox.size() < settings.inbox_max) {
            process->inbox.push_back(std::move(message));
        } else if (wait > Duration{0}) {
            return park(process, std::move(message), wait, std::move(delivered));
        } else {
            outcome = fail(ErrorCode::mailbox_full, "of the process");
        }
    }
    (outcome ? received : refused).fetch_add(1, std::memory_order_relaxed);
    if (alarm != 0) ports.alarms.clear(alarm);
    if (receiver) receiver(to_value(std::move(message)));
    delivered(std::move(outcome));
}

void Host::Impl::receive(const ProcessPtr& process, const std::string& topic,
                         std::optional<Duration> timeout, Answer answer) {
    std::optional<Message> message;
    std::optional<Process::Parked> admitted;
    {
        const std::lock_guard lock{process->mutex};
        auto& inbox = process->inbox;
        const auto found =
            topic.empty() ? inbox.begin() : std::ranges::find(inbox, topic, &Message::topic);
        if (found != inbox.end()) {
            message = std::move(*found);
            inbox.erase(found);
        }
        if (message && !process->parked.empty() && inbox.size() < settings.inbox_max) {
            admitted = std::move(process->parked.front());
            process->parked.pop_front();
            inbox.push_back(std::move(admitted->message));
        }
        if (!message && timeout != Duration{0}) {
            const std::uint64_t number = ++process->waits;
            process->receiving.emplace(std::move(answer), topic, 0, number);
            if (timeout)
                process->receiving->alarm =
                    ports.alarms.set(*timeout, [weak = std::weak_ptr{process}, number] {
                        const auto self = weak.lock();
                        if (!self) return;
                        Answer late;
                        {
                            const std::lock_guard inner{self->mutex};
                            if (!self->receiving || self->receiving->number != number) return;
                            late = std::move(self->receiving->answer);
                            self->receiving.reset();
                        }
                        late(fail(ErrorCode::timed_out, "no message came"));
                    });
            return;
        }
    }
    if (admitted) {
        ports.alarms.clear(admitted->alarm);
        received.fetch_add(1, std::memory_order_relaxed);
        admitted->delivered({});
    }
    if (!message) return answer(fail(ErrorCode::timed_out, "no message is there"));
    answer(to_value(std::move(*message)));
}

// ---- what others see ----------------------------------------------------------------------------

Host::Host(HostSettings settings, const HostPorts& ports)
    : impl_{std::make_shared<Impl>(std::move(settings), ports)} {
    impl_->ports.relay.attach(impl_->settings.name, *this);
}

Host::~Host() {
    impl_->ports.relay.detach(impl_->settings.name);
    {
        const std::lock_guard lock{impl_->alive_mutex};
        impl_->ending = true;
    }
    for (Impl::Shard& shard : impl_->shards) {
        std::vector<ProcessPtr> there;
        {
            const std::lock_guard lock{shard.mutex};
            for (const auto& [number, process] : shard.processes)
                there.push_back(process);
        }
        for (const ProcessPtr& process : there)
            process->execution->stop({ErrorCode::process_ended, "the node is shutting down"});
    }
    std::unique_lock lock{impl_->alive_mutex};
    impl_->all_gone.wait(lock, [this] { return impl_->alive == 0; });
}

void Host::set_modules(const std::vector<Module>* modules) {
    impl_->modules = modules;
}

Result<void> Host::add_commands(runtime::Commands& commands) {
    return add_process_commands(*impl_, commands);
}

void Host::set_program(const std::string& name, ProgramSpec spec) {
    bool newer = false;
    {
        const std::lock_guard lock{impl_->programs_mutex};
        newer = !impl_->programs.insert_or_assign(name, std::move(spec)).second;
    }
    if (!newer) return;
    for (const Impl::Shard& shard : impl_->shards) {
        std::vector<runtime::ProcessNumber> old;
        {
            const std::lock_guard lock{shard.mutex};
            for (const auto& [number, process] : shard.processes)
                if (process->program == name) old.push_back(number);
        }
        for (const runtime::ProcessNumber number : old)
            impl_->tell(number, "@outdated", Value::of_text(name));
    }
}

void Host::remove_program(const std::string& name) {
    const std::lock_guard lock{impl_->programs_mutex};
    impl_->programs.erase(name);
}

std::vector<std::string> Host::programs() const {
    const std::lock_guard lock{impl_->programs_mutex};
    std::vector<std::string> names;
    for (const auto& [name, spec] : impl_->programs)
        names.push_back(name);
    return names;
}

Result<runtime::ProcessId> Host::spawn(SpawnRequest request) {
    return impl_->spawn(std::move(request));
}

Result<void> Host::terminate(runtime::ProcessNumber number, const std::string& why) {
    return impl_->terminate(number, why);
}

Result<void> Host::cancel(runtime::ProcessNumber number, const std::string& why, Duration grace) {
    return impl_->cancel(number, why, grace);
}

void Host::deliver(runtime::Package package, runtime::Delivered delivered) {
    const runtime::ProcessNumber number =
        package.name.empty() ? package.to.number : impl_->ports.topology.find_name(package.name);
    const ProcessPtr process = number == 0 ? nullptr : impl_->find(number);
    if (!process)
        return delivered(fail(ErrorCode::process_not_found,
                              package.name.empty() ? to_text(package.to) : package.name));
    impl_->give(process,
                {package.from.number == 0 ? std::string{} : to_text(package.from),
                 std::move(package.topic), std::move(package.payload)},
                package.wait, false, std::move(delivered));
}

HostCounts Host::counts() const {
    const std::lock_guard lock{impl_->alive_mutex};
    return {.alive = impl_->alive,
            .spawned = impl_->spawned.load(),
            .failed = impl_->failed.load(),
            .received = impl_->received.load(),
            .refused = impl_->refused.load()};
}

std::size_t Host::memory_bytes(runtime::ProcessNumber number) const {
    const ProcessPtr process = impl_->find(number);
    return process ? process->execution->memory_bytes() : 0;
}

}  // namespace taskd::lua

#include "taskd/lua/host.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "host_parts.hpp"
#include "taskd/base/assert.hpp"
#include "values.hpp"

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
                                                          std::vector<Value> arguments,
                                                          const std::string& shown) {
    ProgramSpec spec;
    {
        const std::lock_guard lock{programs_mutex};
        const auto found = programs.find(program);
        if (found == programs.end()) return fail(ErrorCode::function_not_found, program);
        spec = found->second;
    }
    auto machine =
        Machine::make({.program = std::move(spec.program),
                       .limits = spec.limits,
                       .modules = modules,
                       .clock = &ports.clock,
                       .print =
                           [this, shown, program](const std::string& line) {
                               ports.log.info(line, {{"process", shown}, {"program", program}});
                           },
                       .pool = ports.memory});
    if (!machine) return machine;
    auto prepared = (*machine)->prepare(std::move(spec.method), std::move(arguments));
    if (!prepared) return fail(std::move(prepared));
    return machine;
}

Result<runtime::ProcessId> Host::Impl::spawn(SpawnRequest request) {
    const runtime::ProcessId id = ports.ids.next(settings.name);
    auto machine = make_machine(request.program, std::move(request.arguments), to_text(id));
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
    process->execution->start([self = shared_from_this(), process](Outcome outcome) {
        self->ended(process, std::move(outcome));
    });
    return id;
}

// ---- ending -------------------------------------------------------------------------------------

void Host::Impl::ended(const ProcessPtr& process, Outcome outcome) {
    const Error* error = outcome.values ? nullptr : &outcome.values.error();
    outcome.machine.reset();
    {
        Shard& shard = shard_of(process->number);
        const std::lock_guard lock{shard.mutex};
        shard.processes.erase(process->number);
    }
    std::deque<Process::Parked> parked;
    std::deque<Message> dropped;
    std::map<std::uint64_t, Process::Timer> timers;
    Alarms::Id alarm = 0;
    Alarms::Id cancel_alarm = 0;
    {
        const std::lock_guard lock{process->mutex};
        process->ended = true;
        parked.swap(process->parked);
        dropped.swap(process->inbox);
        timers.swap(process->timers);
        give_memory_back(std::exchange(process->inbox_bytes, 0));
        if (process->receiving) alarm = process->receiving->alarm;
        cancel_alarm = process->cancel_alarm;
        process->receiving.reset();
    }
    for (const Alarms::Id each : {alarm, cancel_alarm})
        if (each != 0) ports.alarms.clear(each);
    for (const auto& [number, timer] : timers) {
        ports.alarms.clear(timer.alarm);
        give_memory_back(timer.bytes);
    }
    for (Process::Parked& each : parked) {
        ports.alarms.clear(each.alarm);
        give_memory_back(each.message.bytes);
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
    for (const Host::Watcher& watcher : watchers)
        watcher(process->number, process->program, error);
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

void Host::Impl::break_link(runtime::ProcessNumber number, const Value& told,
                            const std::string& whose) {
    const ProcessPtr other = find(number);
    if (!other) return;
    bool traps = false;
    {
        const std::lock_guard lock{other->mutex};
        traps = other->traps;
    }
    if (traps)
        tell(number, "@link_down", told);
    else
        other->execution->stop({ErrorCode::process_ended, "linked to " + whose});
}

void Host::Impl::take_down(const Process& process, const runtime::ProcessEnd& end,
                           const Error* error) {
    const runtime::ProcessId id = ports.topology.id_of(process.number);
    const Value told = end_value(id, process.program, error);
    for (const runtime::ProcessNumber each : end.monitors)
        tell(each, "@exit", told);
    if (error != nullptr)
        for (const runtime::ProcessNumber each : end.linked)
            break_link(each, told, to_text(id));
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
    const ProcessPtr process = find(number);
    if (!process) return missing(number);
    const Alarms::Id alarm = ports.alarms.set(grace, [weak = weak_from_this(), number, why] {
        if (const auto self = weak.lock()) (void)self->terminate(number, why);
    });
    Alarms::Id before = 0;
    bool over = false;
    {
        const std::lock_guard lock{process->mutex};
        over = process->ended;
        before = std::exchange(process->cancel_alarm, alarm);
    }
    if (over) ports.alarms.clear(alarm);
    if (before != 0) {  // told already; the newest time counts
        ports.alarms.clear(before);
        return {};
    }
    Value payload;
    payload.kind = ValueKind::map;
    payload.fields.push_back({"reason", Value::of_text(why)});
    tell(number, "@cancel", std::move(payload));
    return {};
}

// ---- messages -----------------------------------------------------------------------------------

void Host::Impl::tell(runtime::ProcessNumber number, std::string topic, Value payload) {
    if (const ProcessPtr process = find(number))
        give(process, {{}, std::move(topic), std::move(payload)}, Duration{0}, true,
             [](const Result<void>&) {});
}

bool Host::Impl::has_room(const Process& process, const Message& message) const {
    return process.inbox.size() < settings.inbox_max &&
           process.inbox_bytes + message.bytes <= settings.inbox_bytes_max;
}

// With the process's lock held. Once its time is over the message does not come any more.
void Host::Impl::park(const ProcessPtr& process, Message message, Duration wait,
                      runtime::Delivered delivered) {
    const std::uint64_t number = ++process->waits;
    const Alarms::Id alarm =
        ports.alarms.set(wait, [weak = std::weak_ptr{process}, number, pool = ports.memory] {
            const auto self = weak.lock();
            if (!self) return;
            runtime::Delivered late;
            std::size_t bytes = 0;
            {
                const std::lock_guard inner{self->mutex};
                const auto found =
                    std::ranges::find(self->parked, number, &Process::Parked::number);
                if (found == self->parked.end()) return;
                late = std::move(found->delivered);
                bytes = found->message.bytes;
                self->parked.erase(found);
            }
            if (pool != nullptr) pool->give_back(bytes);
            late(fail(ErrorCode::mailbox_full, "all the time that it waited"));
        });
    process->parked.push_back({std::move(message), std::move(delivered), number, alarm});
}

void Host::Impl::give(const ProcessPtr& process, Message message, Duration wait, bool unbounded,
                      runtime::Delivered delivered) {
    Result<void> outcome;
    Answer receiver;
    Alarms::Id alarm = 0;
    bool flooded = false;
    message.bytes = sizeof(Message) + message.topic.size() + bytes_of(message.payload);
    {
        const std::lock_guard lock{process->mutex};
        auto& receiving = process->receiving;
        if (process->ended) {
            outcome = missing(process->number);
        } else if (receiving && (receiving->topic.empty() || receiving->topic == message.topic)) {
            receiver = std::move(receiving->answer);
            alarm = receiving->alarm;
            receiving.reset();
        } else if (unbounded) {  // of the node itself
            flooded = process->inbox.size() >= settings.signals_max;
            if (!flooded) {
                if (ports.memory != nullptr) ports.memory->take_anyway(message.bytes);
                process->inbox_bytes += message.bytes;
                process->inbox.push_back(std::move(message));
            }
        } else if (const bool room = has_room(*process, message); !room && wait == Duration{0}) {
            outcome = fail(ErrorCode::mailbox_full, "of the process");
        } else if (!take_memory(message.bytes)) {
            outcome = fail(ErrorCode::host_memory_full, "no room for a message");
        } else if (room) {
            process->inbox_bytes += message.bytes;
            process->inbox.push_back(std::move(message));
        } else {
            return park(process, std::move(message), wait, std::move(delivered));
        }
    }
    if (flooded)
        process->execution->stop(
            {ErrorCode::mailbox_full, "it does not read what the node tells it"});
    (outcome ? received : refused).fetch_add(1, std::memory_order_relaxed);
    if (alarm != 0) ports.alarms.clear(alarm);
    if (receiver) receiver(to_value(std::move(message)));
    delivered(std::move(outcome));
}

Result<void> Host::Impl::send_later(const ProcessPtr& process, Duration after,
                                    runtime::Package package) {
    const std::size_t bytes = sizeof(Message) + package.topic.size() + bytes_of(package.payload);
    if (!process) return send_later_for_function(after, std::move(package), bytes);
    const std::lock_guard lock{process->mutex};
    if (process->timers.size() >= limits::process_timers_max)
        return fail(ErrorCode::too_many_timers, fmt::format("{}", process->timers.size()));
    if (!take_memory(bytes)) return fail(ErrorCode::host_memory_full, "no room for a message");
    const std::uint64_t number = ++process->waits;
    const Alarms::Id alarm = ports.alarms.set(
        after, [self = weak_from_this(), number, bytes, weak = std::weak_ptr{process},
                kept = std::move(package)]() mutable {
            const auto host = self.lock();
            const auto its = weak.lock();
            if (!host || !its) return;
            {
                const std::lock_guard inner{its->mutex};
                if (its->timers.erase(number) == 0) return;
            }
            host->give_memory_back(bytes);
            host->ports.relay.send(std::move(kept), [](const Result<void>&) {});
        });
    process->timers.emplace(number, Process::Timer{alarm, bytes});
    return {};
}

Result<void> Host::Impl::send_later_for_function(Duration after, runtime::Package package,
                                                 std::size_t bytes) {
    constexpr std::size_t most = 64 * limits::process_timers_max;
    if (function_timers.fetch_add(1) >= most || !take_memory(bytes)) {
        const bool many = function_timers.fetch_sub(1) > most;
        return many ? fail(ErrorCode::too_many_timers, "of functions")
                    : fail(ErrorCode::host_memory_full, "no room for a message");
    }
    ports.alarms.set(after, [self = weak_from_this(), bytes, kept = std::move(package)]() mutable {
        const auto host = self.lock();
        if (!host) return;
        host->function_timers.fetch_sub(1);
        host->give_memory_back(bytes);
        host->ports.relay.send(std::move(kept), [](const Result<void>&) {});
    });
    return {};
}

void Host::Impl::receive(const ProcessPtr& process, const std::string& topic,
                         std::optional<Duration> timeout, Answer answer) {
    std::optional<Message> message;
    std::vector<Process::Parked> admitted;
    {
        const std::lock_guard lock{process->mutex};
        auto& inbox = process->inbox;
        const auto found =
            topic.empty() ? inbox.begin() : std::ranges::find(inbox, topic, &Message::topic);
        if (found != inbox.end()) {
            message = std::move(*found);
            inbox.erase(found);
            process->inbox_bytes -= message->bytes;
            give_memory_back(message->bytes);
        } else if (const auto waits = std::ranges::find_if(
                       process->parked,
                       [&](const auto& each) { return each.message.topic == topic; });
                   waits != process->parked.end()) {
            // Whoever sent it waits for room, and this one for it.
            admitted.push_back(std::move(*waits));
            process->parked.erase(waits);
            message = std::move(admitted.back().message);
            give_memory_back(message->bytes);
        }
        // A large message makes room for many.
        while (message && !process->parked.empty() &&
               has_room(*process, process->parked.front().message)) {
            admitted.push_back(std::move(process->parked.front()));
            process->parked.pop_front();
            process->inbox_bytes += admitted.back().message.bytes;
            inbox.push_back(std::move(admitted.back().message));
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
    for (const Process::Parked& each : admitted) {
        ports.alarms.clear(each.alarm);
        received.fetch_add(1, std::memory_order_relaxed);
        each.delivered({});
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

void Host::watch_ends(Watcher watcher) {
    impl_->watchers.push_back(std::move(watcher));
}

void Host::set_far(FarProcesses* far) {
    impl_->far = far;
}

void Host::tell_exit(runtime::ProcessNumber number, const EndTold& end) {
    impl_->tell(number, "@exit", end_value(end.id, end.program, end.error));
}

void Host::break_link(runtime::ProcessNumber number, const EndTold& end) {
    impl_->break_link(number, end_value(end.id, end.program, end.error), to_text(end.id));
}

Result<void> Host::check_message(const std::string& topic, const Value& payload) {
    if (topic.size() > limits::message_topic_bytes_max)
        return fail(ErrorCode::invalid_field, "a topic of more than 256 bytes");
    if (topic.starts_with('@'))
        return fail(ErrorCode::invalid_field, "topics with '@' are the node's own");
    if (const std::size_t bytes = bytes_of(payload); bytes > limits::message_bytes_max)
        return fail(ErrorCode::message_too_large, fmt::format("{} bytes in memory", bytes));
    return {};
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

#include "taskd/lua/functions.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <optional>
#include <unordered_map>

#include "arguments.hpp"
#include "execution.hpp"

namespace taskd::lua {
namespace {

constexpr runtime::CommandId call_command = 40;

// Where a machine prints to: the call that has it.
struct Printer {
    std::function<void(const std::string&)> to;
};

struct Pooled {
    std::unique_ptr<Machine> machine;
    std::shared_ptr<Printer> printer;
    SteadyTime since{};  // idle
};

struct Call {
    Functions::CallId id = 0;
    std::vector<Value> arguments;
    CallDone done;
    std::function<void(const std::string&)> print;
    std::vector<std::string> within;  // functions that wait for it, the outermost first
};

struct Running {
    std::shared_ptr<Execution> execution;
    std::string name;
    std::vector<std::string> within;
    std::uint64_t number = 0;  // of its execution
};

struct Pool {
    ProgramSpec spec;
    PoolSettings settings;
    std::shared_ptr<const CallChecks> checks;
    std::uint64_t version = 0;
    std::vector<Pooled> idle;
    std::size_t busy = 0;
    std::deque<Call> waiting;
    bool sweeps = false;  // an alarm for idle machines is set
    PoolCounts counts;

    bool has_room() const { return !idle.empty() || busy < settings.machines_max; }
    Call take_waiting() {
        Call call = std::move(waiting.front());
        waiting.pop_front();
        return call;
    }
};

CallDone checked(std::shared_ptr<const CallChecks> checks, CallDone done) {
    return [checks = std::move(checks), done = std::move(done)](Result<Value> value) {
        if (value)
            if (auto matched = checks->result(*value); !matched)
                return done(std::unexpected{matched.error()});
        done(std::move(value));
    };
}

Error shutting_down() {
    return {ErrorCode::process_ended, "the node is shutting down"};
}

}  // namespace

struct Functions::Impl : std::enable_shared_from_this<Functions::Impl> {
    explicit Impl(const FunctionPorts& its_ports) : ports{its_ports} {}

    Result<Pooled> make(const ProgramSpec& spec) const;
    // `caller` is the number of the execution that asks, 0: none here.
    CallId call(const std::string& name, std::vector<Value> arguments, CallDone done,
                std::function<void(const std::string&)> print, std::uint64_t caller = 0);
    void stop(CallId id, const Error& why);
    void give(const std::string& name, Call call);
    void begin(const std::string& name, Pool& pool, Call call, std::unique_lock<std::mutex>& lock);
    void run(const std::string& name, std::uint64_t version, std::string method, Pooled pooled,
             Call call);
    void ended(const std::string& name, std::uint64_t version, CallId id,
               const std::shared_ptr<Printer>& printer, const CallDone& done, Outcome outcome);
    void give_back(const std::string& name, std::uint64_t version,
                   const std::shared_ptr<Printer>& printer, std::unique_ptr<Machine> machine);
    void begin_waiting(const std::string& name, std::uint64_t version,
                       std::unique_lock<std::mutex>& lock);
    void tell_when_done();
    void sweep(const std::string& name);
    void sweep_later(const std::string& name, Pool& pool, Duration after);

    const FunctionPorts ports;
    const std::vector<Module>* modules = nullptr;

    std::mutex mutex;  // guards what follows
    std::condition_variable all_done;
    std::map<std::string, Pool> pools;
    std::unordered_map<CallId, Running> running;
    std::unordered_map<std::uint64_t, CallId> by_number;  // those of them
    // Neither waiting nor running, while a machine is made; with why they were stopped.
    std::unordered_map<CallId, std::optional<Error>> starting;
    CallId newest = 0;
    std::uint64_t versions = 0;
    bool ending = false;
};

Result<Pooled> Functions::Impl::make(const ProgramSpec& spec) const {
    auto printer = std::make_shared<Printer>();
    auto machine = Machine::make({.program = spec.program,
                                  .limits = spec.limits,
                                  .modules = modules,
                                  .clock = &ports.clock,
                                  .print =
                                      [printer](const std::string& line) {
                                          if (printer->to) printer->to(line);
                                      },
                                  .pool = ports.memory});
    if (!machine) return fail(std::move(machine));
    return Pooled{std::move(*machine), std::move(printer), {}};
}

Functions::CallId Functions::Impl::call(const std::string& name, std::vector<Value> arguments,
                                        CallDone done,
                                        std::function<void(const std::string&)> print,
                                        std::uint64_t caller) {
    CallId id = 0;
    std::vector<std::string> within;
    std::shared_ptr<const CallChecks> checks;
    {
        const std::lock_guard lock{mutex};
        id = ++newest;
        if (const auto pool = pools.find(name); pool != pools.end()) checks = pool->second.checks;
        if (const auto asks = by_number.find(caller); asks != by_number.end()) {
            const Running& outer = running.at(asks->second);
            within = outer.within;
            within.push_back(outer.name);
        }
    }
    if (checks && checks->arguments)
        if (auto taken = checks->arguments(arguments); !taken) {
            done(fail(std::move(taken)));
            return id;
        }
    if (checks && checks->result) done = checked(std::move(checks), std::move(done));
    give(name, {.id = id,
                .arguments = std::move(arguments),
                .done = std::move(done),
                .print = std::move(print),
                .within = std::move(within)});
    return id;
}

void Functions::Impl::give(const std::string& name, Call call) {
    std::unique_lock lock{mutex};
    const auto found = pools.find(name);
    if (found != pools.end() && !ending) return begin(name, found->second, std::move(call), lock);
    lock.unlock();
    call.done(fail(ErrorCode::function_not_found, name));
}

// Gives the call an idle machine or a new one, or lets it wait. Lets go of the lock for that. When
// a machine cannot be made, the next that waits has its turn.
void Functions::Impl::begin(const std::string& name, Pool& pool, Call call,
                            std::unique_lock<std::mutex>& lock) {
    if (!pool.has_room()) {
        const std::size_t waiting = pool.waiting.size();
        // It would wait for a machine that waits for it.
        if (std::ranges::find(call.within, name) != call.within.end()) {
            lock.unlock();
            call.done(fail(ErrorCode::pool_full, name + ": called within itself"));
            return;
        }
        if (waiting < pool.settings.waiting_max) {
            pool.waiting.push_back(std::move(call));
            return;
        }
        lock.unlock();
        call.done(fail(ErrorCode::pool_full, fmt::format("{}: {} calls wait", name, waiting)));
        return;
    }
    ++pool.busy;
    starting.try_emplace(call.id);
    const std::uint64_t version = pool.version;
    std::string method = pool.spec.method;
    ++pool.counts.calls;
    if (!pool.idle.empty()) {
        Pooled pooled = std::move(pool.idle.back());
        pool.idle.pop_back();
        lock.unlock();
        return run(name, version, std::move(method), std::move(pooled), std::move(call));
    }
    ++pool.counts.made;
    const ProgramSpec spec = pool.spec;
    for (;;) {
        lock.unlock();
        auto pooled = make(spec);
        if (pooled)
            return run(name, version, std::move(method), std::move(*pooled), std::move(call));
        call.done(std::unexpected{pooled.error()});
        lock.lock();
        starting.erase(call.id);
        tell_when_done();
        const auto found = pools.find(name);
        if (found == pools.end() || found->second.version != version) return;
        if (found->second.waiting.empty()) {
            --found->second.busy;
            return;
        }
        call = found->second.take_waiting();
        starting.try_emplace(call.id);
    }
}

void Functions::Impl::run(const std::string& name, std::uint64_t version, std::string method,
                          Pooled pooled, Call call) {
    const auto printer = pooled.printer;
    printer->to = std::move(call.print);
    const auto prepared = pooled.machine->prepare(std::move(method), std::move(call.arguments));
    const auto execution =
        std::make_shared<Execution>(ports.scheduler, ports.commands,
                                    ports.ids.next("functions").number, std::move(pooled.machine));
    std::optional<Error> stopped;
    {
        const std::lock_guard lock{mutex};
        if (auto started = starting.extract(call.id)) stopped = std::move(started.mapped());
        if (ending && !stopped) stopped = shutting_down();
        if (!prepared && !stopped) stopped = prepared.error();
        running.emplace(call.id,
                        Running{execution, name, std::move(call.within), execution->number()});
        by_number.emplace(execution->number(), call.id);
    }
    if (stopped) execution->stop(std::move(*stopped));
    execution->start([self = shared_from_this(), name, version, id = call.id, printer,
                      done = std::move(call.done)](Outcome outcome) {
        self->ended(name, version, id, printer, done, std::move(outcome));
    });
}

void Functions::Impl::ended(const std::string& name, std::uint64_t version, CallId id,
                            const std::shared_ptr<Printer>& printer, const CallDone& done,
                            Outcome outcome) {
    printer->to = nullptr;
    Result<Value> value = Value{};
    if (!outcome.values)
        value = std::unexpected{outcome.values.error()};
    else if (!outcome.values->empty())
        value = std::move(outcome.values->front());
    if (!outcome.trace.empty())
        ports.log.warn(
            "a function failed",
            {{"function", name}, {"error", value.error().to_string()}, {"trace", outcome.trace}});
    // The machine is there again before the caller knows: its next call finds it.
    give_back(name, version, printer, std::move(outcome.machine));
    done(std::move(value));
    const std::lock_guard lock{mutex};
    const auto over = running.extract(id);
    by_number.erase(over.mapped().number);
    tell_when_done();
}

// With the lock held.
void Functions::Impl::tell_when_done() {
    if (running.empty() && starting.empty()) all_done.notify_all();
}

// To the pool, and to the next that waits for it.
void Functions::Impl::give_back(const std::string& name, std::uint64_t version,
                                const std::shared_ptr<Printer>& printer,
                                std::unique_ptr<Machine> machine) {
    std::unique_lock lock{mutex};
    const auto found = pools.find(name);
    if (found == pools.end() || found->second.version != version) return;
    Pool& pool = found->second;
    --pool.busy;
    if (!machine) ++pool.counts.failed;
    if (machine && pool.settings.kind != PoolKind::fresh) {
        pool.idle.push_back({std::move(machine), printer, ports.clock.steady()});
        if (pool.settings.kind == PoolKind::adaptive) sweep_later(name, pool, pool.settings.idle);
    }
    if (pool.waiting.empty() || ending) return;
    begin(name, pool, pool.take_waiting(), lock);
}

// As many as a newer version has room for. The others stay where stop() finds them.
void Functions::Impl::begin_waiting(const std::string& name, std::uint64_t version,
                                    std::unique_lock<std::mutex>& lock) {
    for (;;) {
        if (!lock.owns_lock()) lock.lock();
        const auto found = pools.find(name);
        if (found == pools.end() || found->second.version != version) return;
        Pool& pool = found->second;
        if (pool.waiting.empty() || ending || !pool.has_room()) return;
        begin(name, pool, pool.take_waiting(), lock);
    }
}

// ---- adaptive pools -----------------------------------------------------------------------------

void Functions::Impl::sweep_later(const std::string& name, Pool& pool, Duration after) {
    if (std::exchange(pool.sweeps, true)) return;
    ports.alarms.set(after, [weak = weak_from_this(), name] {
        if (const auto self = weak.lock()) self->sweep(name);
    });
}

void Functions::Impl::sweep(const std::string& name) {
    std::vector<Pooled> gone;  // closed outside the lock
    const std::lock_guard lock{mutex};
    const auto found = pools.find(name);
    if (found == pools.end()) return;
    Pool& pool = found->second;
    pool.sweeps = false;
    const SteadyTime old = ports.clock.steady() - pool.settings.idle;
    for (std::size_t at = 0; at < pool.idle.size();) {
        if (pool.idle[at].since > old) {
            ++at;
            continue;
        }
        gone.push_back(std::move(pool.idle[at]));
        pool.idle.erase(pool.idle.begin() + static_cast<std::ptrdiff_t>(at));
    }
    if (!pool.idle.empty()) sweep_later(name, pool, pool.settings.idle);
}

// ---- what others see ----------------------------------------------------------------------------

Functions::Functions(const FunctionPorts& ports) : impl_{std::make_shared<Impl>(ports)} {}

Functions::~Functions() {
    std::vector<std::shared_ptr<Execution>> running;
    std::deque<Call> waiting;
    {
        const std::lock_guard lock{impl_->mutex};
        impl_->ending = true;
        for (const auto& [id, each] : impl_->running)
            running.push_back(each.execution);
        for (auto& [name, pool] : impl_->pools)
            while (!pool.waiting.empty()) {
                waiting.push_back(std::move(pool.waiting.front()));
                pool.waiting.pop_front();
            }
    }
    const Error why = shutting_down();
    for (Call& call : waiting)
        call.done(std::unexpected{why});
    for (const auto& execution : running)
        execution->stop(why);
    std::unique_lock lock{impl_->mutex};
    impl_->all_done.wait(lock,
                         [this] { return impl_->running.empty() && impl_->starting.empty(); });
}

Module Functions::module() {
    return {"functions", {{"call", call_command}}};
}

Result<void> Functions::add_commands(runtime::Commands& commands) {
    // Weak: processes ask on while the node shuts down, and the table of commands may outlive what
    // the machines of the pools stand on.
    return commands.add(
        call_command, "functions.call", [weak = std::weak_ptr{impl_}](runtime::CommandCall call) {
            auto name = Arguments{call.arguments}.text(0, "name");
            if (!name) return call.answer(fail(std::move(name)));
            const auto functions = weak.lock();
            if (!functions) return call.answer(fail(ErrorCode::function_not_found, *name));
            call.arguments.erase(call.arguments.begin());
            const CallId id = functions->call(*name, std::move(call.arguments),
                                              std::move(call.answer), {}, call.process);
            if (!call.when_gone) return;
            call.when_gone([weak, id, name = std::move(*name)] {
                if (const auto its = weak.lock())
                    its->stop(id, {ErrorCode::process_ended, "who called " + name});
            });
        });
}

void Functions::set_modules(const std::vector<Module>* modules) {
    impl_->modules = modules;
}

Result<void> Functions::try_out(const ProgramSpec& spec) const {
    const auto pooled = impl_->make(spec);
    return pooled ? Result<void>{} : std::unexpected{pooled.error()};
}

Result<void> Functions::set(const std::string& name, ProgramSpec spec, PoolSettings settings,
                            CallChecks checks) {
    std::vector<Pooled> made;
    for (std::size_t more = settings.kind == PoolKind::fixed ? settings.machines_max : 0; more > 0;
         --more) {
        auto pooled = impl_->make(spec);
        if (!pooled) return std::unexpected{pooled.error()};
        made.push_back(std::move(*pooled));
    }
    std::vector<Pooled> old;
    std::unique_lock lock{impl_->mutex};
    Pool& pool = impl_->pools[name];
    pool.spec = std::move(spec);
    pool.settings = settings;
    pool.checks = std::make_shared<const CallChecks>(std::move(checks));
    pool.version = ++impl_->versions;
    pool.busy = 0;  // calls of the old version are not counted any more
    pool.counts.made += made.size();
    old.swap(pool.idle);
    pool.idle = std::move(made);
    impl_->begin_waiting(name, pool.version, lock);
    return {};
}

void Functions::remove(const std::string& name) {
    std::deque<Call> waiting;
    {
        const std::lock_guard lock{impl_->mutex};
        const auto found = impl_->pools.find(name);
        if (found == impl_->pools.end()) return;
        waiting.swap(found->second.waiting);
        impl_->pools.erase(found);
    }
    for (Call& call : waiting)
        call.done(fail(ErrorCode::function_not_found, name));
}

Functions::CallId Functions::call(const std::string& name, std::vector<Value> arguments,
                                  CallDone done, std::function<void(const std::string&)> print) {
    return impl_->call(name, std::move(arguments), std::move(done), std::move(print));
}

void Functions::stop(CallId id, const Error& why) {
    impl_->stop(id, why);
}

void Functions::Impl::stop(CallId id, const Error& why) {
    std::shared_ptr<Execution> execution;
    std::optional<Call> waited;
    {
        const std::lock_guard lock{mutex};
        const auto found = running.find(id);
        if (found != running.end()) {
            execution = found->second.execution;
        } else if (const auto soon = starting.find(id); soon != starting.end()) {
            if (!soon->second) soon->second = why;
        } else {
            for (auto& [name, pool] : pools) {
                const auto call = std::ranges::find(pool.waiting, id, &Call::id);
                if (call == pool.waiting.end()) continue;
                waited = std::move(*call);
                pool.waiting.erase(call);
                break;
            }
        }
    }
    if (execution) return execution->stop(why);
    if (waited) waited->done(std::unexpected{why});
}

PoolCounts Functions::counts(const std::string& name) const {
    const std::lock_guard lock{impl_->mutex};
    const auto found = impl_->pools.find(name);
    if (found == impl_->pools.end()) return {};
    const Pool& pool = found->second;
    PoolCounts counts = pool.counts;
    counts.machines = pool.idle.size() + pool.busy;
    counts.busy = pool.busy;
    counts.waiting = pool.waiting.size();
    return counts;
}

}  // namespace taskd::lua

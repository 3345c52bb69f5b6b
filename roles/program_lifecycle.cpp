#include "program_lifecycle.hpp"

#include <algorithm>
#include <csignal>

#include "process_service.hpp"
#include "taskd/io/terminal.hpp"

namespace taskd::roles {
namespace {

constexpr Duration look_interval = std::chrono::seconds{1};  // at the registry
// Of functions without memory; each try takes all there is for a moment, and so they become rare.
constexpr Duration retry_interval = std::chrono::seconds{2};
constexpr Duration retry_longest = std::chrono::minutes{1};
constexpr std::size_t page = 1'000;  // of processes

template <class Each>
const Each* find(const std::vector<Each>& all, const std::string& id) {
    const auto found = std::ranges::find(all, id, &Each::id);
    return found == all.end() ? nullptr : &*found;
}

}  // namespace

ProgramLifecycle::ProgramLifecycle(Ground& ground, ProgramSource& source,
                                   runtime::Supervisor& supervisor, runtime::Topology& topology)
    : ground_{ground},
      source_{source},
      supervisor_{supervisor},
      topology_{topology},
      services_{deeds(), {}},
      timer_{ground.loop.make()},
      unmade_timer_{ground.loop.make()} {}

ServiceFollower<ProcessEntry>::Deeds ProgramLifecycle::deeds() {
    return {.needs = [](const ProcessEntry& entry) { return entry.service.needs; },
            .same = same_service,
            .is_there = [this](const std::string& name) { return services_.runs(name); },
            .add =
                [this](const std::string& name, const ProcessEntry& entry) {
                    auto added = supervisor_.add(
                        {entry.service,
                         std::make_unique<ProcessService>(programs_->host(), ground_.loop, entry)});
                    if (!added)
                        ground_.log->error("cannot start", {{"service", name},
                                                            {"error", added.error().to_string()}});
                },
            .remove =
                [this](const std::string& name, std::function<void()> done) {
                    supervisor_.remove(name, [this, name, done = std::move(done)] {
                        if (find(held_.processes, name) == nullptr) end_all_of(name);
                        done();
                    });
                }};
}

Result<void> ProgramLifecycle::start() {
    const auto held = reload();
    if (held) return {};
    if (!source_.is_registry()) return std::unexpected{held.error()};
    ground_.log->error("the entries cannot be run", {{"error", held.error().to_string()}});
    return {};
}

Result<void> ProgramLifecycle::start_entries() {
    running_ = true;
    follow();
    if (source_.is_registry()) look();
    return ground_.loop.on_signal({SIGHUP}, [this](int) {
        if (!io::terminal_is_gone()) note(reload());
    });
}

void ProgramLifecycle::stop() {
    timer_->clear();
    unmade_timer_->clear();
    running_ = false;
}

// What is asked for is told at once; this finds what somebody has written without asking.
void ProgramLifecycle::look() {
    timer_->set(ground_.clock->steady() + look_interval, [this] { look(); });
    const auto moved = source_.moved();
    if (moved && !*moved) return;
    note(moved ? reload() : std::unexpected{moved.error()});
}

void ProgramLifecycle::note(const Result<HeldPrograms>& held) {
    if (!held)
        ground_.log->error("the entries cannot be read, the old ones stay",
                           {{"error", held.error().to_string()}});
}

Result<HeldPrograms> ProgramLifecycle::reload() {
    const auto entries = source_.read();
    if (!entries) return std::unexpected{entries.error()};
    auto made = compile_entries(*entries);
    if (!made) return std::unexpected{made.error()};
    if (auto possible = can_run(*made); !possible) return std::unexpected{possible.error()};
    take(std::move(*made));
    return counts_of(held_);
}

Result<HeldPrograms> ProgramLifecycle::check(const std::vector<Entry>& entries) const {
    const auto made = compile_entries(entries);
    if (!made) return std::unexpected{made.error()};
    if (auto possible = can_run(*made); !possible) return std::unexpected{possible.error()};
    return counts_of(*made);
}

Result<void> ProgramLifecycle::can_run(const ProgramEntries& entries) const {
    const auto try_out = [this](const std::string& id, const lua::ProgramSpec& spec,
                                const lua::ProgramSpec* held) -> Result<void> {
        if (held != nullptr && same(spec, *held)) return {};
        auto possible = programs_->functions().try_out(spec);
        if (possible) return {};
        return fail(possible.error().code, id + ": " + possible.error().detail);
    };
    for (const FunctionEntry& function : entries.functions) {
        const FunctionEntry* held = find(held_.functions, function.id);
        if (auto done = try_out(function.id, function.spec, held ? &held->spec : nullptr); !done)
            return done;
    }
    for (const ProcessEntry& process : entries.processes) {
        const ProcessEntry* held = find(held_.processes, process.id);
        if (auto done = try_out(process.id, process.spec, held ? &held->spec : nullptr); !done)
            return done;
    }
    return {};
}

void ProgramLifecycle::take(ProgramEntries entries) {
    take_stores(entries);
    take_functions(entries);
    take_processes(entries);
    std::vector<std::string> gone;
    for (const ProcessEntry& process : held_.processes)
        if (find(entries.processes, process.id) == nullptr) gone.push_back(process.id);
    held_ = std::move(entries);
    if (running_) follow();
    for (const std::string& program : gone)
        if (!services_.runs(program)) end_all_of(program);
    const HeldPrograms counts = counts_of(held_);
    ground_.log->info("entries taken", {{"functions", std::to_string(counts.functions)},
                                        {"processes", std::to_string(counts.processes)},
                                        {"version", std::to_string(counts.version)}});
}

void ProgramLifecycle::take_functions(const ProgramEntries& entries) {
    unmade_pause_ = retry_interval;
    for (const FunctionEntry& function : held_.functions)
        if (find(entries.functions, function.id) == nullptr) {
            programs_->functions().remove(function.id);
            unmade_.erase(function.id);
        }
    for (const FunctionEntry& function : entries.functions) {
        const FunctionEntry* held = find(held_.functions, function.id);
        if (held == nullptr || !same(*held, function) || unmade_.contains(function.id))
            set(function);
    }
}

void ProgramLifecycle::set(const FunctionEntry& function) {
    const auto made =
        programs_->functions().set(function.id, function.spec, function.pool, function.checks);
    if (made) {
        if (unmade_.erase(function.id) > 0)
            ground_.log->info("a function is made at last", {{"function", function.id}});
        return;
    }
    if (unmade_.insert(function.id).second)
        ground_.log->error("a function cannot be made",
                           {{"function", function.id}, {"error", made.error().to_string()}});
    unmade_timer_->set(ground_.clock->steady() + unmade_pause_, [this] { try_unmade(); });
}

// Others may have given memory back.
void ProgramLifecycle::try_unmade() {
    unmade_pause_ = std::min<Duration>(2 * unmade_pause_, retry_longest);
    for (const FunctionEntry& function : held_.functions)
        if (unmade_.contains(function.id)) set(function);
}

// A store's file stays when its entry goes.
void ProgramLifecycle::take_stores(const ProgramEntries& entries) {
    if (stores_ == nullptr) return;
    for (const StoreEntry& store : held_.stores)
        if (find(entries.stores, store.id) == nullptr) stores_->withdraw(store.id);
    for (const StoreEntry& store : entries.stores)
        stores_->declare(store.id, store.settings);
}

void ProgramLifecycle::take_processes(const ProgramEntries& entries) {
    for (const ProcessEntry& process : held_.processes)
        if (find(entries.processes, process.id) == nullptr)
            programs_->host().remove_program(process.id);
    for (const ProcessEntry& process : entries.processes) {
        const ProcessEntry* held = find(held_.processes, process.id);
        if (held == nullptr || !same(held->spec, process.spec))
            programs_->host().set_program(process.id, process.spec);
    }
}

void ProgramLifecycle::follow() {
    ServiceFollower<ProcessEntry>::Forms wanted;
    for (const ProcessEntry& process : held_.processes)
        if (process.auto_start) wanted.emplace(process.id, process);
    services_.follow(std::move(wanted));
}

void ProgramLifecycle::end_all_of(const std::string& program) {
    for (runtime::ProcessNumber after = 0;;) {
        const auto rows = topology_.rows(after, page);
        for (const runtime::ProcessRow& row : rows)
            if (row.runs == program)
                (void)programs_->host().cancel(row.number, "its entry is gone",
                                               limits::service_stop_timeout);
        if (rows.size() < page) return;
        after = rows.back().number;
    }
}

std::vector<std::string> ProgramLifecycle::functions() const {
    std::vector<std::string> names;
    for (const FunctionEntry& function : held_.functions)
        names.push_back(function.id);
    return names;
}

HeldPrograms ProgramLifecycle::counts_of(const ProgramEntries& entries) const {
    return {entries.functions.size(), entries.processes.size(), source_.version()};
}

}  // namespace taskd::roles

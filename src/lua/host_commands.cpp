// What programs ask of their host: the modules `process` and `time`.
#include <fmt/format.h>

#include <charconv>

#include "arguments.hpp"
#include "host_parts.hpp"

namespace taskd::lua {
namespace {

using runtime::CommandCall;
using runtime::CommandId;

// Their numbers, each once.
namespace command {
constexpr CommandId spawn = 1;
constexpr CommandId send = 2;
constexpr CommandId receive = 3;
constexpr CommandId monitor = 4;
constexpr CommandId demonitor = 5;
constexpr CommandId link = 6;
constexpr CommandId unlink = 7;
constexpr CommandId trap_links = 8;
constexpr CommandId give_name = 9;
constexpr CommandId look_up = 10;
constexpr CommandId cancel = 11;
constexpr CommandId terminate = 12;
constexpr CommandId own_id = 13;
constexpr CommandId send_after = 14;
constexpr CommandId upgrade = 15;
constexpr CommandId spawn_linked = 16;
constexpr CommandId spawn_monitored = 17;
constexpr CommandId sleep = 30;
}  // namespace command

Result<Value> as_value(const Result<void>& outcome) {
    if (!outcome) return std::unexpected{outcome.error()};
    return Value::of_boolean(true);
}

// ---- time ---------------------------------------------------------------------------------------

// (seconds since 1970) to RFC 3339
Result<Value> format_time(const std::vector<Value>& arguments) {
    const auto time = Arguments{arguments}.duration(0, "time");
    if (!time) return std::unexpected{time.error()};
    return Value::of_text(to_rfc3339(WallTime{*time}));
}

Result<Value> parse_time(const std::vector<Value>& arguments) {
    const auto text = Arguments{arguments}.text(0, "time");
    if (!text) return std::unexpected{text.error()};
    const auto time = parse_rfc3339(*text);
    if (!time) return fail(ErrorCode::invalid_field, "'" + *text + "' is no time of RFC 3339");
    return seconds_value(time->time_since_epoch());
}

// ---- processes ----------------------------------------------------------------------------------

class Desk {
  public:
    explicit Desk(Host::Impl& host) : host_{host} {}

    void do_spawn(CommandCall call, bool linked, bool monitored) {
        Arguments given{call.arguments};
        auto program = given.text(0, "program");
        if (!program) return call.answer(fail(std::move(program)));
        std::vector<Value> rest{std::make_move_iterator(call.arguments.begin() + 1),
                                std::make_move_iterator(call.arguments.end())};
        const auto id = host_.spawn({.program = std::move(*program),
                                     .arguments = std::move(rest),
                                     .parent = host_.find(call.process) ? call.process : 0,
                                     .link = linked,
                                     .monitor = monitored});
        if (!id) return call.answer(std::unexpected{id.error()});
        call.answer(Value::of_text(to_text(*id)));
    }

    // To an id, or to a name on this node: (to, topic, payload, {wait = "5s"}).
    void do_send(CommandCall call) {
        auto package = read_package(call, 0);
        if (!package) return call.answer(fail(std::move(package)));
        Arguments given{call.arguments};
        auto wait = given.option_duration(3, "wait");
        if (!wait) return call.answer(fail(std::move(wait)));
        package->wait = wait->value_or(Duration{0});
        host_.ports.relay.send(std::move(*package),
                               [answer = std::move(call.answer)](const Result<void>& sent) {
                                   answer(as_value(sent));
                               });
    }

    // (after, to, topic, payload)
    void do_send_after(CommandCall call) {
        Arguments given{call.arguments};
        const auto after = given.duration(0, "after");
        if (!after) return call.answer(std::unexpected{after.error()});
        auto package = read_package(call, 1);
        if (!package) return call.answer(fail(std::move(package)));
        if (auto set = host_.send_later(host_.find(call.process), *after, std::move(*package));
            !set)
            return call.answer(fail(std::move(set)));
        call.answer(Value::of_boolean(true));
    }

    // (timeout) or ({timeout = "5s", topic = "order"})
    void do_receive(CommandCall call) {
        const ProcessPtr process = host_.find(call.process);
        if (!process)
            return call.answer(fail(ErrorCode::process_not_found, "a function has no inbox"));
        Arguments given{call.arguments};
        std::optional<Duration> timeout;
        std::string topic;
        if (given.is_map(0)) {
            auto option = given.option_duration(0, "timeout");
            if (!option) return call.answer(fail(std::move(option)));
            timeout = *option;
            auto wanted = given.option_text(0, "topic");
            if (!wanted) return call.answer(fail(std::move(wanted)));
            topic = std::move(*wanted);
        } else if (given.has(0)) {
            const auto told = given.duration(0, "timeout");
            if (!told) return call.answer(std::unexpected{told.error()});
            timeout = *told;
        }
        host_.receive(process, topic, timeout, std::move(call.answer));
    }

    void do_sleep(CommandCall call) {
        Arguments given{call.arguments};
        const auto time = given.duration(0, "time");
        if (!time) return call.answer(std::unexpected{time.error()});
        Alarms& alarms = host_.ports.alarms;
        const Alarms::Id alarm = alarms.set(
            *time, [answer = std::move(call.answer)] { answer(Value::of_boolean(true)); });
        if (call.when_gone) call.when_gone([&alarms, alarm] { alarms.clear(alarm); });
    }

    using Pair = Result<void> (runtime::Topology::*)(runtime::ProcessNumber,
                                                     runtime::ProcessNumber);
    struct Pairing {
        Pair local;
        FarProcesses::Tie kind;
        bool made;  // or taken back
    };
    // This process and another one, of this node or, when somebody watches those, of another.
    void do_pair(CommandCall call, Pairing what) {
        if (host_.far != nullptr && !call.arguments.empty()) {
            auto id = runtime::parse_process_id(call.arguments[0].text);
            if (id && id->node != host_.ports.relay.node())
                return do_far_pair(std::move(call), what, std::move(*id));
        }
        const auto other = read_local(call);
        if (!other) return call.answer(std::unexpected{other.error()});
        call.answer(as_value((host_.ports.topology.*what.local)(call.process, *other)));
    }

    void do_far_pair(CommandCall call, Pairing what, runtime::ProcessId id) {
        if (!host_.find(call.process))
            return call.answer(fail(ErrorCode::process_not_found, "a function"));
        if (id.host != host_.settings.name)
            return call.answer(fail(ErrorCode::process_not_found, to_text(id)));
        auto done = [answer = std::move(call.answer)](const Result<void>& outcome) {
            answer(as_value(outcome));
        };
        what.made ? host_.far->tie(what.kind, call.process, std::move(id), std::move(done))
                  : host_.far->untie(what.kind, call.process, std::move(id), std::move(done));
    }

    void do_trap(const CommandCall& call) {
        const ProcessPtr process = host_.find(call.process);
        if (!process) return call.answer(fail(ErrorCode::process_not_found, "a function"));
        const bool on = call.arguments.empty() || call.arguments[0].boolean;
        const std::lock_guard lock{process->mutex};
        process->traps = on;
        call.answer(Value::of_boolean(true));
    }

    void do_give_name(const CommandCall& call) {
        Arguments given{call.arguments};
        const auto name = given.text(0, "name");
        if (!name) return call.answer(std::unexpected{name.error()});
        if (name->empty() || name->size() > limits::process_name_bytes_max ||
            name->starts_with('{') || name->find('@') != std::string::npos)
            return call.answer(fail(ErrorCode::invalid_field,
                                    "a name has 1 to 256 bytes, no '@', and no '{' in front"));
        call.answer(as_value(host_.ports.topology.give_name(call.process, *name)));
    }

    void do_look_up(const CommandCall& call) {
        Arguments given{call.arguments};
        const auto name = given.text(0, "name");
        if (!name) return call.answer(std::unexpected{name.error()});
        const runtime::ProcessNumber number = host_.ports.topology.find_name(*name);
        if (number == 0) return call.answer(fail(ErrorCode::process_not_found, *name));
        call.answer(Value::of_text(to_text(host_.ports.topology.id_of(number))));
    }

    void do_cancel(const CommandCall& call) {
        Arguments given{call.arguments};
        const auto number = read_local(call);
        const auto why = given.optional_text(1, "reason");
        const auto grace = given.option_duration(2, "grace");
        if (!number) return call.answer(std::unexpected{number.error()});
        if (!why) return call.answer(std::unexpected{why.error()});
        if (!grace) return call.answer(std::unexpected{grace.error()});
        call.answer(
            as_value(host_.cancel(*number, *why, grace->value_or(limits::service_stop_timeout))));
    }

    void do_terminate(const CommandCall& call) {
        Arguments given{call.arguments};
        const auto number = read_local(call);
        const auto why = given.optional_text(1, "reason");
        if (!number) return call.answer(std::unexpected{number.error()});
        if (!why) return call.answer(std::unexpected{why.error()});
        call.answer(as_value(host_.terminate(*number, *why)));
    }

    // Goes on as the newest version of its program, with these arguments; id, inbox, links and
    // children stay. When that cannot be made the old one goes on with the error.
    void do_upgrade(CommandCall call) {
        const ProcessPtr process = host_.find(call.process);
        if (!process) return call.answer(fail(ErrorCode::process_not_found, "a function"));
        auto machine = host_.make_machine(process->program, std::move(call.arguments),
                                          to_text(host_.ports.topology.id_of(call.process)));
        if (!machine) return call.answer(fail(std::move(machine)));
        process->execution->replace(std::move(*machine));
    }

  private:
    Result<runtime::ProcessNumber> read_local(const CommandCall& call) {
        Arguments given{call.arguments};
        const auto text = given.text(0, "process");
        if (!text) return std::unexpected{text.error()};
        if (!text->starts_with('{')) {
            const runtime::ProcessNumber number = host_.ports.topology.find_name(*text);
            if (number == 0) return fail(ErrorCode::process_not_found, *text);
            return number;
        }
        const auto id = runtime::parse_process_id(*text);
        if (!id) return std::unexpected{id.error()};
        if (id->node != host_.ports.relay.node() || id->host != host_.settings.name)
            return fail(ErrorCode::process_not_found, *text + " is not on this host");
        return id->number;
    }

    // From argument `first` on: to, topic, payload.
    Result<runtime::Package> read_package(CommandCall& call, std::size_t first) {
        Arguments given{call.arguments};
        auto to = given.text(first, "to");
        auto topic = given.text(first + 1, "topic");
        if (!to) return std::unexpected{to.error()};
        if (!topic) return std::unexpected{topic.error()};
        runtime::Package package{.from = host_.ports.topology.id_of(call.process),
                                 .to = {},
                                 .name = {},
                                 .topic = std::move(*topic),
                                 .payload = given.take(first + 2)};
        if (auto good = Host::check_message(package.topic, package.payload); !good)
            return fail(std::move(good));
        if (to->starts_with('{')) {
            auto id = runtime::parse_process_id(*to);
            if (!id) return std::unexpected{id.error()};
            package.to = std::move(*id);
        } else {
            // "name@node" on another node of this host's name
            const auto at = to->find('@');
            package.name = to->substr(0, at);
            package.to = {at == std::string::npos ? host_.ports.relay.node() : to->substr(at + 1),
                          host_.settings.name, 0};
        }
        return package;
    }

    Host::Impl& host_;
};

}  // namespace

std::vector<Module> Host::modules() const {
    const port::Clock& clock = impl_->ports.clock;
    return {{"process",
             {{"spawn", command::spawn},
              {"spawn_linked", command::spawn_linked},
              {"spawn_monitored", command::spawn_monitored},
              {"send", command::send},
              {"send_after", command::send_after},
              {"receive", command::receive},
              {"monitor", command::monitor},
              {"demonitor", command::demonitor},
              {"link", command::link},
              {"unlink", command::unlink},
              {"trap_links", command::trap_links},
              {"register", command::give_name},
              {"lookup", command::look_up},
              {"cancel", command::cancel},
              {"terminate", command::terminate},
              {"upgrade", command::upgrade},
              {"id", command::own_id}}},
            {"time",
             {{"sleep", command::sleep},
              {"now", DirectFunction{[&clock](const std::vector<Value>&) -> Result<Value> {
                   return seconds_value(clock.wall().time_since_epoch());
               }}},
              {"steady", DirectFunction{[&clock](const std::vector<Value>&) -> Result<Value> {
                   return seconds_value(clock.steady().time_since_epoch());
               }}},
              {"format", DirectFunction{format_time}},
              {"parse", DirectFunction{parse_time}}}}};
}

Result<void> add_process_commands(Host::Impl& host, runtime::Commands& commands) {
    const auto desk = std::make_shared<Desk>(host);
    using runtime::Topology;
    using Tie = FarProcesses::Tie;
    const struct {
        CommandId id;
        const char* name;
        runtime::Commands::Handler handler;
    } rows[] = {
        {command::spawn, "process.spawn",
         [desk](CommandCall call) { desk->do_spawn(std::move(call), false, false); }},
        {command::spawn_linked, "process.spawn_linked",
         [desk](CommandCall call) { desk->do_spawn(std::move(call), true, false); }},
        {command::spawn_monitored, "process.spawn_monitored",
         [desk](CommandCall call) { desk->do_spawn(std::move(call), false, true); }},
        {command::send, "process.send",
         [desk](CommandCall call) { desk->do_send(std::move(call)); }},
        {command::send_after, "process.send_after",
         [desk](CommandCall call) { desk->do_send_after(std::move(call)); }},
        {command::receive, "process.receive",
         [desk](CommandCall call) { desk->do_receive(std::move(call)); }},
        {command::monitor, "process.monitor",
         [desk](CommandCall call) {
             desk->do_pair(std::move(call), {&Topology::monitor, Tie::monitor, true});
         }},
        {command::demonitor, "process.demonitor",
         [desk](CommandCall call) {
             desk->do_pair(std::move(call), {&Topology::demonitor, Tie::monitor, false});
         }},
        {command::link, "process.link",
         [desk](CommandCall call) {
             desk->do_pair(std::move(call), {&Topology::link, Tie::link, true});
         }},
        {command::unlink, "process.unlink",
         [desk](CommandCall call) {
             desk->do_pair(std::move(call), {&Topology::unlink, Tie::link, false});
         }},
        {command::trap_links, "process.trap_links",
         [desk](const CommandCall& call) { desk->do_trap(call); }},
        {command::give_name, "process.register",
         [desk](const CommandCall& call) { desk->do_give_name(call); }},
        {command::look_up, "process.lookup",
         [desk](const CommandCall& call) { desk->do_look_up(call); }},
        {command::cancel, "process.cancel",
         [desk](const CommandCall& call) { desk->do_cancel(call); }},
        {command::terminate, "process.terminate",
         [desk](const CommandCall& call) { desk->do_terminate(call); }},
        {command::upgrade, "process.upgrade",
         [desk](CommandCall call) { desk->do_upgrade(std::move(call)); }},
        {command::own_id, "process.id",
         [&host](const CommandCall& call) {
             call.answer(Value::of_text(to_text(host.ports.topology.id_of(call.process))));
         }},
        {command::sleep, "time.sleep",
         [desk](CommandCall call) { desk->do_sleep(std::move(call)); }},
    };
    for (const auto& row : rows)
        if (auto added = commands.add(row.id, row.name, row.handler); !added) return added;
    return {};
}

}  // namespace taskd::lua

// The event bus for programs.
#include <map>
#include <mutex>

#include "lua/arguments.hpp"
#include "taskd/bus/pattern.hpp"
#include "taskd/lua/modules.hpp"

namespace taskd::lua {
namespace {

constexpr runtime::CommandId publish_command = 110;
constexpr runtime::CommandId subscribe_command = 111;
constexpr std::string_view own_topics = "app.";
constexpr std::string_view log_topics = "log.";  // what a program logs would come back to it
constexpr std::size_t subscriptions_max = 16;    // of one process

Value to_value(const bus::Event& event) {
    Value fields;
    fields.kind = ValueKind::map;
    for (const bus::EventField& field : event.fields)
        fields.fields.push_back({field.name, Value::of_text(field.value)});
    Value value;
    value.kind = ValueKind::map;
    value.fields.push_back({"topic", Value::of_text(event.topic)});
    value.fields.push_back({"fields", std::move(fields)});
    return value;
}

}  // namespace

struct Events::Impl : std::enable_shared_from_this<Events::Impl> {
    Impl(runtime::EventBus& its_bus, runtime::Relay& its_relay,
         const runtime::Topology& its_topology, Post its_post)
        : bus{its_bus}, relay{its_relay}, topology{its_topology}, post{std::move(its_post)} {}

    Result<Value> publish(const std::vector<Value>& arguments);
    Result<Value> subscribe(std::uint64_t process, const std::vector<Value>& arguments);
    void hand_over(std::uint64_t process, const bus::Event& event);
    void forget(std::uint64_t process);

    runtime::EventBus& bus;
    runtime::Relay& relay;
    const runtime::Topology& topology;
    const Post post;
    std::mutex mutex;  // guards what follows
    std::map<std::uint64_t, std::vector<runtime::EventBus::Subscription>> subscriptions;
};

Result<Value> Events::Impl::publish(const std::vector<Value>& arguments) {
    const Arguments given{arguments};
    const auto topic = given.text(0, "topic");
    if (!topic) return std::unexpected{topic.error()};
    if (!topic->starts_with(own_topics) || !is_topic(*topic))
        return fail(ErrorCode::invalid_field, "programs publish topics that begin with 'app.'");
    std::vector<bus::EventField> fields;
    if (given.is_map(1))
        for (const ValueField& field : arguments[1].fields)
            fields.push_back({field.name, field.value.kind == ValueKind::boolean
                                              ? std::string{field.value.boolean ? "true" : "false"}
                                              : field.value.text});
    bus.publish(*topic, std::move(fields));
    return Value::of_boolean(true);
}

void Events::Impl::hand_over(std::uint64_t process, const bus::Event& event) {
    if (event.topic.starts_with(log_topics)) return;
    relay.send({.from = {},
                .to = topology.id_of(process),
                .name = {},
                .topic = "event",
                .payload = to_value(event)},
               [weak = weak_from_this(), process](const Result<void>& sent) {
                   // An inbox without room loses events, as any slow subscriber does.
                   if (sent || sent.error().code != ErrorCode::process_not_found) return;
                   if (const auto self = weak.lock()) self->forget(process);
               });
}

void Events::Impl::forget(std::uint64_t process) {
    std::vector<runtime::EventBus::Subscription> gone;  // end outside the lock
    const std::lock_guard lock{mutex};
    const auto found = subscriptions.find(process);
    if (found == subscriptions.end()) return;
    gone = std::move(found->second);
    subscriptions.erase(found);
}

Result<Value> Events::Impl::subscribe(std::uint64_t process, const std::vector<Value>& arguments) {
    const auto pattern = Arguments{arguments}.text(0, "pattern");
    if (!pattern) return std::unexpected{pattern.error()};
    if (!topology.has(process))
        return fail(ErrorCode::process_not_found, "a function has no inbox");
    {
        const std::lock_guard lock{mutex};
        if (subscriptions[process].size() >= subscriptions_max)
            return fail(ErrorCode::too_many_subscribers, "of one process");
    }
    auto made = bus.subscribe(*pattern, post,
                              [weak = weak_from_this(), process](const bus::Delivery& delivery) {
                                  if (const auto self = weak.lock())
                                      self->hand_over(process, *delivery.event);
                              });
    if (!made) return std::unexpected{made.error()};
    const std::lock_guard lock{mutex};
    subscriptions[process].push_back(std::move(*made));
    return Value::of_boolean(true);
}

Events::Events(runtime::EventBus& bus, runtime::Relay& relay, const runtime::Topology& topology,
               Post post)
    : impl_{std::make_shared<Impl>(bus, relay, topology, std::move(post))} {}

void Events::ended(runtime::ProcessNumber process) {
    impl_->forget(process);
}

Module Events::module() {
    return {"events", {{"publish", publish_command}, {"subscribe", subscribe_command}}};
}

Result<void> Events::add_commands(runtime::Commands& commands) {
    auto added = commands.add(publish_command, "events.publish",
                              [impl = impl_](const runtime::CommandCall& call) {
                                  call.answer(impl->publish(call.arguments));
                              });
    if (!added) return added;
    return commands.add(subscribe_command, "events.subscribe",
                        [impl = impl_](const runtime::CommandCall& call) {
                            call.answer(impl->subscribe(call.process, call.arguments));
                        });
}

}  // namespace taskd::lua

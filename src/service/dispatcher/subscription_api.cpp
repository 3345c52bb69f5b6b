#include "taskd/service/subscription_api.hpp"

#include "taskd/model/pattern.hpp"
#include "taskd/protocol/json.hpp"
#include "taskd/protocol/topic_json.hpp"

namespace taskd::service {
namespace {

constexpr Duration ms = std::chrono::milliseconds{1};

std::string deliveries_answer(const std::string& group, const engine::TopicAnswer& answer,
                              Duration ack_timeout) {
    std::string out;
    protocol::JsonWriter json{out};
    json.begin_object().field("ack_timeout_ms", ack_timeout / ms);
    json.key("deliveries").begin_array();
    for (const auto& leased : answer.leased) {
        std::string delivery;
        protocol::write_delivery(
            delivery, {group, {leased.event->topic, leased.event->sequence}, leased.epoch},
            leased.attempt, *leased.event);
        json.raw(delivery);
    }
    json.end_array();
    if (!answer.gaps.empty()) {
        json.key("gaps").begin_array();
        for (const Gap& gap : answer.gaps) {
            std::string written;
            protocol::write_gap(written, gap);
            json.raw(written);
        }
        json.end_array();
    }
    json.end_object();
    return out;
}

}  // namespace

void SubscriptionApi::add_routes(HttpFront& front) {
    const auto to = [this](void (SubscriptionApi::*handler)(Call)) {
        return [this, handler](Call&& call) { (this->*handler)(std::move(call)); };
    };
    front.add({"GET", "/v1/subscriptions", {}, to(&SubscriptionApi::list)});
    front.add({"GET", "/v1/subscriptions/{group}", {}, to(&SubscriptionApi::show)});
    front.add({"PUT", "/v1/subscriptions/{group}", {}, to(&SubscriptionApi::set)});
    front.add({"DELETE", "/v1/subscriptions/{group}", {}, to(&SubscriptionApi::remove)});
    front.add({"POST", "/v1/subscriptions/{group}/deliveries", {}, to(&SubscriptionApi::ask)});
    front.add({"POST", "/v1/subscriptions/{group}/acks", {}, to(&SubscriptionApi::say)});
    front.add({"GET", "/v1/subscriptions/{group}/dead", {}, to(&SubscriptionApi::letters)});
    front.add({"POST", "/v1/subscriptions/{group}/dead/redrive", {}, [this](Call&& call) {
                   change_letters(std::move(call), false);
               }});
    front.add({"POST", "/v1/subscriptions/{group}/dead/drop", {}, [this](Call&& call) {
                   change_letters(std::move(call), true);
               }});
    const auto ends = [this](DeliveryEnd end) {
        return [this, end](Call&& call) { say_of_one(std::move(call), end); };
    };
    front.add({"POST", "/v1/deliveries/{delivery}/ack", {}, ends(DeliveryEnd::acknowledged)});
    front.add({"POST", "/v1/deliveries/{delivery}/nack", {}, ends(DeliveryEnd::failed)});
    front.add({"POST", "/v1/deliveries/{delivery}/release", {}, ends(DeliveryEnd::released)});
    front.add({"POST", "/v1/deliveries/{delivery}/renew", {}, to(&SubscriptionApi::renew)});
}

std::string SubscriptionApi::write(const Subscription& group) const {
    const engine::Engine& engine = core_.engine();
    std::size_t leased = 0;
    for (const auto& [event, delivery] : group.open)
        leased += delivery.leased ? 1 : 0;
    return protocol::write_subscription(group, leased, engine.dead_letters(group.spec.group).size(),
                                        engine.lag_of(group), [&](const std::string& topic) {
                                            const Topic* found = engine.topic(topic);
                                            return found == nullptr ? EventSequence{}
                                                                    : found->newest;
                                        });
}

const Subscription* SubscriptionApi::group_of(Call& call) const {
    const std::string& name = call.parameters[0];
    const Subscription* group = core_.engine().subscription(name);
    if (group == nullptr) call.answer(Error{ErrorCode::subscription_not_found, name});
    return group;
}

void SubscriptionApi::list(Call call) {
    std::string out = "{\"subscriptions\":[";
    core_.engine().each_subscription([&](const Subscription& group) {
        if (!out.ends_with('[')) out.push_back(',');
        out += write(group);
    });
    out += "]}";
    core_.when_durable(
        [shared = std::make_shared<Call>(std::move(call)), out] { shared->answer(200, out); });
}

void SubscriptionApi::show(Call call) {
    const Subscription* group = group_of(call);
    if (group == nullptr) return;
    core_.when_durable([shared = std::make_shared<Call>(std::move(call)), out = write(*group)] {
        shared->answer(200, out);
    });
}

void SubscriptionApi::set(Call call) {
    const std::string name = call.parameters[0];
    if (!is_group_name(name))
        return call.answer(Error{ErrorCode::invalid_field, "group '" + name + "'"});
    auto spec = protocol::parse_subscription(call.request.body, name);
    if (!spec) return call.answer(spec.error());
    if (spec->start.from == StartAt::From::time) return start_at(std::move(call), std::move(*spec));
    apply(std::make_shared<Call>(std::move(call)), {std::move(*spec)});
}

// The places of a time are asked of the view, which must have all there is.
void SubscriptionApi::start_at(Call call, SubscriptionSpec spec) {
    const auto pattern = Pattern::parse(spec.pattern);
    std::vector<std::string> topics;
    core_.engine().each_topic([&](const Topic& topic) {
        if (pattern->matches(topic.name)) topics.push_back(topic.name);
    });
    struct Found {
        Result<void> result = std::unexpected{Error{ErrorCode::disk_full, "the view has no room"}};
        std::map<std::string, EventSequence> places;
    };
    auto found = std::make_shared<Found>();
    auto shared = std::make_shared<Call>(std::move(call));
    core_.when_viewed(
        [found, topics, time = spec.start.time](port::View& view) {
            found->result = {};
            for (const std::string& topic : topics) {
                const auto place = view.event_at(topic, time);
                if (!place) found->result = std::unexpected{place.error()};
                if (place && *place) found->places[topic] = **place;
            }
        },
        [this, found, shared, spec = std::move(spec)] {
            if (!found->result) return shared->answer(found->result.error());
            apply(shared, {spec, std::move(found->places)});
        });
}

void SubscriptionApi::apply(const std::shared_ptr<Call>& call, engine::SetSubscription command) {
    const std::string name = command.spec.group;
    core_.execute(
        std::move(command), [this, call, name](const engine::Decision& decision) -> Core::Reply {
            if (decision.refused) return [call, error = *decision.refused] { call->answer(error); };
            desk_.serve();
            return
                [call, out = write(*core_.engine().subscription(name))] { call->answer(200, out); };
        });
}

void SubscriptionApi::remove(Call call) {
    auto shared = std::make_shared<Call>(std::move(call));
    core_.execute(engine::RemoveSubscription{shared->parameters[0]},
                  [this, shared](const engine::Decision& decision) -> Core::Reply {
                      if (decision.refused)
                          return [shared, error = *decision.refused] { shared->answer(error); };
                      desk_.serve();  // who waits is told
                      return [shared] { shared->respond({204, {}, {}}); };
                  });
}

void SubscriptionApi::ask(Call call) {
    const Subscription* group = group_of(call);
    if (group == nullptr) return;
    if (group->spec.webhook)
        return call.answer(Error{ErrorCode::group_has_webhook, group->spec.webhook->url});
    const auto question = protocol::parse_delivery_question(call.request.body);
    if (!question) return call.answer(question.error());
    call.drop_body();
    auto shared = std::make_shared<Call>(std::move(call));
    const auto asked = desk_.ask(
        shared->parameters[0], *question, shared->request.client_gone,
        [shared, timeout = group->spec.ack_timeout](const Result<engine::TopicAnswer>& answer) {
            if (!answer) return shared->answer(answer.error());
            shared->answer(200, deliveries_answer(shared->parameters[0], *answer, timeout));
        });
    if (!asked) shared->answer(asked.error());
}

// Each is taken or refused by itself; those refused are named.
void SubscriptionApi::say(Call call) {
    if (group_of(call) == nullptr) return;
    const std::string name = call.parameters[0];
    auto words = protocol::parse_words(call.request.body, name);
    if (!words) return call.answer(words.error());
    engine::EndDeliveries command{name, {}};
    auto ids = std::make_shared<std::vector<std::string>>();
    for (protocol::DeliveryWord& word : *words) {
        ids->push_back(protocol::to_text(word.id));
        command.items.push_back({std::move(word.id.event), word.id.epoch, word.end,
                                 std::move(word.error), word.retry_after});
    }
    auto shared = std::make_shared<Call>(std::move(call));
    core_.execute(std::move(command),
                  [this, shared, ids](const engine::Decision& decision) -> Core::Reply {
                      if (decision.refused)
                          return [shared, error = *decision.refused] { shared->answer(error); };
                      std::string out;
                      protocol::JsonWriter json{out};
                      std::size_t taken = 0;
                      json.begin_object().key("refused").begin_array();
                      for (std::size_t i = 0; i < ids->size(); ++i) {
                          const auto& refused = decision.topics.refused[i];
                          taken += refused ? 0 : 1;
                          if (!refused) continue;
                          json.begin_object()
                              .field("id", (*ids)[i])
                              .field("error", refused->name())
                              .field("detail", refused->detail)
                              .end_object();
                      }
                      json.end_array().field("taken", taken).end_object();
                      desk_.serve();
                      return [shared, out] { shared->answer(200, out); };
                  });
}

void SubscriptionApi::say_of_one(Call call, DeliveryEnd end) {
    auto id = protocol::parse_delivery_id(call.parameters[0]);
    if (!id) return call.answer(id.error());
    protocol::DeliveryWord word;
    if (end == DeliveryEnd::failed) {
        auto said = protocol::parse_nack(call.request.body);
        if (!said) return call.answer(said.error());
        word = std::move(*said);
    }
    engine::EndDeliveries command{
        id->group, {{id->event, id->epoch, end, std::move(word.error), word.retry_after}}};
    auto shared = std::make_shared<Call>(std::move(call));
    core_.execute(std::move(command),
                  [this, shared](const engine::Decision& decision) -> Core::Reply {
                      auto refused = decision.refused;
                      if (!refused) refused = decision.topics.refused.front();
                      if (refused) return [shared, error = *refused] { shared->answer(error); };
                      desk_.serve();
                      return [shared] { shared->answer(200, "{\"taken\":1}"); };
                  });
}

void SubscriptionApi::renew(Call call) {
    const auto id = protocol::parse_delivery_id(call.parameters[0]);
    if (!id) return call.answer(id.error());
    auto shared = std::make_shared<Call>(std::move(call));
    core_.execute(
        engine::RenewDeliveries{id->group, {{id->event, id->epoch}}},
        [this, shared, group = id->group](const engine::Decision& decision) -> Core::Reply {
            auto refused = decision.refused;
            if (!refused) refused = decision.topics.refused.front();
            if (refused) return [shared, error = *refused] { shared->answer(error); };
            const Duration timeout = core_.engine().subscription(group)->spec.ack_timeout;
            return [shared, timeout] {
                shared->answer(200, "{\"ack_timeout_ms\":" + std::to_string(timeout / ms) + "}");
            };
        });
}

void SubscriptionApi::letters(Call call) {
    if (group_of(call) == nullptr) return;
    std::string out = "{\"dead\":[";
    std::size_t left = limits::page_tasks_max;
    for (const auto& [event, letter] : core_.engine().dead_letters(call.parameters[0])) {
        if (left-- == 0) break;
        if (!out.ends_with('[')) out.push_back(',');
        protocol::write_letter(out, event, letter);
    }
    out += "]}";
    core_.when_durable(
        [shared = std::make_shared<Call>(std::move(call)), out] { shared->answer(200, out); });
}

void SubscriptionApi::change_letters(Call call, bool drop) {
    if (group_of(call) == nullptr) return;
    auto choice = protocol::parse_letters(call.request.body);
    if (!choice) return call.answer(choice.error());
    engine::ChangeDeadLetters command{call.parameters[0], drop, std::move(choice->events),
                                      choice->all ? limits::deliveries_open_max : 0};
    auto shared = std::make_shared<Call>(std::move(call));
    core_.execute(
        std::move(command), [this, shared](const engine::Decision& decision) -> Core::Reply {
            if (decision.refused)
                return [shared, error = *decision.refused] { shared->answer(error); };
            const std::size_t count = decision.topics.refused.size();
            const std::size_t left = core_.engine().dead_letters(shared->parameters[0]).size();
            desk_.serve();
            return [shared, count, left] {
                shared->answer(200, "{\"changed\":" + std::to_string(count) +
                                        ",\"left\":" + std::to_string(left) + "}");
            };
        });
}

}  // namespace taskd::service

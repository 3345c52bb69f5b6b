// Groups over HTTP: made, shown, asked for deliveries, told how those ended; dead letters.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "taskd/service/core.hpp"
#include "taskd/service/delivery_desk.hpp"
#include "taskd/service/http_front.hpp"

namespace taskd::service {

class SubscriptionApi {
  public:
    SubscriptionApi(Core& core, DeliveryDesk& desk) : core_{core}, desk_{desk} {}
    void add_routes(HttpFront& front);

  private:
    void list(Call call);
    void show(Call call);
    void set(Call call);
    void start_at(Call call, SubscriptionSpec spec);
    void apply(const std::shared_ptr<Call>& call, engine::SetSubscription command);
    void remove(Call call);
    void ask(Call call);
    void say(Call call);
    void say_of_one(Call call, DeliveryEnd end);
    void renew(Call call);
    void letters(Call call);
    void change_letters(Call call, bool drop);
    // The group that the call is about; none when it was answered.
    const Subscription* group_of(Call& call) const;
    std::string write(const Subscription& group) const;

    Core& core_;
    DeliveryDesk& desk_;
};

}  // namespace taskd::service

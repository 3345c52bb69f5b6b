#include "lua/modules/exchange_room.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "taskd/base/limits.hpp"

namespace taskd::lua {

ExchangeRoom::ExchangeRoom(const ExchangeRoomPorts& ports, std::size_t max, Duration patience,
                           std::string whose)
    : ports_{ports}, max_{max}, patience_{patience}, whose_{std::move(whose)} {}

Error ExchangeRoom::overloaded() const {
    return {ErrorCode::overloaded, fmt::format("{} requests of {} are under way", max_, whose_)};
}

void ExchangeRoom::send(Asked asked, Then then) {
    const SteadyTime now = ports_.clock.steady();
    const Duration timeout = asked.timeout;
    One one{std::move(asked), now + timeout, std::move(then)};
    if (under_way_ < max_) return begin(std::move(one));
    if (waiting_.size() >= limits::exchange_waiting_max)
        return one.then(std::unexpected{overloaded()});
    const auto at = waiting_.insert(waiting_.end(), std::move(one));
    at->timer = ports_.timers.make();
    at->timer->set(now + std::min(timeout, patience_), [this, at] {
        const One late = std::move(*at);
        waiting_.erase(at);
        late.then(std::unexpected{overloaded()});
    });
}

void ExchangeRoom::let_go(std::uint64_t number) {
    std::erase_if(waiting_, [number](const One& one) { return one.asked.number == number; });
}

void ExchangeRoom::begin(One one) {
    ++under_way_;
    ports_.http.send(one.asked.base_url, std::move(one.asked.request),
                     one.deadline - ports_.clock.steady(),
                     [this, alive = std::weak_ptr{alive_},
                      then = std::move(one.then)](Result<port::HttpResponse> answer) {
                         if (alive.expired()) return;
                         --under_way_;
                         begin_waiting();
                         then(std::move(answer));
                     });
}

void ExchangeRoom::begin_waiting() {
    while (under_way_ < max_ && !waiting_.empty()) {
        One one = std::move(waiting_.front());
        waiting_.pop_front();
        one.timer.reset();
        begin(std::move(one));
    }
}

}  // namespace taskd::lua

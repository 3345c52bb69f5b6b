// What every context holds: the ground that components stand on.
#pragma once

#include "taskd/bus/event.hpp"
#include "taskd/port/clock.hpp"
#include "taskd/port/key_store.hpp"
#include "taskd/port/log.hpp"
#include "taskd/port/timers.hpp"
#include "taskd/runtime/app_context.hpp"

namespace taskd::runtime {

inline constexpr ContextKey<port::Clock> clock_key{"clock"};
inline constexpr ContextKey<port::Timers> timers_key{"timers"};
inline constexpr ContextKey<port::Log> log_key{"log"};
inline constexpr ContextKey<bus::Publisher> bus_key{"bus"};

// Of roles that have them.
inline constexpr ContextKey<port::KeyStores> stores_key{"stores"};

}  // namespace taskd::runtime

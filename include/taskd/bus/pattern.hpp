// Topics of the event bus, and patterns that choose among them: those of the model.
#pragma once

#include "taskd/model/pattern.hpp"

namespace taskd::bus {

using taskd::is_topic;
using taskd::Pattern;

}  // namespace taskd::bus

// Schedules as JSON, as config/openapi.yaml says. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "taskd/base/result.hpp"
#include "taskd/model/schedule.hpp"

namespace taskd::protocol {

// The body of a PUT. Whether its times can be worked out is not looked at.
Result<ScheduleSpec> parse_schedule(std::string_view body, std::string name);

// `next`: the times to come, as far as they are known.
std::string write_schedule(const Schedule& schedule, const std::vector<WallTime>& next);

// The body of a backfill: both needed.
struct BackfillBody {
    WallTime from;
    WallTime to;
};
Result<BackfillBody> parse_backfill(std::string_view body);

}  // namespace taskd::protocol

// A schedule: a task submitted again and again, at the times of a cron expression or an interval.
// Durable. Values and pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "taskd/base/result.hpp"
#include "taskd/model/cron.hpp"
#include "taskd/model/queue_rules.hpp"
#include "taskd/model/task.hpp"

namespace taskd {

// What happens when a time comes and the task of the time before has not ended. On disk.
enum class Overlap : std::uint8_t {
    allow = 0,
    skip = 1,     // this time is left out
    replace = 2,  // the task before is cancelled
};
// What happens to times that passed while nobody was there. On disk.
enum class Misfire : std::uint8_t {
    skip = 0,
    once = 1,  // the newest of them is made up for
    all = 2,
};
std::string_view to_text(Overlap overlap);
std::string_view to_text(Misfire misfire);
std::optional<Overlap> parse_overlap(std::string_view text);
std::optional<Misfire> parse_misfire(std::string_view text);

// What was asked for.
struct ScheduleSpec {
    std::string name;
    std::string cron;   // or
    Duration every{0};  // from `start_at`, or from when the schedule was made
    std::string zone = "UTC";
    Overlap overlap = Overlap::skip;
    Misfire misfire = Misfire::once;
    std::optional<WallTime> start_at;  // no time before it
    std::optional<WallTime> end_at;    // none at or after it
    TaskSpec task;                     // what is submitted; each time has an id of its own

    friend bool operator==(const ScheduleSpec&, const ScheduleSpec&) = default;
};

enum class FireOutcome : std::uint8_t {  // on disk
    submitted = 0,
    overlapped = 1,  // left out: the task before had not ended
    refused = 2,     // the queue did not take it
};
std::string_view to_text(FireOutcome outcome);

// What came of one time of a schedule.
struct Fire {
    WallTime planned;
    WallTime at;
    FireOutcome outcome = FireOutcome::submitted;
    std::optional<TaskId> task;  // submitted; or the one that was in the way
    std::string reason;          // refused: the error's name

    friend bool operator==(const Fire&, const Fire&) = default;
};

struct Schedule {
    ScheduleSpec spec;
    WallTime made_at;
    Sequence made_as;     // record that made it: tells it from an earlier one of this name
    Sequence changed_as;  // record that changed it last, times that had their turn aside
    WallTime settled;     // times up to here have had their turn, whatever came of it
    std::optional<TaskId> last_task;  // of the newest time that was submitted
    std::optional<Pause> paused;
    std::uint64_t submitted = 0;
    std::uint64_t overlapped = 0;
    std::uint64_t refused = 0;
    std::uint64_t missed = 0;  // passed unseen and not made up for
    std::vector<Fire> fires;   // the newest limits::fires_shown_max

    friend bool operator==(const Schedule&, const Schedule&) = default;
};

// Up to where times have had their turn, by a clock that says `now`. What a clock that was wrong
// has settled far ahead of that counts no more: those of the last moment are not missed yet.
WallTime settled_by(const Schedule& schedule, WallTime now);
// When it was made, by the same clock.
WallTime made_by(const Schedule& schedule, WallTime now);

// The id of the task of one time: the same whenever it is asked for, so that a time that is made up
// for twice is one task.
TaskId fire_id(const Schedule& schedule, WallTime planned);

// When a schedule is due. Made once, asked often.
class Plan {
  public:
    // invalid_field.
    static Result<Plan> make(const ScheduleSpec& spec, WallTime made_at);

    // The first time after `after`; none when there is none any more.
    std::optional<WallTime> next(WallTime after, const ZoneSpans& zone) const;

  private:
    std::optional<Cron> cron_;
    Duration every_{0};
    WallTime origin_{};  // no time before it
    std::optional<WallTime> end_;
};

}  // namespace taskd

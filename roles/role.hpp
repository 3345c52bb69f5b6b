// What every long-running role shares: its options, its log, its key, its port file.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "command.hpp"
#include "reload.hpp"
#include "taskd/io/log.hpp"
#include "taskd/io/loop.hpp"
#include "taskd/io/memory.hpp"
#include "taskd/io/prometheus_metrics.hpp"
#include "taskd/port/clock.hpp"
#include "taskd/protocol/datagram.hpp"
#include "taskd/runtime/boot.hpp"
#include "taskd/runtime/event_bus.hpp"
#include "taskd/service/http_front.hpp"
#include "taskd/service/vitals.hpp"

namespace taskd::roles {

// The rows of `own`, then that of --boot-plan.
std::vector<OptionRow> with_boot_rows(std::vector<OptionRow> own);
// The rows of `own`, then those every role has.
std::vector<OptionRow> with_role_rows(std::vector<OptionRow> own, std::string_view port);

// The bus, and the log that tells it.
struct BusAndLog {
    std::unique_ptr<runtime::EventBus> bus;
    std::unique_ptr<io::ProcessLog> process_log;
    std::unique_ptr<port::Log> log;
};
Result<BusAndLog> make_bus_and_log(const Options& options, const port::Clock& clock, LogName name,
                                   std::vector<runtime::PlanStep>& steps);

// Where the components stand that a role may share with others; its own stand above them all. A
// role without one of them has nothing on that level.
namespace level {
inline constexpr std::size_t pidgen = 0;
inline constexpr std::size_t dispatcher = 1;  // of commands
inline constexpr std::size_t registry = 2;
inline constexpr std::size_t finder = 3;
inline constexpr std::size_t supervisor = 3;
inline constexpr std::size_t topology = 4;
inline constexpr std::size_t lifecycle = 5;
inline constexpr std::size_t factory = 6;
inline constexpr std::size_t functions = 7;
inline constexpr std::size_t own = 8;
}  // namespace level

// As the options ask for; the plan goes to stdout.
runtime::BootSettings boot_settings(const Options& options, std::vector<runtime::PlanStep> steps);

// The ground a role stands on; it outlives everything the role makes.
struct Ground {
    std::string role;
    io::Loop loop;
    io::MemoryTrimmer trimmer{loop};
    std::unique_ptr<port::Clock> clock;
    io::PrometheusMetrics metrics;
    bool metrics_open = false;
    std::unique_ptr<service::Vitals> vitals;
    std::unique_ptr<runtime::EventBus> bus;
    std::unique_ptr<io::ProcessLog> process_log;
    std::unique_ptr<port::Log> log;  // the same, told to the bus
    service::LogFigures log_figures;
    runtime::EventBus::Subscription log_subscription;
    std::vector<runtime::PlanStep> steps;  // what has been made, and how long it took
    protocol::ClusterKey key;
    std::string host;
    std::uint16_t port = 0;
    std::string listen;  // "unix:/path" beside host and port; may be empty
    std::string port_file;
    std::unique_ptr<SettingsReload> reload;

    Result<void> read(const Options& options);
    Result<void> watch();
    bool is_public() const;  // listens beyond loopback
    service::FrontWatch front_watch();
    // Ends the process without an answer: the disk may have kept anything.
    std::function<void(const Error&)> lost_disk();
};

// key_unreadable, and key_required when it would listen beyond loopback without a key.
Result<std::unique_ptr<Ground>> make_ground(const Options& options, LogName name);

class Door;

// Component that says where the role listens, once everything it is given has started.
class Announcement {
  public:
    template <class... Parts>
    Announcement(Ground& ground, const Door& door, const Parts&...)
        : ground_{ground}, door_{door} {}
    Result<void> start();

  private:
    Ground& ground_;
    const Door& door_;
};

}  // namespace taskd::roles

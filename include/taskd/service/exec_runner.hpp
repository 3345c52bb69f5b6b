// Runs a program for each task: the payload on its standard input, the result on its standard
// output, what it says on standard error in the task's log. roles/README.md has the rules.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "taskd/port/background.hpp"
#include "taskd/port/clock.hpp"
#include "taskd/port/http.hpp"
#include "taskd/port/log.hpp"
#include "taskd/port/process_runner.hpp"
#include "taskd/port/timers.hpp"
#include "taskd/service/log_sender.hpp"
#include "taskd/service/task_runner.hpp"

namespace taskd::service {

// What the output is: JSON where it parses and else a text, always JSON, or always a text.
enum class OutputForm { automatic, json, text };

struct ExecSettings {
    std::vector<std::string> argv;                         // the first is the program's path
    std::vector<std::pair<std::string, std::string>> env;  // beside what every run gets
    std::string dir;                                 // each run gets a folder of its own in here
    std::set<int> permanent = {64, 65, 66, 77, 78};  // exit codes not to be tried again
    OutputForm form = OutputForm::automatic;
    port::ProcessLimits limits;
    Duration timeout{0};                              // of one run; 0: the task's own alone
    Duration grace = std::chrono::seconds{5};         // from SIGTERM to SIGKILL
    Duration log_patience = std::chrono::seconds{5};  // for the last lines, before the result
    protocol::ClusterKey key;
};

struct ExecPorts {
    port::ProcessRunner& processes;
    port::HttpExchange& http;
    port::Background& lane;  // removes folders
    port::Clock& clock;
    port::Timers& timers;
    port::Log& log;
    std::function<Result<void>(const std::string&)> make_dir;
    std::function<Result<void>(const std::string&)> remove_dir;  // with all in it; off the loop
};

class ExecRunner final : public TaskRunner {
  public:
    ExecRunner(ExecSettings settings, ExecPorts ports);
    ~ExecRunner() override;

    void run(TaskRun run, std::function<void(RunEnd)> done) override;
    void stop(const protocol::LeaseKey& lease, std::function<void()> gone) override;
    // What its program said last.
    std::optional<Progress> progress(const protocol::LeaseKey& lease) const override;

  private:
    struct Running {
        std::function<void(RunEnd)> done;
        std::function<void()> gone;  // once it is stopped
        std::unique_ptr<port::Process> process;
        std::unique_ptr<LogSender> log;
        std::unique_ptr<port::Timer> timer;
        std::string dir;
        std::string out;
        std::string last_words;  // the end of what it said on standard error
        std::string line;        // of progress, so far
        std::optional<Progress> progress;
        unsigned bad_lines = 0;
        bool out_too_large = false;
        bool timed_out = false;
    };
    using LeaseKey = protocol::LeaseKey;

    port::ProcessSpec spec_of(const TaskRun& run, const std::string& dir) const;
    void printed(const LeaseKey& lease, port::ProcessStream stream, std::string_view bytes);
    void told(Running& running, std::string_view bytes);
    void told_line(Running& running);
    void end_slowly(const LeaseKey& lease);
    void ended(const LeaseKey& lease, port::ProcessEnd end);
    void finish(const LeaseKey& lease, const port::ProcessEnd& end);
    RunEnd result_of(const Running& running, const port::ProcessEnd& end) const;
    void remove_dir(const std::string& dir);

    ExecSettings settings_;
    ExecPorts ports_;
    std::map<LeaseKey, Running> running_;
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

// A line of progress, `PERCENT [NOTE]`, a `-` standing for a percentage that is not known:
// invalid_field.
Result<Progress> parse_progress_line(std::string_view line);

// What a program printed, as one JSON value. bad_answer when it is none in that form.
Result<std::string> output_as_json(std::string_view output, OutputForm form);

}  // namespace taskd::service

// Simulated child processes on a host of the simulated world: a program is a function, a path names
// it. The process dies with its host.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "sim_world.hpp"
#include "taskd/port/process_runner.hpp"

namespace taskd::test {

// What a program sees of itself. Everything it does reaches its parent a little later.
class SimProgram {
  public:
    virtual ~SimProgram() = default;
    virtual const port::ProcessSpec& spec() const = 0;
    virtual int pid() const = 0;
    virtual void print(port::ProcessStream stream, const std::string& line) = 0;
    virtual void exit(int status) = 0;
    // Instead of dying of this signal.
    virtual void on_signal(int number, std::function<void()> act) = 0;
    void on_terminate(std::function<void()> act);
};

class SimProcessRunner final : public port::ProcessRunner {
  public:
    using Main = std::function<void(std::shared_ptr<SimProgram>)>;

    explicit SimProcessRunner(SimHost& host) : host_{host} {}

    void install(const std::string& path, Main main) { programs_[path] = std::move(main); }
    // As from outside; false when no such process runs.
    bool kill(int pid);
    std::vector<int> running() const;

    Result<std::unique_ptr<port::Process>> spawn(const port::ProcessSpec& spec,
                                                 port::ProcessHandlers handlers) override;

  private:
    friend class SimProcess;
    struct State;

    SimHost& host_;
    std::map<std::string, Main> programs_;
    std::map<int, std::weak_ptr<State>> states_;
    int next_pid_ = 1000;
};

}  // namespace taskd::test

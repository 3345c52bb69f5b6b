#include "sim_processes.hpp"

#include <csignal>

#include "taskd/base/limits.hpp"

namespace taskd::test {

struct SimProcessRunner::State final : SimProgram, std::enable_shared_from_this<State> {
    State(SimHost& where, port::ProcessSpec what, int number, port::ProcessHandlers how)
        : host{where}, asked{std::move(what)}, id{number}, handlers{std::move(how)} {}

    const port::ProcessSpec& spec() const override { return asked; }
    int pid() const override { return id; }
    void on_signal(int number, std::function<void()> act) override {
        acts[number] = std::move(act);
    }

    void print(port::ProcessStream stream, const std::string& line) override {
        if (ended) return;
        if (handlers.bytes)
            return post([stream, line](State& self) { self.handlers.bytes(stream, line); });
        for (std::size_t at = 0; at == 0 || at < line.size(); at += limits::process_line_bytes_max)
            post([stream, piece = line.substr(at, limits::process_line_bytes_max)](State& self) {
                if (self.handlers.line) self.handlers.line(stream, piece);
            });
    }
    void exit(int status) override { end({.status = status}); }

    void end(port::ProcessEnd how) {
        if (std::exchange(ended, true)) return;
        acts.clear();
        post([how](State& self) {
            if (self.handlers.ended) self.handlers.ended(how);
        });
    }

    void post(std::function<void(State&)> act) {
        host.timers().post([self = shared_from_this(), act = std::move(act)] {
            if (!self->gone) act(*self);
        });
    }

    SimHost& host;
    port::ProcessSpec asked;
    int id;
    port::ProcessHandlers handlers;
    std::map<int, std::function<void()>> acts;
    bool ended = false;
    bool gone = false;  // nobody listens any more
};

void SimProgram::on_terminate(std::function<void()> act) {
    on_signal(SIGTERM, std::move(act));
}

class SimProcess final : public port::Process {
  public:
    explicit SimProcess(std::shared_ptr<SimProcessRunner::State> state)
        : state_{std::move(state)} {}
    ~SimProcess() override {
        state_->end({.signal = SIGKILL});
        state_->gone = true;
    }
    SimProcess(const SimProcess&) = delete;
    SimProcess& operator=(const SimProcess&) = delete;
    int pid() const override { return state_->id; }
    void signal(int number) override {
        state_->post([number](SimProcessRunner::State& state) {
            if (state.ended) return;
            const auto found = state.acts.find(number);
            if (found == state.acts.end()) return state.end({.signal = number});
            const auto act = found->second;
            act();
        });
    }
    void terminate() override { signal(SIGTERM); }
    void kill() override { state_->end({.signal = SIGKILL}); }

  private:
    std::shared_ptr<SimProcessRunner::State> state_;
};

bool SimProcessRunner::kill(int pid) {
    const auto found = states_.find(pid);
    const auto state = found == states_.end() ? nullptr : found->second.lock();
    if (!state || state->ended) return false;
    state->end({.signal = SIGKILL});
    return true;
}

std::vector<int> SimProcessRunner::running() const {
    std::vector<int> pids;
    for (const auto& [pid, weak] : states_)
        if (const auto state = weak.lock(); state && !state->ended) pids.push_back(pid);
    return pids;
}

Result<std::unique_ptr<port::Process>> SimProcessRunner::spawn(const port::ProcessSpec& spec,
                                                               port::ProcessHandlers handlers) {
    const auto program = programs_.find(spec.argv.at(0));
    if (program == programs_.end()) return fail(ErrorCode::file_missing, spec.argv[0]);
    const int pid = next_pid_++;
    const auto state = std::make_shared<State>(host_, spec, pid, std::move(handlers));
    states_[pid] = state;
    state->post([main = program->second](State& self) {
        if (!self.ended) main(self.shared_from_this());
    });
    return std::unique_ptr<port::Process>{std::make_unique<SimProcess>(state)};
}

}  // namespace taskd::test

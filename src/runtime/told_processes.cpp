#include "taskd/runtime/told_processes.hpp"

#include <utility>

namespace taskd::runtime {
namespace {

// Tells the end of one process, once: as it was, or when nobody waits for it any more.
class Telling {
  public:
    Telling(bus::Publisher& bus, const ProcessId& id, std::string program)
        : bus_{bus}, pid_{to_text(id)}, program_{std::move(program)} {}

    void started() {
        bus_.publish("process.started", {{"pid", pid_}, {"program", program_}});
        running_ = true;
    }
    void stopped(std::string how) {
        if (!std::exchange(running_, false)) return;
        bus_.publish("process.stopped",
                     {{"pid", pid_}, {"program", program_}, {"how", std::move(how)}});
    }

  private:
    bus::Publisher& bus_;
    std::string pid_;
    std::string program_;
    bool running_ = false;
};

class ToldProcess final : public port::Process {
  public:
    ToldProcess(std::unique_ptr<port::Process> process, std::shared_ptr<Telling> telling)
        : process_{std::move(process)}, telling_{std::move(telling)} {}
    ~ToldProcess() override {
        process_.reset();
        telling_->stopped("let go");
    }
    ToldProcess(const ToldProcess&) = delete;
    ToldProcess& operator=(const ToldProcess&) = delete;

    int pid() const override { return process_->pid(); }
    void signal(int number) override { process_->signal(number); }
    void terminate() override { process_->terminate(); }
    void kill() override { process_->kill(); }

  private:
    std::unique_ptr<port::Process> process_;
    std::shared_ptr<Telling> telling_;
};

}  // namespace

Result<std::unique_ptr<port::Process>> ToldProcesses::spawn(const port::ProcessSpec& spec,
                                                            port::ProcessHandlers handlers) {
    auto telling = std::make_shared<Telling>(bus_, ids_.next(host_), spec.argv.front());
    handlers.ended = [telling, ended = std::move(handlers.ended)](port::ProcessEnd end) {
        telling->stopped(end.signal != 0 ? "signal " + std::to_string(end.signal)
                                         : "status " + std::to_string(end.status));
        ended(end);
    };
    auto process = processes_.spawn(spec, std::move(handlers));
    if (!process) return process;
    telling->started();
    return std::make_unique<ToldProcess>(std::move(*process), std::move(telling));
}

}  // namespace taskd::runtime

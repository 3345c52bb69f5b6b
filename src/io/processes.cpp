#include "taskd/io/processes.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <asio/posix/stream_descriptor.hpp>
#include <cerrno>
#include <csignal>
#include <utility>

#include "io/loop_impl.hpp"
#include "io/spawn.hpp"
#include "taskd/base/limits.hpp"

namespace taskd::io {
namespace {

constexpr int reads_a_turn = 16;

class Child : public std::enable_shared_from_this<Child> {
  public:
    Child(Loop& loop, Spawned spawned, port::ProcessHandlers handlers)
        : pid_{spawned.pid},
          program_{spawned.program},
          handlers_{std::move(handlers)},
          lifeline_{std::move(spawned.lifeline)},
          guarded_{lifeline_.get() >= 0},
          watch_{context_of(loop), spawned.watch.release()},
          out_{asio::posix::stream_descriptor{context_of(loop), spawned.out.release()},
               port::ProcessStream::out,
               {}},
          err_{asio::posix::stream_descriptor{context_of(loop), spawned.err.release()},
               port::ProcessStream::err,
               {}},
          side_{asio::posix::stream_descriptor{context_of(loop)}, port::ProcessStream::side, {}} {
        if (spawned.side.get() >= 0) side_.pipe.assign(spawned.side.release());
    }

    void start() {
        for (Output* output : outputs_)
            if (output->pipe.is_open()) wait_output(*output);
        wait_end();
    }

    int pid() const { return pid_; }
    void signal(int number) {
        // Not yet reaped, so the number is still its own.
        if (reaped_) return;
        // What does not ask takes the child's own children along: they share its group, or have a
        // guard, who passes on what asks.
        if (number == SIGKILL && guarded_) return lifeline_.reset();
        ::kill(number == SIGKILL ? -pid_ : pid_, number);
    }

    void abandon() {
        gone_ = true;
        if (!reaped_) {
            if (guarded_)
                lifeline_.reset();
            else
                ::kill(-pid_, SIGKILL);
            while (waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
            }
            reaped_ = true;
        }
        asio::error_code ignored;
        watch_.close(ignored);
        for (Output* output : outputs_)
            output->pipe.close(ignored);
    }

  private:
    struct Output {
        asio::posix::stream_descriptor pipe;
        port::ProcessStream stream;
        std::string partial;
    };

    void wait_output(Output& output) {
        output.pipe.async_wait(asio::posix::descriptor_base::wait_read,
                               [self = shared_from_this(), &output](asio::error_code error) {
                                   if (error || self->gone_) return;
                                   if (self->read_some(output, reads_a_turn))
                                       self->wait_output(output);
                               });
    }

    // It may be woken for nothing, as any wait may: then it waits again.
    void wait_end() {
        watch_.async_wait(asio::posix::descriptor_base::wait_read,
                          [self = shared_from_this()](asio::error_code error) {
                              if (!error && !self->gone_ && !self->reap()) self->wait_end();
                          });
    }

    // False at the end of the stream, or when the process is not watched any more.
    bool read_some(Output& output, int reads) {
        std::array<char, limits::process_line_bytes_max> buffer;
        for (int i = 0; i < reads; ++i) {
            const ssize_t size = ::read(output.pipe.native_handle(), buffer.data(), buffer.size());
            if (size < 0) return errno == EAGAIN || errno == EINTR;
            if (size == 0) return false;
            take(output, {buffer.data(), static_cast<std::size_t>(size)});
            if (gone_) return false;
        }
        return true;
    }

    void take(Output& output, std::string_view bytes) {
        if (handlers_.bytes) return handlers_.bytes(output.stream, bytes);
        while (!bytes.empty() && !gone_) {
            const auto end = bytes.find('\n');
            const std::size_t room = limits::process_line_bytes_max - output.partial.size();
            const std::size_t size = std::min(std::min(end, bytes.size()), room);
            output.partial += bytes.substr(0, size);
            bytes.remove_prefix(size);
            const bool whole = bytes.starts_with('\n');
            if (whole) bytes.remove_prefix(1);
            if (whole || output.partial.size() == limits::process_line_bytes_max) say(output);
        }
    }

    void say(Output& output) {
        const std::string line = std::exchange(output.partial, {});
        if (handlers_.line) handlers_.line(output.stream, line);
    }

    // False when it still runs.
    bool reap() {
        int status = 0;
        if (waitpid(pid_, &status, WNOHANG) != pid_) return false;
        reaped_ = true;
        // A guard that was killed itself left its work undone.
        if (guarded_ && WIFSIGNALED(status)) ::kill(-program_, SIGKILL);
        // What it wrote before it ended; a grandchild may hold the pipes open for longer.
        for (Output* output : outputs_) {
            if (!output->pipe.is_open()) continue;
            read_some(*output, 1024);
            if (!gone_ && !output->partial.empty()) say(*output);
            if (gone_) return true;
        }
        asio::error_code ignored;
        for (Output* output : outputs_)
            output->pipe.close(ignored);
        const port::ProcessEnd end = WIFSIGNALED(status)
                                         ? port::ProcessEnd{.signal = WTERMSIG(status)}
                                         : port::ProcessEnd{.status = WEXITSTATUS(status)};
        if (handlers_.ended) handlers_.ended(end);
        return true;
    }

    const int pid_;
    const int program_;  // of a guarded one
    port::ProcessHandlers handlers_;
    Descriptor lifeline_;
    const bool guarded_;
    asio::posix::stream_descriptor watch_;
    Output out_;
    Output err_;
    Output side_;
    const std::array<Output*, 3> outputs_{&out_, &err_, &side_};
    bool reaped_ = false;
    bool gone_ = false;
};

class RealProcess final : public port::Process {
  public:
    explicit RealProcess(std::shared_ptr<Child> child) : child_{std::move(child)} {}
    ~RealProcess() override { child_->abandon(); }
    RealProcess(const RealProcess&) = delete;
    RealProcess& operator=(const RealProcess&) = delete;
    int pid() const override { return child_->pid(); }
    void signal(int number) override { child_->signal(number); }
    void terminate() override { child_->signal(SIGTERM); }
    void kill() override { child_->signal(SIGKILL); }

  private:
    std::shared_ptr<Child> child_;
};

}  // namespace

Result<std::unique_ptr<port::Process>> ProcessRunner::spawn(const port::ProcessSpec& spec,
                                                            port::ProcessHandlers handlers) {
    auto spawned = spawn_child(spec);
    if (!spawned) return fail(std::move(spawned));
    const auto child = std::make_shared<Child>(loop_, std::move(*spawned), std::move(handlers));
    child->start();
    return std::unique_ptr<port::Process>{std::make_unique<RealProcess>(child)};
}

}  // namespace taskd::io

// What the simulated world hands out behind the ports; only sim_*.cpp look in here.
#pragma once

#include <deque>
#include <memory>

#include "sim_world.hpp"

namespace taskd::test {

class SimTimer final : public port::Timer {
  public:
    explicit SimTimer(SimHost& host) : host_{host}, life_{host.life_} {}
    ~SimTimer() override { clear(); }
    SimTimer(const SimTimer&) = delete;
    SimTimer& operator=(const SimTimer&) = delete;
    void set(SteadyTime at, std::function<void()> fire) override;
    void clear() override;

  private:
    SimHost& host_;
    std::uint64_t life_;
    SimQueue::Ticket ticket_;
    std::function<void()> fire_;
};

class SimLane final : public port::Background {
  public:
    explicit SimLane(SimHost& host) : host_{host}, shared_{std::make_shared<Shared>()} {
        shared_->life = host.life_;
    }
    ~SimLane() override;
    SimLane(const SimLane&) = delete;
    SimLane& operator=(const SimLane&) = delete;
    void run(std::function<void()> job, std::function<void()> then) override;

  private:
    struct Work {
        std::function<void()> job;
        std::function<void()> then;
    };
    struct Shared {
        std::uint64_t life = 0;
        bool gone = false;
        std::deque<Work> waiting;
        Duration busy_until{0};
        Duration then_at{0};
    };
    static void finish_one(const std::shared_ptr<Shared>& shared, SimHost& host);

    SimHost& host_;
    std::shared_ptr<Shared> shared_;
};

class SimSocket final : public port::Datagram {
  public:
    SimSocket(SimHost& host, std::uint16_t port)
        : host_{host}, life_{host.life_}, local_{host.address_, port} {
        host.sockets_[port] = this;
    }
    ~SimSocket() override;
    SimSocket(const SimSocket&) = delete;
    SimSocket& operator=(const SimSocket&) = delete;
    void on_receive(std::function<void(const port::Endpoint&, std::string_view)> take) override {
        take_ = std::make_shared<const Take>(std::move(take));
    }
    void send(const port::Endpoint& to, std::string_view bytes) override;
    port::Endpoint local() const override { return local_; }
    std::size_t receive_buffer_bytes() const override { return 1024 * 1024; }

  private:
    friend class SimWorld;
    SimHost& host_;
    std::uint64_t life_;
    port::Endpoint local_;
    using Take = std::function<void(const port::Endpoint&, std::string_view)>;
    std::shared_ptr<const Take> take_;
};

// Takes the one answer; destroyed without one it answers 500, as the real server does.
class SimResponder {
  public:
    SimResponder(SimHost& server, std::uint64_t call)
        : server_{&server}, life_{server.life_}, call_{call} {}
    SimResponder(SimResponder&& other) noexcept
        : server_{std::exchange(other.server_, nullptr)}, life_{other.life_}, call_{other.call_} {}
    SimResponder& operator=(SimResponder&&) = delete;
    ~SimResponder();
    void operator()(port::HttpResponse response);

  private:
    SimHost* server_;
    std::uint64_t life_;
    std::uint64_t call_;
};

}  // namespace taskd::test

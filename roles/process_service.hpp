// A process of an entry, as a supervisor looks after it. On the loop.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "program_entries.hpp"
#include "taskd/io/loop.hpp"
#include "taskd/lua/host.hpp"

namespace taskd::roles {

class ProcessService final : public port::Service {
  public:
    ProcessService(lua::Host& host, io::Loop& loop, const ProcessEntry& entry)
        : host_{host},
          loop_{loop},
          program_{entry.id},
          arguments_{entry.arguments},
          grace_{entry.service.stop_timeout} {}
    ~ProcessService() override { kill(); }

    void start(port::ServiceHandlers handlers) override {
        handlers_ = std::move(handlers);
        const std::uint64_t life = ++life_;
        const auto id =
            host_.spawn({.program = program_,
                         .arguments = arguments_,
                         .on_end = [this, life, &loop = loop_,
                                    alive = std::weak_ptr{alive_}](const lua::ProcessEnded& end) {
                             loop.post_from_any_thread([this, life, alive, end] {
                                 if (!alive.expired() && life == life_) ended(end);
                             });
                         }});
        loop_.post([this, life, id, alive = std::weak_ptr{alive_}] {
            if (alive.expired() || life != life_) return;
            if (!id) return ended({program_, std::unexpected{id.error()}});
            number_ = id->number;
            handlers_.ready();
        });
    }
    void stop() override {
        if (number_ != 0) (void)host_.cancel(number_, "stopped", grace_);
    }
    void kill() override {
        if (number_ != 0) (void)host_.terminate(number_, "stopped");
    }

  private:
    void ended(const lua::ProcessEnded& end) {
        number_ = 0;
        const bool done = end.result.has_value();
        handlers_.ended({.retry = !done,
                         .status = done ? 0 : row_of(end.result.error().code).exit_code,
                         .how = done ? "done" : end.result.error().to_string()});
    }

    lua::Host& host_;
    io::Loop& loop_;
    const std::string program_;
    const std::vector<Value> arguments_;
    const Duration grace_;
    port::ServiceHandlers handlers_;
    std::uint64_t life_ = 0;
    runtime::ProcessNumber number_ = 0;
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace taskd::roles

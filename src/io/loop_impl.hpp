// What the loop is made of, for the other files of io/.
#pragma once

#include <asio/executor_work_guard.hpp>
#include <asio/io_context.hpp>
#include <asio/signal_set.hpp>
#include <memory>
#include <vector>

#include "taskd/io/loop.hpp"

namespace taskd::io {

struct Loop::Impl {
    asio::io_context context{1};
    asio::executor_work_guard<asio::io_context::executor_type> guard{context.get_executor()};
    std::vector<std::unique_ptr<asio::signal_set>> signals;
};

inline asio::io_context& context_of(Loop& loop) {
    return loop.impl().context;
}

}  // namespace taskd::io

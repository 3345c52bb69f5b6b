// The dispatcher of commands: programs ask for something by number, and the part that handles the
// number answers. Parts add their handlers while the role boots; then the table is frozen, and
// looking one up takes no lock.
//
// Numbers, by who handles them: 1 to 29 processes, 30 to 39 time, 40 to 59 functions, 60 to 99 the
// dispatcher's API, 100 to 109 HTTP, 110 to 119 events, 120 to 126 stores, from 256 what users
// build in.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <unordered_map>
#include <vector>

#include "taskd/base/result.hpp"
#include "taskd/model/value.hpp"

namespace taskd::runtime {

using CommandId = std::uint16_t;

struct CommandCall {
    std::uint64_t process = 0;  // the number of the asking process on its host
    std::vector<Value> arguments;
    std::function<void(Result<Value>)> answer;  // once, from any thread, also within the call
    // Takes what lets go of all that waits to answer. It runs when the asking one is stopped before
    // that, on any thread, also within the call; harmless after the answer. Once; may be empty.
    std::function<void(std::function<void()> let_go)> when_gone = {};
};

class Commands {
  public:
    static constexpr bool loads_beside = true;

    using Handler = std::function<void(CommandCall call)>;  // on any thread; must not block

    // command_twice names both. Not after freeze().
    Result<void> add(CommandId id, std::string name, Handler handler);
    void freeze();

    // After freeze(); nullptr when nobody handles it.
    const Handler* find(CommandId id) const;
    // Hands the call to its handler, or answers command_unknown.
    void dispatch(CommandId id, CommandCall call) const;

    struct Row {
        CommandId id;
        std::string name;
    };
    std::vector<Row> rows() const;  // by id

  private:
    struct One {
        std::string name;
        Handler handler;
    };

    static constexpr std::size_t table_size = 256;
    std::array<One, table_size> table_;
    std::unordered_map<CommandId, One> others_;
    bool frozen_ = false;
};

}  // namespace taskd::runtime

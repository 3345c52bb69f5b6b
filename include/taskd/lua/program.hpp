// A program in Lua, compiled once and run in as many machines as wanted. Bytecode is never taken
// from outside: only what compile() made runs.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>

#include "taskd/base/result.hpp"

namespace taskd::lua {

class Program;
using ProgramPtr = std::shared_ptr<const Program>;

// What a program may reach by `require`.
struct Reach {
    std::set<std::string, std::less<>> modules;              // "json"
    std::map<std::string, ProgramPtr, std::less<>> imports;  // other programs under a name
};

class Program {
  public:
    // `name` stands before the line in errors. bad_program for what is no Lua, is bytecode, or is
    // larger than limits::program_bytes_max.
    static Result<ProgramPtr> compile(std::string name, std::string_view source, Reach reach = {});

    const std::string& name() const { return name_; }
    const std::string& bytecode() const { return bytecode_; }
    const Reach& reach() const { return reach_; }

  private:
    Program(std::string name, std::string bytecode, Reach reach)
        : name_{std::move(name)}, bytecode_{std::move(bytecode)}, reach_{std::move(reach)} {}

    std::string name_;
    std::string bytecode_;
    Reach reach_;
};

}  // namespace taskd::lua

// Which subscribers an event goes to. Exact topics cost one look-up, patterns one match each. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "taskd/bus/pattern.hpp"

namespace taskd::bus {

class Routes {
  public:
    using Id = std::uint64_t;

    void add(Id id, Pattern pattern);
    void remove(Id id);
    // In ascending order, each once. `found` is emptied first.
    void find(std::string_view topic, std::vector<Id>& found) const;
    std::size_t size() const;

  private:
    std::unordered_map<std::string, std::vector<Id>> exact_;
    std::vector<std::pair<Id, Pattern>> patterns_;
};

}  // namespace taskd::bus

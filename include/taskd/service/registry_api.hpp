// The registry of a role over HTTP: changes alone; who reads it opens its file. On the loop.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "taskd/port/history.hpp"
#include "taskd/protocol/entry_json.hpp"
#include "taskd/service/http_front.hpp"

namespace taskd::service {

class RegistryApi {
  public:
    using Made = Result<std::optional<port::RegistryVersion>>;
    // Makes the change, and answers at once or later; none when it was so already.
    using Change =
        std::function<void(protocol::RegistryAsked asked, std::function<void(const Made&)> done)>;

    explicit RegistryApi(Change change) : change_{std::move(change)} {}
    void add_routes(HttpFront& front);

  private:
    void post(Call call);

    Change change_;
};

// {"version", "at", "changes", "note"}.
std::string write_version(const port::RegistryVersion& version);

}  // namespace taskd::service

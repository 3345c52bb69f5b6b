// A TCP client that sends exactly the bytes it is told to, on the loop's own thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "taskd/io/loop.hpp"

namespace taskd::test {

struct RawResponse {
    int status = 0;
    std::string head;  // status line and headers
    std::string body;
};

class RawClient {
  public:
    RawClient(io::Loop& loop, std::uint16_t port, const std::string& address = "127.0.0.1");
    ~RawClient();
    RawClient(const RawClient&) = delete;
    RawClient& operator=(const RawClient&) = delete;

    // Turns the loop while the server has to read; false when the connection broke.
    bool send(std::string_view bytes);
    void finish_sending();  // closes this side alone
    void reset();           // vanishes without a goodbye
    // Takes what has come.
    void pump();
    bool at_end() const { return at_end_; }
    const std::string& received() const { return received_; }
    // Turns the loop until that much has come.
    bool wait_for_bytes(std::size_t count);
    bool wait_for_end();
    // Whole answers received so far; "100 Continue" is one. `heads`: none has a body.
    std::vector<RawResponse> responses(bool heads = false) const;
    bool wait_for_responses(std::size_t count, bool heads = false);

  private:
    bool wait(const std::function<bool()>& done);

    io::Loop& loop_;
    int socket_ = -1;
    bool at_end_ = false;
    std::string received_;
};

}  // namespace taskd::test

// One connection of the HTTP server: bytes to requests, answers to bytes, in order.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <string>

#include "io/http/server_core.hpp"
#include "taskd/protocol/http_parser.hpp"

namespace taskd::io {

class HttpConnection : public std::enable_shared_from_this<HttpConnection> {
  public:
    HttpConnection(HttpServerCore& core, StreamSocket socket);

    void start(HttpServerCore::Connections::iterator place);
    // Answers with this error and closes.
    void refuse(const Error& error);
    // Takes no further request; closes once what was asked is answered.
    void drain();
    void close();
    void flush();
    void check_deadline(SteadyTime now);

  private:
    friend class HttpConnectionResponder;
    using Phase = protocol::HttpParser::Phase;

    // A request that has not been written its answer, in order of arrival.
    struct Slot {
        bool keep_alive = true;
        bool minor_version_0 = false;
        bool head = false;
        std::optional<port::HttpResponse> response;
        bool streaming = false;  // its head is written, its stream goes on
    };

    void wait_read();
    void on_readable();
    void take(std::string_view bytes);
    void take_more();
    bool may_read() const;
    bool may_take() const;
    bool is_refused() const;
    void dispatch(protocol::HttpMessage message);
    bool has_too_many_bodies() const;
    bool is_always_answered(const protocol::HttpMessage& message) const;
    void answer(std::uint64_t slot, port::HttpResponse response);
    void answer(std::uint64_t slot, const Error& error) { answer(slot, core_.problem(error)); }
    void write_answers();
    void begin_stream();
    bool write_stream();  // false while it goes on
    bool streams() const { return !slots_.empty() && slots_.front().streaming; }
    bool stream_waits() const;
    std::string& tail();
    void send();
    void note_progress(std::size_t sent);
    void wait_write();
    void linger();
    void on_end_of_stream();
    void count_body(std::size_t held);
    void count_answers();
    void set_deadline();

    HttpServerCore& core_;
    StreamSocket socket_;
    HttpServerCore::Connections::iterator place_;
    std::string sender_;  // the peer's numeric address
    protocol::HttpParser parser_;
    std::string leftover_;  // read and not yet parsed: too many requests wait for answers
    std::deque<Slot> slots_;
    std::uint64_t first_slot_ = 0;
    std::deque<std::string> out_;
    std::size_t out_sent_ = 0;        // of out_.front()
    std::size_t out_bytes_ = 0;       // all of out_, sent or not
    std::size_t answered_bytes_ = 0;  // of answers that wait for earlier ones
    std::size_t answers_held_ = 0;    // as counted
    std::size_t body_held_ = 0;
    SteadyTime deadline_ = SteadyTime::max();
    Phase timed_phase_ = Phase::idle;  // what deadline_ was set for
    bool closed_ = false;
    bool asks_for_much_ = false;  // it has had a large answer
    bool judged_ = false;         // the head of the request being read
    bool in_turn_ = false;        // bytes are being taken: the flush follows anyway
    bool waiting_read_ = false;
    bool waiting_write_ = false;
    bool last_taken_ = false;  // no further request is read
    bool end_of_stream_ = false;
    bool lingering_ = false;
    bool continue_due_ = false;
    bool flush_asked_ = false;
    std::shared_ptr<bool> gone_ = std::make_shared<bool>(false);  // told to those who answer
};

}  // namespace taskd::io

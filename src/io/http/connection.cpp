#include "io/http/connection.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <asio/buffer.hpp>
#include <asio/ip/tcp.hpp>
#include <cstring>

#include "io/http/response_writer.hpp"

namespace taskd::io {
namespace {

// Smaller bodies are copied behind their head: one buffer is cheaper than two.
constexpr std::size_t body_copied_max = 8 * limits::kibibyte;
// A stream is written so far ahead of its client.
constexpr std::size_t stream_bytes_ahead = 64 * limits::kibibyte;
// A client that does not read its answers is not read from. One that was ever answered more at once
// gets its answers one by one.
constexpr std::size_t out_bytes_max = limits::mebibyte;
constexpr int reads_a_turn = 8;
constexpr std::size_t buffers_a_write = 32;
// A client that has vanished without a word is found out within half a minute: 15 s of silence, and
// three questions 5 s apart.
constexpr int keepalive_idle_seconds = 15;
constexpr int keepalive_interval_seconds = 5;
constexpr int keepalive_questions = 3;
// How long an answer that closes may take to be read before the connection is reset.
constexpr Duration linger_duration = std::chrono::seconds{2};

// Of a Unix socket the kernel knows by itself.
void keep_alive(int socket) {
    const auto set = [socket](int level, int name, int value) {
        ::setsockopt(socket, level, name, &value, sizeof value);
    };
    set(SOL_SOCKET, SO_KEEPALIVE, 1);
    set(IPPROTO_TCP, TCP_KEEPIDLE, keepalive_idle_seconds);
    set(IPPROTO_TCP, TCP_KEEPINTVL, keepalive_interval_seconds);
    set(IPPROTO_TCP, TCP_KEEPCNT, keepalive_questions);
}

// The numeric address of who sends; one on this machine has none.
std::string address_of(const StreamSocket& socket) {
    asio::error_code error;
    const auto peer = socket.remote_endpoint(error);
    const int family = peer.protocol().family();
    if (error || (family != AF_INET && family != AF_INET6)) return "unix";
    asio::ip::tcp::endpoint address;
    if (peer.size() > address.capacity()) return {};
    std::memcpy(address.data(), peer.data(), peer.size());
    address.resize(peer.size());
    return address.address().to_string();
}

}  // namespace

// The one answer to one request. The connection may be gone by the time it comes.
class HttpConnectionResponder {
  public:
    HttpConnectionResponder(std::weak_ptr<HttpConnection> connection, std::uint64_t slot)
        : connection_{std::move(connection)}, slot_{slot} {}
    HttpConnectionResponder(HttpConnectionResponder&& other) noexcept
        : connection_{std::move(other.connection_)},
          slot_{other.slot_},
          done_{std::exchange(other.done_, true)} {}
    HttpConnectionResponder& operator=(HttpConnectionResponder&&) = delete;
    ~HttpConnectionResponder() {
        if (done_) return;
        if (const auto connection = connection_.lock())
            connection->answer(slot_, Error{ErrorCode::internal, "no answer was given"});
    }
    void operator()(port::HttpResponse response) {
        if (std::exchange(done_, true)) return;
        if (const auto connection = connection_.lock())
            connection->answer(slot_, std::move(response));
        else if (response.stream)
            response.stream->close();
    }

  private:
    std::weak_ptr<HttpConnection> connection_;
    std::uint64_t slot_;
    bool done_ = false;
};

HttpConnection::HttpConnection(HttpServerCore& core, StreamSocket socket)
    : core_{core}, socket_{std::move(socket)}, parser_{core.settings().parser} {}

void HttpConnection::start(HttpServerCore::Connections::iterator place) {
    place_ = place;
    asio::error_code ignored;
    socket_.non_blocking(true, ignored);
    socket_.set_option(asio::ip::tcp::no_delay{true}, ignored);
    keep_alive(socket_.native_handle());
    sender_ = address_of(socket_);
    set_deadline();
    wait_read();
}

void HttpConnection::wait_read() {
    // Behind the last request nothing is taken, but its client may leave while it waits.
    const bool watched = last_taken_ && !slots_.empty();
    const bool wanted = lingering_ || watched || (!last_taken_ && leftover_.empty() && may_read());
    if (closed_ || waiting_read_ || end_of_stream_ || !wanted) return;
    waiting_read_ = true;
    socket_.async_wait(asio::socket_base::wait_read,
                       [self = shared_from_this()](asio::error_code error) {
                           self->waiting_read_ = false;
                           if (!error && !self->closed_) self->on_readable();
                       });
}

bool HttpConnection::may_read() const {
    return slots_.size() < core_.settings().pipelined_max &&
           out_bytes_ + answered_bytes_ < out_bytes_max;
}

// What is read all the same tells when the client leaves.
bool HttpConnection::may_take() const {
    return may_read() && (slots_.empty() || !asks_for_much_);
}

void HttpConnection::on_readable() {
    in_turn_ = true;
    const std::span<char> buffer = core_.read_buffer();
    for (int i = 0; i < reads_a_turn && !closed_; ++i) {
        asio::error_code error;
        const std::size_t size =
            socket_.read_some(asio::buffer(buffer.data(), buffer.size()), error);
        if (error == asio::error::would_block) break;
        if (error) {
            in_turn_ = false;
            return error == asio::error::eof ? on_end_of_stream() : close();
        }
        if (!lingering_) take({buffer.data(), size});
        if (size < buffer.size() || (!lingering_ && (last_taken_ || !may_take()))) break;
    }
    in_turn_ = false;
    flush();
}

void HttpConnection::take(std::string_view bytes) {
    while (!bytes.empty() && !closed_ && !last_taken_ && may_take()) {
        const auto taken = parser_.feed(bytes);
        if (!taken) return refuse(taken.error());
        bytes.remove_prefix(*taken);
        count_body(parser_.body_bytes());
        if (parser_.phase() == Phase::complete) {
            dispatch(parser_.take());  // its body waits for nothing more
            continue;
        }
        if (parser_.phase() == Phase::body && !std::exchange(judged_, true) && is_refused())
            return dispatch(parser_.take_head());
        if (has_too_many_bodies())
            return refuse({ErrorCode::overloaded, "too many bodies at once"});
    }
    if (parser_.take_continue()) continue_due_ = true;
    if (!closed_ && !last_taken_) leftover_ = bytes;
}

// What is answered always has as much room again: loaders leave some to workers.
bool HttpConnection::has_too_many_bodies() const {
    const std::size_t most = core_.settings().bodies_bytes_max;
    if (core_.bodies_bytes <= most) return false;
    return core_.bodies_bytes > 2 * most || !is_always_answered(parser_.message());
}

// Nobody fills the memory with bodies that are turned away anyway.
bool HttpConnection::is_refused() const {
    const protocol::HttpMessage& head = parser_.message();
    return core_.handler().refuses(
        {.method = head.method, .target = head.target, .headers = head.headers, .body = {}});
}

void HttpConnection::dispatch(protocol::HttpMessage message) {
    count_body(0);
    judged_ = false;
    timed_phase_ = Phase::idle;
    continue_due_ = false;
    if (core_.draining()) message.keep_alive = false;
    if (!message.keep_alive) last_taken_ = true;
    slots_.push_back({.keep_alive = message.keep_alive,
                      .minor_version_0 = message.minor_version == 0,
                      .head = message.method == "HEAD",
                      .response = {}});
    ++core_.stats.requests;
    std::erase_if(message.headers, [](const auto& header) {
        return port::same_header(header.first, port::sender_header);
    });
    message.headers.emplace_back(port::sender_header, sender_);
    const std::uint64_t slot = first_slot_ + slots_.size() - 1;
    if (core_.answers_bytes > core_.settings().answers_bytes_max && !is_always_answered(message))
        return answer(slot, {ErrorCode::overloaded, "too many answers wait for their readers"});
    core_.handler().handle({.method = std::move(message.method),
                            .target = std::move(message.target),
                            .headers = std::move(message.headers),
                            .body = std::move(message.body),
                            .client_gone = gone_},
                           HttpConnectionResponder{weak_from_this(), slot});
}

bool HttpConnection::is_always_answered(const protocol::HttpMessage& message) const {
    return std::ranges::any_of(core_.settings().always_answered, [&](std::string_view each) {
        return each.ends_with('/') ? message.target.starts_with(each) && message.method == "POST"
                                   : message.target == each;
    });
}

void HttpConnection::refuse(const Error& error) {
    ++core_.stats.refused;
    count_body(0);
    last_taken_ = true;
    continue_due_ = false;
    port::HttpResponse response = core_.problem(error);
    answered_bytes_ += response.body.size();
    slots_.push_back({.keep_alive = false,
                      .minor_version_0 = false,
                      .head = false,
                      .response = std::move(response)});
    if (!in_turn_) flush();
}

void HttpConnection::answer(std::uint64_t slot, port::HttpResponse response) {
    if (closed_) {
        if (response.stream) response.stream->close();
        return;
    }
    answered_bytes_ += response.body.size();
    asks_for_much_ = asks_for_much_ || response.body.size() > out_bytes_max;
    count_answers();
    slots_[slot - first_slot_].response = std::move(response);
    if (slot != first_slot_ || in_turn_ || std::exchange(flush_asked_, true)) return;
    core_.flush_later(shared_from_this());
}

void HttpConnection::flush() {
    flush_asked_ = false;
    while (!closed_) {
        write_answers();
        if (continue_due_ && slots_.empty()) {
            continue_due_ = false;
            out_bytes_ += out_.emplace_back("HTTP/1.1 100 Continue\r\n\r\n").size();
        }
        send();
        if (!closed_ && !waiting_write_ && streams() && stream_waits()) continue;
        // What was held back while too many waited.
        if (closed_ || leftover_.empty() || last_taken_ || !may_take()) break;
        in_turn_ = true;
        take(std::exchange(leftover_, {}));
        in_turn_ = false;
    }
    count_answers();
    if (closed_) return;
    const bool finished = out_.empty() && slots_.empty() && last_taken_;
    if (finished && !lingering_) return linger();
    set_deadline();
    wait_read();
}

// Where small pieces are added.
std::string& HttpConnection::tail() {
    if (out_.empty() || out_.back().size() > body_copied_max) out_.emplace_back().reserve(512);
    return out_.back();
}

bool HttpConnection::stream_waits() const {
    const port::HttpStream& stream = *slots_.front().response->stream;
    return out_bytes_ < stream_bytes_ahead && (stream.waiting() > 0 || stream.ended());
}

void HttpConnection::begin_stream() {
    Slot& slot = slots_.front();
    slot.streaming = true;
    // A client of HTTP/1.0 knows the end by the end of the connection.
    if (slot.minor_version_0) slot.keep_alive = false;
    if (!slot.keep_alive) last_taken_ = true;
    std::string& head = tail();
    const std::size_t before = head.size();
    append_response_head(
        head, *slot.response,
        {.date = core_.date(), .close = !slot.keep_alive, .chunked = !slot.minor_version_0});
    out_bytes_ += head.size() - before;
    slot.response->stream->on_written([weak = weak_from_this()] {
        const auto self = weak.lock();
        if (!self || self->in_turn_ || std::exchange(self->flush_asked_, true)) return;
        self->core_.flush_later(self);
    });
}

bool HttpConnection::write_stream() {
    const Slot& slot = slots_.front();
    port::HttpStream& stream = *slot.response->stream;
    if (!stream_waits()) return false;
    const std::string bytes = stream.take();
    std::string& out = tail();
    const std::size_t before = out.size();
    if (slot.minor_version_0)
        out += bytes;
    else if (!bytes.empty())
        append_chunk(out, bytes);
    const bool over = stream.ended() && stream.waiting() == 0;
    if (over && !slot.minor_version_0) out += "0\r\n\r\n";
    out_bytes_ += out.size() - before;
    if (!over) return false;
    stream.close();
    slots_.pop_front();
    ++first_slot_;
    return true;
}

void HttpConnection::write_answers() {
    while (!slots_.empty() && slots_.front().response) {
        if (slots_.front().response->stream && !slots_.front().head) {
            if (!slots_.front().streaming) begin_stream();
            if (!write_stream()) return;
            continue;
        }
        Slot slot = std::move(slots_.front());
        slots_.pop_front();
        ++first_slot_;
        const bool last = !slot.keep_alive || (last_taken_ && slots_.empty());
        std::string& tail = this->tail();
        const std::size_t before = tail.size();
        append_response_head(tail, *slot.response,
                             {.date = core_.date(),
                              .close = last,
                              .say_keep_alive = slot.minor_version_0,
                              .chunked = slot.response->stream && !slot.minor_version_0});
        if (slot.response->stream) slot.response->stream->close();
        std::string& body = slot.response->body;
        answered_bytes_ -= body.size();
        const int status = slot.response->status;
        const bool silent = slot.head || status == 204 || status == 304;
        if (!silent && body.size() <= body_copied_max) tail += body;
        out_bytes_ += tail.size() - before;
        if (!silent && body.size() > body_copied_max) {
            out_bytes_ += body.size();
            out_.emplace_back().swap(body);  // a move makes g++ 12 warn for nothing
        }
    }
}

void HttpConnection::send() {
    while (!out_.empty() && !closed_ && !waiting_write_) {
        std::array<asio::const_buffer, buffers_a_write> buffers;
        std::size_t count = 0;
        for (const std::string& piece : out_) {
            if (count == buffers.size()) break;
            buffers[count++] = asio::buffer(piece);
        }
        buffers[0] += out_sent_;
        asio::error_code error;
        std::size_t sent = socket_.write_some(std::span{buffers.data(), count}, error);
        if (error == asio::error::would_block) {
            wait_write();
            break;
        }
        if (error) return close();
        note_progress(sent);
        sent += std::exchange(out_sent_, 0);
        while (!out_.empty() && sent >= out_.front().size()) {
            sent -= out_.front().size();
            out_bytes_ -= out_.front().size();
            out_.pop_front();
        }
        out_sent_ = sent;
    }
}

// What is taken puts the end off by the time that the least rate gives it, up to all of the time to
// write: who takes a byte now and then would hold an answer for ever. A stream holds little, and is
// as slow as what it tells of.
void HttpConnection::note_progress(std::size_t sent) {
    if (timed_phase_ != Phase::complete || (streams() && out_bytes_ <= out_bytes_max)) {
        timed_phase_ = Phase::idle;  // the time to write begins anew
        return;
    }
    const HttpServerSettings& settings = core_.settings();
    const Duration earned = Duration{std::chrono::seconds{1}} * static_cast<std::int64_t>(sent) /
                            static_cast<std::int64_t>(settings.write_rate_least);
    deadline_ = std::min(deadline_ + earned, core_.now() + settings.write_timeout);
}

void HttpConnection::wait_write() {
    waiting_write_ = true;
    socket_.async_wait(asio::socket_base::wait_write,
                       [self = shared_from_this()](asio::error_code error) {
                           self->waiting_write_ = false;
                           if (!error && !self->closed_) self->flush();
                       });
}

// Closing with unread bytes would reset the connection and take the answer away from the client:
// says that no more comes, and reads on for a while.
void HttpConnection::linger() {
    if (end_of_stream_) return close();
    asio::error_code error;
    socket_.shutdown(asio::socket_base::shutdown_send, error);
    if (error) return close();
    lingering_ = true;
    deadline_ = core_.now() + linger_duration;
    wait_read();
}

void HttpConnection::on_end_of_stream() {
    end_of_stream_ = true;
    last_taken_ = true;
    *gone_ = true;  // as far as anybody can tell
    // A client may close its side and wait for what it has asked.
    if (lingering_ || streams() || (slots_.empty() && out_.empty())) return close();
    flush();
}

void HttpConnection::drain() {
    if (closed_ || lingering_ || last_taken_) return;
    // What has reached this machine before the drain is still served.
    if (leftover_.empty() && may_take()) on_readable();
    const bool between = parser_.phase() == Phase::idle && leftover_.empty();
    if (closed_ || lingering_ || !between) return;
    last_taken_ = true;
    if (slots_.empty() && out_.empty()) close();
}

void HttpConnection::close() {
    if (std::exchange(closed_, true)) return;
    *gone_ = true;
    count_body(0);
    count_answers();
    const auto left = std::exchange(slots_, {});
    asio::error_code ignored;
    socket_.close(ignored);
    core_.forget(place_);
    for (const Slot& slot : left)
        if (slot.response && slot.response->stream) slot.response->stream->close();
}

void HttpConnection::count_body(std::size_t held) {
    core_.bodies_bytes += held - body_held_;
    body_held_ = held;
}

void HttpConnection::count_answers() {
    const std::size_t held = closed_ ? 0 : out_bytes_ + answered_bytes_;
    core_.answers_bytes += held - std::exchange(answers_held_, held);
}

// A phase gets its time once, when it begins, however slowly its bytes drip.
void HttpConnection::set_deadline() {
    if (lingering_ || closed_) return;
    const HttpServerSettings& settings = core_.settings();
    const Phase phase = last_taken_ ? Phase::idle : parser_.phase();
    if (!out_.empty()) {
        if (timed_phase_ == Phase::complete) return;
        timed_phase_ = Phase::complete;  // stands for writing
        deadline_ = core_.now() + settings.write_timeout;
    } else if (phase == Phase::head || phase == Phase::body) {
        if (timed_phase_ == phase) return;
        timed_phase_ = phase;
        deadline_ =
            core_.now() + (phase == Phase::head ? settings.header_timeout : settings.body_timeout);
    } else {
        timed_phase_ = Phase::idle;
        deadline_ = slots_.empty() ? core_.now() + settings.idle_timeout : SteadyTime::max();
    }
}

void HttpConnection::check_deadline(SteadyTime now) {
    if (closed_ || now < deadline_) return;
    const bool slow_request = timed_phase_ == Phase::head || timed_phase_ == Phase::body;
    if (lingering_ || !slow_request) return close();
    refuse({ErrorCode::request_timeout,
            timed_phase_ == Phase::head ? "the headers are incomplete" : "the body is incomplete"});
}

}  // namespace taskd::io

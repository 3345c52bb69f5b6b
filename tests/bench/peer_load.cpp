// Load on a task server over TCP, from one thread that never waits for one connection: taskd,
// beanstalkd and gearmand with the same tasks of 100 bytes, so that their figures stand side by
// side.
//   peer_load SERVER PORT put|cycle SECONDS CONNECTIONS AT_ONCE [KEY]
// put: submits, each answered. cycle: 4 workers reverse the payload (those of taskd are its own)
// and the result comes back to who submitted; beanstalkd keeps none, so that a reader takes them
// from a second tube. AT_ONCE is how many tasks are under way on a connection: pipelined, or in one
// request of taskd. Prints one line of JSON.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t workers = 4;
constexpr std::string_view type = "reverse";

[[noreturn]] void stop(std::string_view what, std::string_view more = {}) {
    std::fprintf(stderr, "peer_load: %.*s %.*s\n", static_cast<int>(what.size()), what.data(),
                 static_cast<int>(std::min<std::size_t>(more.size(), 200)), more.data());
    std::exit(1);
}

// What all connections share.
struct Run {
    bool cycle = false;
    std::size_t at_once = 1;
    std::string key;
    int poll = -1;
    std::uint16_t port = 0;
    bool over = false;         // nothing new is submitted
    std::uint64_t sent = 0;    // tasks
    std::uint64_t taken = 0;   // of them, answered
    std::uint64_t ended = 0;   // with a result that came back
    std::uint64_t slowed = 0;  // requests that were told to come again later
    std::vector<double> took;  // microseconds from a submit to its answer, one at a time
};

// A JSON string of 100 bytes.
std::string payload(std::uint64_t number) {
    char text[101];
    std::snprintf(text, sizeof text, "\"%020llu the quick brown fox jumps over the lazy dog",
                  static_cast<unsigned long long>(number));
    std::string made{text};
    made.resize(99, '.');
    return made + '"';
}

class Connection {
  public:
    explicit Connection(Run& run) : run_{run} {
        socket_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        sockaddr_in to{};
        to.sin_family = AF_INET;
        to.sin_port = htons(run.port);
        to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        const int on = 1;
        if (connect(socket_, reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0)
            stop("cannot connect", std::strerror(errno));
        setsockopt(socket_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        epoll_event event{};
        event.events = EPOLLIN;
        event.data.ptr = this;
        epoll_ctl(run.poll, EPOLL_CTL_ADD, socket_, &event);
    }
    virtual ~Connection() { close(socket_); }
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;

    virtual void begin() = 0;
    // Takes what it can from in(); says how much that was.
    virtual std::size_t take() = 0;
    // What was put off.
    virtual void again() {}

    void on_readable() {
        char bytes[64 * 1024];
        const ssize_t size = recv(socket_, bytes, sizeof bytes, MSG_DONTWAIT);
        if (size == 0) stop("the server has closed a connection");
        if (size < 0) return;
        in_.append(bytes, static_cast<std::size_t>(size));
        in_.erase(0, take());
        flush();
    }

    void flush() {
        while (!out_.empty()) {
            const ssize_t sent =
                send(socket_, out_.data(), out_.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
            if (sent < 0 && errno != EAGAIN) stop("cannot send", std::strerror(errno));
            if (sent < 0) break;
            out_.erase(0, static_cast<std::size_t>(sent));
        }
        if (out_.empty() == !waits_) return;
        waits_ = !out_.empty();
        epoll_event event{};
        event.events = EPOLLIN | (waits_ ? EPOLLOUT : 0U);
        event.data.ptr = this;
        epoll_ctl(run_.poll, EPOLL_CTL_MOD, socket_, &event);
    }

  protected:
    std::string_view in() const { return in_; }
    Run& run_;
    std::string out_;

  private:
    int socket_ = -1;
    std::string in_;
    bool waits_ = false;
};

// Who submits: keeps so many under way, and takes the time of one at a time.
class Submitter : public Connection {
  public:
    using Connection::Connection;
    void begin() override { more(); }

  protected:
    virtual void write_tasks(std::size_t count) = 0;

    void answered(std::size_t tasks) {
        run_.taken += tasks;
        under_way_ -= tasks;
        if (run_.at_once == 1)
            run_.took.push_back(
                std::chrono::duration<double, std::micro>(Clock::now() - sent_at_).count());
        if (under_way_ <= run_.at_once / 2) more();
    }
    void more() {
        if (run_.over || under_way_ >= run_.at_once) return;
        const std::size_t count = run_.at_once - under_way_;
        sent_at_ = Clock::now();
        write_tasks(count);
        under_way_ += count;
        run_.sent += count;
    }

  private:
    std::size_t under_way_ = 0;
    Clock::time_point sent_at_;
};

// ---- taskd: HTTP
// ---------------------------------------------------------------------------------

class TaskdSubmitter final : public Submitter {
  public:
    using Submitter::Submitter;

  private:
    void write_tasks(std::size_t count) override {
        std::string body = count > 1 ? "[" : "";
        for (std::size_t i = 0; i < count; ++i) {
            if (i > 0) body += ',';
            body.append("{\"type\":\"").append(run_.cycle ? type : "kept");
            body.append("\",\"payload\":").append(payload(run_.sent + i)).append("}");
        }
        if (count > 1) body += ']';
        in_request_ = count;
        request_.clear();
        request_.append("POST /v1/tasks").append(run_.cycle ? "?wait=60s" : "");
        request_.append(" HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n");
        if (!run_.key.empty())
            request_.append("Authorization: Bearer ").append(run_.key).append("\r\n");
        request_.append("Content-Length: ").append(std::to_string(body.size())).append("\r\n\r\n");
        request_ += body;
        out_ += request_;
    }

    void again() override {
        if (again_at_ == Clock::time_point{} || Clock::now() < again_at_) return;
        again_at_ = {};
        out_ += request_;
    }

    std::size_t take() override {
        const auto head = in().find("\r\n\r\n");
        if (head == std::string_view::npos) return 0;
        const auto length = in().find("Content-Length: ");
        if (length > head) stop("an answer without a length", in());
        const auto size = std::strtoul(in().data() + length + 16, nullptr, 10);
        if (in().size() < head + 4 + size) return 0;
        if (in().substr(9, 3) == "429") {
            ++run_.slowed;
            again_at_ = Clock::now() + std::chrono::milliseconds{20};
            return head + 4 + size;
        }
        if (in().substr(9, 3) != (run_.cycle ? "200" : "202")) stop("refused:", in());
        const std::string_view body = in().substr(head + 4, size);
        if (run_.cycle)
            for (auto at = body.find("\"result\":"); at != std::string_view::npos;
                 at = body.find("\"result\":", at + 1))
                ++run_.ended;
        answered(in_request_);
        return head + 4 + size;
    }

    std::size_t in_request_ = 0;
    std::string request_;
    Clock::time_point again_at_{};
};

// ---- beanstalkd: lines
// ---------------------------------------------------------------------------

// Splits off the answers' lines; what follows a line that announces bytes comes with it.
class BeanConnection : public Submitter {
  public:
    using Submitter::Submitter;

  protected:
    void put(std::string_view bytes) {
        out_.append("put 1000 0 60 ").append(std::to_string(bytes.size())).append("\r\n");
        out_.append(bytes).append("\r\n");
    }
    void write_tasks(std::size_t) override {}
    virtual void line(std::string_view words, std::string_view bytes) = 0;

    std::size_t take() final {
        std::size_t at = 0;
        for (;;) {
            const auto end = in().find("\r\n", at);
            if (end == std::string_view::npos) return at;
            const std::string_view words = in().substr(at, end - at);
            std::size_t size = 0;
            if (words.starts_with("RESERVED"))
                size = std::strtoul(words.data() + words.rfind(' ') + 1, nullptr, 10) + 2;
            if (in().size() < end + 2 + size) return at;
            line(words, in().substr(end + 2, size < 2 ? 0 : size - 2));
            at = end + 2 + size;
        }
    }
    static std::string_view job_of(std::string_view reserved) {
        return reserved.substr(9, reserved.rfind(' ') - 9);
    }
};

class BeanSubmitter final : public BeanConnection {
  public:
    using BeanConnection::BeanConnection;

  private:
    void write_tasks(std::size_t count) override {
        for (std::size_t i = 0; i < count; ++i)
            put(payload(run_.sent + i));
    }
    void line(std::string_view words, std::string_view) override {
        if (!words.starts_with("INSERTED")) stop("refused:", words);
        answered(1);
    }
};

class BeanWorker final : public BeanConnection {
  public:
    using BeanConnection::BeanConnection;
    void begin() override { out_ += "use results\r\nreserve\r\n"; }

  private:
    void line(std::string_view words, std::string_view bytes) override {
        if (!words.starts_with("RESERVED")) return;
        put(std::string{bytes.rbegin(), bytes.rend()});
        out_.append("delete ").append(job_of(words)).append("\r\nreserve\r\n");
    }
};

class BeanReader final : public BeanConnection {
  public:
    using BeanConnection::BeanConnection;
    void begin() override { out_ += "watch results\r\nignore default\r\nreserve\r\n"; }

  private:
    void line(std::string_view words, std::string_view) override {
        if (!words.starts_with("RESERVED")) return;
        ++run_.ended;
        out_.append("delete ").append(job_of(words)).append("\r\nreserve\r\n");
    }
};

// ---- gearmand: packets
// ---------------------------------------------------------------------------

enum Packet : std::uint32_t {
    can_do = 1,
    pre_sleep = 4,
    noop = 6,
    submit_job = 7,
    job_created = 8,
    grab_job = 9,
    no_job = 10,
    job_assign = 11,
    work_complete = 13,
    submit_job_bg = 18,
};

class GearConnection : public Submitter {
  public:
    using Submitter::Submitter;

  protected:
    void packet(Packet kind, std::string_view data = {}) {
        const std::uint32_t head[] = {htonl(kind), htonl(static_cast<std::uint32_t>(data.size()))};
        out_.append("\0REQ", 4).append(reinterpret_cast<const char*>(head), sizeof head);
        out_ += data;
    }
    void write_tasks(std::size_t) override {}
    virtual void packet_came(std::uint32_t kind, std::string_view data) = 0;

    std::size_t take() final {
        std::size_t at = 0;
        while (in().size() - at >= 12) {
            std::uint32_t head[2];
            std::memcpy(head, in().data() + at + 4, sizeof head);
            const std::size_t size = ntohl(head[1]);
            if (in().size() - at < 12 + size) break;
            packet_came(ntohl(head[0]), in().substr(at + 12, size));
            at += 12 + size;
        }
        return at;
    }
};

class GearSubmitter final : public GearConnection {
  public:
    using GearConnection::GearConnection;

  private:
    void write_tasks(std::size_t count) override {
        for (std::size_t i = 0; i < count; ++i) {
            const std::string number = std::to_string(run_.sent + i);
            std::string data{type};
            data.append(1, '\0').append(number).append(1, '\0').append(payload(run_.sent + i));
            packet(run_.cycle ? submit_job : submit_job_bg, data);
        }
    }
    void packet_came(std::uint32_t kind, std::string_view) override {
        if (kind != (run_.cycle ? work_complete : job_created)) return;
        if (run_.cycle) ++run_.ended;
        answered(1);
    }
};

class GearWorker final : public GearConnection {
  public:
    using GearConnection::GearConnection;
    void begin() override {
        packet(can_do, type);
        packet(grab_job);
    }

  private:
    void packet_came(std::uint32_t kind, std::string_view data) override {
        if (kind == no_job) return packet(pre_sleep);
        if (kind == noop) return packet(grab_job);
        if (kind != job_assign) return;
        const auto handle = data.substr(0, data.find('\0'));
        const auto work = data.substr(data.find('\0', handle.size() + 1) + 1);
        std::string done{handle};
        done.append(1, '\0').append(work.rbegin(), work.rend());
        packet(work_complete, done);
        packet(grab_job);
    }
};

using Connections = std::vector<std::unique_ptr<Connection>>;

template <class Each>
void add(Connections& all, Run& run, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i)
        all.push_back(std::make_unique<Each>(run));
}

Connections connect_all(std::string_view server, Run& run, std::size_t count) {
    Connections all;
    if (server == "taskd") {
        add<TaskdSubmitter>(all, run, count);
    } else if (server == "beanstalkd") {
        if (run.cycle) add<BeanWorker>(all, run, workers);
        if (run.cycle) add<BeanReader>(all, run, 1);
        add<BeanSubmitter>(all, run, count);
    } else if (server == "gearmand") {
        if (run.cycle) add<GearWorker>(all, run, workers);
        add<GearSubmitter>(all, run, count);
    } else {
        stop("the server is taskd, beanstalkd or gearmand, not", server);
    }
    return all;
}

void turn(Run& run) {
    epoll_event events[64];
    const int count = epoll_wait(run.poll, events, 64, 5);
    for (int i = 0; i < count; ++i) {
        auto* connection = static_cast<Connection*>(events[i].data.ptr);
        if ((events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) connection->on_readable();
        connection->flush();
    }
}

double percentile(std::vector<double>& values, double share) {
    if (values.empty()) return 0;
    const auto at = static_cast<std::size_t>(share * static_cast<double>(values.size() - 1));
    std::ranges::nth_element(values, values.begin() + static_cast<std::ptrdiff_t>(at));
    return values[at];
}

}  // namespace

int main(int argc, char** argv) {
    const std::vector<std::string> words{argv + 1, argv + argc};
    if (words.size() < 6) stop("SERVER PORT put|cycle SECONDS CONNECTIONS AT_ONCE [KEY]");
    Run run;
    run.port = static_cast<std::uint16_t>(std::stoi(words[1]));
    run.cycle = words[2] == "cycle";
    run.at_once = std::stoul(words[5]);
    if (words.size() > 6) run.key = words[6];
    run.poll = epoll_create1(EPOLL_CLOEXEC);
    const Connections all = connect_all(words[0], run, std::stoul(words[4]));
    const auto begin = Clock::now();
    const auto enough = begin + std::chrono::duration<double>(std::stod(words[3]));
    const auto patience = enough + std::chrono::seconds{60};
    for (const auto& each : all) {
        each->begin();
        each->flush();
    }
    const auto done = [&] { return (run.cycle ? run.ended : run.taken) == run.sent; };
    while (!run.over || !done()) {
        turn(run);
        for (const auto& each : all) {
            each->again();
            each->flush();
        }
        if (Clock::now() >= enough) run.over = true;
        if (Clock::now() >= patience) stop("not all of it has ended");
    }
    const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
    std::printf(
        "{\"tasks\": %llu, \"seconds\": %.3f, \"rate\": %.0f, \"p50_us\": %.1f, \"p99_us\": %.1f, "
        "\"slowed\": %llu}\n",
        static_cast<unsigned long long>(run.sent), seconds, static_cast<double>(run.sent) / seconds,
        percentile(run.took, 0.5), percentile(run.took, 0.99),
        static_cast<unsigned long long>(run.slowed));
    return 0;
}

#include "io/http/blocking_client.hpp"

#include <fcntl.h>
#include <httplib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <mutex>

#include "io/http/tcp_received.hpp"
#include "taskd/protocol/http_url.hpp"

namespace taskd::io {
namespace {

using std::chrono::steady_clock;

bool is_header_safe(std::string_view text) {
    return text.find_first_of(std::string_view{"\r\n\0", 3}) == text.npos;
}

bool is_safe(const port::HttpRequest& request) {
    return request.target.starts_with('/') && is_header_safe(request.method) &&
           is_header_safe(request.target) &&
           std::ranges::all_of(request.headers, [](const auto& header) {
               return is_header_safe(header.first) && is_header_safe(header.second);
           });
}

bool may_repeat(std::string_view method) {
    return method != "POST" && method != "PATCH";
}

// Why there is no connection: the library does not say, so the socket is tried once more.
Error unix_fault(const std::string& path) {
    const int tried = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    errno = 0;
    if (tried >= 0) ::connect(tried, reinterpret_cast<const sockaddr*>(&address), sizeof address);
    const int fault = errno;
    if (tried >= 0) ::close(tried);
    if (fault == ENOENT || fault == ENOTDIR) return {ErrorCode::socket_missing, path};
    if (fault == EACCES || fault == EPERM) return {ErrorCode::socket_forbidden, path};
    return {ErrorCode::unreachable, path + ": nobody listens"};
}

// cpp-httplib writes without MSG_NOSIGNAL.
void ignore_broken_pipes() {
    static std::once_flag once;
    std::call_once(once, [] { std::signal(SIGPIPE, SIG_IGN); });
}

}  // namespace

std::string BaseUrl::host_header() const {
    if (is_unix) return "localhost";  // a path is no host, and some servers say so
    const bool v6 = host.find(':') != host.npos;
    return (v6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

Result<BaseUrl> parse_base_url(std::string_view url) {
    const auto bad = [&] { return fail(ErrorCode::bad_address, std::string{url}); };
    constexpr std::string_view unix_scheme = "unix:";
    if (url.starts_with(unix_scheme)) {
        BaseUrl base{.host = std::string{url.substr(unix_scheme.size())}, .is_unix = true};
        const bool fits = base.host.size() < sizeof(sockaddr_un::sun_path);
        if (!base.host.starts_with('/') || !fits || !is_header_safe(url)) return bad();
        return base;
    }
    const bool tls = url.starts_with("https://");
    if ((!tls && !url.starts_with("http://")) || !is_header_safe(url)) return bad();
    std::string_view authority = url.substr(url.find("//") + 2);
    BaseUrl base{.port = static_cast<std::uint16_t>(tls ? 443 : 80), .is_tls = tls};
    if (const auto slash = authority.find('/'); slash != authority.npos) {
        base.prefix = authority.substr(slash);
        while (base.prefix.ends_with('/'))
            base.prefix.pop_back();
        authority = authority.substr(0, slash);
    }
    auto where = protocol::parse_http_authority(authority);
    if (!where || base.prefix.find_first_of(" ?#") != std::string::npos) return bad();
    base.host = std::move(where->host);
    base.port = where->port.value_or(base.port);
    return base;
}

struct BlockingClient::Impl {
    Impl(BaseUrl where, const HttpExchangeSettings& how)
        : base{std::move(where)}, settings{how}, owned{make(base)}, client{*owned} {
        // What a closed TLS connection still says would look like the beginning of an answer.
        client.set_keep_alive(!base.is_tls);
        if (base.is_unix)
            client.set_address_family(AF_UNIX);
        else
            client.set_tcp_nodelay(true);
        client.set_url_encode(false);
        client.set_decompress(false);
        client.set_socket_options([this](int socket) { watch(socket); });
    }
    ~Impl() { watch(-1); }

    static std::unique_ptr<httplib::ClientImpl> make(const BaseUrl& base) {
        if (base.is_tls) return std::make_unique<httplib::SSLClient>(base.host, base.port);
        return std::make_unique<httplib::ClientImpl>(base.host, base.port);
    }

    // A descriptor of our own on the same socket: it can be shut down from another thread and asked
    // what came over it, whatever the library has closed by then.
    void watch(int socket) {
        const std::lock_guard lock{mutex};
        if (watched >= 0) close(watched);
        watched = socket >= 0 ? fcntl(socket, F_DUPFD_CLOEXEC, 0) : -1;
        fresh = true;
    }

    std::uint64_t bytes_received() {
        const std::lock_guard lock{mutex};
        return watched < 0 ? 0 : tcp_bytes_received(watched);
    }

    bool is_fresh() {
        const std::lock_guard lock{mutex};
        return fresh;
    }

    // Whether the server may have closed the kept connection before it saw the request.
    bool was_stale() {
        const std::lock_guard lock{mutex};
        return !fresh && !broken_off;
    }

    Result<port::HttpResponse> attempt(const port::HttpRequest& request,
                                       steady_clock::time_point deadline);
    Result<port::HttpResponse> stream(const port::HttpRequest& request, Duration silence,
                                      const std::function<bool(std::string_view)>& take);
    httplib::Request prepare(const port::HttpRequest& request) const;
    Error explain(httplib::Error error, bool late, bool too_large, std::uint64_t before);

    const BaseUrl base;
    const HttpExchangeSettings settings;
    const std::unique_ptr<httplib::ClientImpl> owned;
    httplib::ClientImpl& client;
    std::mutex mutex;
    int watched = -1;         // under mutex
    bool fresh = false;       // under mutex: connected during this attempt
    bool broken_off = false;  // under mutex: nobody wants the answer of this call any more
};

Error BlockingClient::Impl::explain(httplib::Error error, bool late, bool too_large,
                                    std::uint64_t before) {
    const std::string where = base.is_unix ? base.host : base.host_header();
    if (too_large) return {ErrorCode::bad_answer, where + ": the answer is too large"};
    if (late) return {ErrorCode::timed_out, where};
    switch (error) {
        case httplib::Error::Connection:
        case httplib::Error::ConnectionTimeout:
            if (base.is_unix) return unix_fault(base.host);
            return {ErrorCode::unreachable, where + ": no connection"};
        case httplib::Error::SSLConnection:
        case httplib::Error::SSLLoadingCerts:
            return {ErrorCode::unreachable, where + ": no TLS connection"};
        case httplib::Error::SSLServerVerification:
            return {ErrorCode::unreachable, where + ": its certificate is not trusted"};
        case httplib::Error::Read:
            // The end of the stream counts as one.
            if (bytes_received() > (is_fresh() ? 0 : before) + 1)
                return {ErrorCode::bad_answer, where + ": not an HTTP answer, or cut short"};
            return {ErrorCode::unreachable, where + ": closed before the answer"};
        case httplib::Error::Write:
            return {ErrorCode::unreachable, where + ": closed before the answer"};
        default:
            return {ErrorCode::bad_answer, where + ": " + httplib::to_string(error)};
    }
}

httplib::Request BlockingClient::Impl::prepare(const port::HttpRequest& request) const {
    httplib::Request sent;
    sent.method = request.method;
    sent.path = base.prefix + request.target;
    sent.set_header("Host", base.host_header());
    sent.set_header("User-Agent", "taskd");
    for (const auto& [name, value] : request.headers)
        sent.set_header(name, value);
    sent.body = request.body;
    return sent;
}

Result<port::HttpResponse> BlockingClient::Impl::stream(
    const port::HttpRequest& request, Duration silence,
    const std::function<bool(std::string_view)>& take) {
    client.set_connection_timeout(settings.connect_timeout);
    client.set_read_timeout(silence);
    client.set_write_timeout(silence);
    httplib::Request sent = prepare(request);
    port::HttpResponse answer;
    bool stopped = false;
    sent.response_handler = [&](const httplib::Response& head) {
        answer.status = head.status;
        for (const auto& [name, value] : head.headers)
            answer.headers.emplace_back(name, value);
        return true;
    };
    sent.content_receiver = [&](const char* data, std::size_t size, std::uint64_t, std::uint64_t) {
        if (answer.status >= 200 && answer.status <= 299) {
            stopped = !take({data, size});
            return !stopped;
        }
        if (answer.body.size() + size > settings.answer_bytes_max) return false;
        answer.body.append(data, size);
        return true;
    };
    const auto begin = steady_clock::now();
    {
        const std::lock_guard lock{mutex};
        fresh = false;
    }
    httplib::Response received;
    auto error = httplib::Error::Success;
    if (client.send(sent, received, error) || stopped) return answer;
    const bool late = steady_clock::now() + std::chrono::milliseconds{2} >= begin + silence;
    return std::unexpected{explain(error, late && error == httplib::Error::Read, false, 0)};
}

Result<port::HttpResponse> BlockingClient::Impl::attempt(const port::HttpRequest& request,
                                                         steady_clock::time_point deadline) {
    const auto left = std::max<steady_clock::duration>(deadline - steady_clock::now(),
                                                       std::chrono::milliseconds{1});
    client.set_connection_timeout(std::min<steady_clock::duration>(settings.connect_timeout, left));
    client.set_read_timeout(left);
    client.set_write_timeout(left);
    httplib::Request sent = prepare(request);
    port::HttpResponse answer;
    bool too_large = false;
    const auto take_head = [&](const httplib::Response& head) {
        answer.status = head.status;
        answer.headers.assign(head.headers.begin(), head.headers.end());
        return true;
    };
    sent.response_handler = take_head;  // before a body alone
    sent.content_receiver = [&](const char* data, std::size_t size, std::uint64_t, std::uint64_t) {
        const std::size_t room = settings.answer_bytes_max - answer.body.size();
        too_large = size > room;
        if (too_large && settings.cut_answers) answer.body.append(data, room);
        if (too_large || steady_clock::now() >= deadline) return false;
        answer.body.append(data, size);
        return true;
    };
    {
        const std::lock_guard lock{mutex};
        fresh = false;
    }
    const std::uint64_t before = bytes_received();
    httplib::Response received;
    auto error = httplib::Error::Success;
    if (!client.send(sent, received, error)) {
        if (too_large && settings.cut_answers) return answer;
        // The kernel's time-outs are a little shorter than ours by rounding.
        const bool late = steady_clock::now() + std::chrono::milliseconds{2} >= deadline;
        return std::unexpected{explain(error, late, too_large, before)};
    }
    take_head(received);
    return answer;
}

BlockingClient::BlockingClient(BaseUrl base, const HttpExchangeSettings& settings)
    : impl_{std::make_unique<Impl>(std::move(base), settings)} {
    ignore_broken_pipes();
}

BlockingClient::~BlockingClient() = default;

Result<port::HttpResponse> BlockingClient::stream(
    const port::HttpRequest& request, Duration silence,
    const std::function<bool(std::string_view)>& take) {
    if (!is_safe(request)) return fail(ErrorCode::bad_request, "target");
    try {
        return impl_->stream(request, silence, take);
    } catch (const std::exception& fault) {
        return fail(ErrorCode::bad_answer, fault.what());
    }
}

Result<port::HttpResponse> BlockingClient::call(port::HttpRequest request, Duration timeout) {
    if (!is_safe(request)) return fail(ErrorCode::bad_request, "target");
    const auto deadline = steady_clock::now() + timeout;
    {
        const std::lock_guard lock{impl_->mutex};
        impl_->broken_off = false;
    }
    try {
        auto result = impl_->attempt(request, deadline);
        // A kept connection that the server had closed by the time we wrote to it.
        const bool stale = !result && result.error().code == ErrorCode::unreachable &&
                           impl_->was_stale() &&
                           (impl_->settings.all_repeatable || may_repeat(request.method));
        return stale ? impl_->attempt(request, deadline) : result;
    } catch (const std::exception& fault) {
        return fail(ErrorCode::bad_answer, fault.what());
    }
}

void BlockingClient::interrupt() {
    const std::lock_guard lock{impl_->mutex};
    impl_->broken_off = true;
    if (impl_->watched >= 0) shutdown(impl_->watched, SHUT_RDWR);
}

HttpCaller::HttpCaller(const std::string& base_url, const HttpExchangeSettings& settings) {
    auto base = parse_base_url(base_url);
    if (base)
        client_ = std::make_unique<BlockingClient>(std::move(*base), settings);
    else
        client_ = fail(std::move(base));
}

HttpCaller::~HttpCaller() = default;

Result<port::HttpResponse> HttpCaller::call(port::HttpRequest request, Duration timeout) {
    if (!client_) return std::unexpected{client_.error()};
    return (*client_)->call(std::move(request), timeout);
}

Result<port::HttpResponse> HttpCaller::stream(const port::HttpRequest& request, Duration silence,
                                              const std::function<bool(std::string_view)>& take) {
    if (!client_) return std::unexpected{client_.error()};
    return (*client_)->stream(request, silence, take);
}

Result<port::HttpResponse> http_call(const std::string& base_url, port::HttpRequest request,
                                     Duration timeout, const HttpExchangeSettings& settings) {
    auto base = parse_base_url(base_url);
    if (!base) return fail(std::move(base));
    return BlockingClient{std::move(*base), settings}.call(std::move(request), timeout);
}

}  // namespace taskd::io

// taskd logs: what a task printed, and what it prints now.
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <charconv>

#include "client.hpp"
#include "taskd/base/duration_text.hpp"
#include "taskd/port/http.hpp"
#include "taskd/protocol/json.hpp"
#include "taskd/protocol/target.hpp"

namespace taskd::roles {
namespace {

constexpr Duration wait_most = std::chrono::seconds{30};
constexpr Duration wait_for_reader = std::chrono::seconds{1};  // one that may leave

// How long one question waits for more.
Duration wait_a_time() {
    struct stat output{};
    const bool piped = fstat(STDOUT_FILENO, &output) == 0 && S_ISFIFO(output.st_mode);
    return piped ? wait_for_reader : wait_most;
}

struct Piece {
    std::string bytes;
    std::uint64_t attempt = 0;
    std::uint64_t from = 0;
    std::uint64_t next = 0;
    bool end = false;
};

std::uint64_t number_of(const port::HttpHeaders& headers, std::string_view name) {
    const std::string_view text = port::find_header(headers, name);
    std::uint64_t value = 0;
    std::from_chars(text.data(), text.data() + text.size(), value);
    return value;
}

Result<Piece> read_piece(service::TaskClient& client, const std::string& id, std::uint64_t attempt,
                         std::uint64_t from, Duration wait) {
    std::string target =
        fmt::format("/v1/tasks/{}/logs?from={}", protocol::percent_encode(id), from);
    if (attempt != 0) target += fmt::format("&attempt={}", attempt);
    if (wait > Duration{0}) target += "&wait=" + to_text(wait);
    auto answer = client.ask("GET", target, {}, wait);
    if (!answer) return std::unexpected{answer.error()};
    const auto& headers = answer->headers;
    return Piece{std::move(answer->body), number_of(headers, "Taskd-Log-Attempt"),
                 number_of(headers, "Taskd-Log-From"), number_of(headers, "Taskd-Log-Next"),
                 port::find_header(headers, "Taskd-Log-End") == "true"};
}

// Bytes as text: what is no UTF-8 shows as such.
std::string as_text(const std::string& bytes) {
    if (protocol::is_utf8(bytes)) return bytes;
    std::string text;
    for (const char c : bytes)
        if ((c & 0x80) == 0)
            text.push_back(c);
        else
            text += "\uFFFD";
    return text;
}

void print(const Piece& piece, bool as_json) {
    if (piece.bytes.empty()) return;
    if (as_json) {
        std::string line;
        protocol::JsonWriter{line}
            .begin_object()
            .field("attempt", piece.attempt)
            .field("from", piece.from)
            .field("text", as_text(piece.bytes))
            .end_object();
        return print_line(line);
    }
    std::fwrite(piece.bytes.data(), 1, piece.bytes.size(), stdout);
    std::fflush(stdout);
}

int run(const Options& options) {
    const bool as_json = options.text("output") == "json";
    const bool follow = options.toggle("follow");
    const std::string& id = options.positional().front();
    const bool one = options.given("attempt");
    return with_client(options, [&](service::TaskClient& client) {
        auto attempt = static_cast<std::uint64_t>(one ? options.number("attempt") : 0);
        std::uint64_t from = 0;
        const Duration wait = follow ? wait_a_time() : Duration{0};
        for (;;) {
            const auto piece = read_piece(client, id, attempt, from, wait);
            // There is no further attempt to follow.
            if (!piece && piece.error().code == ErrorCode::not_found && follow && !one) return 0;
            if (!piece) return report(piece.error());
            if (piece->from > from && !piece->bytes.empty())
                say(fmt::format("({} bytes were lost)", piece->from - from));
            print(*piece, as_json);
            if (is_output_lost() || (follow && has_reader_left())) return end_of_output();
            from = piece->next;
            if (piece->attempt != 0) attempt = piece->attempt;
            if (!follow && piece->bytes.empty()) return 0;
            if (!piece->end) continue;
            if (!follow || one || attempt == 0) return 0;
            ++attempt;
            from = 0;
        }
    });
}

}  // namespace

const Command& logs_command() {
    static const Command command{
        {.name = "logs",
         .arguments = "ID",
         .summary = "print what a task printed",
         .text =
             "What workers sent of an attempt's output, as bytes. Followed, it goes on with the "
             "next attempt until the task has ended.",
         .options = with_client_rows({{.name = "follow",
                                       .letter = 'f',
                                       .kind = OptionKind::toggle,
                                       .help = "go on while it prints",
                                       .from_environment = false},
                                      {.name = "attempt",
                                       .kind = OptionKind::number,
                                       .value = "N",
                                       .help = "this attempt alone (the newest unless said)",
                                       .least = 1,
                                       .most = UINT32_MAX,
                                       .from_environment = false},
                                      {.name = "output",
                                       .letter = 'o',
                                       .kind = OptionKind::choice,
                                       .value = "bytes|json",
                                       .fallback = "bytes",
                                       .help = "print them so; json is an object a piece",
                                       .from_environment = false}},
                                     "5s"),
         .positional_min = 1,
         .positional_max = 1,
         .kind = PageKind::client,
         .examples = {{"taskd logs 0199c2f1", "what there is"},
                      {"taskd logs -f 0199c2f1", "and what comes"},
                      {"taskd logs --attempt 1 0199c2f1 >first.txt", "one attempt's bytes"}}},
        run};
    return command;
}

}  // namespace taskd::roles

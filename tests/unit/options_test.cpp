// Options of a subcommand: flag over environment over default, and one clear line for each slip.
#include "options.hpp"

#include <map>

#include "catch.hpp"

using namespace taskd;
using namespace taskd::roles;
using namespace std::chrono_literals;
using Catch::Matchers::Contains;

namespace {

// What the environment of the test at hand holds.
std::map<std::string, std::string>& variables() {
    static std::map<std::string, std::string> all;
    return all;
}

const char* environment(const char* name) {
    const auto found = variables().find(name);
    return found == variables().end() ? nullptr : found->second.c_str();
}

Page page() {
    return {
        .name = "try",
        .arguments = "[ARG…]",
        .summary = "for tests",
        .text = {},
        .options = {{.name = "url", .value = "URL", .fallback = "http://here", .help = "where"},
                    {.name = "port", .kind = OptionKind::port, .value = "PORT", .help = "which"},
                    {.name = "retry-for",
                     .letter = 'r',
                     .kind = OptionKind::duration,
                     .value = "DURATION",
                     .fallback = "5s",
                     .help = "how long"},
                    {.name = "limit",
                     .kind = OptionKind::number,
                     .value = "N",
                     .fallback = "50",
                     .help = "how many",
                     .least = 1,
                     .most = 1000},
                    {.name = "output",
                     .letter = 'o',
                     .kind = OptionKind::choice,
                     .value = "json|table",
                     .help = "form",
                     .from_environment = false},
                    {.name = "size",
                     .kind = OptionKind::bytes,
                     .value = "SIZE",
                     .fallback = "16MiB",
                     .help = "how large",
                     .least = 1024,
                     .most = 1 << 30},
                    {.name = "quiet", .kind = OptionKind::toggle, .help = "say less"}},
        .positional_max = 3};
}

Result<Options> parse(std::vector<std::string> arguments) {
    return Options::parse(page(), arguments, {.environment = environment});
}

std::string fault(std::vector<std::string> arguments) {
    const auto options = parse(std::move(arguments));
    REQUIRE_FALSE(options);
    CHECK(options.error().code == ErrorCode::bad_usage);
    CHECK(row_of(options.error().code).exit_code == 2);
    CHECK(options.error().detail.find('\n') == std::string::npos);
    return options.error().detail;
}

}  // namespace

TEST_CASE("a flag goes over the environment, that over the default") {
    variables() = {};
    auto options = parse({});
    REQUIRE(options);
    CHECK(options->text("url") == "http://here");
    CHECK(options->source("url") == OptionSource::fallback);
    CHECK(options->source("port") == OptionSource::none);
    CHECK_FALSE(options->given("port"));
    CHECK(options->duration("retry-for") == 5s);
    CHECK(options->bytes("size") == 16U << 20);
    CHECK(options->origin("size") == "default");
    CHECK(options->origin("port").empty());

    variables() = {{"TASKD_URL", "http://env"},
                   {"TASKD_RETRY_FOR", "250ms"},
                   {"TASKD_PORT", ""},
                   {"TASKD_QUIET", "yes"},
                   {"TASKD_OUTPUT", "table"}};
    options = parse({"--url", "http://flag"});
    REQUIRE(options);
    CHECK(options->text("url") == "http://flag");
    CHECK(options->source("url") == OptionSource::flag);
    CHECK(options->origin("url") == "--url");
    CHECK(options->origin("retry-for") == "TASKD_RETRY_FOR");
    CHECK(options->duration("retry-for") == 250ms);
    CHECK(options->source("retry-for") == OptionSource::environment);
    CHECK(options->source("port") == OptionSource::none);  // empty is not given
    CHECK(options->toggle("quiet"));
    CHECK(options->text("output").empty());  // a flag alone
    variables() = {};
}

TEST_CASE("options and arguments mix, and what follows -- is never an option") {
    auto options = parse({"a", "--limit=7", "b", "-o", "json", "-r", "2m", "c"});
    REQUIRE(options);
    CHECK(options->positional() == std::vector<std::string>{"a", "b", "c"});
    CHECK(options->number("limit") == 7);
    CHECK(options->text("output") == "json");
    CHECK(options->duration("retry-for") == 2min);
    options = parse({"--", "--quiet", "-x", "-"});
    REQUIRE(options);
    CHECK(options->positional() == std::vector<std::string>{"--quiet", "-x", "-"});
    CHECK_FALSE(options->toggle("quiet"));
}

TEST_CASE("negative numbers, commas and a single dash are arguments") {
    const auto options = parse({"-1", "-0.5,2", "-"});
    REQUIRE(options);
    CHECK(options->positional() == std::vector<std::string>{"-1", "-0.5,2", "-"});
    CHECK_THAT(fault({"--limit", "-1"}), Contains("'-1'"));
}

TEST_CASE("each slip is told in one line") {
    CHECK_THAT(fault({"--nonsense"}), Contains("nonsense") && Contains("taskd help try"));
    CHECK_THAT(fault({"--retryfor", "1s"}), Contains("did you mean '--retry-for'?"));
    CHECK_THAT(fault({"--size", "1.5MiB"}), Contains("512KiB") && Contains("'1.5MiB'"));
    CHECK_THAT(fault({"--size", "9GiB"}), Contains("from 1024 to 1073741824"));
    CHECK_THAT(fault({"--size", "99999999999GiB"}), Contains("from 1024 to 1073741824"));
    CHECK_THAT(fault({"--size", "1KB"}), Contains("'1KB'"));
    CHECK_THAT(fault({"-x"}), Contains("x"));
    CHECK_THAT(fault({"--url"}), Contains("url"));
    CHECK_THAT(fault({"--quiet=5"}), Contains("--quiet takes 1 or 0"));
    CHECK_THAT(fault({"--port", "65536"}), Contains("0 to 65535"));
    CHECK_THAT(fault({"--port", "80x"}), Contains("'80x'"));
    CHECK_THAT(fault({"--limit", "0"}), Contains("1 to 1000"));
    CHECK_THAT(fault({"--limit", "99999999999999999999"}), Contains("1 to 1000"));
    CHECK_THAT(fault({"--retry-for", "soon"}), Contains("duration"));
    CHECK_THAT(fault({"-o", "xml"}), Contains("json|table"));
    CHECK_THAT(fault({"1", "2", "3", "4"}), Contains("'4'") && Contains("usage"));
    variables() = {{"TASKD_LIMIT", "many"}};
    CHECK_THAT(fault({}), Contains("TASKD_LIMIT"));
    variables() = {{"TASKD_QUIET", "maybe"}};
    CHECK_THAT(fault({}), Contains("TASKD_QUIET"));
    variables() = {};
}

TEST_CASE("a missing argument is told; help asks for nothing") {
    Page wants = page();
    wants.positional_min = 1;
    const auto missing = Options::parse(wants, {}, {.environment = environment});
    REQUIRE_FALSE(missing);
    CHECK_THAT(missing.error().detail, Contains("missing"));
    const std::vector<std::string> help{"--help", "--port", "x"};
    const auto helped = Options::parse(wants, help, {.environment = environment});
    REQUIRE(helped);
    CHECK(helped->help());
}

TEST_CASE("the page names every option with default and variable") {
    const std::string text = write_page(page());
    CHECK_THAT(text, Contains("usage: taskd try [OPTION…] [ARG…]"));
    CHECK_THAT(text, Contains("-r, --retry-for DURATION") && Contains("(default 5s)") &&
                         Contains("[TASKD_RETRY_FOR]"));
    CHECK_THAT(text, !Contains("TASKD_OUTPUT"));
    CHECK(environment_name("key-file") == "TASKD_KEY_FILE");
}

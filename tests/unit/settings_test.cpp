// Settings files: under the environment, over the default; and the checked-in ones.
#include <fstream>
#include <map>
#include <sstream>

#include "catch.hpp"
#include "command.hpp"
#include "settings_file.hpp"
#include "taskd/base/nearest.hpp"
#include "taskd/io/yaml.hpp"

using namespace taskd;
using namespace taskd::roles;
using namespace std::chrono_literals;
using Catch::Matchers::Contains;

namespace {

std::map<std::string, std::string>& variables() {
    static std::map<std::string, std::string> all;
    return all;
}
const char* environment(const char* name) {
    const auto found = variables().find(name);
    return found == variables().end() ? nullptr : found->second.c_str();
}

// Files of the test at hand: name and content.
std::map<std::string, std::string>& files() {
    static std::map<std::string, std::string> all;
    return all;
}
Result<Document> read_file(const std::string& path) {
    const auto found = files().find(path);
    if (found == files().end()) return fail(ErrorCode::file_missing, path);
    return io::parse_yaml(found->second, path);
}

Result<Options> parse(const char* command, std::vector<std::string> arguments) {
    return Options::parse(find_command(command)->page, arguments,
                          {.environment = environment,
                           .read_file = read_file,
                           .client_file = "/person/client.yaml",
                           .pages = pages_of(PageKind::client)});
}

std::string fault(const char* command, const std::string& yaml) {
    files() = {{"x.yaml", yaml}};
    const bool is_role = find_command(command)->page.kind == PageKind::role;
    const auto options =
        parse(command, {is_role ? "--config" : "--client-config", "x.yaml", "sum"});
    REQUIRE_FALSE(options);
    CHECK(options.error().code == ErrorCode::config_invalid);
    CHECK(row_of(options.error().code).exit_code == 2);
    return options.error().detail;
}

}  // namespace

TEST_CASE("flag over environment over file over default", "[settings]") {
    variables() = {{"TASKD_HEARTBEAT", "3s"}, {"TASKD_HOST", "10.0.0.2"}};
    files() = {
        {"w.yaml", "heartbeat: 2s\nhost: 10.0.0.1\nport: '6001'\ninsecure: yes\nconcurrency: 5\n"}};
    const auto options = parse("worker", {"sum", "--config", "w.yaml", "--host", "10.0.0.3"});
    REQUIRE(options);
    CHECK(options->text("host") == "10.0.0.3");
    CHECK(options->origin("host") == "--host");
    CHECK(options->duration("heartbeat") == 3s);
    CHECK(options->origin("heartbeat") == "TASKD_HEARTBEAT");
    CHECK(options->port("port") == 6001);
    CHECK(options->source("port") == OptionSource::file);
    CHECK(options->origin("port") == "w.yaml:3:1");
    CHECK(options->toggle("insecure"));
    CHECK(options->number("concurrency") == 5);
    CHECK(options->given("concurrency"));
    CHECK(options->text("log-level") == "info");
    CHECK_FALSE(options->given("log-level"));
    variables() = {};
}

TEST_CASE("the file can be named by the environment; an empty name is none", "[settings]") {
    variables() = {{"TASKD_CONFIG", "w.yaml"}};
    files() = {{"w.yaml", "concurrency: 5\n"}};
    CHECK(parse("worker", {"sum"}).value().number("concurrency") == 5);
    CHECK(parse("worker", {"sum", "--config", ""}).value().number("concurrency") == 64);
    variables() = {{"TASKD_CONFIG", "gone.yaml"}};
    const auto missing = parse("worker", {"sum"});
    REQUIRE_FALSE(missing);
    CHECK(missing.error().code == ErrorCode::file_missing);
    CHECK(parse("worker", {"--help"}));
    variables() = {};
}

TEST_CASE("client commands share a file with a section each", "[settings]") {
    variables() = {};
    files() = {{"/person/client.yaml",
                "url: http://far:4000\nretry-for: 9s\nsubmit:\n  wait: 3s\n  retry-for: 1s\nlist:\n"
                "health: {}\n"}};
    const auto submit = parse("submit", {"sum"});
    REQUIRE(submit);
    CHECK(submit->text("url") == "http://far:4000");
    CHECK(submit->duration("wait") == 3s);
    CHECK(submit->duration("retry-for") == 1s);
    CHECK(submit->origin("retry-for") == "/person/client.yaml:5:3");
    const auto result = parse("result", {"0199"});
    REQUIRE(result);
    CHECK(result->duration("wait") == 0s);
    CHECK(result->duration("retry-for") == 9s);
    // A role takes no notice of it, and nobody needs to have one.
    CHECK(parse("monitor", {}).value().source("port") == OptionSource::fallback);
    files() = {};
    CHECK(parse("submit", {"sum"}));
}

TEST_CASE("each fault in a settings file is told with its place", "[settings]") {
    CHECK_THAT(fault("worker", "host: a\nlog-levl: info\n"),
               Contains("x.yaml:2:1: 'log-levl' is no setting of worker") &&
                   Contains("did you mean 'log-level'?"));
    CHECK_THAT(fault("worker", "zzz: 1\n"), Contains("x.yaml:1:1") && !Contains("did you mean"));
    CHECK_THAT(fault("worker", "config: y.yaml\n"), Contains("'config' is no setting"));
    CHECK_THAT(fault("worker", "port-file: y\n"), Contains("'port-file' is no setting"));
    CHECK_THAT(fault("worker", "port: 70000\n"),
               Contains("x.yaml:1:7: 'port' takes a number from 0 to 65535, not '70000'"));
    CHECK_THAT(fault("worker", "port: [1]\n"), Contains("x.yaml:1:7") && Contains("not a list"));
    CHECK_THAT(fault("worker", "host:\n"), Contains("x.yaml:1:1") && Contains("takes a text"));
    CHECK_THAT(fault("worker", "log-level: {a: 1}\n"), Contains("not a map"));
    CHECK_THAT(fault("worker", "insecure: maybe\n"), Contains("not 'maybe'"));
    CHECK_THAT(fault("worker", "- host\n"), Contains("a map, not a list"));
    CHECK_THAT(fault("worker", "host: a\nhost: b\n"), Contains("x.yaml:2:1") && Contains("twice"));
    CHECK_THAT(fault("worker", "host: a: b\n"), Contains("x.yaml:1:"));
    CHECK_THAT(fault("submit", "wait: 1s\n"), Contains("'wait' is no setting of client"));
    CHECK_THAT(fault("submit", "sumbit:\n  wait: 1s\n"), Contains("did you mean 'submit'?"));
    // Also what another command's section says.
    CHECK_THAT(fault("submit", "list:\n  limt: 5\n"),
               Contains("x.yaml:2:3") && Contains("no setting of list") && Contains("'limit'"));
}

TEST_CASE("all faults of a file are found at once", "[settings]") {
    const auto document = io::parse_yaml("prt: 1\nhost: []\nheartbeat: soon\nname: a\n", "x.yaml");
    const auto settings = read_settings(document.value(), find_command("worker")->page, {});
    CHECK(settings.faults.size() == 3);
    CHECK(settings.values.size() == 1);
}

TEST_CASE("what is read again is what the files now say", "[settings]") {
    variables() = {};
    files() = {{"w.yaml", "log-level: debug\n"}};
    const auto options = parse("worker", {"sum", "--config", "w.yaml"});
    files() = {{"w.yaml", "log-level: warn\n"}};
    CHECK(options.value().again().value().text("log-level") == "warn");
    files() = {{"w.yaml", "log-level: loud\n"}};
    CHECK(options.value().again().error().code == ErrorCode::config_invalid);
}

TEST_CASE("config/ holds one file a role with every default written out", "[settings]") {
    const auto read = [](const std::string& name) {
        std::ifstream file{TASKD_SOURCE_DIR "/config/" + name + ".yaml"};
        std::ostringstream text;
        text << file.rdbuf();
        return text.str();
    };
    for (const Page* page : pages_of(PageKind::role)) {
        const std::string name = dashed_name(*page);
        INFO("stale: taskd config write " << name << " >config/" << name << ".yaml");
        const std::string text = read(name);
        CHECK(text == write_role_settings(*page));
        // What it says is what holds without it.
        files() = {{"x.yaml", text}};
        const auto with = parse(page->name.data(), {"--config", "x.yaml", "--help"});
        REQUIRE(with);
        const auto settings = read_settings(io::parse_yaml(text, "x.yaml").value(), *page, {});
        CHECK(settings.faults.empty());
        for (const OptionRow& row : page->options) {
            if (!row.is_setting()) continue;
            INFO(row.name);
            const auto found = settings.values.find(row.name);
            if (row.kind == OptionKind::toggle) {
                REQUIRE(found != settings.values.end());
                CHECK(found->second.value.number == (row.fallback == "1" ? 1 : 0));
            } else if (row.fallback.empty()) {
                CHECK(found == settings.values.end());
                CHECK_THAT(text, Contains("\n# " + std::string{row.name} + ": "));
            } else {
                REQUIRE(found != settings.values.end());
                CHECK(found->second.value.text == row.fallback);
            }
        }
    }
    const auto clients = pages_of(PageKind::client);
    INFO("stale: taskd config write client >config/client.yaml");
    CHECK(read("client") == write_client_settings(clients));
    files() = {{"/person/client.yaml", read("client")}};
    const auto submit = parse("submit", {"sum"});
    REQUIRE(submit);
    CHECK(submit->duration("retry-for") == 5s);
    CHECK(parse("list", {}).value().duration("retry-for") == 0s);
}

TEST_CASE("the nearest name is near", "[settings]") {
    constexpr std::string_view names[] = {"submit", "stats", "store", "log-level", "list"};
    CHECK(nearest_name("sumbit", names) == "submit");
    CHECK(nearest_name("log_level", names) == "log-level");
    CHECK(nearest_name("stat", names) == "stats");
    CHECK(nearest_name("lst", names) == "list");
    CHECK(nearest_name("completely", names).empty());
    CHECK(nearest_name("", names).empty());
    CHECK(nearest_name(std::string(1000, 's'), names).empty());
}

// YAML as documents: what settings need of it, and nothing more.
#include "taskd/io/yaml.hpp"
#include "catch.hpp"

using namespace taskd;
using Catch::Matchers::Contains;

namespace {

std::string fault(const std::string& text) {
    const auto document = io::parse_yaml(text, "a.yaml");
    REQUIRE_FALSE(document);
    CHECK(document.error().code == ErrorCode::config_invalid);
    CHECK(document.error().detail.find('\n') == std::string::npos);
    return document.error().detail;
}

}  // namespace

TEST_CASE("a document keeps its order, its texts and their places", "[yaml]") {
    const auto document = io::parse_yaml(
        "# first\nport: 4000\nlist: [a, 'b: c']\nmap:\n  deep: "
        "\"x\\ty\"\nnothing:\ntilde: ~\nquoted: '~'\n",
        "a.yaml");
    REQUIRE(document);
    CHECK(document->kind == DocumentKind::map);
    REQUIRE(document->fields.size() == 6);
    const auto& port = document->fields[0];
    CHECK(port.name == "port");
    CHECK(port.place == "a.yaml:2:1");
    CHECK(port.value.kind == DocumentKind::scalar);
    CHECK(port.value.text == "4000");
    CHECK(port.value.place == "a.yaml:2:7");
    CHECK(document->fields[1].value.kind == DocumentKind::list);
    CHECK(document->fields[1].value.items.at(1).text == "b: c");
    CHECK(document->fields[2].value.fields.at(0).value.text == "x\ty");
    CHECK(document->fields[3].value.kind == DocumentKind::null);
    CHECK(document->fields[4].value.kind == DocumentKind::null);
    CHECK(document->fields[5].value.text == "~");
}

TEST_CASE("nothing but comments is an empty map", "[yaml]") {
    for (const char* text : {"", "# nothing\n", "---\n", "---\n...\n"}) {
        const auto document = io::parse_yaml(text, "a.yaml");
        REQUIRE(document);
        CHECK(document->kind == DocumentKind::map);
        CHECK(document->fields.empty());
        CHECK_THAT(document->place, Catch::Matchers::StartsWith("a.yaml:"));
    }
}

TEST_CASE("what is no YAML, or more than is wanted of it, is refused with its place", "[yaml]") {
    CHECK_THAT(fault("a: 1\nb: [1, 2\n"), Contains("a.yaml:3:"));
    CHECK_THAT(fault("a: 1\n b: 2\n"), Contains("a.yaml:2:"));
    CHECK_THAT(fault("a: 1\n\tb: 2\n"), Contains("a.yaml:"));
    CHECK_THAT(fault("a: 1\nb: 2\na: 3\n"),
               Contains("a.yaml:3:1: 'a' stands there twice, first at a.yaml:1:1"));
    CHECK_THAT(fault("a: &x 1\n"), Contains("a.yaml:1:") && Contains("anchors"));
    CHECK_THAT(fault("a: *x\n"), Contains("a.yaml:1:"));
    CHECK_THAT(fault("a: !!binary aGk=\n"), Contains("tags"));
    CHECK_THAT(fault("? [a, b]\n: 1\n"), Contains("a name must be a text"));
    CHECK_THAT(fault("a: 1\n---\nb: 2\n"), Contains("one document"));
    CHECK_THAT(fault("a: " + std::string(200, '[') + std::string(200, ']')),
               Contains("nested too deep"));
}

TEST_CASE("a file that is missing is told from one that is wrong", "[yaml]") {
    const auto missing = io::read_yaml_file("/no/such/file.yaml");
    REQUIRE_FALSE(missing);
    CHECK(missing.error().code == ErrorCode::file_missing);
    CHECK(io::read_yaml_file(TASKD_SOURCE_DIR "/config/worker.yaml"));
    const auto wrong = io::read_yaml_file(TASKD_SOURCE_DIR "/README.md");
    REQUIRE_FALSE(wrong);
    CHECK(wrong.error().code == ErrorCode::config_invalid);
}

// Files that entries name become a part of them.
#include <map>

#include "catch.hpp"
#include "taskd/protocol/value_json.hpp"
#include "taskd/runtime/entries.hpp"

using namespace taskd;
using namespace taskd::runtime;

namespace {

const std::vector<EntryKind> kinds{{"note", {{"text", FieldType::text}}},
                                   {"script", {{"file", FieldType::text, true}}, {}, {"file"}}};

Entry entry(const std::string& body, std::string kind = "note") {
    Entry made{"a:b", std::move(kind), *protocol::read_json_value(body)};
    made.place = "shop.yaml:4:5";
    made.field_places["embed"] = "shop.yaml:6:5";
    made.field_places["file"] = "shop.yaml:7:5";
    return made;
}

struct World {
    std::map<std::string, std::string> files{{"run.sh", "echo"}, {"data/a", "1"}, {"data/b", "2"}};
    std::string seen_place;

    StageSettings settings() {
        StageSettings made;
        made.sha256 = [](std::string_view text) { return "digest of " + std::string{text}; };
        made.read_embedded = [this](const std::string& place,
                                    const std::string& path) -> Result<std::vector<EmbeddedFile>> {
            seen_place = place;
            std::vector<EmbeddedFile> found;
            for (const auto& [name, text] : files)
                if (name == path || name.starts_with(path + "/"))
                    found.push_back({name, text, "digest of " + text});
            if (found.empty()) return fail(ErrorCode::file_missing, path);
            return found;
        };
        return made;
    }
    Result<std::vector<Entry>> run(const Entry& one) {
        return run_stages({one}, settings(), kinds);
    }
    std::string fault(const Entry& one) {
        const auto done = run(one);
        REQUIRE_FALSE(done);
        CHECK(done.error().code == ErrorCode::config_invalid);
        return done.error().detail;
    }
};

}  // namespace

TEST_CASE("files that an entry names become a part of it, each once", "[entries]") {
    World world;
    const auto done = world.run(entry(R"({"embed":["data","run.sh","data/a"]})"));
    REQUIRE(done);
    CHECK(world.seen_place == "shop.yaml:4:5");
    CHECK(protocol::write_json_value(*done->front().find("embedded")) ==
          R"({"data/a":{"sha256":"digest of 1","text":"1"},)"
          R"("data/b":{"sha256":"digest of 2","text":"2"},)"
          R"("run.sh":{"sha256":"digest of echo","text":"echo"}})");
    CHECK(*embedded_text(done->front(), "run.sh") == "echo");
    CHECK(embedded_text(done->front(), "none") == nullptr);
    CHECK(embedded_text(entry("{}"), "run.sh") == nullptr);
    CHECK(world.run(entry("{}"))->front().find("embedded") == nullptr);
}

TEST_CASE("a field of a kind may name a file", "[entries]") {
    World world;
    const auto done = world.run(entry(R"({"file":"run.sh"})", "script"));
    REQUIRE(done);
    CHECK(*embedded_text(done->front(), "run.sh") == "echo");
}

TEST_CASE("what cannot be embedded is told with its place", "[entries]") {
    World world;
    using Catch::Matchers::Contains;
    using Catch::Matchers::StartsWith;
    CHECK_THAT(world.fault(entry(R"({"embed":["none"]})")),
               StartsWith("shop.yaml:6:5: a:b: file_missing"));
    for (const char* path : {"/etc/passwd", "../secret", "a/../../b", "", ".."})
        CHECK_THAT(world.fault(entry(R"({"embed":[")" + std::string{path} + "\"]}")),
                   Contains("is no path of a file below"));
    CHECK_THAT(world.fault(entry(R"({"file":"/x"})", "script")), StartsWith("shop.yaml:7:5: a:b"));
    CHECK_THAT(world.fault(entry(R"({"embed":["run.sh"],"embedded":{}})")), Contains("by hand"));
    CHECK_THAT(world.fault(entry(R"({"embed":"run.sh"})")), Contains("a list of texts"));
    world.files["large"] = std::string(limits::embed_bytes_max, 'x');
    CHECK(world.run(entry(R"({"embed":["large"]})")));
    CHECK_THAT(world.fault(entry(R"({"embed":["large","run.sh"]})")), Contains("embeds up to"));
    for (std::size_t i = 0; i <= limits::embed_files_max; ++i)
        world.files["many/" + std::to_string(i)] = "x";
    CHECK_THAT(world.fault(entry(R"({"embed":["many"]})")), Contains("embeds up to"));
}

TEST_CASE("what was embedded elsewhere must be what its digest says", "[entries]") {
    World world;
    Entry whole = world.run(entry(R"({"embed":["run.sh"]})"))->front();
    whole.place.clear();
    whole.field_places.clear();
    StageSettings settings = world.settings();
    settings.read_embedded = nullptr;
    CHECK(run_stages({whole}, settings, kinds)->front() == whole);
    Entry bare = entry(R"({"embed":["run.sh"]})");
    bare.place.clear();
    CHECK(run_stages({bare}, settings, kinds).error().code == ErrorCode::config_invalid);
    for (const char* wrong :
         {R"({"embedded":{"run.sh":{"sha256":"digest of echo","text":"other"}}})",
          R"({"embedded":{"run.sh":{"text":"echo"}}})", R"({"embedded":{"run.sh":1}})"}) {
        Entry forged = entry(wrong);
        forged.place.clear();
        CHECK(run_stages({forged}, settings, kinds).error().code == ErrorCode::config_invalid);
    }
}

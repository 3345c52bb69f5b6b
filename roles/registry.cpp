// taskd registry: entries as they are, as they were, and changes of them. A running `taskd up` is
// asked for a change; without one the file in its data directory is changed.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <filesystem>

#include "client.hpp"
#include "entry_kinds.hpp"
#include "formats.hpp"
#include "taskd/base/duration_text.hpp"
#include "taskd/base/nearest.hpp"
#include "taskd/io/clock.hpp"
#include "taskd/io/http_exchange.hpp"
#include "taskd/io/posix_files.hpp"
#include "taskd/io/private_files.hpp"
#include "taskd/io/sqlite_history.hpp"
#include "taskd/protocol/entry_json.hpp"
#include "taskd/protocol/json.hpp"
#include "taskd/protocol/problem.hpp"
#include "taskd/protocol/task_json.hpp"
#include "taskd/protocol/value_json.hpp"
#include "taskd/runtime/registry.hpp"
#include "taskd/service/task_client.hpp"

namespace taskd::roles {
namespace {

constexpr std::size_t versions_shown = 100;
// Longer than all parts together may take to answer, of as many entries as there may be.
constexpr Duration ask_timeout = std::chrono::minutes{10};
constexpr std::string_view verbs[] = {"list", "show",    "apply", "history",
                                      "diff", "restore", "watch"};
// One question of a watch; and how long it goes on when nobody answers.
constexpr Duration watch_wait = std::chrono::seconds{30};
constexpr Duration watch_patience = std::chrono::minutes{1};
constexpr Duration watch_pause = std::chrono::milliseconds{200};

// Nobody else in this process listens.
struct Silence final : bus::Publisher {
    void publish(std::string_view /*topic*/, std::vector<bus::EventField> /*fields*/) override {}
};

// The registry of a data directory.
class Opened {
  public:
    static Result<std::unique_ptr<Opened>> make(const Options& options) {
        const std::string& dir = options.text("data");
        const std::string path = dir + "/registry.db";
        // Whoever only reads, perhaps in a folder that was mistyped, makes nothing there.
        const bool makes = options.positional().front() == "apply" && !options.toggle("dry-run");
        std::error_code error;
        if (!makes &&
            std::filesystem::status(path, error).type() == std::filesystem::file_type::not_found)
            return fail(ErrorCode::file_missing,
                        "there is no registry in " + dir + ": 'taskd registry apply' makes one");
        const auto files = io::make_posix_files();
        if (auto made = files->make_dir(dir); !made) return fail(std::move(made));
        std::unique_ptr<Opened> opened{new Opened};
        auto history = io::open_history(path);
        if (!history) return fail(std::move(history));
        opened->history = std::move(*history);
        auto registry =
            runtime::Registry::open(*opened->history, *opened->clock_, opened->silence_);
        if (!registry) return fail(std::move(registry));
        opened->registry = std::move(*registry);
        return opened;
    }

    std::unique_ptr<port::History> history;
    std::unique_ptr<runtime::Registry> registry;

  private:
    std::unique_ptr<port::Clock> clock_ = io::make_system_clock();
    Silence silence_;
};

Result<std::uint64_t> read_version(const std::string& text) {
    std::uint64_t version = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), version);
    if (error != std::errc{} || end != text.data() + text.size())
        return fail(ErrorCode::bad_usage, "'" + text + "' is no number of a version");
    return version;
}

std::vector<std::string> split(const std::string& text, char at) {
    std::vector<std::string> parts;
    for (std::size_t begin = 0; begin < text.size();) {
        const std::size_t end = std::min(text.find(at, begin), text.size());
        if (end > begin) parts.push_back(text.substr(begin, end - begin));
        begin = end + 1;
    }
    return parts;
}

Result<runtime::StageSettings> read_stages(const Options& options) {
    runtime::StageSettings settings;
    for (const std::string& each : split(options.text("override"), ';')) {
        auto change = runtime::parse_override(each);
        if (!change) return fail(std::move(change));
        settings.overrides.push_back(std::move(*change));
    }
    settings.disabled = split(options.text("disable"), ',');
    return settings;
}

// ---- printing
// ------------------------------------------------------------------------------------

void print_list(const std::vector<Entry>& entries, const std::string& output) {
    if (output == "json") {
        Value list;
        list.kind = ValueKind::list;
        for (const Entry& entry : entries)
            list.items.push_back(protocol::value_of(entry));
        return print_line(protocol::write_json_value(list));
    }
    if (output == "id") {
        for (const Entry& entry : entries)
            print_line(entry.id);
        return;
    }
    TableRows rows{{"ENTRY", "KIND", "NEEDS"}};
    for (const Entry& entry : entries) {
        std::string needs;
        if (const Value* list = entry.find("needs"))
            for (const Value& need : list->items)
                needs += (needs.empty() ? "" : ", ") + need.text;
        rows.push_back({entry.id, entry.kind, needs});
    }
    std::fputs(write_table(rows).c_str(), stdout);
}

void print_versions(const std::vector<port::RegistryVersion>& versions, const std::string& output) {
    TableRows rows{{"VERSION", "AT", "CHANGES", "NOTE"}};
    std::string json;
    protocol::JsonWriter writer{json};
    writer.begin_array();
    for (const port::RegistryVersion& each : versions) {
        if (output == "id") print_line(std::to_string(each.number));
        writer.begin_object().field("version", each.number).field("at", to_rfc3339(each.at));
        writer.field("changes", each.changes).field("note", each.note).end_object();
        rows.push_back({std::to_string(each.number), to_rfc3339(each.at),
                        std::to_string(each.changes), each.note});
    }
    writer.end_array();
    if (output == "json") print_line(json);
    if (output == "table") std::fputs(write_table(rows).c_str(), stdout);
}

// "+ shop:a", "- shop:b", "~ shop:c", and below the last the fields that differ.
std::string change_text(const port::EntryChange& change) {
    if (!change.before) return "+ " + change.id + "\n";
    if (!change.after) return "- " + change.id + "\n";
    std::string text = "~ " + change.id + "\n";
    const Value before = protocol::value_of(*change.before);
    const Value after = protocol::value_of(*change.after);
    const auto add = [&](char sign, const ValueField& field) {
        text += fmt::format("    {} {}: {}\n", sign, field.name,
                            protocol::write_json_value(field.value));
    };
    for (const ValueField& field : before.fields)
        if (std::ranges::find(after.fields, field) == after.fields.end()) add('-', field);
    for (const ValueField& field : after.fields)
        if (std::ranges::find(before.fields, field) == before.fields.end()) add('+', field);
    return text;
}

void print_changes(const std::vector<port::EntryChange>& changes, const std::string& output) {
    std::string json;
    protocol::JsonWriter writer{json};
    writer.begin_array();
    for (const port::EntryChange& change : changes) {
        if (output == "id") print_line(change.id);
        if (output == "table") std::fputs(change_text(change).c_str(), stdout);
        writer.begin_object().field("id", change.id);
        for (const auto& [name, entry] :
             {std::pair{"before", &change.before}, std::pair{"after", &change.after}})
            if (*entry)
                writer.key(name).raw(protocol::write_json_value(protocol::value_of(**entry)));
        writer.end_object();
    }
    writer.end_array();
    if (output == "json") print_line(json);
}

// ---- the verbs
// -----------------------------------------------------------------------------------

int list(Opened& opened, const Options& options) {
    const auto& words = options.positional();
    const auto found =
        runtime::find_entries(opened.registry->entries(), words.size() > 1 ? words[1] : "*");
    if (!found) return report(found.error());
    print_list(*found, options.text("output"));
    return 0;
}

int show(Opened& opened, const Options& options) {
    const auto& words = options.positional();
    if (words.size() != 2) return report({ErrorCode::bad_usage, "show takes the id of one entry"});
    const Entry* entry = opened.registry->find(words[1]);
    if (entry == nullptr) return report({ErrorCode::not_found, words[1]});
    const std::string& output = options.text("output");
    if (output == "id") return print_line(entry->id), 0;
    const auto text =
        transcoder().write(output == "json" ? "json" : "yaml", protocol::value_of(*entry));
    if (!text) return report(text.error());
    std::fputs((*text + (output == "json" ? "\n" : "")).c_str(), stdout);
    return 0;
}

using Made = Result<std::optional<port::RegistryVersion>>;

int tell(const Made& made, const Options& options) {
    if (!made) return report(made.error());
    if (*made)
        print_versions({**made}, options.text("output"));
    else
        say("nothing has changed");
    return 0;
}

// Asks the `taskd up` that runs on this data directory, whose parts have a say in it; none when
// there is none.
std::optional<Made> ask_running(const Options& options, const protocol::RegistryAsked& asked) {
    port::HttpRequest request{"POST", "/registry/versions", {}, write_registry_asked(asked)};
    request.headers.emplace_back("Content-Type", std::string{protocol::json_type});
    const auto answer = io::http_call("unix:" + registry_socket(options.text("data")),
                                      std::move(request), ask_timeout);
    if (!answer && answer.error().code == ErrorCode::timed_out)
        return Made{std::unexpected{answer.error()}};
    if (!answer) return std::nullopt;
    if (answer->status / 100 != 2)
        return Made{std::unexpected{protocol::parse_problem(answer->body, answer->status)}};
    if (answer->status != 201) return Made{std::nullopt};
    const JsonView view{answer->body};
    port::RegistryVersion version{.number = view["version"].number().value_or(0),
                                  .at = {},
                                  .note = view["note"].text(),
                                  .changes = view["changes"].number().value_or(0)};
    version.at = parse_rfc3339(view["at"].text()).value_or(WallTime{});
    return Made{std::move(version)};
}

int apply(Opened& opened, const Options& options) {
    const auto& words = options.positional();
    if (words.size() < 2) return report({ErrorCode::bad_usage, "apply takes files and folders"});
    const auto stages = read_stages(options);
    if (!stages) return report(stages.error());
    const auto entries = read_entries({words.begin() + 1, words.end()}, *stages);
    if (!entries) return report(entries.error());
    if (options.toggle("dry-run")) {
        print_changes(runtime::changes_between(opened.registry->entries(), *entries),
                      options.text("output"));
        return 0;
    }
    const std::string& note = options.text("note");
    if (const auto made = ask_running(options, {*entries, std::nullopt, note}))
        return tell(*made, options);
    return tell(opened.registry->apply(*entries, note), options);
}

int history(Opened& opened, const Options& options) {
    const auto versions = opened.history->list(0, versions_shown);
    if (!versions) return report(versions.error());
    print_versions(*versions, options.text("output"));
    return 0;
}

int diff(Opened& opened, const Options& options) {
    const auto& words = options.positional();
    if (words.size() < 2 || words.size() > 3)
        return report({ErrorCode::bad_usage, "diff takes one version, or two"});
    std::vector<std::vector<Entry>> sides;
    for (std::size_t i = 1; i < words.size(); ++i) {
        const auto version = read_version(words[i]);
        if (!version) return report(version.error());
        auto entries = opened.history->read(*version);
        if (!entries) return report(entries.error());
        sides.push_back(std::move(*entries));
    }
    if (sides.size() == 1) sides.push_back(opened.registry->entries());
    print_changes(runtime::changes_between(sides[0], sides[1]), options.text("output"));
    return 0;
}

int restore(Opened& opened, const Options& options) {
    const auto& words = options.positional();
    if (words.size() != 2) return report({ErrorCode::bad_usage, "restore takes one version"});
    const auto version = read_version(words[1]);
    if (!version) return report(version.error());
    if (const auto made = ask_running(options, {{}, *version, {}})) return tell(*made, options);
    return tell(opened.registry->restore(*version), options);
}

// Follows a running `taskd up` from its newest version on, over its restarts.
class Watch {
  public:
    explicit Watch(const Options& options)
        : options_{options},
          pattern_{options.positional().size() > 1 ? options.positional()[1] : "*"},
          clock_{io::make_system_clock()} {}

    int run() {
        if (options_.positional().size() > 2)
            return report({ErrorCode::bad_usage, "watch takes one pattern"});
        if (const auto valid = runtime::find_entries({}, pattern_); !valid)
            return report(valid.error());
        heard_ = clock_->steady();
        for (;;) {
            const auto told = ask();
            if (is_output_lost()) return end_of_output();
            if (told) {
                heard_ = clock_->steady();
                continue;
            }
            const bool over = !after_ || clock_->steady() - heard_ >= watch_patience;
            if (over || !service::is_worth_retrying(told.error().code)) return report(told.error());
            io::pause_for(watch_pause);
        }
    }

  private:
    Result<void> ask() {
        std::string target = "/registry/changes";
        if (after_) target += fmt::format("?after={}&wait={}", *after_, to_text(watch_wait));
        const auto answer = io::http_call("unix:" + registry_socket(options_.text("data")),
                                          {"GET", target, {}, {}}, 2 * watch_wait);
        if (!answer) return fail(ErrorCode::unreachable, "no taskd up runs there");
        if (answer->status != 200)
            return std::unexpected{protocol::parse_problem(answer->body, answer->status)};
        const JsonView told{answer->body};
        for (const JsonView& change : told["changes"].items())
            if (auto printed = print(change); !printed) return printed;
        after_ = told["version"].number();
        std::fflush(stdout);
        return {};
    }

    Result<void> print(const JsonView& change) const {
        const std::string id = change["id"].text();
        const std::vector<Entry> one{{.id = id, .kind = {}, .body = {}}};
        const auto found = runtime::find_entries(one, pattern_);
        if (!found || found->empty()) return {};
        const std::string& output = options_.text("output");
        if (output == "json") return print_line(change.raw()), Result<void>{};
        if (output == "id") return print_line(id), Result<void>{};
        port::EntryChange whole{.id = id, .before = {}, .after = {}};
        for (const auto& [name, side] :
             {std::pair{"before", &whole.before}, std::pair{"after", &whole.after}}) {
            if (change[name].empty()) continue;
            auto entry = protocol::parse_registry_asked(
                fmt::format(R"({{"entries":[{}]}})", change[name].raw()));
            if (!entry) return std::unexpected{entry.error()};
            *side = std::move(entry->entries.front());
        }
        std::fputs(change_text(whole).c_str(), stdout);
        return {};
    }

    const Options& options_;
    const std::string pattern_;
    std::unique_ptr<port::Clock> clock_;
    std::optional<std::uint64_t> after_;  // told so far
    SteadyTime heard_{};
};

int run(const Options& options) {
    constexpr int (*acts[])(Opened&, const Options&) = {list, show, apply, history, diff, restore};
    const std::string& verb = options.positional().front();
    const auto found = std::ranges::find(verbs, verb);
    if (found == std::end(verbs))
        return report({ErrorCode::bad_usage,
                       fmt::format("registry takes list, show, apply, history, diff, restore or "
                                   "watch, not '{}'{}",
                                   verb, meant_instead(verb, verbs))});
    if (verb == "watch") return Watch{options}.run();
    const auto opened = Opened::make(options);
    if (!opened) return report(opened.error());
    return acts[found - std::begin(verbs)](**opened, options);
}

}  // namespace

const Command& registry_command() {
    static const Command command{
        {.name = "registry",
         .arguments = "list [PATTERN] | show ID | apply PATH… | history | diff A [B] | restore N | "
                      "watch [PATTERN]",
         .summary = "declare queues, workers, workflows and more in files, with every version kept",
         .text =
             "'apply' makes what the files say the next version: what they do not name is gone. "
             "A PATH is\na YAML file, or a folder of them. PATTERN is an id with * for any "
             "characters, "
             "~EXPRESSION,\n^BEGINNING or $END. 'diff A' compares with what holds now. 'taskd up' "
             "with the same --data\nstarts the workers of the newest version and keeps all else as "
             "it says. While it runs it is\nasked about each change, and a part of it may refuse; "
             "'watch' follows the changes\nof single entries.",
         .options = {{.name = "data",
                      .value = "DIR",
                      .fallback = "taskd-data",
                      .help = "where registry.db lies: the data directory of taskd up"},
                     {.name = "override",
                      .value = "NS:NAME:FIELD=VALUE;…",
                      .help = "set fields of entries that are applied"},
                     {.name = "disable",
                      .value = "PATTERN,…",
                      .help = "leave out entries that are applied; * stands for any characters"},
                     {.name = "note",
                      .value = "TEXT",
                      .help = "why, for the history",
                      .from_environment = false},
                     {.name = "dry-run",
                      .kind = OptionKind::toggle,
                      .help = "print what would change and leave it",
                      .from_environment = false},
                     {.name = "output",
                      .letter = 'o',
                      .kind = OptionKind::choice,
                      .value = "json|table|id",
                      .fallback = "table",
                      .help = "print them so",
                      .from_environment = false}},
         .positional_min = 1,
         .positional_max = 1'000,
         .examples = {{"taskd registry apply entries/ --dry-run", "what would change"},
                      {"taskd registry apply entries/ --note 'more room'", "the next version"},
                      {"taskd registry list 'shop:*'", "what holds, of one namespace"},
                      {"taskd registry diff 3", "what has changed since version 3"},
                      {"taskd registry restore 3", "as it was then, as a new version"},
                      {"taskd registry watch 'shop:*' -o json", "what changes, as it does"}},
         .words = {std::begin(verbs), std::end(verbs)}},
        run};
    return command;
}

}  // namespace taskd::roles

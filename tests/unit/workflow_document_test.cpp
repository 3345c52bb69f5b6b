// Documents of workflows: what each of a corpus means or what is wrong with it, and whatever else
// somebody may write.
#include "taskd/protocol/workflow_document.hpp"

#include <algorithm>
#include <catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "taskd/base/duration_text.hpp"
#include "taskd/base/random.hpp"
#include "taskd/io/workflow_text.hpp"
#include "taskd/io/yaml.hpp"
#include "taskd/protocol/json.hpp"
#include "taskd/protocol/json_document.hpp"
#include "taskd/protocol/json_templates.hpp"

using namespace taskd;
using Catch::Matchers::Contains;
using Catch::Matchers::StartsWith;
namespace fs = std::filesystem;

namespace {

const fs::path corpus = TASKD_SOURCE_DIR "/tests/contract_docs/workflows";
constexpr std::string_view parting = "----\n";

std::string read(const fs::path& path) {
    std::ifstream in{path, std::ios::binary};
    std::stringstream text;
    text << in.rdbuf();
    return text.str();
}

protocol::WorkflowOptions options(std::string file = "x.yaml") {
    protocol::WorkflowOptions options;
    options.file = std::move(file);
    options.env = {{"HOME", "ada"}};
    return options;
}

Result<protocol::WorkflowDocument> read_text(const std::string& text,
                                             std::optional<std::string> inputs = {}) {
    auto all = options();
    all.inputs = std::move(inputs);
    return io::read_workflow_text(text, all);
}

std::string fault(const std::string& text, std::optional<std::string> inputs = {}) {
    const auto document = read_text(text, std::move(inputs));
    return document ? "none" : document.error().to_string();
}

// ---- a plan as lines ----------------------------------------------------------------------------

void put_task(std::ostringstream& out, const TaskSpec& task) {
    const TaskSpec usual;
    out << " type=" << task.type << " payload=" << task.payload.view();
    if (task.priority != usual.priority) out << " priority=" << int{task.priority};
    if (task.attempts_max != usual.attempts_max) out << " attempts=" << task.attempts_max;
    if (task.crashes_max != usual.crashes_max) out << " crashes=" << task.crashes_max;
    if (task.backoff != usual.backoff)
        out << " backoff=" << to_text(task.backoff.kind) << "," << to_text(task.backoff.initial)
            << "," << to_text(task.backoff.max) << "," << int{task.backoff.jitter} << "%";
    for (const std::string& code : task.no_retry)
        out << " no_retry=" << code;
    if (task.timeout != usual.timeout) out << " timeout=" << to_text(task.timeout);
    if (task.queue_timeout != usual.queue_timeout)
        out << " queue_timeout=" << to_text(task.queue_timeout);
    if (task.total_timeout != usual.total_timeout)
        out << " total_timeout=" << to_text(task.total_timeout);
    if (task.delay != usual.delay) out << " delay=" << to_text(task.delay);
    if (!task.key.empty()) out << " key=" << task.key;
    for (const auto& [name, value] : task.labels)
        out << " label:" << name << "=" << value;
}

void put_plan(std::ostringstream& out, const WorkflowPlan& plan, const std::string& indent) {
    out << indent << "workflow '" << plan.name << "' timeout=" << to_text(plan.timeout);
    if (plan.tasks_max > 0) out << " tasks_max=" << plan.tasks_max;
    for (const auto& [name, value] : plan.labels)
        out << " label:" << name << "=" << value;
    out << "\n";
    for (const StepPlan& step : plan.steps) {
        out << indent << step.name << ": " << to_text(step.kind);
        if (step.kind == StepKind::task) put_task(out, step.task);
        for (const StepEdge& edge : step.after)
            out << " after=" << plan.steps[edge.from].name << "/" << to_text(edge.on_failure);
        if (!step.when.empty()) out << " when=(" << step.when << ")";
        if (!step.for_each.empty()) out << " for_each=" << step.for_each.view();
        if (step.in_flight > 0) out << " in_flight=" << step.in_flight;
        if (step.wait != Duration{0}) out << " wait=" << to_text(step.wait);
        if (!step.awaits.empty()) out << " awaits=" << step.awaits;
        if (!step.question.empty()) out << " question='" << step.question << "'";
        if (!step.inputs.empty()) out << " inputs=" << step.inputs.view();
        if (step.on_failure != OnFailure::fail) out << " on_failure=" << to_text(step.on_failure);
        if (step.compensated_by) out << " runs=" << plan.steps[*step.compensated_by].name;
        if (step.compensates) out << " compensates";
        out << "\n";
        if (step.child) put_plan(out, *step.child, indent + "  ");
    }
    if (!plan.output.empty()) out << indent << "output " << plan.output.view() << "\n";
}

std::string shown(const protocol::WorkflowDocument& document) {
    std::ostringstream out;
    put_plan(out, *document.plan, "");
    if (document.inputs.view() != "{}") out << "inputs " << document.inputs.view() << "\n";
    if (document.env.view() != "{}") out << "env " << document.env.view() << "\n";
    if (document.wait) out << "wait\n";
    for (const std::string& note : document.notes)
        out << "note " << note << "\n";
    return out.str();
}

// What every plan keeps, whoever wrote it.
void check_plan(const WorkflowPlan& plan) {
    REQUIRE(!plan.steps.empty());
    const PlanIndex index{std::make_shared<const WorkflowPlan>(plan)};
    std::vector<std::size_t> left(plan.steps.size());
    std::vector<StepIndex> ready;
    for (StepIndex i = 0; i < plan.steps.size(); ++i) {
        const StepPlan& step = plan.steps[i];
        REQUIRE(is_step_name(step.name));
        REQUIRE(index.find(step.name) == i);
        std::vector<StepIndex> from;
        for (const StepEdge& edge : step.after) {
            REQUIRE(edge.from < plan.steps.size());
            REQUIRE(std::ranges::find(from, edge.from) == from.end());
            from.push_back(edge.from);
        }
        if (step.compensated_by) REQUIRE(plan.steps[*step.compensated_by].compensates);
        left[i] = from.size();
        if (left[i] == 0) ready.push_back(i);
        if (step.kind == StepKind::task) REQUIRE(protocol::check_json(step.task.payload.view()));
        if (step.kind == StepKind::workflow) check_plan(*step.child);
        if (!step.when.empty()) REQUIRE(protocol::check_condition(step.when));
    }
    for (std::size_t at = 0; at < ready.size(); ++at)
        for (const StepEdge& edge : index.followers(ready[at]))
            if (--left[edge.from] == 0) ready.push_back(edge.from);
    REQUIRE(ready.size() == plan.steps.size());
}

// Each text of a folder: a document, a line of dashes, and what becomes of it.
std::size_t check_folder(const std::string& folder,
                         const std::function<std::string(const std::string&)>& outcome) {
    std::size_t count = 0;
    std::vector<fs::path> paths;
    for (const auto& entry : fs::directory_iterator{corpus / folder})
        paths.push_back(entry.path());
    std::ranges::sort(paths);
    for (const fs::path& path : paths) {
        INFO(path.string());
        const std::string text = read(path);
        const std::size_t at = text.rfind(parting);
        REQUIRE(at != std::string::npos);
        const std::string document = text.substr(0, at);
        const std::string came = outcome(document);
        if (std::getenv("TASKD_UPDATE_STORIES") != nullptr)
            std::ofstream{path, std::ios::binary} << document << parting << came;
        else
            CHECK(came == text.substr(at + parting.size()));
        ++count;
    }
    return count;
}

}  // namespace

TEST_CASE("each bad document has one clear error with its place", "[workflow]") {
    const std::size_t count = check_folder("bad", [](const std::string& text) {
        const auto document = io::read_workflow_text(text, options("doc"));
        REQUIRE_FALSE(document);
        const std::string& detail = document.error().detail;
        // doc:LINE:COLUMN: what
        CHECK_THAT(detail, Catch::Matchers::Matches("doc:[1-9][0-9]*:[1-9][0-9]*: [^\n]+"));
        return document.error().to_string() + "\n";
    });
    CHECK(count >= 60);
}

TEST_CASE("each good document means what it says", "[workflow]") {
    const std::size_t count = check_folder("good", [](const std::string& text) {
        auto all = options("doc");
        all.inputs = "{}";
        const auto document = io::read_workflow_text(text, all);
        INFO((document ? "" : document.error().to_string()));
        REQUIRE(document);
        check_plan(*document->plan);
        return shown(*document);
    });
    CHECK(count >= 15);
}

TEST_CASE("the examples are workflows", "[workflow]") {
    std::size_t count = 0;
    for (const auto& entry : fs::directory_iterator{TASKD_SOURCE_DIR "/config/workflows"}) {
        INFO(entry.path().string());
        auto all = options();
        all.inputs = "{}";
        const auto document = io::read_workflow_text(read(entry.path()), all);
        INFO((document ? "" : document.error().to_string()));
        REQUIRE(document);
        check_plan(*document->plan);
        ++count;
    }
    CHECK(count >= 5);
}

TEST_CASE("the page on documents names every field", "[workflow]") {
    const std::string page = read(TASKD_SOURCE_DIR "/src/protocol/workflows.md");
    for (const char* name : {"name",
                             "description",
                             "version",
                             "tags",
                             "labels",
                             "inputs",
                             "env",
                             "steps",
                             "tasks",
                             "output",
                             "timeout",
                             "max_parallel_tasks",
                             "on_failure",
                             "wait_for_completion",
                             "type",
                             "method",
                             "payload",
                             "parameters",
                             "for_each",
                             "in_flight",
                             "signal: NAME",
                             "event: TOPIC",
                             "approval: TEXT",
                             "join: true",
                             "id",
                             "after",
                             "dependencies",
                             "when",
                             "queue_timeout",
                             "total_timeout",
                             "delay",
                             "retry",
                             "retry_config",
                             "priority",
                             "key"}) {
        INFO(name);
        CHECK_THAT(page, Contains("`" + std::string{name} + "`"));
    }
    // Of priorities the page says what is read.
    for (const auto& [name, level] : {std::pair{"low", 2}, std::pair{"normal", 5},
                                      std::pair{"high", 7}, std::pair{"urgent", 9}}) {
        const auto read = read_text("steps: [{type: a, priority: " + std::string{name} + "}]");
        REQUIRE(read);
        CHECK(read->plan->steps[0].task.priority == level);
        CHECK_THAT(page, Contains("`" + std::string{name} + "` " + std::to_string(level)));
    }
}

TEST_CASE("inputs that are given are held against those declared", "[workflow]") {
    const std::string text =
        "inputs: {city: Bern, days: , list: [1, 2]}\n"
        "steps:\n"
        "  - {name: a, type: sum, payload: \"${inputs.city.street}\"}\n"
        "  - {name: b, type: sum, for_each: \"${inputs.list}\", payload: \"${item}\"}\n";
    CHECK(fault(text) == "none");  // nobody has given any yet
    CHECK_THAT(fault(text, "{}"), StartsWith("missing_field: ") && Contains("(inputs.days)"));
    CHECK_THAT(fault(text, R"({"days":1,"citty":"Genf"})"),
               StartsWith("unknown_field: ") && Contains("inputs.citty; did you mean 'city'?"));
    CHECK_THAT(fault(text, "[1]"), StartsWith("invalid_field: "));
    CHECK_THAT(fault(text, "{"), StartsWith("bad_json: "));
    CHECK_THAT(fault(text, R"({"days":1})"),
               Contains("x.yaml:3:35: ${inputs.city.street}: 'street' is asked of"));
    CHECK_THAT(fault(text, R"({"days":1,"city":{"street":2},"list":3})"),
               StartsWith("not_a_list: ") && Contains("x.yaml:4:36: 3"));
    const auto read = read_text(text, R"({"days":null,"city":{"street":2}})");
    REQUIRE(read);
    CHECK(read->inputs.view() == R"({"city":{"street":2},"days":null,"list":[1,2]})");
}

TEST_CASE("inputs and payloads are held against their schemas", "[workflow]") {
    const std::string text =
        "inputs:\n"
        "  n: {default: 3, schema: {type: integer}}\n"
        "  word: {required: false, schema: {maxLength: 3}}\n"
        "steps:\n"
        "  - {name: a, type: sum, payload: [1, \"${inputs.n}\"]}\n"
        "  - {name: b, type: sum, payload: [1, [2], x]}\n";
    CHECK(fault(text, R"({"n":4,"word":"abc"})") == "none");
    CHECK_THAT(fault(text, R"({"n":"x"})"),
               StartsWith("schema_mismatch: ") && Contains("(inputs.n: /: must be an integer)"));
    CHECK_THAT(fault(text, R"({"word":"long"})"), Contains("(inputs.word: /: must have at most 3"));
    CHECK_THAT(fault("inputs: {n: {default: x, schema: {type: integer}}}\nsteps: [{type: a}]"),
               StartsWith("schema_mismatch: ") && Contains("x.yaml:1:23: /: must be an integer"));
    CHECK_THAT(fault("inputs: {n: {schema: {type: int}}}\nsteps: [{type: a}]"),
               StartsWith("bad_schema: ") && Contains("x.yaml:1:22: /type: no type is called"));
    auto all = options();
    all.schemas.emplace(
        "sum",
        protocol::JsonSchema::compile(R"({"type":"array","items":{"type":"number"}})").value());
    const auto document = io::read_workflow_text(text, all);
    REQUIRE_FALSE(document);
    CHECK(document.error().code == ErrorCode::schema_mismatch);
    CHECK(document.error().detail ==
          "x.yaml:6:39: sum: /1: must be a number; /2: must be a number");
    CHECK_THAT(io::read_workflow_text("steps: [{type: sum}]", all).error().detail,
               StartsWith("x.yaml:1:9: sum: /: must be a list"));
}

TEST_CASE("the environment is read by name, as far as it is allowed", "[workflow]") {
    const std::string text = "env: [HOME, LANG]\nsteps: [{type: sum, payload: \"${env.LANG}\"}]\n";
    CHECK_THAT(fault(text), Contains("x.yaml:1:13: 'LANG' of the environment is not for"));
    auto any = options();
    any.any_env = true;
    const auto document = io::read_workflow_text(text, any);
    REQUIRE(document);
    CHECK(document->env.view() == R"({"HOME":"ada","LANG":null})");
}

TEST_CASE("more steps than may be are refused, in all workflows together", "[workflow]") {
    std::string inner = "{\"steps\":[";
    for (std::size_t i = 0; i < 50'000; ++i)
        inner += i == 0 ? R"({"type":"sum"})" : R"(,{"type":"sum"})";
    inner += "]}";
    const auto twice = [&](const std::string& more) {
        return "{\"steps\":[{\"name\":\"a\",\"workflow\":" + inner + "}," + more +
               "{\"name\":\"b\",\"workflow\":" + inner + "}]}";
    };
    CHECK_THAT(fault(twice("")), StartsWith("too_many_steps: ") && Contains("more than 100000"));
    std::string many = "{\"steps\":[{\"type\":\"sum\",\"for_each\":[";
    for (std::size_t i = 0; i <= limits::workflow_items_max; ++i)
        many += i == 0 ? "1" : ",1";
    CHECK_THAT(fault(many + "]}]}"), StartsWith("too_many_steps: "));
}

TEST_CASE("a payload has its bound in a workflow too", "[workflow]") {
    const std::string text = "{\"steps\":[{\"type\":\"a\",\"payload\":\"" +
                             std::string(limits::task_bytes_max, 'x') + "\"}]}";
    CHECK_THAT(fault(text), StartsWith("task_too_large: ") && Contains("x.yaml:1:33: "));
}

TEST_CASE("references far back are found without looking at everything", "[workflow]") {
    std::string chain = "{\"steps\":[{\"name\":\"s0\",\"type\":\"a\"}";
    for (int i = 1; i < 20'000; ++i) {
        const std::string before = std::to_string(i - 1);
        chain += ",{\"name\":\"s" + std::to_string(i) + "\",\"type\":\"a\",\"after\":\"s" + before +
                 "\",\"payload\":\"${s0}\"}";
    }
    CHECK(read_text(chain + "]}"));
    // Ladders whose sides cross at every rung: neither side is seen in a forest.
    std::string ladder =
        "{\"steps\":[{\"name\":\"l0\",\"type\":\"a\"},{\"name\":\"r0\",\"type\":\"a\"}";
    for (int i = 1; i < 20'000; ++i) {
        const std::string before = std::to_string(i - 1), here = std::to_string(i);
        for (const char* side : {"l", "r"})
            ladder += std::string{",{\"name\":\""} + side + here +
                      "\",\"type\":\"a\",\"after\":[\"l" + before + "\",\"r" + before +
                      "\"],\"payload\":\"${r0}\"}";
    }
    CHECK_THAT(fault(ladder + "]}"), StartsWith("unresolved_reference: ") &&
                                         Contains("is too far behind 'r0': add 'r0' to its after"));
}

TEST_CASE("a batch becomes a task a file", "[workflow]") {
    const auto parsed = io::parse_document(
        "name: texts\ntype: batch\nbatch: {directory: docs, pattern: '*.txt'}\n"
        "template:\n  method: llm/chat\n  priority: high\n  model: small\n"
        "  messages: [{role: user, content: Say it}]\n",
        "");
    REQUIRE(parsed);
    const auto batch = protocol::batch_of(*parsed);
    REQUIRE(batch);
    REQUIRE(*batch);
    CHECK((*batch)->directory == "docs");
    CHECK((*batch)->pattern == "*.txt");
    const auto expanded = protocol::expand_batch(*parsed, {"docs/a.txt", "docs/${b} ü.tar.gz"});
    REQUIRE(expanded);
    const auto read = protocol::read_workflow(*expanded, options());
    INFO((read ? "" : read.error().to_string()));
    REQUIRE(read);
    CHECK(shown(*read) ==
          "workflow 'texts' timeout=7d\n"
          "process-a-txt-0: task type=llm/chat payload={\"model\":\"small\",\"messages\":"
          "[{\"role\":\"user\",\"content\":\"Say it\"}],\"file_path\":\"docs/a.txt\"} priority=7\n"
          "process-b--tar-gz-1: task type=llm/chat payload={\"model\":\"small\",\"messages\":"
          "[{\"role\":\"user\",\"content\":\"Say it\"}],\"file_path\":\"docs/$${b} ü.tar.gz\"} "
          "priority=7\n");
    // The document travels as JSON.
    const auto json = protocol::write_document(*expanded);
    REQUIRE(json);
    const auto again = read_text(*json);
    REQUIRE(again);
    CHECK(*again->plan == *read->plan);
}

TEST_CASE("where a batch puts a file's path depends on the method", "[workflow]") {
    const auto payload = [](const std::string& text, const std::string& file) {
        const auto expanded = protocol::expand_batch(io::parse_document(text, "").value(), {file});
        REQUIRE(expanded);
        return std::string{protocol::read_workflow(*expanded, options())
                               .value()
                               .plan->steps[0]
                               .task.payload.view()};
    };
    const std::string head = "batch: {directory: d}\n";
    CHECK(payload(head + "template: {method: llm/vision}", "d/a.PNG") ==
          R"({"image_path":"d/a.PNG"})");
    CHECK(payload(head + "template: {method: llm/vision}", "d/a.txt") ==
          R"({"file_path":"d/a.txt"})");
    CHECK(payload(head + "template: {method: llm/chat}", "d/a.png") ==
          R"({"file_path":"d/a.png"})");
    CHECK(payload(head + "protocol: python/v1\ntemplate: {method: execute, context: {a: 1}}",
                  "f") == R"({"context":{"a":1,"file_path":"f"}})");
    CHECK(payload(head + "template: {method: python/execute, file: x.py}", "f") ==
          R"({"file":"x.py","context":{"file_path":"f"}})");
}

TEST_CASE("a faulty batch is told so", "[workflow]") {
    const auto what = [](const std::string& text) {
        const auto expanded = protocol::expand_batch(io::parse_document(text, "b").value(), {});
        REQUIRE_FALSE(expanded);
        return expanded.error().to_string();
    };
    CHECK_THAT(what("type: batch\ntemplate: {}"), Contains("b:1:1: a batch has a map 'batch'"));
    CHECK_THAT(what("batch: {dir: x}\ntemplate: {}"), Contains("b:1:9: batch has no field 'dir'"));
    CHECK_THAT(what("batch: {pattern: x}\ntemplate: {}"), Contains("batch.directory is missing"));
    CHECK_THAT(what("batch: {directory: x}"), Contains("a batch has a map 'template'"));
    CHECK_THAT(what("batch: {directory: x, pattern: a/b}\ntemplate: {}"), Contains("without '/'"));
    CHECK_THAT(what("batch: {directory: x}\ntemplate: {}\ntasks: []"), Contains("b:3:1: "));
    CHECK_THAT(what("batch: {directory: x}\ntemplate: {}"), Contains("no file in 'x' matches '*'"));
    CHECK_THAT(what("name: x"), Contains("it is no batch"));
}

namespace {

// Documents that are nearly right: fields and values that there are, put together by chance.
class Scribe {
  public:
    explicit Scribe(std::uint64_t seed) : random_{seed} {}

    std::string document(int depth = 0) {
        std::string out = "{";
        const std::size_t steps = 1 + random_.below(6);
        out += R"("steps":[)";
        for (std::size_t i = 0; i < steps; ++i)
            out += (i == 0 ? "" : ",") + step(i, steps, depth);
        out += "]";
        if (random_.chance(1, 4)) out += R"(,"inputs":{"n":3,"m":[1,2]})";
        if (random_.chance(1, 4)) out += R"(,"output":)" + value(steps);
        if (random_.chance(1, 8)) out += R"(,"on_failure":"skip")";
        if (random_.chance(1, 20)) out += R"(,"stepps":1)";
        return out + "}";
    }

  private:
    std::string name(std::size_t steps) {
        if (random_.chance(1, 30)) return "nobody";
        return "s" + std::to_string(random_.below(steps));
    }

    std::string value(std::size_t steps) {
        switch (random_.below(8)) {
            case 0:
                return "\"${" + name(steps) + "}\"";
            case 1:
                return "[1,\"x ${" + name(steps) + ".a[0]}\"]";
            case 2:
                return R"({"a":"${inputs.n}"})";
            case 3:
                return R"("${item}")";
            case 4:
                return R"("${ item")";
            default:
                return R"({"a":[null,true,"text",1.5]})";
        }
    }

    std::string step(std::size_t number, std::size_t steps, int depth) {
        std::string out = R"({"name":"s)" + std::to_string(number) + "\"";
        switch (random_.below(depth < 2 ? 8 : 7)) {
            case 0:
                out += R"(,"sleep":"1s")";
                break;
            case 1:
                out += R"(,"signal":"go","timeout":5)";
                break;
            case 2:
                out += R"(,"join":true)";
                break;
            case 7:
                out += R"(,"workflow":)" + document(depth + 1);
                break;
            default:
                out += R"(,"type":"t","payload":)" + value(steps);
                if (random_.chance(1, 4)) out += R"(,"for_each":"${inputs.m}")";
        }
        if (random_.chance(2, 3)) {
            // Most wait for those before them, some for any.
            const std::size_t among = random_.chance(1, 5) ? steps : number;
            if (among > 0) out += R"(,"after":[")" + name(among) + "\"]";
        }
        if (random_.chance(1, 6)) out += R"(,"when":"${)" + name(steps) + R"(.x} > 3")";
        if (random_.chance(1, 8)) out += R"(,"on_failure":{"run":")" + name(steps) + "\"}";
        return out + "}";
    }

    Random random_;
};

}  // namespace

TEST_CASE("whatever the document, there is a sound plan or an error with its place", "[workflow]") {
    std::size_t good = 0;
    constexpr std::uint64_t rounds = 4'000;
    for (std::uint64_t seed = 0; seed < rounds; ++seed) {
        const std::string text = Scribe{seed}.document();
        INFO(text);
        const auto document = read_text(text);
        if (document) {
            check_plan(*document->plan);
            ++good;
        } else {
            REQUIRE_THAT(document.error().detail, StartsWith("x.yaml:1:"));
        }
    }
    CHECK(good > rounds / 20);
    CHECK(good < rounds - rounds / 20);
}

TEST_CASE("a damaged document ends in an answer", "[workflow]") {
    std::vector<std::string> texts;
    for (const auto& entry : fs::directory_iterator{corpus / "good"}) {
        const std::string text = read(entry.path());
        texts.push_back(text.substr(0, text.rfind(parting)));
    }
    Random random{3};
    for (int round = 0; round < 3'000; ++round) {
        std::string text = texts[random.below(texts.size())];
        for (auto left = 1 + random.below(3); left > 0; --left) {
            const std::size_t at = random.below(text.size());
            if (random.chance(1, 2))
                text[at] = static_cast<char>(random.below(128));
            else
                text.erase(at, 1 + random.below(20));
            if (text.empty()) text = "x";
        }
        INFO(text);
        const auto document = read_text(text);
        if (document) check_plan(*document->plan);
    }
}

// What every port::View promises: SqliteView, on the real disk and, through a file layer of the
// tests' own, on the simulated one, and its twin in memory.
#include <algorithm>

#include "catch.hpp"
#include "io/store/sqlite_db.hpp"
#include "random_model.hpp"
#include "taskd/protocol/search_match.hpp"
#include "view_world.hpp"

using namespace taskd;
using namespace taskd::support;
using port::ViewChange;

namespace {

std::vector<TaskId> ids_of(const std::vector<Task>& tasks) {
    std::vector<TaskId> ids;
    for (const Task& task : tasks)
        ids.push_back(task.spec.id);
    return ids;
}

std::vector<TaskHead> live_of(port::View& view) {
    std::vector<TaskHead> heads;
    REQUIRE(view.each_live([&](const TaskHead& head) { heads.push_back(head); }));
    return heads;
}

std::vector<TaskHead> heads_of(const std::vector<Task>& tasks) {
    std::vector<TaskHead> heads;
    std::ranges::transform(tasks, std::back_inserter(heads), head_of);
    return heads;
}

// Every page after the other, a few at a time.
std::vector<TaskId> pages(port::View& view, TaskQuery query) {
    std::vector<TaskId> ids;
    for (;;) {
        const auto page = view.list(query);
        REQUIRE(page.has_value());
        CHECK(page->tasks.size() <= query.limit);
        for (const TaskId& id : ids_of(page->tasks))
            ids.push_back(id);
        if (!page->next) return ids;
        CHECK(page->tasks.size() == query.limit);
        query.after = page->next;
    }
}

}  // namespace

TEST_CASE("a new view stands at the beginning") {
    ON_EVERY_VIEW;
    CHECK(world.view->mark() == port::ViewMark{});
    CHECK(world.view->newest_ended().value() == std::optional<TaskId>{});
    CHECK(live_of(*world.view).empty());
    CHECK(world.view->list({}).value().tasks.empty());
}

TEST_CASE("rows and mark read back as stored, also after a restart") {
    ON_EVERY_VIEW;
    std::vector<Task> tasks;
    for (int i = 0; i < 50; ++i)
        tasks.push_back(world.task("email", TaskState::running));
    world.store(tasks);
    for (int restarts = 0; restarts < 2; ++restarts) {
        CHECK(world.view->mark() == world.mark);
        CHECK(world.view->find(ids_of(tasks)) == tasks);
        world.reopen();
    }
    CHECK(world.view->find(std::vector{tasks[3].spec.id, TaskId{}, tasks[1].spec.id}) ==
          std::vector{tasks[3], tasks[1]});
}

TEST_CASE("a row is replaced as a whole") {
    ON_EVERY_VIEW;
    Task task = world.task("email", TaskState::queued);
    world.store({task});
    task.state = TaskState::succeeded;
    task.result = Blob{"[1,2]"};
    task.attempts.clear();
    task.error.reset();
    world.store({task});
    CHECK(world.view->find(std::vector{task.spec.id}) == std::vector{task});
    CHECK(world.view->list({}).value().tasks == std::vector{task});
    CHECK(live_of(*world.view).empty());
    CHECK(world.view->newest_ended().value() == std::optional{task.spec.id});
}

TEST_CASE("payloads of any size and content read back") {
    ON_EVERY_VIEW;
    std::vector<Task> tasks;
    for (const std::size_t size :
         {std::size_t{0}, std::size_t{1}, std::size_t{4'096}, limits::task_bytes_max}) {
        Task task = world.task("email", TaskState::succeeded);
        task.spec.payload = Blob{std::string(size, '\0')};
        task.result = Blob{std::string(size, 'r')};
        tasks.push_back(task);
    }
    world.store(tasks);
    world.reopen();
    CHECK(world.view->find(ids_of(tasks)) == tasks);
}

TEST_CASE("pages come in id order through every filter") {
    ON_EVERY_VIEW;
    std::vector<Task> tasks;
    constexpr TaskState states[] = {TaskState::scheduled, TaskState::queued, TaskState::running,
                                    TaskState::succeeded, TaskState::dead,   TaskState::cancelled};
    for (int i = 0; i < 120; ++i)
        tasks.push_back(world.task(std::string{"type"} + static_cast<char>('a' + i % 7),
                                   states[static_cast<std::size_t>(i) % std::size(states)]));
    std::vector<Task> shuffled = tasks;
    for (std::size_t i = shuffled.size(); i > 1; --i)
        std::swap(shuffled[i - 1], shuffled[world.random.below(i)]);
    world.store(shuffled);
    const auto expect = [&](std::string_view type, std::optional<TaskState> state) {
        std::vector<TaskId> ids;
        for (const Task& task : tasks)
            if ((type.empty() || task.spec.type == type) && (!state || task.state == *state))
                ids.push_back(task.spec.id);
        return ids;
    };
    for (const std::size_t limit : {std::size_t{1}, std::size_t{7}, std::size_t{1'000}}) {
        CHECK(pages(*world.view, {.limit = limit}) == expect("", {}));
        CHECK(pages(*world.view, {.type = "typec", .limit = limit}) == expect("typec", {}));
        CHECK(pages(*world.view, {.type = "none", .limit = limit}).empty());
        for (const TaskState state : states) {
            CHECK(pages(*world.view, {.state = state, .limit = limit}) == expect("", state));
            CHECK(pages(*world.view, {.type = "typeb", .state = state, .limit = limit}) ==
                  expect("typeb", state));
        }
    }
    CHECK(world.view->list({.limit = 0}).value().tasks.size() == 1);
}

TEST_CASE("a search finds the same on every view, whatever the pages") {
    ON_EVERY_VIEW;
    const WallTime now{std::chrono::hours{100}};
    std::vector<Task> tasks;
    constexpr TaskState states[] = {TaskState::queued, TaskState::running, TaskState::dead};
    constexpr const char* keys[] = {"", "acme", "bolt"};
    for (std::size_t i = 0; i < 200; ++i) {
        tasks.push_back(world.task(i % 2 == 0 ? "email" : "call", states[i % 3]));
        Task& task = tasks.back();
        task.spec.key = keys[i % 7 % 3];
        task.spec.labels = {{"team", i % 5 == 0 ? "red" : "blue"}};
        task.spec.payload = Blob{"{\"n\":" + std::to_string(i) + "}"};
        task.priority = static_cast<std::uint8_t>(i % 10);
        task.submitted_at = now - std::chrono::minutes{i};
    }
    world.store(tasks);
    const std::string first = tasks[20].spec.id.to_string();
    for (const std::string& text : std::vector<std::string>{
             "state:dead", "-state:dead type:email", "type:em*,none", "-type:call", "key:acme",
             "key:acme,bolt state:queued", "-key:acme", "key:", "label:team=red key:bolt",
             "age>30m priority>=5", "payload.n>=150", "state:dead payload.n<20", "id:" + first,
             "id:" + first.substr(0, 13) + "* type:email", "id:zz", "type:none", "worker:nobody",
             "id:" + first + " -id:" + first}) {
        INFO(text);
        const auto search = parse_search(text == "key:" ? "-key:acme,bolt" : text);
        REQUIRE(search);
        std::vector<TaskId> expected;
        for (const Task& task : tasks)
            if (protocol::matches(*search, task, now)) expected.push_back(task.spec.id);
        for (const std::size_t rows_max : {std::size_t{1}, std::size_t{7}, std::size_t{1'000}}) {
            TaskQuery query{.limit = 9, .search = *search, .now = now, .rows_max = rows_max};
            std::vector<TaskId> found;
            do {
                const auto page = world.view->list(query);
                REQUIRE(page);
                CHECK(page->tasks.size() <= 9);
                CHECK(page->count == page->tasks.size());
                std::ranges::copy(ids_of(page->tasks), std::back_inserter(found));
                CHECK((!page->next || !query.after || *page->next > *query.after));
                query.after = page->next;
            } while (query.after);
            CHECK(found == expected);
            std::size_t count = 0;
            query.count_only = true;
            do {
                const auto page = world.view->list(query);
                REQUIRE(page);
                CHECK(page->tasks.empty());
                count += page->count;
                query.after = page->next;
            } while (query.after);
            CHECK(count == expected.size());
        }
    }
    TaskQuery both{.type = "email", .state = TaskState::dead, .limit = 1'000};
    both.search = *parse_search("key:acme");
    const auto found = world.view->list(both).value();
    for (const Task& task : found.tasks)
        CHECK((task.spec.type == "email" && task.state == TaskState::dead &&
               task.spec.key == "acme"));
    CHECK(found.tasks.size() > 5);
}

TEST_CASE("tasks can be asked for without their payloads and results") {
    ON_EVERY_VIEW;
    std::vector<Task> tasks;
    for (int i = 0; i < 20; ++i) {
        tasks.push_back(world.task("email", i % 2 == 0 ? TaskState::dead : TaskState::succeeded));
        tasks.back().spec.payload = Blob{R"({"n":1})"};
        tasks.back().result = Blob{"[1]"};
    }
    world.store(tasks);
    for (const char* text : {"state:succeeded,dead", "type:email", "payload.n:1", ""}) {
        INFO(text);
        TaskQuery query{.limit = 100, .search = *parse_search(text), .bare = true};
        const auto found = world.view->list(query).value().tasks;
        REQUIRE(found.size() == tasks.size());
        for (std::size_t i = 0; i < found.size(); ++i) {
            // What had to be read to know may be there.
            if (std::string_view{text}.starts_with("payload")) continue;
            Task bare = tasks[i];
            bare.spec.payload = bare.result = {};
            CHECK(found[i] == bare);
        }
    }
}

TEST_CASE("what lives is handed over in the order it was queued") {
    ON_EVERY_VIEW;
    std::vector<Task> tasks;
    for (std::uint64_t i = 0; i < 60; ++i) {
        tasks.push_back(world.task("email", i % 3 == 0 ? TaskState::cancelled : TaskState::queued));
        tasks.back().queued_as = Sequence{(i * 37) % 61};
        if (i % 6 == 0) tasks.back().lease = Lease{LeaseEpoch{1}, "w", EngineTime{}, true};
    }
    world.store(tasks);
    std::erase_if(tasks, [](const Task& task) { return is_terminal(task.state) && !task.lease; });
    std::ranges::sort(tasks, {}, [](const Task& task) { return task.queued_as; });
    CHECK(live_of(*world.view) == heads_of(tasks));
    CHECK(tasks.size() == 50);
    tasks.front().state = TaskState::dead;
    tasks.front().lease.reset();
    world.store({tasks.front()});
    CHECK(live_of(*world.view) == heads_of(std::vector(tasks.begin() + 1, tasks.end())));
}

TEST_CASE("a part of an id finds its tasks, two at most") {
    ON_EVERY_VIEW;
    const TaskId first = *TaskId::parse("018bcfe5-687b-7000-8000-0123456789ab");
    const TaskId second = *TaskId::parse("018bcfe5-687c-7000-8000-1123456789ab");
    const TaskId third = *TaskId::parse("018bcfe5-687c-7000-8000-2123456789ab");
    std::vector<Task> tasks;
    for (const TaskId& id : {first, second, third}) {
        tasks.push_back(world.task("email", TaskState::queued));
        tasks.back().spec.id = id;
    }
    world.store(tasks);
    const auto match = [&](std::string_view part) { return world.view->match(part).value(); };
    CHECK(match("018bcfe5-687b") == std::vector{first});
    CHECK(match("018BCFE5-687B-7") == std::vector{first});
    CHECK(match(third.to_string()) == std::vector{third});
    CHECK(match("018bcfe5-687c") == std::vector{second, third});
    CHECK(match("0").size() == 2);
    CHECK(match("0123456789ab") == std::vector{first});
    CHECK(match("8000-0123456789ab") == std::vector{first});
    CHECK(match("89ab").size() == 2);
    for (const char* none : {"", "1", "018bcfe5687b", "018bcfe5-687b7", "xyz", "ab-", "%", "cd",
                             "018bcfe5-687b-7000-8000-0123456789ab0"})
        CHECK(match(none).empty());
}

TEST_CASE("the newest ended task is remembered") {
    ON_EVERY_VIEW;
    const Task older = world.task("email", TaskState::dead);
    const Task newer = world.task("email", TaskState::cancelled);
    const Task living = world.task("email", TaskState::queued);
    world.store({newer, living});
    CHECK(world.view->newest_ended().value() == std::optional{newer.spec.id});
    world.store({older});
    CHECK(world.view->newest_ended().value() == std::optional{newer.spec.id});
    world.reopen();
    CHECK(world.view->newest_ended().value() == std::optional{newer.spec.id});
}

TEST_CASE("rules of queues are replaced as a whole and read back by type") {
    ON_EVERY_VIEW;
    QueueRules email = random_rules(world.random), call = random_rules(world.random);
    email.type = "email";
    call.type = "call";
    REQUIRE(world.view->store({world.mark, {}, {email, call}}));
    email = random_rules(world.random);
    email.type = "email";
    REQUIRE(world.view->store({world.mark, {}, {email}}));
    world.reopen();
    std::vector<QueueRules> found;
    REQUIRE(world.view->each_queue([&](const QueueRules& rules) { found.push_back(rules); }));
    CHECK(found == std::vector{call, email});
}

TEST_CASE("what is gone goes before what is stored, and operations read back") {
    ON_EVERY_VIEW;
    const Task stays = world.task("email", TaskState::dead);
    Task comes = world.task("email", TaskState::dead), goes = world.task("email", TaskState::dead);
    world.store({stays, comes, goes});
    std::vector<Operation> operations;
    for (int i = 0; i < 3; ++i)
        operations.push_back(random_operation(world.random));
    std::ranges::sort(operations, {}, &Operation::id);
    comes.state = TaskState::queued;
    port::ViewChange change{.mark = world.mark, .tasks = sim::as_rows({comes})};
    change.gone_tasks = {comes.spec.id, goes.spec.id};
    change.operations = operations;
    REQUIRE(world.view->store(change));
    operations[1].changed += 5;
    change = {.mark = world.mark};
    change.operations = {operations[1]};
    change.gone_operations = {operations[0].id};
    REQUIRE(world.view->store(change));
    world.reopen();
    CHECK(world.view->list({}).value().tasks == std::vector{stays, comes});
    std::vector<Operation> found;
    REQUIRE(world.view->each_operation([&](const Operation& each) { found.push_back(each); }));
    CHECK(found == std::vector{operations[1], operations[2]});
}

TEST_CASE("holds of workers are replaced, and go without a pause") {
    ON_EVERY_VIEW;
    WorkerHold first = random_hold(world.random), second = random_hold(world.random);
    first.instance = "a";
    second.instance = "b";
    first.pause = second.pause = Pause{"ann", "why", WallTime{Duration{5}}};
    port::ViewChange change{.mark = world.mark};
    change.holds = {second, first};
    REQUIRE(world.view->store(change));
    second.draining = !second.draining;
    first.pause.reset();
    change.holds = {second, first, {"c", std::nullopt, false}};
    REQUIRE(world.view->store(change));
    world.reopen();
    std::vector<WorkerHold> found;
    REQUIRE(world.view->each_hold([&](const WorkerHold& each) { found.push_back(each); }));
    CHECK(found == std::vector{second});
}

TEST_CASE("workflows read back whole, whatever of them is written") {
    ON_EVERY_VIEW;
    std::map<WorkflowId, WholeWorkflow> expected;
    for (int i = 0; i < 20; ++i) {
        port::ViewChange change{.mark = world.mark};
        if (expected.size() > 5) {
            change.gone_workflows.push_back(expected.rbegin()->first);
            expected.erase(std::prev(expected.end()));
        }
        for (int n = 0; n < 3; ++n) {
            const bool there = !expected.empty() && world.random.chance(1, 2);
            WholeWorkflow fresh{random_workflow(world.random), random_plan(world.random), {}};
            fresh.steps.resize(fresh.plan->steps.size());
            WholeWorkflow& whole =
                there ? expected.begin()->second : expected[fresh.workflow.id] = std::move(fresh);
            if (there) {
                const WorkflowId id = whole.workflow.id;
                whole.workflow = random_workflow(world.random);
                whole.workflow.id = id;
            }
            if (has_ended(whole.workflow.state) != whole.workflow.ended_at.has_value())
                whole.workflow.state =
                    whole.workflow.ended_at ? WorkflowState::failed : WorkflowState::running;
            WorkflowChange& each = change.workflows.emplace_back();
            each.workflow = whole.workflow;
            if (!there) each.plan = whole.plan;
            const auto step = static_cast<StepIndex>(world.random.below(whole.steps.size()));
            whole.steps[step] = random_step(world.random);
            each.steps.emplace_back(step, whole.steps[step]);
        }
        REQUIRE(world.view->store(change));
        if (i % 5 == 0) world.reopen();
        std::size_t live = 0, found = 0;
        for (const auto& [id, whole] : expected) {
            const auto there = world.view->find_workflow(id);
            REQUIRE(there);
            REQUIRE(*there != nullptr);
            CHECK((*there)->workflow == whole.workflow);
            CHECK(*(*there)->plan == *whole.plan);
            CHECK((*there)->steps == whole.steps);
            live += has_ended(whole.workflow.state) ? 0 : 1;
        }
        REQUIRE(world.view->each_workflow([&](const WholeWorkflow& each) {
            CHECK(each.steps == expected.at(each.workflow.id).steps);
            ++found;
        }));
        CHECK(found == live);
        const auto listed = world.view->list_workflows({.limit = 3, .inner = true});
        REQUIRE(listed);
        CHECK(listed->size() == std::min<std::size_t>(3, expected.size()));
        for (std::size_t n = 0; n < listed->size(); ++n)
            CHECK(listed->at(n) ==
                  std::next(expected.rbegin(), static_cast<long>(n))->second.workflow);
    }
    CHECK(*world.view->find_workflow(random_id(world.random)) == nullptr);
}

TEST_CASE("ended workflows are let go of by age, and beyond a number of them") {
    ON_EVERY_VIEW;
    port::ViewChange change{.mark = world.mark};
    std::vector<WorkflowId> ids;
    for (int i = 0; i < 6; ++i) {
        WorkflowChange& each = change.workflows.emplace_back();
        each.workflow = random_workflow(world.random);
        each.plan = random_plan(world.random);
        each.workflow.state = i == 0 ? WorkflowState::running : WorkflowState::succeeded;
        each.workflow.ended_at.reset();
        if (i > 0) each.workflow.ended_at = WallTime{std::chrono::seconds{i}};
        ids.push_back(each.workflow.id);
    }
    REQUIRE(world.view->store(change));
    const auto at = [](int seconds) { return WallTime{std::chrono::seconds{seconds}}; };
    const auto to_drop = [&](int before, std::size_t kept, std::size_t limit,
                             int crowded_before = 99) {
        return world.view->workflows_to_drop({at(before), at(crowded_before), kept, limit}).value();
    };
    CHECK(to_drop(0, 10, 10).empty());
    CHECK(to_drop(3, 10, 10) == std::vector{ids[1], ids[2]});
    CHECK(to_drop(0, 2, 10) == std::vector{ids[1], ids[2], ids[3]});
    CHECK(to_drop(9, 0, 2) == std::vector{ids[1], ids[2]});
    // However many there are: what ended a short while ago stays.
    CHECK(to_drop(0, 0, 10, 3) == std::vector{ids[1], ids[2]});
    CHECK(to_drop(4, 0, 10, 2) == std::vector{ids[1], ids[2], ids[3]});
}

TEST_CASE("groups read back, and their tasks are found by them") {
    ON_EVERY_VIEW;
    std::vector<Group> groups{random_group(world.random), random_group(world.random)};
    std::ranges::sort(groups, {}, &Group::id);
    std::vector<Task> tasks;
    for (std::size_t i = 0; i < 60; ++i) {
        tasks.push_back(world.task(i % 2 == 0 ? "email" : "call", TaskState::queued));
        tasks.back().spec.group.reset();
        if (i % 3 > 0) tasks.back().spec.group = groups[i % 3 - 1].id;
    }
    world.store(tasks);
    port::ViewChange change{.mark = world.mark};
    change.groups = groups;
    REQUIRE(world.view->store(change));
    world.reopen();
    std::vector<Group> found;
    REQUIRE(world.view->each_group([&](const Group& each) { found.push_back(each); }));
    CHECK(found == groups);
    for (const std::string& text :
         {"group:" + groups[0].id.to_string(),
          "group:" + groups[1].id.to_string() + "," + groups[0].id.to_string() + " type:call",
          "-group:" + groups[0].id.to_string(),
          "group:" + groups[0].id.to_string().substr(0, 30) + "*", std::string{"group:none"}}) {
        INFO(text);
        const auto search = parse_search(text);
        REQUIRE(search);
        std::vector<TaskId> expected;
        for (const Task& task : tasks)
            if (protocol::matches(*search, task, {})) expected.push_back(task.spec.id);
        CHECK(pages(*world.view, {.limit = 7, .search = *search}) == expected);
    }
    change.groups = {};
    change.gone_groups = {groups[0].id};
    REQUIRE(world.view->store(change));
    found.clear();
    REQUIRE(world.view->each_group([&](const Group& each) { found.push_back(each); }));
    CHECK(found == std::vector{groups[1]});
}

TEST_CASE("schedules are replaced as a whole, removed, and read back by name") {
    ON_EVERY_VIEW;
    Schedule daily = support::random_schedule(world.random);
    Schedule hourly = support::random_schedule(world.random);
    daily.spec.name = "daily";
    hourly.spec.name = "hourly";
    port::ViewChange change{
        world.mark, {}, {}, {{"hourly", hourly}, {"daily", daily}, {"x", daily}}};
    change.schedules[2].second->spec.name = "x";
    REQUIRE(world.view->store(change));
    daily.missed = 5;
    REQUIRE(world.view->store(
        {world.mark, {}, {}, {{"daily", daily}, {"x", std::nullopt}, {"y", std::nullopt}}}));
    world.reopen();
    std::vector<Schedule> found;
    REQUIRE(world.view->each_schedule([&](const Schedule& each) { found.push_back(each); }));
    CHECK(found == std::vector{daily, hourly});
}

TEST_CASE(
    "a key belongs to the task that took it last, until its time is over and its task ended") {
    ON_EVERY_VIEW;
    const auto keyed = [&](std::string key, std::int64_t at, TaskState state) {
        Task task = world.task("email", state);
        task.spec.idempotency_key = std::move(key);
        task.submitted_at = WallTime{std::chrono::seconds{at}};
        return task;
    };
    Task first = keyed("a", 100, TaskState::dead);
    const Task second = keyed("a", 200, TaskState::queued);
    const Task other = keyed("b", 150, TaskState::succeeded);
    world.store({first, second, other});
    first.failures = 7;
    world.store({first});  // a change of the older one takes nothing back
    const auto use = [](const Task& task) { return key_use_of(task.spec, task.submitted_at); };
    const auto all = [&] {
        std::vector<KeyUse> uses;
        REQUIRE(world.view->each_key([&](const KeyUse& each) { uses.push_back(each); }));
        return uses;
    };
    world.reopen();
    CHECK(all() == std::vector{use(other), use(second)});
    CHECK(world.view->find_keys(std::vector<std::string>{"c", "a"}).value() ==
          std::vector{use(second)});
    world.mark.sequence = world.mark.sequence.next();
    REQUIRE(world.view->store({world.mark, {}, {}, {}, use(second).until}));
    CHECK(all() == std::vector{use(second)});  // its task lives
}

TEST_CASE("the log is copied back and stays within its bound") {
    ON_EVERY_DISK;
    world.settings.checkpoint_pages = 20;
    world.reopen();
    std::size_t pages_max = 0;
    std::vector<Task> tasks;
    for (int i = 0; i < 100; ++i) {
        tasks.push_back(world.task("email", TaskState::queued));
        world.store({tasks.back()});
        pages_max = std::max(pages_max, world.sqlite->log_pages());
    }
    CHECK(pages_max >= 20);
    CHECK(pages_max < 60);
    REQUIRE(world.sqlite->checkpoint());
    CHECK(world.sqlite->log_pages() == 0);
    const auto log = world.disk.files->open(world.settings.path + "-wal", port::OpenMode::read);
    CHECK(log.value()->size().value() < 80 * 4'200);
    world.reopen();
    CHECK(world.view->find(ids_of(tasks)) == tasks);
}

TEST_CASE("the view of another store or a newer version is refused by name") {
    ON_EVERY_DISK;
    world.view.reset();
    auto other = world.settings;
    other.store_id ^= 1;
    CHECK(io::SqliteView::open(other).error().code == ErrorCode::store_mismatch);
    std::string bytes = get_file(*world.disk.files, world.settings.path);
    const std::string whole = bytes;
    bytes[63] = 99;  // user_version, big-endian at 60
    put_file(*world.disk.files, world.settings.path, bytes);
    CHECK(io::SqliteView::open(world.settings).error().code == ErrorCode::store_too_new);
    bytes = whole;
    bytes[68] = 1;  // application_id
    put_file(*world.disk.files, world.settings.path, bytes);
    CHECK(io::SqliteView::open(world.settings).error().code == ErrorCode::view_corrupt);
    put_file(*world.disk.files, world.settings.path, std::string(8'192, 'x'));
    CHECK(io::SqliteView::open(world.settings).error().code == ErrorCode::view_corrupt);
}

TEST_CASE("a view of version 1 is brought up to date") {
    ViewWorld world{DiskKind::real};
    std::vector<Task> tasks;
    for (int i = 0; i < 20; ++i)
        tasks.push_back(world.task("email", i % 2 == 0 ? TaskState::queued : TaskState::succeeded));
    world.store(tasks);
    const auto heads = live_of(*world.view);
    world.view.reset();
    // As version 1 left it: without heads.
    auto db = io::SqliteDb::open(world.settings.path, "", SQLITE_OPEN_READWRITE);
    REQUIRE(db);
    REQUIRE(
        db->run("DROP INDEX tasks_live; ALTER TABLE tasks DROP COLUMN head;"
                " CREATE INDEX tasks_live ON tasks (queued_as) WHERE live = 1;"
                " ALTER TABLE mark DROP COLUMN kept;"
                " ALTER TABLE mark DROP COLUMN expired; DROP TABLE keys; DROP TABLE queues;"
                " DROP TABLE schedules;"
                " DROP TABLE worker_holds; DROP TABLE operations; DROP TABLE task_groups; DROP "
                "INDEX tasks_by_group;"
                " DROP INDEX tasks_payload_file; DROP INDEX tasks_result_file;"
                " ALTER TABLE tasks DROP COLUMN member_of; DROP INDEX tasks_by_key; ALTER TABLE "
                "tasks DROP COLUMN key;"
                " DROP TABLE workflows; DROP TABLE workflow_plans; DROP TABLE workflow_steps;"
                " DROP TABLE topics; DROP TABLE subscriptions; DROP TABLE topic_events;"
                " DROP TABLE dead_letters; PRAGMA user_version = 1"));
    *db = {};
    world.reopen();
    CHECK(heads.size() == 10);
    CHECK(live_of(*world.view) == heads);
    CHECK(world.view->mark().value().totals.kept == 10);  // counted from the rows
    const Task& keyed =
        *std::ranges::find_if(tasks, [](const Task& task) { return !task.spec.key.empty(); });
    TaskQuery query;
    query.search.terms = {{.field = SearchField::key, .values = {{.text = keyed.spec.key}}}};
    CHECK(ids_of(world.view->list(query).value().tasks) == std::vector{keyed.spec.id});
    CHECK(world.view->find(ids_of(tasks)) == tasks);
}

TEST_CASE("a folder that is not there is an error by name") {
    ON_EVERY_DISK;
    auto settings = world.settings;
    settings.path = world.disk.dir + "/none/view.db";
    CHECK(io::SqliteView::open(settings).error().code == ErrorCode::io_failed);
}

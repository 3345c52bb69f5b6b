// A client of the installed package: submits tasks and tells what came of them, a line each.
//   ask run TYPE PAYLOAD     one task and its end
//   ask flood TYPE COUNT     many, in all the ways there are; tells how many ended how
//   ask cancel TYPE          submits one, cancels it
#include <taskd/client.hpp>

#include <cstdlib>
#include <iostream>
#include <map>

namespace {

using namespace std::chrono_literals;

int fault(const taskd::Error& error) {
    std::cout << "error " << error.name() << "\n";
    return 1;
}

int tell(const taskd::Result<taskd::Outcome>& outcome) {
    if (!outcome) return fault(outcome.error());
    std::cout << outcome->state;
    if (outcome->succeeded()) std::cout << " " << outcome->result;
    if (outcome->error) std::cout << " " << outcome->error->code << " " << outcome->error->message;
    std::cout << "\n";
    return 0;
}

// One at a time, ten at a time, and each of them once more: by their ids they are the same.
int flood(taskd::Client& client, const std::string& type, int count) {
    std::vector<std::string> ids;
    std::vector<taskd::NewTask> some;
    for (int i = 0; i < count; ++i) {
        taskd::NewTask task{.type = type, .payload = std::to_string(i)};
        if (i % 11 == 0) {
            const auto taken = client.submit(task);
            if (!taken) return fault(taken.error());
            ids.push_back(taken->id);
            task.id = taken->id;
            const auto again = client.submit(task);
            if (!again) return fault(again.error());
            if (again->id != taken->id) return 1;
            std::cout << "submitted " << ids.size() << std::endl;
            continue;
        }
        some.push_back(task);
        if (some.size() < 10 && i + 1 < count) continue;
        const auto taken = client.submit_many(some);
        if (!taken) return fault(taken.error());
        for (const taskd::Outcome& each : *taken)
            ids.push_back(each.id);
        some.clear();
    }
    const auto ended = client.results(ids, 60s);
    if (!ended) return fault(ended.error());
    std::map<std::string, int> states;
    for (std::size_t i = 0; i < ids.size(); ++i) {
        if ((*ended)[i].id != ids[i]) return 1;
        ++states[(*ended)[i].state];
    }
    for (const auto& [state, number] : states)
        std::cout << state << " " << number << "\n";
    return 0;
}

int cancel(taskd::Client& client, const std::string& type) {
    const auto taken = client.submit({.type = type});
    if (!taken) return fault(taken.error());
    std::cout << taken->id << std::endl;
    std::string told;
    std::getline(std::cin, told);  // until somebody says that it has begun
    if (const int code = tell(client.cancel(taken->id, "not needed")); code != 0) return code;
    const auto whole = client.get(taken->id);
    if (!whole) return fault(whole.error());
    return whole->find("not needed") == std::string::npos ? 1 : 0;
}

}  // namespace

int main(int argc, char** argv) {
    const std::vector<std::string> words{argv + 1, argv + argc};
    if (words.size() < 2) return 2;
    const char* key = std::getenv("TASKD_KEY");
    taskd::Client client{{.url = std::getenv("TASKD_URL"), .key = key == nullptr ? "" : key}};
    if (words[0] == "run") return tell(client.run({.type = words[1], .payload = words.at(2)}, 30s));
    if (words[0] == "flood") return flood(client, words[1], std::stoi(words.at(2)));
    return cancel(client, words[1]);
}

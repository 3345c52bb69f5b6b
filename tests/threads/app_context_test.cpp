// The context that parts find each other in: typed, written while it loads, then sealed.
#include "taskd/runtime/app_context.hpp"

#include <array>
#include <thread>

#include "aborts.hpp"
#include "catch.hpp"

using namespace taskd;
using namespace taskd::runtime;

namespace {

constexpr ContextKey<int> answer_key{"answer"};
constexpr ContextKey<std::string> name_key{"name"};
constexpr ContextKey<std::string> answer_as_text{"answer"};

}  // namespace

TEST_CASE("what is put under a key is found under it, before and after the seal", "[context]") {
    AppContext context;
    int answer = 42;
    std::string name = "taskd";
    context.put(answer_key, answer);
    CHECK(context.find(name_key) == nullptr);
    context.put(name_key, name);
    CHECK(&context.get(answer_key) == &answer);
    CHECK_FALSE(context.sealed());
    context.seal();
    CHECK(context.sealed());
    CHECK(&context.get(answer_key) == &answer);
    CHECK(context.find(name_key) == &name);
    CHECK(context.names() == std::vector<std::string>{"answer", "name"});
}

TEST_CASE("misuse of the context ends the process", "[context]") {
    int answer = 42;
    std::string text;
    const auto filled = [&](AppContext& context) -> AppContext& {
        context.put(answer_key, answer);
        return context;
    };
    CHECK_FALSE(test::aborts([&] {
        AppContext context;
        filled(context).seal();
    }));
    // The same key once more, also as another type.
    CHECK(test::aborts([&] {
        AppContext context;
        filled(context).put(answer_key, answer);
    }));
    CHECK(test::aborts([&] {
        AppContext context;
        filled(context).put(answer_as_text, text);
    }));
    // A put after the seal.
    CHECK(test::aborts([&] {
        AppContext context;
        filled(context).seal();
        context.put(name_key, text);
    }));
    // A key that is another's type, and a get of what is not there.
    CHECK(test::aborts([&] {
        AppContext context;
        filled(context).find(answer_as_text);
    }));
    CHECK(test::aborts([&] {
        AppContext context;
        filled(context).get(name_key);
    }));
}

TEST_CASE("threads fill the context at once, and read it while it is sealed",
          "[context][threads]") {
    static constexpr std::array<std::string_view, 8> names{"a", "b", "c", "d", "e", "f", "g", "h"};
    for (int round = 0; round < 50; ++round) {
        AppContext context;
        std::array<int, names.size()> parts{};
        {
            std::vector<std::jthread> writers;
            for (std::size_t i = 0; i < names.size(); ++i)
                writers.emplace_back([&, i] {
                    context.put(ContextKey<int>{names[i]}, parts[i]);
                    context.find(ContextKey<int>{names[(i + 1) % names.size()]});
                });
        }
        std::atomic<int> found = 0;
        {
            std::vector<std::jthread> readers;
            for (int reader = 0; reader < 3; ++reader)
                readers.emplace_back([&] {
                    for (std::size_t i = 0; i < names.size(); ++i)
                        if (context.find(ContextKey<int>{names[i]}) == &parts[i]) ++found;
                });
            context.seal();
        }
        CHECK(found == 3 * static_cast<int>(names.size()));
    }
}

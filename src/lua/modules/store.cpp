// Stores of values for programs: each function is one call of a store, made on a thread that may
// wait for the disk.
#include <pthread.h>

#include <charconv>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

#include "lua/arguments.hpp"
#include "taskd/base/limits.hpp"
#include "taskd/lua/modules.hpp"

namespace taskd::lua {
namespace {

using runtime::CommandCall;
using runtime::CommandId;

Value number(std::uint64_t value) {
    return Value::of_number(std::to_string(value));
}

void put_end(Value& map, const std::optional<WallTime>& expires_at) {
    if (expires_at)
        map.fields.push_back({"expires_at", seconds_value(expires_at->time_since_epoch())});
}

// A whole number from 0 on.
Result<std::uint64_t> read_number(const Value& value, std::string_view name) {
    std::uint64_t read = 0;
    const char* last = value.text.data() + value.text.size();
    const auto [end, error] = std::from_chars(value.text.data(), last, read);
    if (value.kind != ValueKind::number || error != std::errc{} || end != last)
        return fail(ErrorCode::invalid_field, std::string{name} + " takes a whole number");
    return read;
}

}  // namespace

struct Stores::Impl {
    Impl(port::KeyStores* its_stores, const runtime::Transcoder& its_formats)
        : stores{its_stores}, formats{its_formats} {}

    // Of a call whose first argument is the store's name.
    using Act = Result<Value> (Impl::*)(port::KeyStore&, const Arguments&) const;
    Result<Value> get(port::KeyStore& store, const Arguments& given) const;
    Result<Value> find(port::KeyStore& store, const Arguments& given) const;
    Result<Value> put(port::KeyStore& store, const Arguments& given) const;
    Result<Value> compare_and_set(port::KeyStore& store, const Arguments& given) const;
    Result<Value> remove(port::KeyStore& store, const Arguments& given) const;
    Result<Value> list(port::KeyStore& store, const Arguments& given) const;

    Result<std::uint64_t> set(port::KeyStore& store, const Arguments& given, std::size_t at,
                              std::optional<std::uint64_t> expected) const;
    Result<Value> act(Act what, const std::vector<Value>& arguments) const;
    void ask(Act what, CommandCall call);
    void work();

    port::KeyStores* const stores;
    const runtime::Transcoder& formats;

    struct Question {
        Act what;
        CommandCall call;
    };
    std::mutex mutex;  // guards what follows
    std::condition_variable asked;
    std::deque<Question> questions;
    bool ending = false;
    std::vector<std::jthread> threads;
};

namespace {

struct Row {
    CommandId id;
    const char* function;
    Stores::Impl::Act act;
};
constexpr Row rows[] = {
    {120, "get", &Stores::Impl::get},
    {121, "find", &Stores::Impl::find},
    {122, "put", &Stores::Impl::put},
    {123, "compare_and_set", &Stores::Impl::compare_and_set},
    {124, "delete", &Stores::Impl::remove},
    {125, "list", &Stores::Impl::list},
};

}  // namespace

// ---- what programs ask --------------------------------------------------------------------------

// (store, key): the value, or nothing.
Result<Value> Stores::Impl::get(port::KeyStore& store, const Arguments& given) const {
    const auto key = given.text(1, "key");
    if (!key) return std::unexpected{key.error()};
    const auto kept = store.get(*key);
    if (!kept) return std::unexpected{kept.error()};
    return *kept ? formats.read("json", (*kept)->value) : Value{};
}

// (store, key): {value, version, expires_at}, or nothing.
Result<Value> Stores::Impl::find(port::KeyStore& store, const Arguments& given) const {
    const auto key = given.text(1, "key");
    if (!key) return std::unexpected{key.error()};
    const auto kept = store.get(*key);
    if (!kept) return std::unexpected{kept.error()};
    if (!*kept) return Value{};
    auto value = formats.read("json", (*kept)->value);
    if (!value) return value;
    Value found;
    found.kind = ValueKind::map;
    found.fields.push_back({"value", std::move(*value)});
    found.fields.push_back({"version", number((*kept)->version)});
    put_end(found, (*kept)->expires_at);
    return found;
}

// From argument `at` on: the value, {ttl = "5m"}.
Result<std::uint64_t> Stores::Impl::set(port::KeyStore& store, const Arguments& given,
                                        std::size_t at,
                                        std::optional<std::uint64_t> expected) const {
    const auto key = given.text(1, "key");
    if (!key) return std::unexpected{key.error()};
    const auto ttl = given.option_duration(at + 1, "ttl");
    if (!ttl) return std::unexpected{ttl.error()};
    if (*ttl && (**ttl <= Duration{0} || **ttl > limits::topic_age_most))
        return fail(ErrorCode::invalid_field, "'ttl' takes a time of up to ten years");
    const auto text = formats.write("json", given.take(at));
    if (!text) return std::unexpected{text.error()};
    return expected ? store.compare_and_set(*key, *expected, *text, {.ttl = *ttl})
                    : store.put(*key, *text, {.ttl = *ttl});
}

// (store, key, value, options): the new version.
Result<Value> Stores::Impl::put(port::KeyStore& store, const Arguments& given) const {
    const auto version = set(store, given, 2, std::nullopt);
    if (!version) return std::unexpected{version.error()};
    return number(*version);
}

// (store, key, version, value, options): the new version; of a key that is not there it is 0.
Result<Value> Stores::Impl::compare_and_set(port::KeyStore& store, const Arguments& given) const {
    const auto expected = read_number(given.take(2), "version");
    if (!expected) return std::unexpected{expected.error()};
    const auto version = set(store, given, 3, *expected);
    if (!version) return std::unexpected{version.error()};
    return number(*version);
}

// (store, key): whether there was one.
Result<Value> Stores::Impl::remove(port::KeyStore& store, const Arguments& given) const {
    const auto key = given.text(1, "key");
    if (!key) return std::unexpected{key.error()};
    const auto was_there = store.remove(*key);
    if (!was_there) return std::unexpected{was_there.error()};
    return Value::of_boolean(*was_there);
}

// (store, {prefix, after, limit}): {{key, version, bytes, expires_at}, …} in the order of keys.
Result<Value> Stores::Impl::list(port::KeyStore& store, const Arguments& given) const {
    auto prefix = given.option_text(1, "prefix");
    auto after = given.option_text(1, "after");
    if (!prefix) return fail(std::move(prefix));
    if (!after) return fail(std::move(after));
    port::KeyQuery query{.prefix = std::move(*prefix), .after = std::move(*after)};
    if (const Value* limit = given.option(1, "limit")) {
        const auto read = read_number(*limit, "limit");
        if (!read) return std::unexpected{read.error()};
        if (*read == 0 || *read > limits::store_page_max)
            return fail(ErrorCode::invalid_field, "'limit' is from 1 to 1000");
        query.limit = static_cast<std::size_t>(*read);
    }
    const auto keys = store.list(query);
    if (!keys) return std::unexpected{keys.error()};
    Value all;
    all.kind = ValueKind::list;
    for (const port::KeptKey& key : *keys) {
        Value one;
        one.kind = ValueKind::map;
        one.fields.push_back({"key", Value::of_text(key.key)});
        one.fields.push_back({"version", number(key.version)});
        one.fields.push_back({"bytes", number(key.bytes)});
        put_end(one, key.expires_at);
        all.items.push_back(std::move(one));
    }
    return all;
}

// ---- their turn ---------------------------------------------------------------------------------

Result<Value> Stores::Impl::act(Act what, const std::vector<Value>& arguments) const {
    const Arguments given{arguments};
    const auto name = given.text(0, "store");
    if (!name) return std::unexpected{name.error()};
    if (stores == nullptr)
        return fail(ErrorCode::store_not_found, *name + ": no stores are kept here");
    const auto store = stores->find(*name);
    if (!store) return std::unexpected{store.error()};
    return (this->*what)(**store, given);
}

void Stores::Impl::ask(Act what, CommandCall call) {
    {
        const std::lock_guard lock{mutex};
        if (questions.size() < limits::store_questions_max) {
            questions.push_back({what, std::move(call)});
            asked.notify_one();
            return;
        }
    }
    call.answer(fail(ErrorCode::overloaded, "too many programs wait for stores"));
}

void Stores::Impl::work() {
    pthread_setname_np(pthread_self(), "stores");
    std::unique_lock lock{mutex};
    for (;;) {
        asked.wait(lock, [this] { return ending || !questions.empty(); });
        if (questions.empty()) return;
        const Question question = std::move(questions.front());
        questions.pop_front();
        lock.unlock();
        question.call.answer(act(question.what, question.call.arguments));
        lock.lock();
    }
}

Stores::Stores(port::KeyStores* stores, const runtime::Transcoder& formats)
    : impl_{std::make_shared<Impl>(stores, formats)} {
    for (std::size_t thread = 0; thread < limits::store_threads; ++thread)
        impl_->threads.emplace_back([impl = impl_.get()] { impl->work(); });
}

Stores::~Stores() {
    {
        const std::lock_guard lock{impl_->mutex};
        impl_->ending = true;
    }
    impl_->asked.notify_all();
    impl_->threads.clear();
}

Module Stores::module() {
    Module module{"store", {}};
    for (const Row& row : rows)
        module.functions.push_back({row.function, row.id});
    return module;
}

Result<void> Stores::add_commands(runtime::Commands& commands) {
    for (const Row& row : rows) {
        auto added = commands.add(
            row.id, std::string{"store."} + row.function,
            [impl = impl_, act = row.act](CommandCall call) { impl->ask(act, std::move(call)); });
        if (!added) return added;
    }
    return {};
}

}  // namespace taskd::lua

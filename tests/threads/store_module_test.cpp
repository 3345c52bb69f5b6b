// The module `store`: what programs keep, what they are told at its bounds, and that nobody waits
// for the disk in their place.
#include <algorithm>
#include <thread>

#include "catch.hpp"
#include "lua_node.hpp"
#include "memory_key_store.hpp"

using namespace taskd;
using support::LuaNode;

namespace {

// One store, which its calls enter one after the other.
class LockedStore final : public port::KeyStore {
  public:
    explicit LockedStore(const io::KeyStoreSettings& settings) : store_{settings, clock_} {}

    Result<std::optional<port::KeptValue>> get(std::string_view key) override {
        const std::lock_guard lock{mutex_};
        return store_.get(key);
    }
    Result<std::uint64_t> put(std::string_view key, std::string_view value,
                              const port::PutOptions& options) override {
        const std::lock_guard lock{mutex_};
        return store_.put(key, value, options);
    }
    Result<std::uint64_t> compare_and_set(std::string_view key, std::uint64_t expected,
                                          std::string_view value,
                                          const port::PutOptions& options) override {
        const std::lock_guard lock{mutex_};
        return store_.compare_and_set(key, expected, value, options);
    }
    Result<bool> remove(std::string_view key) override {
        const std::lock_guard lock{mutex_};
        return store_.remove(key);
    }
    Result<std::vector<port::KeptKey>> list(const port::KeyQuery& query) override {
        const std::lock_guard lock{mutex_};
        return store_.list(query);
    }
    Result<port::KeyStoreStats> stats() override {
        const std::lock_guard lock{mutex_};
        return store_.stats();
    }

  private:
    support::SteadyNow clock_;
    std::mutex mutex_;
    test::MemoryKeyStore store_;
};

class OneStore final : public port::KeyStores {
  public:
    explicit OneStore(const io::KeyStoreSettings& settings = {})
        : store_{std::make_shared<LockedStore>(settings)} {}
    Result<std::shared_ptr<port::KeyStore>> find(const std::string& id) override {
        if (id != "shop:carts") return fail(ErrorCode::store_not_found, id);
        return store_;
    }
    port::KeyStore& store() { return *store_; }

  private:
    std::shared_ptr<LockedStore> store_;
};

}  // namespace

TEST_CASE("programs keep values under keys, whatever JSON can say") {
    OneStore stores;
    LuaNode node{2, {}, {.stores = &stores}};
    node.program("keeper",
                 "local store, json = require('store'), require('json')\n"
                 "local at = 'shop:carts'\n"
                 "return function()\n"
                 "  test.report(store.get(at, 'a') == nil)\n"
                 "  test.report(store.put(at, 'a', {n = 1, list = list{}, none = null}))\n"
                 "  test.report(json.encode(store.get(at, 'a')))\n"
                 "  local kept = store.find(at, 'a')\n"
                 "  test.report(kept.version .. ' ' .. tostring(kept.expires_at))\n"
                 "  test.report(store.compare_and_set(at, 'a', kept.version, 'next'))\n"
                 "  local _, e = store.compare_and_set(at, 'a', kept.version, 'late')\n"
                 "  test.report(e.kind)\n"
                 "  test.report(store.compare_and_set(at, 'b', 0, 2, {ttl = '1h'}))\n"
                 "  test.report(store.find(at, 'b').expires_at > time.now() + 3500)\n"
                 "  test.report(store.delete(at, 'a'))\n"
                 "  test.report(store.delete(at, 'a'))\n"
                 "  test.report(store.find(at, 'a') == nil) end");
    node.spawn("keeper");
    CHECK(node.reports(11) ==
          std::vector<std::string>{"true", "1", R"({"list":[],"n":1,"none":null})", "1 nil", "2",
                                   "key_changed", "3", "true", "true", "false", "true"});
    CHECK(node.wait_until_alone());
    CHECK(node.host().counts().failed == 0);
    CHECK(stores.store().get("b").value()->value == "2");
}

TEST_CASE("keys are listed by what they begin with, and values go when their time is over") {
    OneStore stores;
    LuaNode node{2, {}, {.stores = &stores}};
    node.program("lister",
                 "local store, at = require('store'), 'shop:carts'\n"
                 "local function keys(query)\n"
                 "  local all = {}\n"
                 "  for _, each in ipairs(store.list(at, query)) do all[#all + 1] = each.key end\n"
                 "  return table.concat(all, ' ') end\n"
                 "return function()\n"
                 "  for _, key in ipairs{'b/2', 'a', 'b/1', 'c'} do store.put(at, key, 'v') end\n"
                 "  store.put(at, 'b/3', 'v', {ttl = 0.05})\n"
                 "  test.report(keys())\n"
                 "  test.report(keys{prefix = 'b/', after = 'b/1'})\n"
                 "  test.report(keys{limit = 2})\n"
                 "  time.sleep(0.06)\n"
                 "  test.report(keys{prefix = 'b/'})\n"
                 "  test.report(store.list(at)[1].bytes) end");
    node.spawn("lister");
    CHECK(node.reports(5) ==
          std::vector<std::string>{"a b/1 b/2 b/3 c", "b/2 b/3", "a b/1", "b/1 b/2", "3"});
}

TEST_CASE("what a store does not take is said by name") {
    OneStore stores{{.bytes_max = 1'000, .value_bytes_max = 400, .ttl = {}}};
    LuaNode node{2, {}, {.stores = &stores}};
    node.program("wrong",
                 "local store, at = require('store'), 'shop:carts'\n"
                 "local function kind(f, ...) local v, e = f(...) test.report(e and e.kind) end\n"
                 "return function()\n"
                 "  kind(store.get, 'shop:none', 'a')\n"
                 "  kind(store.get)\n"
                 "  kind(store.get, at)\n"
                 "  kind(store.get, at, '')\n"
                 "  kind(store.put, at, 'a', ('x'):rep(399))\n"
                 "  kind(store.put, at, 'a', 1, {ttl = 'soon'})\n"
                 "  kind(store.put, at, 'a', 1, {ttl = 0})\n"
                 "  kind(store.compare_and_set, at, 'a', -1, 1)\n"
                 "  kind(store.list, at, {limit = 0})\n"
                 "  kind(store.put, at, 'a', print)\n"
                 "  for i = 1, 3 do store.put(at, 'k' .. i, ('x'):rep(300)) end\n"
                 "  kind(store.put, at, 'k4', ('x'):rep(300)) end");
    node.spawn("wrong");
    CHECK(node.reports(11) ==
          std::vector<std::string>{"store_not_found", "missing_field", "missing_field",
                                   "invalid_field", "value_too_large", "invalid_field",
                                   "invalid_field", "invalid_field", "invalid_field",
                                   "not_convertible", "store_full"});
    LuaNode bare{1};
    bare.program("bare",
                 "return function()\n"
                 "  local v, e = require('store').get('shop:carts', 'a')\n"
                 "  test.report(e.message) end");
    bare.spawn("bare");
    CHECK_THAT(bare.reports(1).at(0), Catch::Matchers::Contains("no stores are kept here"));
}

TEST_CASE("many programs count in one store, and nobody's step is lost") {
    OneStore stores;
    LuaNode node{3, {}, {.stores = &stores}};
    node.program("counter",
                 "local store, at = require('store'), 'shop:carts'\n"
                 "return function(count)\n"
                 "  for i = 1, count do\n"
                 "    local done\n"
                 "    repeat\n"
                 "      local kept = store.find(at, 'n') or {version = 0, value = 0}\n"
                 "      done = store.compare_and_set(at, 'n', kept.version, kept.value + 1)\n"
                 "    until done\n"
                 "  end end");
    for (int process = 0; process < 8; ++process)
        node.spawn("counter", {Value::of_number("25")});
    CHECK(node.wait_until_alone());
    CHECK(node.host().counts().failed == 0);
    CHECK(stores.store().get("n").value()->value == "200");
}

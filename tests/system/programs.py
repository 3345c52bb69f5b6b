"""Programs in Lua in real processes: a host with functions and processes, nodes that talk to each
other, workers whose tasks are functions, and the examples."""

import http.server
import json
import pathlib
import shutil
import signal
import socket
import threading

import harness

EXAMPLES = pathlib.Path(__file__).resolve().parents[2] / "config" / "entries" / "programs"

ENTRIES = """version: "1.0"
namespace: test
entries:
  - name: echo
    kind: function.lua
    source: |
      return function(value) return value end
  - name: endless
    kind: function.lua
    limits: {instructions: 1000000}
    source: |
      return function() while true do end end
  - name: hungry
    kind: function.lua
    limits: {memory_bytes: 1000000}
    source: |
      return function() local t = {} while true do t[#t + 1] = ("x"):rep(1000) .. #t end end
  - name: sums
    kind: process.lua
    auto_start: true
    restart: {initial_delay: 50ms, max_delay: 200ms}
    modules: [process]
    source: |
      local process = require("process")
      return function()
        process.register("sums")
        local sum = 0
        while true do
          local m = process.receive()
          if m.topic == "fail" then error("as told") end
          if m.topic == "@cancel" then return sum end
          if m.topic == "add" then sum = sum + m.payload end
          if m.topic == "ask" then process.send(m.from, "sum", sum, {wait = 5}) end
        end
      end
  - name: asker
    kind: process.lua
    modules: [process, tasks]
    source: |
      local process, tasks = require("process"), require("tasks")
      return function(to, amount)
        local ok, err = process.send(to, "add", amount, {wait = 5})
        if ok then ok, err = process.send(to, "ask", nil, {wait = 5}) end
        local m = ok and process.receive{topic = "sum", timeout = 10}
        tasks.submit("told", {sum = m and m.payload, err = err and err.kind})
      end
  - name: kept
    kind: store
    bytes_max: 1000000
    value_bytes_max: 1000
  - name: keep
    kind: function.lua
    modules: [store]
    source: |
      local store = require("store")
      return function(a)
        local value, err = store[a.call](a.store or "test:kept", table.unpack(a.with or {}))
        return err and {error = err.kind} or {value = value}
      end
  - name: fetch
    kind: function.lua
    modules: [http]
    source: |
      local http = require("http")
      return function(a)
        local answer, err = http.request(a.url, {headers = a.headers})
        return err and {error = err.kind} or {status = answer.status}
      end
  - name: patient
    kind: process.lua
    modules: [http]
    source: |
      return function(url) require("http").request(url, {timeout = "60s"}) end
  - name: family
    kind: process.lua
    modules: [process]
    source: |
      local process = require("process")
      return function(depth)
        process.register("family" .. depth)
        if depth > 0 then process.spawn("test:family", depth - 1) end
        process.receive()
      end
"""

WORKER = """
local tasks = require("tasks")
return {
  run = function(payload, about)
    print("attempt " .. about.attempt)
    if payload == "fail" then error("once more") end
    if payload == "refuse" then error{kind = "invalid_field", message = "not like this"} end
    if payload == "endless" then while true do end end
    if payload == "sleep" then require("time").sleep("1h") end
    if type(payload) == "table" and payload.url then
      require("http").request(payload.url, {timeout = "5m"})
    end
    local ended, err = tasks.submit("sum", payload, {wait = "20s"})
    if not ended then error(err) end
    return {sum = ended.result, type = about.type}
  end,
}
"""


class SilentService:
    """Takes connections, and never answers."""

    def __init__(self):
        self.socket = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}/"
        self.held = []
        threading.Thread(target=self.take, daemon=True).start()

    def take(self):
        try:
            while True:
                self.held.append(self.socket.accept()[0])
        except OSError:
            pass

    def close(self):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        for connection in self.held:
            connection.close()


class Programs(harness.SystemTest):

    def setUp(self):
        super().setUp()
        self.folder = self.system.folder
        self.entries = self.folder / "entries.yaml"
        self.entries.write_text(ENTRIES)

    def host(self, *arguments, name="host", entries=None):
        return self.system.role(name, "host", str(entries or self.entries), *arguments).start()

    def told(self, dispatcher, count):
        """What askers have submitted as tasks that nobody runs."""
        def there():
            tasks = dispatcher.api.get("/v1/tasks?q=type:told").json["tasks"]
            return tasks if len(tasks) >= count else None
        tasks = harness.wait_until(there, f"{count} told")
        return [dispatcher.api.get(f"/v1/tasks/{task['id']}").json["payload"] for task in tasks]

    def test_functions_are_called_and_stay_within_their_limits(self):
        api = self.host().api
        for value in ({"a": [1, 2.5, None, "straße"]}, [], {}, None, 0, True):
            answer = api.post("/v1/functions/test:echo", value)
            self.assertEqual(answer.status, 200, answer.text)
            self.assertEqual(answer.json, value)
        self.assert_problem(api.post("/v1/functions/test:none", 1), 404, "function_not_found")
        self.assert_problem(api.post("/v1/functions/test:endless", 1), 500, "instruction_limit")
        self.assert_problem(api.post("/v1/functions/test:hungry", 1), 500, "memory_limit")
        self.assert_problem(api.call("POST", "/v1/functions/test:echo", "{"), 400, "bad_json")
        rows = {row["name"]: row for row in api.get("/v1/functions").json["functions"]}
        self.assertEqual(rows["test:echo"]["calls"], 6)
        self.assertEqual(rows["test:endless"]["failed"], 1)
        done = self.system.run("function", "call", "test:echo", '{"b": 1}', url=api.url)
        self.assertEqual(json.loads(done.stdout), {"b": 1}, done.stderr)
        self.assertIn("test:echo", self.system.run("function", "list", url=api.url).stdout)

    def test_a_program_cannot_say_where_its_request_ends(self):
        host = self.host()
        url = f"{host.url}/healthz"

        def fetch(**headers):
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            return host.api.post("/v1/functions/test:fetch", {"url": url, "headers": named}).json

        self.assertEqual(fetch(X_Own="1"), {"status": 200})
        for name in ("Content_Length", "transfer_encoding", "Connection", "Expect", "Upgrade"):
            self.assertEqual(fetch(**{name: "0"}), {"error": "invalid_field"}, name)
        for name in ("Content-Length ", "Connection:close,x", " X", ""):
            self.assertEqual(fetch(**{name: "0"}), {"error": "invalid_field"}, name)

    def test_processes_that_wait_for_a_service_do_not_hold_up_functions(self):
        silent = SilentService()
        self.addCleanup(silent.close)
        host = self.host()
        for _ in range(70):
            spawned = host.api.post("/v1/processes",
                                    {"program": "test:patient", "arguments": [silent.url]})
            self.assertEqual(spawned.status, 201, spawned.text)
        harness.wait_until(lambda: len(silent.held) >= 64, "all that may wait do")
        answer = host.api.post("/v1/functions/test:fetch?timeout=5s",
                               {"url": f"{host.url}/healthz"})
        self.assertEqual(answer.status, 200, answer.text)
        self.assertEqual(answer.json, {"status": 200})

    def test_processes_are_seen_told_and_ended(self):
        host = self.host()
        api = host.api
        harness.wait_until(lambda: api.get("/v1/processes").json["alive"] == 1, "it runs")
        spawned = api.post("/v1/processes", {"program": "test:family", "arguments": [3]})
        self.assertEqual(spawned.status, 201, spawned.text)
        harness.wait_until(lambda: api.get("/v1/processes").json["alive"] == 5, "all are there")
        tree = self.system.run("process", "tree", url=host.url).stdout
        self.assertIn("\n      └─ {node@lua|", tree)  # the child of a child of a child
        self.assertIn("as family0", tree)
        done = self.system.run("process", "end", "family3", url=host.url)
        self.assertEqual(done.returncode, 0, done.stderr)
        harness.wait_until(lambda: api.get("/v1/processes").json["alive"] == 1, "they have gone")
        self.assert_problem(api.post("/v1/processes/family3/end", {}), 404, "process_not_found")
        self.assert_problem(api.post("/v1/messages", {"to": "nobody", "topic": "t"}), 404,
                            "process_not_found")
        self.assert_problem(api.post("/v1/messages", {"to": "sums"}), 422, "missing_field")
        self.assert_problem(api.post("/v1/messages", {"to": "sums", "topic": "@exit"}), 422,
                            "invalid_field")
        self.assert_problem(api.post("/v1/messages", {"to": "{x@lua|1}", "topic": "t"}), 404,
                            "node_unknown")
        self.assert_problem(api.post("/v1/processes", {"program": "test:none"}), 404,
                            "function_not_found")
        self.assert_problem(api.get("/v1/processes?limit=0"), 422, "invalid_field")
        # What fails is started again, with a new number.
        before = api.get("/v1/processes").json["processes"][0]["number"]
        done = self.system.run("process", "send", "sums", "fail", url=host.url)
        self.assertEqual(done.returncode, 0, done.stderr)
        harness.wait_until(
            lambda: any(row["number"] > before and row.get("name") == "sums"
                        for row in api.get("/v1/processes").json["processes"]), "it runs again")

    def keep(self, host, call, *arguments, **more):
        answer = host.api.post("/v1/functions/test:keep",
                               {"call": call, "with": list(arguments), **more})
        self.assertEqual(answer.status, 200, answer.text)
        return answer.json.get("error") or answer.json.get("value")

    def test_programs_keep_values_over_a_kill(self):
        host = self.host("--data", self.folder / "data")
        self.assertIsNone(self.keep(host, "get", "a"))
        self.assertEqual(self.keep(host, "put", "a", {"n": [1, None, "ß"]}), 1)
        self.assertEqual(self.keep(host, "find", "a"),
                         {"value": {"n": [1, None, "ß"]}, "version": 1})
        self.assertEqual(self.keep(host, "compare_and_set", "a", 1, "next"), 2)
        self.assertEqual(self.keep(host, "compare_and_set", "a", 1, "late"), "key_changed")
        self.assertEqual(self.keep(host, "put", "b", "x" * 1000), "value_too_large")
        self.assertEqual(self.keep(host, "get", "a", store="test:none"), "store_not_found")
        self.assertEqual(self.keep(host, "put", "t", 1, {"ttl": "1h"}), 3)
        # What was answered is there, whenever the node was killed.
        answered = {}

        def put():
            count = 0
            while True:
                count += 1
                try:
                    self.keep(host, "put", f"n/{count:05}", count)
                except (harness.Broken, AssertionError):
                    return
                answered[f"n/{count:05}"] = count
        for _ in range(3):
            answered.clear()
            putting = harness.in_thread(put)
            harness.wait_until(lambda: len(answered) > 30, "some are answered")
            host.kill()
            putting.result()
            host.start()
            for key, value in answered.items():
                self.assertEqual(self.keep(host, "get", key), value)
        self.assertEqual(self.keep(host, "get", "a"), "next")
        keys = self.keep(host, "list", {"prefix": "n/", "limit": 2})
        self.assertEqual([each["key"] for each in keys], ["n/00001", "n/00002"])
        self.assertIs(self.keep(host, "delete", "a"), True)
        self.assertIs(self.keep(host, "delete", "a"), False)
        bare = self.host(name="bare")
        self.assertEqual(self.keep(bare, "get", "a"), "store_not_found")

    def test_all_programs_of_a_host_have_one_bound(self):
        host = self.host("--memory-max", "16MiB", entries=self.entries)

        def fill():
            answer = host.api.post("/v1/processes", {"program": "test:family", "arguments": [50]})
            return answer if answer.status != 201 else None
        refused = harness.wait_until(fill, "there is no room any more")
        self.assert_problem(refused, 503, "host_memory_full")
        self.assertTrue(host.answers("/healthz"))

    def test_a_function_that_there_was_no_memory_for_is_made_when_there_is(self):
        host = self.host("--memory-max", "16MiB")
        alive = []
        one = {"program": "test:family", "arguments": [0]}
        while (answer := host.api.post("/v1/processes", one)).status == 201:
            alive.append(answer.json["number"])
        self.assert_problem(answer, 503, "host_memory_full")
        for _ in range(3):  # for one machine, but not for sixteen
            host.api.post(f"/v1/processes/{alive.pop()}/end", {})
        self.entries.write_text(ENTRIES + """  - name: many
    kind: function.lua
    pool: {kind: static, size: 16}
    source: return function() return "made" end
""")
        harness.wait_until(lambda: host.api.post("/v1/entries/reload").status == 200, "it is taken")
        host.wait_log("a function cannot be made", "test:many")
        self.assert_problem(host.api.post("/v1/functions/test:many", None), 404,
                            "function_not_found")
        for number in alive:
            host.api.post(f"/v1/processes/{number}/end", {})
        harness.wait_until(lambda: host.api.post("/v1/functions/test:many", None).json == "made",
                           "there is memory for it")

    def test_nodes_talk_by_name_and_by_address_and_say_when_they_cannot(self):
        dispatcher = self.system.start_all()
        port = harness.free_ports(1)
        there = self.host("--node", "there", name="there")
        address = there.url.removeprefix("http://")
        here = self.host("--node", "here", "--remotes", address, "--peers",
                         f"there={there.url},gone=http://127.0.0.1:{port}",
                         "--dispatcher", dispatcher.url, name="here")
        harness.wait_until(lambda: there.api.get("/v1/processes").json["alive"] == 1, "it runs")
        for to in ("sums@there", f"sums@{address}", "sums@gone", "sums@nowhere",
                   f"sums@127.0.0.1:{port}"):
            spawned = here.api.post("/v1/processes",
                                    {"program": "test:asker", "arguments": [to, 5]})
            self.assertEqual(spawned.status, 201, spawned.text)
        errors = sorted(each["err"] for each in self.told(dispatcher, 5) if "err" in each)
        # The other nodes know no way back to this one.
        self.assertIn("node_unknown", errors)
        self.assertIn("unreachable", errors)
        process = next(row for row in there.api.get("/v1/processes").json["processes"]
                       if row.get("name") == "sums")
        self.assertGreater(process["number"], 0)

    def test_a_host_reads_its_files_again_on_sighup(self):
        host = self.host()
        api = host.api
        harness.wait_until(lambda: api.get("/v1/processes").json["alive"] == 1, "it runs")
        self.assertEqual(api.post("/v1/functions/test:echo", 1).json, 1)
        newer = ENTRIES.replace("return function(value) return value end",
                                "return function(value) return {value} end")
        self.entries.write_text(newer + """  - name: second
    kind: process.lua
    auto_start: true
    needs: [sums]
    modules: [process]
    source: return function() require("process").receive{topic = "@cancel"} end
""")
        host.process.send_signal(signal.SIGHUP)
        harness.wait_until(lambda: api.get("/v1/processes").json["alive"] == 2, "another began")
        self.assertEqual(api.post("/v1/functions/test:echo", 1).json, [1])
        # What is wrong changes nothing; the same over HTTP, where the answer says it.
        self.entries.write_text(newer.replace("return {value} end", "return {value end"))
        host.process.send_signal(signal.SIGHUP)
        host.wait_log("the old ones stay", "bad_program")
        self.assert_problem(api.post("/v1/entries/reload", None), 422, "bad_program")
        self.assertEqual(api.post("/v1/functions/test:echo", 1).json, [1])
        self.assertEqual(api.get("/v1/processes").json["alive"], 2)
        self.entries.write_text(newer)
        self.assertEqual(api.call("POST", "/v1/entries/reload").json,
                         {"functions": newer.count("kind: function.lua"),
                          "processes": newer.count("kind: process.lua"), "version": 0})
        harness.wait_until(lambda: api.get("/v1/processes").json["alive"] == 1, "it was ended")
        self.assertNotIn("test:second", [row["program"] for row in
                                         api.get("/v1/processes").json["processes"]])

    def test_a_host_by_itself_follows_a_registry(self):
        data = self.folder / "data"
        host = self.system.role("host", "host", "--registry", data).start()
        self.assert_problem(host.api.post("/v1/functions/test:echo", 1), 404, "function_not_found")
        done = self.system.run("registry", "apply", self.entries, "--data", data)
        self.assertEqual(done.returncode, 0, done.stderr)
        harness.wait_until(lambda: host.api.post("/v1/functions/test:echo", 1).status == 200,
                           "it has found them")
        harness.wait_until(lambda: host.api.get("/v1/processes").json["alive"] == 1, "it runs")
        host.restart()
        self.assertEqual(host.api.post("/v1/functions/test:echo", 1).json, 1)
        both = self.system.run("host", str(self.entries), "--registry", data, "--port", "0")
        self.assertEqual(both.returncode, 2, both.stderr)

    def test_a_key_guards_a_host(self):
        self.system.use_key()
        host = self.system.role("host", "host", str(self.entries)).start()
        self.assertEqual(host.api.get("/v1/processes").status, 200)
        bare = harness.Api(host.url, None)
        self.assert_problem(bare.get("/v1/processes"), 401, "missing_key")
        self.assert_problem(bare.post("/v1/messages", {"to": "sums", "topic": "t"}), 401,
                            "missing_key")

    def test_a_worker_runs_tasks_as_functions(self):
        dispatcher = self.system.start_all("sum")
        source = self.folder / "worker.lua"
        source.write_text(WORKER)
        self.system.role("lua", "worker", "lua", "--type", "addup", "--source", str(source),
                         "--method", "run", "--nameservice", self.system.ns.url, "--dispatcher",
                         dispatcher.url, "--instructions-max", "2000000").start()
        self.system.wait_workers(2, dispatcher)

        def ended(payload, **more):
            answer = dispatcher.api.post("/v1/tasks?wait=30s",
                                         {"type": "addup", "payload": payload, **more})
            return dispatcher.api.get(f"/v1/tasks/{answer.json['id']}").json
        done = ended([1, 2, 3])
        self.assertEqual(done["result"], {"sum": 6, "type": "addup"})
        logs = dispatcher.api.get(f"/v1/tasks/{done['id']}/logs")
        self.assertIn("attempt 1", logs.text)
        refused = ended("refuse")
        self.assertEqual((refused["state"], len(refused["attempts"])), ("dead", 1), refused)
        self.assertEqual(refused["error"]["code"], "invalid_field")
        failed = ended("fail", attempts_max=2, backoff={"initial_ms": 1, "max_ms": 1})
        self.assertEqual(len(failed["attempts"]), 2, failed)
        self.assertEqual(failed["error"]["code"], "program_failed")
        self.assertIn("worker.lua:", failed["error"]["message"])
        self.assertEqual(ended("endless")["error"]["code"], "instruction_limit")
        late = ended("sleep", timeout_ms=300, attempts_max=1)
        self.assertEqual(late["error"]["code"], "attempt_timeout", late)

    def test_as_many_tasks_of_a_worker_wait_for_services_as_run(self):
        dispatcher = self.system.start_all("sum")
        silent = SilentService()
        self.addCleanup(silent.close)
        source = self.folder / "worker.lua"
        source.write_text(WORKER)
        worker = self.system.role("lua", "worker", "lua", "--type", "addup", "--source",
                                  str(source), "--method", "run", "--concurrency", "30",
                                  "--nameservice", self.system.ns.url, "--dispatcher",
                                  dispatcher.url).start()
        self.system.wait_workers(2, dispatcher)
        for _ in range(29):
            dispatcher.api.submit("addup", {"url": silent.url}, attempts_max=1)
        harness.wait_until(lambda: len(silent.held) >= 29, "all wait for it")
        ended = dispatcher.api.post("/v1/tasks?wait=10s", {"type": "addup", "payload": [1, 2]})
        self.assertEqual(ended.json.get("state"), "succeeded", ended.text)
        worker.kill()

    def test_what_is_wrong_with_entries_is_said_with_its_place(self):
        cases = (("kind: function.lua\n    source: 'return +'", "bad_program", "2:1"),
                 ("kind: function.lua", "config_invalid", "source"),
                 ("kind: function.lua\n    source: x\n    modules: [os]", "module_not_allowed",
                  "os"),
                 ("kind: function.lua\n    file: ../x.lua", "config_invalid", "file"),
                 ("kind: process.lua\n    source: x\n    imports: {a: b}", "dependency_missing",
                  "test:b"),
                 ("kind: library.lua\n    source: x\n    imports: {a: x}", "dependency_cycle", "x"),
                 ("kind: process.lua\n    source: 'return 1'\n    restart: {soon: 1}",
                  "config_invalid", "soon"),
                 ("kind: function.lua\n    source: 'return 1'\n    pool: {kind: odd}",
                  "config_invalid", "kind is inline"),
                 ("kind: function.lua\n    source: 'return 1'\n    limits: {memory_bytes: 5}",
                  "config_invalid", "memory_bytes"))
        for body, name, words in cases:
            path = self.folder / "wrong.yaml"
            path.write_text('version: "1.0"\nnamespace: test\nentries:\n  - name: x\n    ' + body
                            + "\n")
            done = self.system.run("host", str(path), "--port", "0")
            with self.subTest(body=body):
                self.assertNotEqual(done.returncode, 0)
                self.assertIn(name, done.stderr)
                if name != "bad_program":
                    self.assertIn(words, done.stderr)

    def test_the_examples_do_what_they_say(self):
        dispatcher = self.system.start_all()
        copy = self.folder / "programs"
        shutil.copytree(EXAMPLES, copy)
        entries = copy / "programs.yaml"
        text = entries.read_text()
        self.assertIn("every: 5,", text)
        entries.write_text(text.replace("every: 5,", "every: 0.1,"))
        host = self.host("--dispatcher", dispatcher.url, entries=copy)
        price = host.api.post("/v1/functions/programs:price", {"sizes": [28, 32], "name": "ann"})
        self.assertEqual(price.json, {"price": 2100, "of": "ANN"})
        for amount in (1, 2, 3):
            host.api.post("/v1/messages", {"to": "totals", "topic": "add",
                                           "payload": {"key": "a", "amount": amount}})
        harness.wait_until(
            lambda: any(event["data"] == {"a": 6} for event in
                        dispatcher.api.get("/v1/topics/totals/events").json.get("events", [])),
            "the sum is published")
        self.see_approvals(dispatcher)
        self.see_a_crawl(host)

    def see_approvals(self, dispatcher):
        document = {"name": "buy", "steps": [{"name": "may", "approval": "buy?"}]}
        started = dispatcher.api.post("/v1/workflows", {"document": document})
        self.assertEqual(started.status, 201, started.text)
        workflow = started.json["id"]
        dispatcher.api.post("/v1/topics/approvals.asked/events",
                            {"data": {"workflow": workflow, "step": "may", "amount": 30}})
        ended = dispatcher.api.get(f"/v1/workflows/{workflow}?wait=30s&steps=true").json
        self.assertEqual(ended["state"], "succeeded", ended)

    def see_a_crawl(self, host):
        pages = {"/": '<a href="/a">a</a> <a href="/b">b</a> <a href="http://127.0.0.1:1/">x</a>',
                 "/a": '<a href="/">home</a>', "/b": "nothing"}

        class Site(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                body = pages.get(self.path, "").encode()
                self.send_response(200 if self.path in pages else 404)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass
        site = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Site)
        threading.Thread(target=site.serve_forever, daemon=True).start()
        try:
            url = f"http://127.0.0.1:{site.server_port}/"
            host.api.post("/v1/processes", {"program": "programs:crawler",
                                            "arguments": [{"url": url, "rate": 50}]})
            host.wait_log("read 3 pages")
        finally:
            site.shutdown()
            site.server_close()


if __name__ == "__main__":
    harness.main()

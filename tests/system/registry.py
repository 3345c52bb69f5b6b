"""Entries in files: applied, kept with every version, and put to work by taskd up."""

import json
import os
import select
import signal
import sqlite3
import subprocess

import harness

FILE = """version: "1.0"
namespace: shop
entries:
  - name: sum
    kind: queue
    concurrency: 3
  - name: nightly
    kind: schedule
    cron: "30 3 * * *"
    task: {type: sum, payload: [1, 2]}
  - name: echo
    kind: worker.exec
    command: [/bin/cat]
    auto_start: true
    needs: [sum]
"""


PROGRAMS = """version: "1.0"
namespace: shop
entries:
  - name: price
    kind: function.lua
    limits: {}
    source: |
      return function(n) return n * 2 end
  - name: keeper
    kind: process.lua
    auto_start: true
    modules: [process, log]
    source: |
      local process, log = require("process"), require("log")
      return function(sum)
        sum = sum or 0
        process.register("keeper")
        log.info("old" .. " keeper with " .. sum)
        while true do
          local m = process.receive()
          if m.topic == "add" then sum = sum + m.payload end
          if m.topic == "@outdated" then process.upgrade(sum) end
          if m.topic == "@cancel" then return end
        end
      end
"""

LODGER = """  - name: lodger
    kind: process.lua
    auto_start: true
    needs: [keeper, price]
    modules: [process]
    source: |
      local process = require("process")
      return function() process.receive{topic = "@cancel"} end
"""

TILL = """version: "1.0"
namespace: shop
entries:
  - name: payments
    kind: contract
    methods:
      charge: {payload: {type: integer},
               result: {type: object, properties: {charged: {minimum: 0}}}}
  - name: till
    kind: function.lua
    implements: payments
    methods: [charge]
    source: |
      return {charge = function(amount)
        if amount == 666 then error{kind = "invalid_field", message = "not that"} end
        return {charged = amount}
      end}
  - name: both
    kind: function.lua
    source: |
      return function(request) return {request.path.what, request.query.b} end
  - name: slow
    kind: function.lua
    modules: [time]
    source: |
      return function() require("time").sleep("1h") end
  - name: charge
    kind: http.endpoint
    path: /charge
    function: till.charge
    errors: {invalid_field: 400, result_mismatch: 418}
  - name: twice
    kind: http.endpoint
    path: /twice/{what}
    method: GET
    function: shop:both
  - name: slow-route
    kind: http.endpoint
    path: /slow
    method: GET
    function: slow
    wait_ms: 200
"""


class Registry(harness.SystemTest):

    def setUp(self):
        super().setUp()
        self.data = self.system.folder / "data"
        self.entries = self.system.folder / "entries"
        self.entries.mkdir()
        self.file = self.entries / "shop.yaml"
        self.file.write_text(FILE, encoding="utf-8")

    def registry(self, *arguments, code=0):
        done = self.system.run("registry", *arguments, "--data", self.data)
        if code is None:
            self.assertNotEqual(done.returncode, 0)
        else:
            self.assertEqual(done.returncode, code, done.stderr)
        return done.stdout if code == 0 else done.stderr

    def test_every_version_is_kept_and_can_come_back(self):
        self.registry("apply", self.entries, "--disable", "*")  # makes an empty one
        changes = self.registry("apply", self.entries, "--dry-run")
        self.assertEqual(changes, "+ shop:echo\n+ shop:nightly\n+ shop:sum\n")
        self.assertEqual(self.registry("list", "-o", "id"), "")
        made = json.loads(self.registry("apply", self.entries, "--note", "first", "-o", "json"))
        self.assertEqual([(each["version"], each["changes"], each["note"]) for each in made],
                         [(1, 3, "first")])
        self.assertEqual(self.registry("list", "-o", "id"), "shop:echo\nshop:nightly\nshop:sum\n")
        self.assertEqual(self.registry("list", "$m", "-o", "id"), "shop:sum\n")
        self.assertEqual(self.registry("show", "shop:sum"),
                         "id: \"shop:sum\"\nkind: queue\nconcurrency: 3\n")
        again = self.system.run("registry", "apply", self.entries, "--data", self.data)
        self.assertEqual((again.returncode, again.stdout, again.stderr),
                         (0, "", "taskd: nothing has changed\n"))
        self.registry("apply", self.entries, "--override", "shop:sum:concurrency=5",
                      "--disable", "*:echo")
        self.assertEqual(self.registry("diff", 1),
                         "- shop:echo\n~ shop:sum\n    - concurrency: 3\n    + concurrency: 5\n")
        self.registry("restore", 1)
        self.assertEqual(self.registry("diff", 1), "")
        self.assertEqual(self.registry("history", "-o", "id"), "3\n2\n1\n")
        self.assertIn("restored from version 1", self.registry("history"))

    def test_who_only_reads_makes_no_registry(self):
        for words in (["list"], ["show", "shop:sum"], ["history"], ["diff", 1], ["restore", 1],
                      ["apply", self.entries, "--dry-run"]):
            with self.subTest(words=words):
                told = self.registry(*words, code=3)
                self.assertIn("file_missing", told)
                self.assertIn(f"there is no registry in {self.data}", told)
                self.assertFalse(self.data.exists())
        self.registry("watch", code=4)
        self.assertFalse(self.data.exists())
        self.data.mkdir()
        self.registry("list", code=3)
        self.assertEqual(list(self.data.iterdir()), [])

    def test_faults_are_told_with_their_place(self):
        self.file.write_text(FILE.replace("concurrency: 3", "concurency: 3"), encoding="utf-8")
        self.assertIn("shop.yaml:6:5: shop:sum: 'concurency' is no field of queue",
                      self.registry("apply", self.entries, code=2))
        self.file.write_text(FILE.replace("needs: [sum]", "needs: [none]"), encoding="utf-8")
        self.assertIn("dependency_missing", self.registry("apply", self.entries, code=2))
        self.file.write_text(FILE.replace("command: [/bin/cat]", "url: x"), encoding="utf-8")
        self.registry("apply", self.entries, code=2)
        self.assertIn("version_not_found", self.registry("restore", 7, code=1))
        self.assertIn("file_missing", self.registry("apply", "no-such-file", code=3))
        self.assertIn("did you mean 'apply'", self.registry("aply", code=2))
        self.assertEqual(self.registry("history", "-o", "id"), "")

    def test_up_puts_entries_to_work_and_follows_them(self):
        self.registry("apply", self.entries)
        up = self.system.up().start(0)
        self.assertIn("echo", {each["type"] for each in up.endpoints()["workers"]})
        done = self.system.run("submit", "echo", "hello", "--data", up.data)
        self.assertEqual((done.returncode, done.stdout), (0, "hello\n"), done.stderr)

        def concurrency():
            return up.api().get("/v1/queues/sum").json["concurrency"]
        harness.wait_until(lambda: concurrency() == 3, "the queue has its rules")
        harness.wait_until(lambda: up.api().get("/v1/schedules/nightly").status == 200, "and when")
        self.registry("apply", self.entries, "--override", "shop:sum:concurrency=5", "--disable",
                      "shop:nightly")
        harness.wait_until(lambda: concurrency() == 5, "it follows the registry")
        harness.wait_until(lambda: up.api().get("/v1/schedules/nightly").status == 404, "and goes")

    def test_what_went_while_up_was_down_is_taken_away(self):
        self.registry("apply", self.entries)
        up = self.system.up().start(0)
        harness.wait_until(lambda: up.api().get("/v1/schedules/nightly").status == 200, "it is set")
        up.process.terminate()
        self.assertEqual(up.process.wait(harness.PATIENCE), 0)
        self.registry("apply", self.entries, "--disable", "shop:nightly,shop:echo")
        up.start(0)
        harness.wait_until(lambda: up.api().get("/v1/schedules/nightly").status == 404, "it went")
        self.assertEqual(up.api().get("/v1/queues/sum").json["concurrency"], 3)

    def test_what_a_killed_up_was_about_to_declare_is_taken_away(self):
        self.registry("apply", self.entries)
        up = self.system.up().start(0)
        harness.wait_until(lambda: up.api().get("/v1/schedules/nightly").status == 200, "all there")
        many = "".join(f"""  - name: hourly-{i}
    kind: schedule
    cron: "{i % 60} * * * *"
    task: {{type: sum, payload: [{i}]}}
""" for i in range(3000))
        self.file.write_text(FILE + many, encoding="utf-8")
        with subprocess.Popen([harness.EXECUTABLE, "registry", "apply", self.entries, "--data",
                               self.data], stderr=subprocess.DEVNULL) as apply:
            # The dispatcher takes them one after the other; the registry writes all or nothing.
            harness.wait_until(lambda: up.api().get("/v1/schedules/hourly-0").status == 200,
                               "the first is there")
            apply.kill()  # it would write the file itself
            up.kill()
        self.assertEqual(self.registry("history", "-o", "id"), "1\n")
        up.start(0)
        harness.wait_until(lambda: up.api().get("/v1/schedules/hourly-0").status == 404, "it went")
        harness.wait_until(lambda: len((up.data / "registry.held").read_text().splitlines()) == 2,
                           "and so did the others")
        self.assertEqual(up.api().get("/v1/schedules/nightly").status, 200)
        self.assertEqual(len(up.api().get("/v1/schedules").json["schedules"]), 1)

    def test_workers_come_change_and_go_while_up_runs(self):
        up = self.system.up().start(0)

        def pid_of(kind):
            return {each["type"]: each["pid"] for each in up.endpoints()["workers"]}.get(kind)
        before = {kind: pid_of(kind) for kind in ("sum", "hash")}
        self.registry("apply", self.entries)
        harness.wait_until(lambda: pid_of("echo"), "the worker is there")
        done = self.system.run("submit", "echo", "one", "--data", up.data)
        self.assertEqual((done.returncode, done.stdout), (0, "one\n"), done.stderr)
        first = pid_of("echo")
        self.registry("apply", self.entries, "--override", "shop:echo:concurrency=2")
        harness.wait_until(lambda: pid_of("echo") not in (None, first, 0), "it is another now")
        harness.wait_until(lambda: not harness.is_alive(first), "and the first is gone")
        done = self.system.run("submit", "echo", "two", "--data", up.data)
        self.assertEqual((done.returncode, done.stdout), (0, "two\n"), done.stderr)
        self.registry("apply", self.entries, "--disable", "*:echo")
        harness.wait_until(lambda: pid_of("echo") is None, "it went")
        self.assertEqual({kind: pid_of(kind) for kind in ("sum", "hash")}, before)

    def test_parts_of_a_running_up_may_refuse_a_change(self):
        up = self.system.up().start(0)
        self.registry("apply", self.entries)
        self.assertEqual(self.registry("history", "-o", "id"), "1\n")
        # It is so when the command ends: nobody has to look again.
        self.assertEqual(up.api().get("/v1/queues/sum").json["concurrency"], 3)
        good = self.registry("list", "-o", "json")
        self.file.write_text(FILE.replace("[/bin/cat]", "[/no/such/program]")
                             .replace("concurrency: 3", "concurrency: 7"), encoding="utf-8")
        told = self.registry("apply", self.entries, code=1)
        self.assertIn("entry_refused", told)
        self.assertIn("workers: file_missing", told)
        self.assertIn("/no/such/program", told)
        self.assertEqual(self.registry("list", "-o", "json"), good)
        self.assertEqual(up.api().get("/v1/queues/sum").json["concurrency"], 3)
        # What the dispatcher refuses is undone there too.
        hook = FILE + """  - name: watcher
    kind: subscription
    pattern: 'order.*'
    group: no-such
  - name: zoned
    kind: schedule
    cron: "30 3 * * *"
    zone: Europe/Nowhere
    task: {type: sum}
"""
        self.file.write_text(hook.replace("concurrency: 3", "concurrency: 7"), encoding="utf-8")
        told = self.registry("apply", self.entries, code=1)
        self.assertIn("dispatcher: unknown_zone", told)
        self.assertIn("shop:zoned", told)
        harness.wait_until(lambda: up.api().get("/v1/queues/sum").json["concurrency"] == 3,
                           "what was taken is undone")
        harness.wait_until(lambda: up.api().get("/v1/subscriptions/no-such").status == 404,
                           "and what was made is gone")
        self.assertEqual(self.registry("history", "-o", "id"), "1\n")

    def test_after_a_kill_changes_go_to_the_file_until_up_runs_again(self):
        up = self.system.up().start(0)
        up.kill()
        self.assertTrue((up.data / "registry.sock").exists())
        self.registry("apply", self.entries)
        self.assertEqual(self.registry("history", "-o", "id"), "1\n")
        up.start(0)
        self.file.write_text(FILE.replace("[/bin/cat]", "[/no/such/program]"), encoding="utf-8")
        self.assertIn("entry_refused", self.registry("apply", self.entries, code=1))

    def test_topics_groups_and_workflows_are_declared_too(self):
        up = self.system.up().start(0)
        (self.entries / "report.yaml.txt").write_text(
            "name: report\nsteps:\n  - {name: total, type: sum, payload: [1, 2]}\n"
            "output: ${total}\n", encoding="utf-8")
        self.file.write_text(FILE + """  - name: order.placed
    kind: topic
    keep_ms: 86400000
  - name: kitchen
    kind: subscription
    pattern: order.placed
  - name: report
    kind: workflow
    file: report.yaml.txt
  - name: carts
    kind: store
    bytes_max: 1000000
""", encoding="utf-8")
        self.registry("apply", self.entries)
        self.assertEqual(up.api().get("/v1/topics/order.placed").json["keep_ms"], 86400000)
        self.assertEqual(up.api().get("/v1/subscriptions/kitchen").json["pattern"], "order.placed")
        done = self.system.run("workflow", "run", "shop:report", "--data", up.data, "--wait", "20s")
        self.assertEqual((done.returncode, done.stdout), (0, "3\n"), done.stderr)
        done = self.system.run("workflow", "run", "shop:none", "--data", up.data)
        self.assertIn("workflow_not_found", done.stderr)
        self.registry("apply", self.entries, "--disable", "*:kitchen,*:order.placed")
        self.assertEqual(up.api().get("/v1/subscriptions/kitchen").status, 404)
        self.assertEqual(up.api().get("/v1/topics/order.placed").status, 200)
        (self.entries / "report.yaml.txt").write_text("steps: 1\n", encoding="utf-8")
        self.assertIn("bad_workflow", self.registry("apply", self.entries, code=2))

    def test_a_contract_is_held_where_it_is_called(self):
        up = self.system.up().start(0)
        self.file.write_text("""version: "1.0"
namespace: shop
entries:
  - name: payments
    kind: contract
    methods:
      charge: {payload: {type: integer}, result: {type: object, required: [method]}}
      refund: {payload: {type: integer}, result: {type: integer}}
  - name: till
    kind: worker.exec
    command: [/bin/cat]
    auto_start: true
    implements: payments
    methods: [charge]
""", encoding="utf-8")
        self.assertIn("the method refund of shop:payments is missing",
                      self.registry("apply", self.entries, code=2))
        self.file.write_text(self.file.read_text(encoding="utf-8").replace(
            "methods: [charge]", "methods: [charge, refund]"), encoding="utf-8")
        self.registry("apply", self.entries)

        def call(*words):
            return self.system.run("call", "shop:payments", *words, "--data", up.data)
        done = call("charge", "3")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(json.loads(done.stdout), {"method": "charge", "payload": 3})
        for words, error in ((("charge", "three"), "the payload of shop:payments.charge"),
                             (("refund", "3"), "the result of refund: /: must be an integer"),
                             (("more", "3"), "has no method more")):
            done = call(*words)
            self.assertNotEqual(done.returncode, 0)
            self.assertIn(error, done.stderr)
        harness.wait_until(lambda: "schema" in up.api().get("/v1/queues/till").json,
                           "the dispatcher holds calls against it too")
        refused = self.system.run("submit", "till", "--json",
                                  '{"method": "charge", "payload": "x"}', "--data", up.data)
        self.assertIn("schema_mismatch", refused.stderr)
        # Whoever calls: what comes of it is held against the contract too.
        failed = self.system.run("submit", "till", "--json", '{"method": "refund", "payload": 3}',
                                 "--data", up.data)
        self.assertIn("result_mismatch", failed.stderr)

    def test_programs_run_in_the_house_and_follow_the_registry(self):
        programs = PROGRAMS
        self.file.write_text(programs, encoding="utf-8")
        self.registry("apply", self.entries)
        up = self.system.up().start(0)

        def call(name, payload):
            return self.system.run("function", "call", name, payload, "--data", up.data)

        def alive():
            return sorted(row["program"] for row in up.api("host").get(
                "/v1/processes").json["processes"])
        self.assertEqual(call("shop:price", "3").stdout, "6\n")
        harness.wait_until(lambda: alive() == ["shop:keeper"], "it began by itself")
        keeper = up.api("host").get("/v1/processes").json["processes"][0]["number"]
        self.assertIn("as keeper", self.system.run("process", "tree", "--data", up.data).stdout)
        # It holds when the command ends, and the process goes on with its state as the newer one.
        up.api("host").post("/v1/messages", {"to": "keeper", "topic": "add", "payload": 5})
        programs = programs.replace("n * 2", "n * 3").replace('"old"', '"new"') + LODGER
        self.file.write_text(programs, encoding="utf-8")
        self.registry("apply", self.entries)
        self.assertEqual(call("shop:price", "3").stdout, "9\n")
        harness.wait_until(lambda: alive() == ["shop:keeper", "shop:lodger"], "another began")
        harness.wait_until(lambda: "new keeper with 5" in up.log(), "it is the newer one")
        numbers = {row["program"]: row["number"]
                   for row in up.api("host").get("/v1/processes").json["processes"]}
        self.assertEqual(numbers["shop:keeper"], keeper)
        # What cannot run changes nothing, whatever else the change holds.
        for wrong, error in (("modules: [process]", "modules: [no_such]"), ("n * 3", "n *")):
            self.file.write_text(programs.replace(wrong, error), encoding="utf-8")
            told = self.registry("apply", self.entries, code=None)
            self.assertRegex(told, "module_not_allowed|bad_program")
        self.assertEqual(self.registry("history", "-o", "id"), "2\n1\n")
        self.assertEqual(call("shop:price", "3").stdout, "9\n")
        # One that is killed comes back with what holds; what is taken away is ended.
        os.kill(up.endpoints()["host"]["pid"], signal.SIGKILL)
        harness.wait_until(lambda: call("shop:price", "3").stdout == "9\n", "it is there again")
        self.registry("apply", self.entries, "--disable", "*:lodger,*:price", "--override",
                      "shop:keeper:description=x")
        self.registry("restore", 2)
        self.file.write_text(programs, encoding="utf-8")
        self.registry("apply", self.entries, "--disable", "*:lodger,*:price")
        self.assertIn("function_not_found", call("shop:price", "3").stderr)
        harness.wait_until(lambda: alive() == ["shop:keeper"], "the other went")
        up.process.terminate()
        self.assertEqual(up.process.wait(harness.PATIENCE), 0)

    def test_the_host_is_asked_whether_it_can_run_what_comes_back(self):
        up = self.system.up().start(0)
        self.file.write_text(PROGRAMS, encoding="utf-8")
        self.registry("apply", self.entries)
        # As a version might lie there that another taskd has taken.
        with sqlite3.connect(up.data / "registry.db") as db:
            db.execute("INSERT INTO versions VALUES(2, 0, 'by hand', 1)")
            db.execute("INSERT INTO changes VALUES('shop:bad', 2, 'function.lua', ?)",
                       ('{"source":"return +"}',))
        db.close()
        harness.wait_until(lambda: "the old ones stay" in up.log(), "the host has seen it")
        done = self.system.run("function", "call", "shop:price", "3", "--data", up.data)
        self.assertEqual(done.stdout, "6\n", done.stderr)
        self.registry("apply", self.entries)
        self.assertEqual(self.registry("history", "-o", "id"), "3\n2\n1\n")
        told = self.registry("restore", 2, code=1)
        self.assertIn("entry_refused", told)
        self.assertIn("host: bad_program", told)
        self.assertEqual(self.registry("history", "-o", "id"), "3\n2\n1\n")

    def test_a_registry_is_watched(self):
        up = self.system.up().start(0)
        watch = subprocess.Popen(
            [harness.EXECUTABLE, "registry", "watch", "*:sum", "-o", "json", "--data", up.data],
            stdout=subprocess.PIPE, text=True, env=self.system.environment)
        self.addCleanup(watch.wait)
        self.addCleanup(watch.stdout.close)
        self.addCleanup(watch.kill)
        # A first change may come before it asks: what it is told then is the one after.
        for number in range(100):
            self.registry("apply", self.entries, "--override", f"shop:sum:concurrency={number + 1}")
            if select.select([watch.stdout], [], [], 0.2)[0]:
                break
        told = json.loads(watch.stdout.readline())
        self.assertEqual((told["id"], told["kind"]), ("shop:sum", "queue"))
        self.registry("apply", self.entries, "--disable", "*")
        while told["change"] != "deleted":
            told = json.loads(watch.stdout.readline())
        self.assertEqual(told["before"]["id"], "shop:sum")
        self.assertNotIn("after", told)
        with open("/dev/full", "wb") as full:
            lost = subprocess.Popen(
                [harness.EXECUTABLE, "registry", "watch", "--data", up.data], stdout=full,
                stderr=subprocess.DEVNULL, env=self.system.environment)
            self.addCleanup(lost.kill)

        def ended():
            self.registry("apply", self.entries)
            self.registry("apply", self.entries, "--disable", "*")
            return lost.poll() is not None
        harness.wait_until(ended, "it cannot say what it is told")
        self.assertEqual(lost.returncode, 1)
        nobody = self.system.run("registry", "watch", "--data", self.system.folder / "other")
        self.assertEqual(nobody.returncode, 4, nobody.stderr)

    def test_a_function_answers_at_an_endpoint_and_keeps_its_contract(self):
        up = self.system.up().start(0)
        self.file.write_text(TILL, encoding="utf-8")
        self.registry("apply", self.entries)
        self.assertEqual(up.api().call("POST", "/charge", 3).json, {"charged": 3})
        self.assertEqual(up.api().get("/twice/a?b=c").json, ["a", "c"])
        self.assert_problem(up.api().call("POST", "/charge", '"x"'), 422, "schema_mismatch")
        self.assert_problem(up.api().call("POST", "/charge", -1), 418, "result_mismatch")
        self.assert_problem(up.api().call("POST", "/charge", 666), 400, "invalid_field")
        self.assert_problem(up.api().get("/slow"), 504, "timed_out")

        def call(*words):
            return self.system.run("call", "shop:payments", *words, "--data", up.data)
        self.assertEqual(call("charge", "3").stdout, '{"charged":3}\n')
        self.assertIn("the payload of shop:payments.charge", call("charge", "three").stderr)
        self.assertIn("the result of shop:payments.charge", call("charge", "--json=-1").stderr)
        # The same after all of it was gone at once.
        up.kill()
        up.start(0)

        def answers():
            return up.api().call("POST", "/charge", 4)
        harness.wait_until(lambda: answers().status == 200, "it answers again")
        self.assertEqual(answers().json, {"charged": 4})
        self.file.write_text(TILL.replace("function: till.charge", "function: till.none"),
                             encoding="utf-8")
        self.assertIn("there is no function shop:till.none",
                      self.registry("apply", self.entries, code=2))

    def test_an_endpoint_is_declared_and_answers(self):
        up = self.system.up().start(0)
        self.file.write_text(FILE + """  - name: orders
    kind: http.endpoint
    path: /orders/{id}
    method: PUT
    type: echo
    payload: request
""", encoding="utf-8")
        self.registry("apply", self.entries)
        answer = up.api().call("PUT", "/orders/7", {"pizza": 1})
        self.assertEqual((answer.status, answer.json),
                         (200, {"path": {"id": "7"}, "query": {}, "body": {"pizza": 1}}))
        self.registry("apply", self.entries, "--disable", "*:orders")
        self.assertEqual(up.api().call("PUT", "/orders/7", {"pizza": 1}).status, 404)

    def test_a_worker_that_needs_another_starts_after_it_and_goes_before_it(self):
        both = FILE + """  - name: shout
    kind: worker.exec
    command: [/usr/bin/tr, a-z, A-Z]
    auto_start: true
    needs: [echo]
"""
        self.file.write_text(both, encoding="utf-8")
        up = self.system.up().start(0)
        self.registry("apply", self.entries)

        def pid_of(kind):
            return {each["type"]: each["pid"] for each in up.endpoints()["workers"]}.get(kind)
        harness.wait_until(lambda: pid_of("shout"), "both are there")
        first = {kind: pid_of(kind) for kind in ("echo", "shout")}
        self.registry("apply", self.entries, "--override", "shop:echo:concurrency=2")
        harness.wait_until(lambda: pid_of("shout") not in (None, 0, first["shout"]),
                           "whoever needs what changed is started again too")
        harness.wait_until(lambda: not harness.is_alive(first["echo"]), "and the first is gone")
        done = self.system.run("submit", "shout", "two", "--data", up.data)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("TWO", done.stdout)
        self.registry("apply", self.entries, "--disable", "*:shout,*:echo")
        harness.wait_until(lambda: pid_of("echo") is None and pid_of("shout") is None, "both went")


if __name__ == "__main__":
    harness.main()

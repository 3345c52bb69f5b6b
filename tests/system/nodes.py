"""Nodes of programs that find each other by name: messages, monitors and links over real processes
that move, are killed, and come back."""

import harness

ENTRIES = """version: "1.0"
namespace: test
entries:
  - name: tell
    kind: function.lua
    modules: [process]
    source: |
      local process = require("process")
      return function(a)
        local ok, err = process.send(a.to, a.topic, a.payload, {wait = 5})
        return {ok = ok, error = err and err.kind}
      end
  - name: sums
    kind: process.lua
    auto_start: true
    restart: {initial_delay: 50ms, max_delay: 200ms}
    modules: [process]
    source: |
      local process = require("process")
      return function()
        process.register("sums")
        while true do
          local m = process.receive()
          if m.topic == "fail" then error("as told") end
          if m.topic == "@cancel" then return end
        end
      end
  - name: observer
    kind: process.lua
    auto_start: true
    modules: [process, log]
    source: |
      local process, log = require("process"), require("log")
      return function()
        process.register("observer")
        process.trap_links(true)
        while true do
          local m = process.receive()
          if m.topic == "watch" or m.topic == "link" then
            local ok, err = process[m.topic == "link" and "link" or "monitor"](m.payload)
            log.info("asked", {what = m.topic, of = m.payload, outcome = ok and "held" or err.kind})
          elseif m.topic == "@cancel" then
            return
          else
            log.info("told", {topic = m.topic, of = m.payload.pid, why = m.payload.kind,
                              message = m.payload.message})
          end
        end
      end
"""


class Nodes(harness.SystemTest):

    def setUp(self):
        super().setUp()
        self.system.use_key()
        self.entries = self.system.folder / "entries.yaml"
        self.entries.write_text(ENTRIES)
        self.ns = self.system.nameservice("--heartbeat", "200ms", "--expiry", "3s").start()

    def host(self, node, *arguments):
        return self.system.role(node, "host", self.entries, "--node", node, "--nameservice",
                                self.ns.url, "--heartbeat", "200ms", *arguments)

    def tell(self, host, to, topic="note", payload=None):
        answer = host.api.post("/v1/functions/test:tell",
                               {"to": to, "topic": topic, "payload": payload})
        self.assertEqual(answer.status, 200, answer.text)
        return answer.json.get("error") or "sent"

    def wait_told(self, host, to, outcome):
        harness.wait_until(lambda: self.tell(host, to) == outcome, f"{to}: {outcome}")

    def pid(self, host, name):
        def found():
            rows = host.api.get("/v1/processes").json["processes"]
            return next((row["pid"] for row in rows if row.get("name") == name), None)
        return harness.wait_until(found, f"{name} runs")

    def test_nodes_are_found_by_name_wherever_they_are(self):
        dispatcher = self.system.dispatcher(self.ns.url).start().wait_ready()
        a = self.host("a").start()
        self.assertEqual(self.tell(a, "sums@b"), "node_unknown")
        b = self.host("b").start()  # comes later
        self.wait_told(a, "sums@b", "sent")
        self.wait_told(b, "sums@a", "sent")
        self.assertEqual(self.tell(a, "nobody@b"), "process_not_found")
        listed = self.ns.api.get("/v1/registrations").json["registrations"]
        self.assertEqual({(each["instance"], each["type"]) for each in listed},
                         {("a", "taskd.host"), ("b", "taskd.host")})
        self.assertEqual(dispatcher.api.get("/v1/workers").json["workers"], [])

        before = b.port
        b.kill()
        self.assertEqual(self.tell(a, "sums@b"), "unreachable")
        b.port = 0  # and comes back elsewhere
        b.start()
        self.assertNotEqual(b.port, before)
        self.wait_told(a, "sums@b", "sent")
        a.wait_log("found a peer", f":{b.port}")

        b.terminate()  # says that it goes
        self.assertEqual(b.wait_end(), 0)
        self.wait_told(a, "sums@b", "node_unknown")

        c = self.host("c").start()
        self.wait_told(a, "sums@c", "sent")
        c.kill()  # says nothing: forgotten when its registration expires
        self.assertEqual(self.tell(a, "sums@c"), "unreachable")
        self.wait_told(a, "sums@c", "node_unknown")

    def test_the_settings_go_over_the_name_service(self):
        b = self.host("b").start()
        gone = harness.free_ports(1)
        a = self.host("a", "--peers", f"b=http://127.0.0.1:{gone}").start()
        a.wait_log("found a peer", f":{b.port}")
        self.assertEqual(self.tell(a, "sums@b"), "unreachable")
        done = self.system.run("host", self.entries, "--node", "no such node", "--nameservice",
                               self.ns.url, "--port", "0")
        self.assertEqual(done.returncode, 2)
        self.assertIn("bad_usage", done.stderr)

    def test_monitors_and_links_reach_over_nodes(self):
        a, b = self.host("a").start(), self.host("b").start()
        self.wait_told(a, "sums@b", "sent")
        self.wait_told(b, "sums@a", "sent")

        first = self.pid(b, "sums")
        self.assertEqual(self.tell(a, "observer", "watch", first), "sent")
        a.wait_log("asked", first, "held")
        self.tell(a, "observer", "watch", "{b@lua|987654}")
        a.wait_log("asked", "987654", "process_not_found")
        self.assertEqual(self.tell(a, "sums@b", "fail"), "sent")
        a.wait_log("told", "@exit", first, "program_failed")

        # One that is lost with its node is told to who is linked to it, and to who watches it.
        second = harness.wait_until(
            lambda: (pid := self.pid(b, "sums")) != first and pid, "it runs again")
        self.tell(a, "observer", "link", second)
        self.tell(a, "observer", "watch", second)
        a.wait_log("asked", "link", second, "held")
        a.wait_log("asked", "watch", second, "held")
        # And one of a that another of b is linked to.
        own = self.pid(a, "sums")
        self.tell(b, "observer", "link", own)
        b.wait_log("asked", "link", own, "held")
        b.kill()
        a.wait_log("told", "@link_down", second, "node_lost")
        a.wait_log("told", "@exit", second, "node_lost")
        a.wait_log("a node is lost", "it does not ask any more")
        harness.wait_until(lambda: self.pid(a, "sums") != own, "what was linked has begun anew")
        self.assertEqual(a.last_log().count("@exit"), 2)

        # A node that was started again is another one: what ran there is gone.
        b.start()
        self.wait_told(a, "sums@b", "sent")
        third = self.pid(b, "sums")
        # It may be called as one that was watched before.
        held = f"of={third} outcome=held what=watch"
        before = a.last_log().count(held)
        self.tell(a, "observer", "watch", third)
        harness.wait_until(lambda: a.last_log().count(held) > before, "it is watched")
        b.restart()
        harness.wait_until(lambda: a.last_log().count("topic=@exit") == 3, "told once more")


if __name__ == "__main__":
    harness.main()

"""Logs: one format for all roles, a file a process that others may move away, the trace of a
request from its header to the log, and nothing in a value that forges a line."""

import json
import os
import pty
import signal
import subprocess

import harness

TRACE = "0af7651916cd43dd8448eb211c80319c"
NOBODY = "01900000-0000-7000-8000-000000000000"


class Logs(harness.SystemTest):

    def setUp(self):
        super().setUp()
        self.folder = self.system.folder / "logs"
        self.options = ["--log-dir", self.folder, "--log-format", "json", "--log-level", "debug"]

    def lines(self, name):
        """What a file holds, each line as JSON."""
        text = (self.folder / name).read_text("utf-8")
        self.assertTrue(text == "" or text.endswith("\n"))
        return [json.loads(line) for line in text.splitlines()]

    def names(self):
        return sorted(path.name for path in self.folder.iterdir() if path.suffix == ".log")

    def test_every_role_logs_alike(self):
        up = self.system.up(*self.options).start()
        self.assertEqual(self.names(), [
            "dispatcher.log", "host.log", "monitor.log", "nameservice.log", "up.log",
            "worker-hash-1.log", "worker-reverse-1.log", "worker-sum-1.log", "worker-upper-1.log",
            "worker-wait-1.log"])
        for name in self.names():
            lines = self.lines(name)
            self.assertTrue(lines, name)
            for line in lines:
                self.assertEqual(list(line)[:5], ["ts", "level", "role", "instance", "msg"])
                self.assertRegex(line["ts"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
                self.assertTrue(name.startswith(line["role"]), name)
                self.assertTrue(line["instance"])
            self.assertEqual((self.folder / name).stat().st_mode & 0o777, 0o640)
        # The same on stderr, behind the child's name.
        self.assertIn('dispatcher   | {"ts":"', up.log())

    def test_the_trace_of_a_request(self):
        dispatcher = self.system.nameservice().start()
        dispatcher = self.system.dispatcher(dispatcher.url, *self.options).start().wait_ready()
        answer = dispatcher.api.call("GET", f"/v1/tasks/{NOBODY}", None, {
            "traceparent": f"00-{TRACE}-b7ad6b7169203331-01"})
        self.assert_problem(answer, 404, "task_not_found")
        self.assertEqual(answer.json["trace_id"], TRACE)
        told = [line for line in self.lines("dispatcher.log") if line.get("trace_id") == TRACE]
        self.assertEqual(len(told), 1)
        self.assertEqual((told[0]["task_id"], told[0]["status"], told[0]["route"]),
                         (NOBODY, "404", "/v1/tasks/{id}"))
        other = dispatcher.api.get("/v1/nothing").json
        self.assertRegex(other["trace_id"], "^[0-9a-f]{32}$")

    def test_a_file_that_was_moved_away(self):
        role = self.system.nameservice(*self.options, "--log-files", "0").start()
        (self.folder / "nameservice.log").rename(self.folder / "nameservice.log.old")
        role.process.send_signal(signal.SIGUSR1)
        harness.wait_until((self.folder / "nameservice.log").exists, "it is opened again")
        harness.wait_until(lambda: self.lines("nameservice.log"), "it is written to")
        self.assertEqual(self.lines("nameservice.log")[0]["msg"], "log file opened again")
        self.assertEqual(role.api.get("/healthz").status, 200)

    def test_a_worker_that_comes_back_goes_on_in_its_file(self):
        self.system.ns = self.system.nameservice().start()
        worker = self.system.worker("sum", self.system.ns.url, *self.options, name="a").start()
        worker.kill()
        worker.start()
        twin = self.system.worker("sum", self.system.ns.url, *self.options, name="a")
        twin.port_file = self.system.folder / "twin.port"
        twin.start()
        self.assertEqual(self.names(), ["worker-a-2.log", "worker-a.log"])
        instances = {line["instance"] for line in self.lines("worker-a.log")}
        self.assertEqual(len(instances), 2)

    def test_nothing_sent_forges_a_line(self):
        role = self.system.nameservice(*self.options).start()
        nasty = "x\nts=2026-01-01T00:00:00.000Z level=error\x1b[31m\u009b0m\u2028"
        answer = role.api.call("PUT", "/v1/registrations/evil%0Aname%1B%5B31m", json.dumps({
            "session": "00" * 8, "type": nasty, "host": nasty, "port": 1}).encode(), {})
        self.assertGreaterEqual(answer.status, 400)
        role.api.get("/v1/registrations?type=%0Ats%3D1%1B%5B31m")
        raw = (self.folder / "nameservice.log").read_bytes()
        self.assertNotIn(b"\x1b", raw)
        self.lines("nameservice.log")  # each is one JSON object

    def test_a_folder_that_is_not_there_ends_it_before_it_starts(self):
        done = self.system.run("monitor", "--port", "0", "--log-dir", "/no/such/folder")
        self.assertEqual(done.returncode, 1)
        self.assertIn("io_failed", done.stderr)
        self.assertIn("/no/such", done.stderr)

    def on_terminal(self, environment):
        """The first bytes that a role says on a terminal."""
        leader, follower = pty.openpty()
        process = subprocess.Popen([harness.EXECUTABLE, "monitor", "--port", "0"],
                                   stdin=follower, stdout=follower, stderr=follower,
                                   env=self.system.environment | environment,
                                   preexec_fn=harness.die_with_parent)
        os.close(follower)
        seen = b""
        try:
            while b"ready" not in seen:
                seen += os.read(leader, 65536)
        finally:
            process.kill()
            process.wait()
            os.close(leader)
        return seen

    def test_colours_on_a_terminal_unless_told_otherwise(self):
        self.assertIn(b" \x1b[32mINFO \x1b[0m monitor-", self.on_terminal({}))
        self.assertIn(b" INFO  monitor-", self.on_terminal({"NO_COLOR": "1"}))
        self.assertIn(b"\x1b[32m", self.on_terminal({"NO_COLOR": ""}))
        self.assertIn(b'"level":"info"', self.on_terminal({"TASKD_LOG_FORMAT": "json"}))


if __name__ == "__main__":
    harness.main()

"""/metrics of every role: what promtool thinks of it, whether the numbers are true, who may ask."""

import pathlib
import re
import shutil
import subprocess

import harness

TOOLS = pathlib.Path(__file__).resolve().parents[2] / "build" / "tools" / "usr" / "bin"


def read(text):
    """{"name{labels}": value}"""
    values = {}
    for line in text.splitlines():
        if line and not line.startswith("#"):
            name, value = re.fullmatch(r"(\S+?(?:\{.*\})?) (\S+)", line).groups()
            assert name not in values, name
            values[name] = float(value)
    return values


class Metrics(harness.SystemTest):

    def setUp(self):
        super().setUp()
        self.system.use_key()
        self.system.start_all("sum")
        self.monitor = self.system.role("monitor", "monitor", "--dispatcher", self.system.dp.url,
                                        "--nameservice", self.system.ns.url).start()
        self.roles = [self.system.dp, self.system.ns, self.system.workers["sum"], self.monitor]

    def values(self, role):
        answer = role.api.get("/metrics")
        self.assertEqual(answer.status, 200, answer.text)
        return read(answer.text)

    def test_numbers_are_true(self):
        api = self.system.dp.api
        before = self.values(self.system.dp)
        for number in range(5):
            api.result(api.submit("sum", [number]))
        bad = api.submit("sum", ["x"])
        api.result(bad)
        api.submit("nobody", 1)
        api.get("/v1/nothing")
        after = self.values(self.system.dp)

        def grown(name):
            return after[name] - before.get(name, 0)
        self.assertEqual(grown("taskd_tasks_submitted_total"), 7)
        self.assertEqual(grown("taskd_tasks_succeeded_total"), 5)
        self.assertEqual(grown("taskd_tasks_dead_total"), 1)
        self.assertEqual(grown("taskd_submit_seconds_count"), 7)
        self.assertEqual(grown("taskd_queue_wait_seconds_count"), 6)
        self.assertEqual(grown("taskd_run_seconds_count"), 6)
        self.assertEqual(grown("taskd_task_seconds_count"), 6)
        self.assertEqual(after['taskd_tasks{type="nobody",state="queued"}'], 1)
        self.assertGreater(after['taskd_queue_oldest_seconds{type="nobody"}'], 0)
        self.assertEqual(after['taskd_worker_slots{type="sum"}'], 64)
        self.assertEqual(after["taskd_workers_reachable"], 1)
        self.assertEqual(grown('taskd_http_requests_total{method="POST",route="/v1/tasks",'
                               'status="202"}'), 7)
        self.assertEqual(grown('taskd_http_requests_total{method="any",route="none",'
                               'status="404"}'), 1)
        self.assertGreater(grown("taskd_journal_sync_seconds_count"), 0)
        self.assertGreater(grown("taskd_datagrams_received_total"), 0)
        self.assertGreater(after["taskd_journal_used_bytes"], 0)
        worker = self.values(self.system.workers["sum"])
        self.assertEqual((worker["taskd_worker_registered"], worker["taskd_worker_running"]),
                         (1, 0))
        self.assertGreaterEqual(worker["taskd_worker_ended_total"], 6)
        self.assertEqual(self.values(self.system.ns)['taskd_registrations{type="sum"}'], 1)
        harness.wait_until(lambda: self.values(self.monitor)[
            'taskd_source_reachable{source="dispatcher"}'] == 1, "the monitor reaches it")
        for role in self.roles:
            text = role.api.get("/metrics").text
            self.assertNotIn(bad, text)  # no label holds a task's id
            self.assertIn('taskd_build_info{version="', text)
            self.assertIn("taskd_loop_lag_seconds_count", text)

    def test_the_key_is_asked_for_unless_told_otherwise(self):
        for role in self.roles:
            answer = role.api.call("GET", "/metrics", None, {"Authorization": "Bearer wrong"})
            self.assert_problem(answer, 403, "wrong_key")
        open_role = self.system.nameservice("--metrics-open", name="open").start()
        open_role.key = None
        self.assertIn("taskd_uptime_seconds", self.values(open_role))
        self.assert_problem(open_role.api.get("/v1/registrations"), 401, "missing_key")

    def test_promtool_finds_nothing(self):
        promtool = shutil.which("promtool") or shutil.which(str(TOOLS / "promtool"))
        if promtool is None:
            self.skipTest("there is no promtool here; './dev test system' takes one")
        api = self.system.dp.api
        api.result(api.submit("sum", [1]))
        for role in self.roles:
            with self.subTest(role=role.name):
                answer = role.api.get("/metrics")
                self.assertEqual(answer.headers["Content-Type"],
                                 "text/plain; version=0.0.4; charset=utf-8")
                judged = subprocess.run([promtool, "check", "metrics"], input=answer.text,
                                        capture_output=True, text=True, check=False,
                                        timeout=harness.PATIENCE)
                self.assertEqual((judged.returncode, judged.stdout, judged.stderr), (0, "", ""))


if __name__ == "__main__":
    harness.main()

"""What a rush took of the memory is given back when it is over."""

import json
import pathlib
import threading
import time
import unittest

import harness

TASKS = 400_000
TASKS_A_REQUEST = 1_000
SUBMITTERS = 2
BYTES_A_TASK_MAX = 200  # at rest: payloads are on the disk then


def memory_of(pid, name="VmRSS"):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text("utf-8").splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1]) << 10
    raise AssertionError("no memory is told")


class Rush(harness.SystemTest):

    def setUp(self):
        super().setUp()
        self.system.dp = self.system.dispatcher("http://127.0.0.1:9").start().wait_ready()

    def submit(self):
        api = self.system.dp.api
        body = json.dumps([{"type": "kept", "payload": "x" * 98}] * TASKS_A_REQUEST)
        for _ in range(TASKS // TASKS_A_REQUEST // SUBMITTERS):
            api.post_patiently("/v1/tasks", body)

    def test_what_a_rush_took_is_given_back(self):
        before = memory_of(self.system.dp.pid)
        submitters = [threading.Thread(target=self.submit) for _ in range(SUBMITTERS)]
        for each in submitters:
            each.start()
        for each in submitters:
            each.join()
        most = memory_of(self.system.dp.pid, "VmHWM")
        stats = self.system.dp.api.get("/v1/stats").json
        self.assertEqual(TASKS, stats["states"]["queued"])
        harness.wait_until(
            lambda: memory_of(self.system.dp.pid) - before < TASKS * BYTES_A_TASK_MAX,
            "the memory is given back", patience=90)
        self.assertGreater(most - before, TASKS * BYTES_A_TASK_MAX, "it was no rush")


if __name__ == "__main__":
    unittest.main()

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

    def start(self, *options):
        self.system.dp = self.system.dispatcher("http://127.0.0.1:9", *options).start()
        self.system.dp.wait_ready()

    def submit(self):
        api = self.system.dp.api
        body = json.dumps([{"type": "kept", "payload": "x" * 98}] * TASKS_A_REQUEST)
        for _ in range(TASKS // TASKS_A_REQUEST // SUBMITTERS):
            api.post_patiently("/v1/tasks", body)

    def test_what_a_rush_took_is_given_back(self):
        self.start()
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

    # A machine may be smaller than what is submitted to it.
    def test_no_more_is_taken_than_there_is_memory_for(self):
        self.start("--backlog-memory", "8MiB", "--burst-memory", "24MiB")
        api = self.system.dp.api
        before = memory_of(self.system.dp.pid)
        body = json.dumps([{"type": "kept", "payload": "x" * 98}] * TASKS_A_REQUEST)
        taken = 0
        while (answer := api.call("POST", "/v1/tasks", body)).json.get("error") != "backlog_full":
            taken += answer.status == 202
            self.assertIn(answer.status, (202, 429), answer.text)
        self.assertEqual(taken, 8 * 1024 * 1024 // 112 // TASKS_A_REQUEST + 1)
        self.assertLess(memory_of(self.system.dp.pid, "VmHWM") - before, 200 << 20)
        self.system.dp.kill()
        self.system.dp.start().wait_ready()
        self.assertEqual(self.system.dp.api.get("/v1/stats").json["states"]["queued"],
                         taken * TASKS_A_REQUEST)
        again = self.system.dp.api.call("POST", "/v1/tasks", body)
        self.assertEqual((again.status, again.json["error"]), (429, "backlog_full"))


if __name__ == "__main__":
    unittest.main()

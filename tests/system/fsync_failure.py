"""A sync that fails: the process ends by name, for nobody knows what the disk kept, and a
restart has everything that was acknowledged. Needs strace."""

import math
import os
import shutil
import signal
import subprocess
import time
import unittest

import harness

FIRST_FAILURES = (1, 2, 3, 5, 8, 13, 30)  # the n-th sync of a start


def can_trace():
    if not shutil.which("strace"):
        return False
    return subprocess.run(["strace", "-qq", "-o", "/dev/null", "-e", "trace=fdatasync", "true"],
                          capture_output=True, check=False).returncode == 0


@unittest.skipUnless(can_trace(), "needs strace, and leave to trace")
class FsyncFailure(harness.SystemTest):

    def start_failing(self, call, error, number):
        """Starts the dispatcher with its n-th such call failing; it may end at once."""
        dispatcher = self.system.dp
        dispatcher.prefix = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={call}",
                             "-e", f"inject={call}:error={error}:when={number}+"]
        dispatcher.spawn()

    def submit_until_it_ends(self, most=math.inf):
        """Ids of what it acknowledged before it ended, or until they are so many."""
        dispatcher, acknowledged = self.system.dp, []
        end = time.monotonic() + harness.PATIENCE
        while dispatcher.code is None and len(acknowledged) < most:
            self.assertLess(time.monotonic(), end, "it does not end")
            if not dispatcher.listens():
                continue
            try:
                answer = dispatcher.api.post("/v1/tasks", {"type": "later", "payload": 1})
            except harness.Broken:
                continue
            if answer.status == 202:
                acknowledged.append(answer.json["id"])
        return acknowledged

    def check_restart(self, acknowledged):
        dispatcher = self.system.dp
        dispatcher.prefix = []
        dispatcher.start().wait_ready()
        there = {task["id"]: task["state"] for task in dispatcher.api.all_tasks()}
        for task in acknowledged:
            self.assertEqual(there.get(task), "queued", task)
        dispatcher.terminate()
        self.assertEqual(dispatcher.wait_end(), 0)

    def test_every_sync_of_a_folder(self):
        """While a store is made: what is in folders is kept by syncs of their own."""
        system, ended = self.system, 0
        while True:
            system.dp = system.dispatcher("http://127.0.0.1:1", name=f"store-{ended + 1}")
            self.start_failing("fsync", "EIO", ended + 1)
            acknowledged = self.submit_until_it_ends(most=50)
            if system.dp.code is None:  # it makes no more of them
                (traced,) = harness.children_of(system.dp.pid)
                os.kill(traced, signal.SIGTERM)
                self.assertEqual(system.dp.wait_end(), 0)
                break
            self.assertEqual(system.dp.code, 1, f"the sync {ended + 1}")
            self.assertIn("io_failed", system.dp.last_log())
            self.check_restart(acknowledged)
            ended += 1
        self.assertGreater(ended, 5)

    def test_every_early_sync(self):
        system = self.system
        system.dp = system.dispatcher("http://127.0.0.1:1").start()
        system.dp.terminate()
        self.assertEqual(system.dp.wait_end(), 0)
        acknowledged, ended_while_running = [], 0
        for number in FIRST_FAILURES:
            self.start_failing("fdatasync", "EIO", number)
            acknowledged += self.submit_until_it_ends()
            self.assertEqual(system.dp.code, 1, f"the sync {number}")
            self.assertIn("io_failed", system.dp.last_log())
            ended_while_running += "the disk failed, leaving" in system.dp.last_log()
            self.check_restart(acknowledged)
        self.assertGreater(ended_while_running, 2)
        self.assertGreater(len(acknowledged), 10)


if __name__ == "__main__":
    harness.main()

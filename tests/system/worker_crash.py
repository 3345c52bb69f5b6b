"""kill -9 of a worker in mid-task: its lease runs out and another attempt runs elsewhere,
counted as a crash and not as a failure."""

import os
import signal

import harness

QUICK = {"backoff": {"initial_ms": 10, "max_ms": 10}}


class WorkerCrash(harness.SystemTest):

    def setUp(self):
        super().setUp()
        self.dispatcher = self.system.start_all(lease="3s")
        self.api = self.dispatcher.api

    def two_workers(self):
        workers = {name: self.system.worker("wait", self.system.ns.url, name=name).start()
                   for name in ("first", "second")}
        self.system.wait_workers(2)
        return workers

    def holder_of(self, task, workers):
        """(the worker that runs it, the other one)."""
        def runs():
            whole = self.api.task(task)
            return whole["attempts"][-1]["worker"] if whole["state"] == "running" else None
        name = harness.wait_until(runs, "it runs").rpartition("-")[0]
        return workers[name], workers["second" if name == "first" else "first"]

    def assert_moved(self, task, holder, other):
        self.assertEqual(self.api.result(task)["state"], "succeeded")
        whole = self.api.task(task)
        self.assert_succeeded_once(whole)
        first, last = whole["attempts"][0], whole["attempts"][-1]
        self.assertEqual((first["outcome"], last["outcome"]), ("crashed", "succeeded"))
        self.assertTrue(first["worker"].startswith(holder.name), first)
        self.assertTrue(last["worker"].startswith(other.name), last)
        self.assertEqual(first["error"]["code"], "crashed")
        self.assertGreater(last["epoch"], first["epoch"])
        self.assertEqual((whole["crashes"], whole["failures"]), (1, 0))
        self.assertEqual(whole["attempts_made"], 2)
        totals = self.api.get("/v1/stats").json["totals"]
        self.assertEqual((totals["crashes"], totals["failures"]), (1, 0))

    def test_another_attempt_elsewhere(self):
        workers = self.two_workers()
        task = self.api.submit("wait", 2, **QUICK)
        holder, other = self.holder_of(task, workers)
        holder.kill()
        self.assert_moved(task, holder, other)

    def test_late_result_of_a_stopped_worker(self):
        workers = self.two_workers()
        task = self.api.submit("wait", 3, **QUICK)
        holder, other = self.holder_of(task, workers)
        os.kill(holder.pid, signal.SIGSTOP)
        harness.wait_until(lambda: self.api.task(task)["crashes"] == 1, "its lease runs out")
        self.holder_of(task, workers)
        os.kill(holder.pid, signal.SIGCONT)  # finishes what is no longer its own
        self.assert_moved(task, holder, other)
        self.system.wait_workers(2)

    def test_same_worker_started_again(self):
        worker = self.system.worker("wait", self.system.ns.url).start()
        self.system.wait_workers(1)
        task = self.api.submit("wait", 2, **QUICK)
        harness.wait_until(lambda: self.api.task(task)["state"] == "running", "it runs")
        worker.kill()
        worker.port = 0  # on its old port it might still get the datagram it never had
        worker.start()
        self.assertEqual(self.api.result(task)["state"], "succeeded")
        whole = self.api.task(task)
        self.assertEqual([each["outcome"] for each in whole["attempts"]], ["crashed", "succeeded"])
        self.assertNotEqual(*[each["worker"] for each in whole["attempts"]])

    def test_task_that_kills_too_many_is_dead(self):
        worker = self.system.worker("wait", self.system.ns.url).start()
        self.system.wait_workers(1)
        task = self.api.submit("wait", 600, crashes_max=1, **QUICK)
        harness.wait_until(lambda: self.api.task(task)["state"] == "running", "it runs")
        worker.kill()
        brief = self.api.result(task)
        self.assertEqual((brief["state"], brief["error"]["code"]), ("dead", "crashed"))
        done = self.system.run("result", task)
        self.assertEqual((done.returncode, done.stdout), (5, ""))
        self.assertIn("crashed", done.stderr)

    def test_long_task_is_renewed(self):
        self.system.worker("wait", self.system.ns.url).start()
        self.system.wait_workers(1)
        task = self.api.submit("wait", 5)
        self.assertEqual(self.api.result(task)["state"], "succeeded")
        whole = self.api.task(task)
        self.assertEqual((whole["attempts_made"], whole["crashes"]), (1, 0))


if __name__ == "__main__":
    harness.main()
